#include "node/fronts/resp/session.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "node/fronts/resp/call.h"
#include "node/fronts/resp/commands.h"
#include "node/fronts/resp/errors.h"

namespace cartwheel::resp {

using node::Reply;
using node::Request;

namespace {
// A SCAN of a nearly empty keyspace passes so many empty arcs before it answers with what it has.
constexpr uint32_t kScanSteps = 128;
}  // namespace

// The callback of an operation. Two words and trivially copyable, so that std::function keeps it in place: an operation
// allocates nothing here.
struct RespSession::Return {
  SessionHandle* handle;
  uint32_t generation;
  uint32_t operation;

  void operator()(Reply reply) const {
    if (handle->session == nullptr || handle->generation != generation) return;
    handle->session->on_reply(operation, std::move(reply));
  }
};

RespSession::RespSession(Backend& backend, uint64_t id, std::string peer, std::string local)
    : backend_(backend), handle_(backend.handles_.acquire(this)) {
  state_.id = id;
  state_.peer = std::move(peer);
  state_.local = std::move(local);
  state_.keyspace = backend.cluster().keyspace_of_select(0);
  state_.connected = state_.last_received = backend.now().instant;
}

RespSession::~RespSession() {
  backend_.handles_.release(handle_);
}

void RespSession::receive(std::string_view bytes) {
  if (closing_) return;
  state_.last_received = backend_.now().instant;
  parser_.feed(bytes);
  process();
  parser_.park();
}

void RespSession::resume() {
  process();
  parser_.park();
}

bool RespSession::paused() const {
  return closing_ || (tracked_ != nullptr && replies_.waiting_operations() > 0) ||
         replies_.waiting_operations() >= limits::kConnectionInFlight ||
         replies_.size() >= limits::kConnectionInFlight || output_.size() + replies_.held_bytes() >= kOutputPauseBytes;
}

void RespSession::process() {
  if (processing_) return;
  processing_ = true;
  while (!paused()) {
    RespParser::Outcome outcome = parser_.next();
    if (outcome == RespParser::Outcome::kNeedMore) break;
    if (outcome == RespParser::Outcome::kCommand) {
      execute(parser_.arguments());
      continue;
    }
    current_.first = next_operation_;
    RespWriter(target(current_), state_.protocol).error("ERR " + parser_.error());
    conclude_current();
    closing_ = true;
  }
  processing_ = false;
}

void RespSession::execute(std::span<const std::string_view> arguments) {
  ++commands_;
  executing_ = true;
  current_.first = next_operation_;
  current_.protocol = state_.protocol;
  RespWriter out(target(current_), state_.protocol);
  std::string error;
  if (const Command* command = find_command(arguments, error)) {
    state_.last_command = command;
    current_.hash_number = command->has(Command::kHashNumber);
    current_.wrong_type_is_nil = command->has(Command::kWrongTypeIsNil);
    Call call{*this, *command, arguments, out};
    command->run(call);
  } else if (is_http(arguments[0])) {
    // A browser that was tricked into sending a form here: what follows is not meant as commands.
    closing_ = true;
  } else {
    out.error(error);
  }
  executing_ = false;
  conclude_current();
}

// Nothing waits before the current command: its reply can go out as it is written.
std::string* RespSession::target(PendingReply& pending) {
  return &pending == &current_ && replies_.empty() ? &output_ : &pending.bytes;
}

void RespSession::conclude_current() {
  if (given_up_) {
    // Nobody will read it.
  } else if (current_.waiting == 0 && replies_.empty()) {
    if (!current_.bytes.empty()) output_.append(current_.bytes);
  } else {
    replies_.push(std::move(current_));
    if (replies_.held_bytes() + output_.size() > limits::kConnectionOutputBytes) give_up();
  }
  // Field by field: with nothing allocated, which is the rule, this is a few stores.
  current_.operations = current_.waiting = 0;
  current_.finish = nullptr;
  current_.extra = 0;
  if (!current_.replies.empty()) current_.replies = {};  // an idle connection does not keep room for its largest MGET
  current_.walk.reset();
  current_.bytes.clear();
}

void RespSession::expect(size_t operations, Finish finish, int64_t extra) {
  CHECK(executing_ && current_.operations == 0 && operations > 0);
  current_.operations = current_.waiting = static_cast<uint32_t>(operations);
  current_.finish = finish;
  current_.extra = extra;
  if (operations > 1) current_.replies.resize(operations);
}

void RespSession::submit(node::Operation operation) {
  if (state_.keyspace < 0) {
    uint32_t number = next_operation_++;
    return on_reply(number, {Status(Code::kNotFound, "DB index is out of range: no keyspace has select = " +
                                                         std::to_string(state_.database)),
                             {}});
  }
  Request request;
  request.keyspace = static_cast<uint16_t>(state_.keyspace);
  request.operation = std::move(operation);
  request.deadline = backend_.now().instant + backend_.request_timeout();
  if (tracked_ != nullptr) {
    const node::ClusterConfig& cluster = backend_.cluster();
    auto demand = std::make_shared<node::SessionDemand>(
        tracked_->token.demand(request.keyspace, node::arc_of(request.operation.key, cluster.partitions)));
    demand->policy = tracked_->policy;
    demand->patience = tracked_->patience;
    request.session = std::move(demand);
  }
  send(std::move(request), next_operation_++);
}

void RespSession::send(Request request, uint32_t operation) {
  static_assert(std::is_trivially_copyable_v<Return> && sizeof(Return) <= 2 * sizeof(void*));
  backend_.submit(std::move(request), Return{handle_, handle_->generation, operation});
}

void RespSession::scan(node::Operation operation, Finish finish) {
  expect(1, finish, 0);
  if (state_.keyspace >= 0) {
    current_.walk = std::make_unique<ScanWalk>();
    current_.walk->next.keyspace = static_cast<uint16_t>(state_.keyspace);
    current_.walk->next.operation = operation;
    current_.walk->next.deadline = backend_.now().instant + backend_.request_timeout();
    current_.walk->found = node::Value::List({});
  }
  submit(std::move(operation));
}

// True: an arc is done and the next one was asked, under the same number. False: `reply` is the whole.
bool RespSession::scan_further(PendingReply& pending, Reply& reply, uint32_t operation) {
  if (!reply.status.ok() || reply.value.list.size() != 2) return false;
  ScanWalk& walk = *pending.walk;
  int64_t cursor = reply.value.list[0].integer;
  std::vector<node::Value>& part = reply.value.list[1].list;
  std::move(part.begin(), part.end(), std::back_inserter(walk.found.list));
  if (cursor == 0 || walk.found.list.size() >= walk.next.operation.count || ++walk.steps == kScanSteps) {
    reply.value.list[1] = std::move(walk.found);
    return false;
  }
  walk.next.operation.number = cursor;
  send(walk.next, operation);
  return true;
}

void RespSession::on_reply(uint32_t operation, Reply reply) {
  if (given_up_) return;
  by_fallbacks_ += reply.fallbacks > 0 ? 1 : 0;
  if (tracked_ != nullptr && reply.seen != nullptr) {
    tracked_->token.add(*reply.seen);
    tracked_->stale += reply.seen->stale ? 1 : 0;
  }
  bool of_current = executing_ && operation - current_.first < current_.operations;
  PendingReply& pending = of_current ? current_ : replies_.of(operation);
  if (pending.walk != nullptr && scan_further(pending, reply, operation)) return;
  --pending.waiting;
  if (!of_current) replies_.answered();
  if (pending.operations == 1) {
    complete(pending, {&reply, 1});
  } else {
    pending.replies[operation - pending.first] = std::move(reply);
    if (pending.waiting == 0) complete(pending, pending.replies);
  }
  if (of_current) return;
  flush();
  if (processing_) return;
  if (!paused()) resume();
  if (on_output_ && (has_output() || want_close())) on_output_();
}

void RespSession::complete(PendingReply& pending, std::span<Reply> replies) {
  RespWriter out(target(pending), pending.protocol);
  auto failed = std::find_if(replies.begin(), replies.end(), [&](const Reply& r) {
    return !r.status.ok() && !(pending.wrong_type_is_nil && r.status.code() == Code::kWrongType);
  });
  if (failed != replies.end()) {
    // Of several operations the others may have been applied: a command about several keys is not atomic here.
    out.error(error_text(failed->status, pending.hash_number));
  } else {
    pending.finish(out, replies, pending.extra);
  }
  if (&pending == &current_) return;
  replies_.finished(pending);
  pending.replies.clear();
  if (replies_.held_bytes() + output_.size() > limits::kConnectionOutputBytes) give_up();
}

void RespSession::flush() {
  while (!replies_.empty() && replies_.front().waiting == 0) {
    output_.append(replies_.front().bytes);
    replies_.pop();
  }
}

// The peer does not read, or asks for more than can be kept: no more replies, the connection closes.
void RespSession::give_up() {
  closing_ = given_up_ = true;
  replies_.clear();
  output_.clear();
}

std::string RespSession::describe() const {
  Instant now = backend_.now().instant;
  auto seconds = [&](Instant since) { return std::to_string(std::max<int64_t>(now.us - since.us, 0) / 1'000'000); };
  std::string line = "id=" + std::to_string(state_.id) + " addr=" + state_.peer + " laddr=" + state_.local +
                     " name=" + state_.name + " age=" + seconds(state_.connected) +
                     " idle=" + seconds(state_.last_received) + " flags=N db=" + std::to_string(state_.database) +
                     " sub=0 psub=0 ssub=0 multi=-1 qbuf=" + std::to_string(parser_.buffered()) +
                     " oll=" + std::to_string(replies_.size()) +
                     " omem=" + std::to_string(output_.size() + replies_.held_bytes()) + " cmd=";
  line += state_.last_command == nullptr ? "NULL" : std::string(state_.last_command->name);
  line += " user=default redir=-1 resp=" + std::to_string(state_.protocol) + " lib-name=" + state_.library_name +
          " lib-ver=" + state_.library_version;
  return line;
}

}  // namespace cartwheel::resp
