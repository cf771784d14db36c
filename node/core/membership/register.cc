// The configuration register: this node's votes, and the changes that it proposes.

#include <algorithm>

#include "base/limits.h"
#include "base/planted.h"
#include "node/core/cluster_codec.h"
#include "node/core/membership/membership.h"

namespace cartwheel::node {

namespace {

// What the register holds, or the configuration with which everything began while nobody has written it.
Result<ClusterConfig> value_of(const paxos::Value& value, const ClusterConfig& mine) {
  if (value) return decode_config(*value);
  if (mine.epoch == 1) return mine;
  return Status(Code::kUnavailable, "the configuration register has lost its value: too many voters lost their disks");
}

Status unknown() {
  return {Code::kUnknownOutcome, "no majority of the voters answered in time: the change may be made, now or later"};
}

}  // namespace

// --- votes -----------------------------------------------------------------------------------------------------------

bool Membership::may_vote() const {
  return formed() && settled() && config_->nodes[options_.self].identity == options_.identity;
}

void Membership::on_paxos(NodeIndex from, std::string_view bytes, Instant now) {
  auto type = paxos::message_type(bytes);
  if (!type) {
    ++rejected_;
    return;
  }
  if (*type == paxos::MessageType::kReply) {
    auto reply = paxos::Reply::decode(bytes);
    if (!reply.ok()) {
      ++rejected_;
      return;
    }
    if (reply->generation > config_->epoch) send(from, ControlMessage(ControlType::kFetch));
    if (catch_up_) catch_up_->on_reply(from, *reply);
    register_.on_reply(from, *reply, now);
    return;
  }
  auto request = paxos::Request::decode(bytes);
  if (!request.ok()) {
    ++rejected_;
    return;
  }
  // A generation whose configuration is not here must not be answered: the proposer asks again.
  if (request->generation > config_->epoch && !planted(Bug::kMemberAnswersUnknown)) {
    return send(from, ControlMessage(ControlType::kFetch));
  }
  if (!may_vote()) return;
  const bool old = request->generation < config_->epoch;
  paxos::Acceptor::Answer answer = acceptor_.on_request(std::move(*request));
  if (answer.after_version > durable_version_ && !planted(Bug::kMemberVotesUnsynced)) out_.persist = true;
  send(from, ControlMessage(ControlType::kPaxos, answer.reply.encode()));
  if (old) send_config(from);
}

// --- changes ---------------------------------------------------------------------------------------------------------

void Membership::change(Edit edit, bool repeatable, Duration timeout, Done done, Instant now) {
  propose({std::move(edit), repeatable, now + timeout, std::move(done), std::make_shared<Change::Attempts>()}, now);
  pump(now);
}

paxos::Decision Membership::decide(const Edit& edit, Change::Attempts& attempts, const paxos::Seen& seen) const {
  auto found = value_of(seen.value, *config_);
  if (!found.ok()) return paxos::Decision::refuse(found.status());
  ClusterConfig next = std::move(*found);
  // What comes after it is decided by the voters that it names, not by those of an older one.
  attempts.behind = next.epoch != seen.generation && !planted(Bug::kMemberDecidesFromAfar);
  if (attempts.behind) {
    return paxos::Decision::refuse(Status::Unavailable("the configuration has changed meanwhile"));
  }
  const uint64_t epoch = next.epoch;
  if (const Status status = edit(next); !status.ok()) return paxos::Decision::refuse(status);
  if (next.epoch == epoch) return paxos::Decision::keep();
  CHECK(next.epoch == epoch + 1);
  std::string bytes = encode_config(next);
  if (bytes.size() > limits::kPaxosValueBytes) {
    return paxos::Decision::refuse({Code::kTooLarge, "the configuration would have " + std::to_string(bytes.size()) +
                                                         " bytes, the limit is " +
                                                         std::to_string(limits::kPaxosValueBytes)});
  }
  attempts.proposed = true;
  return paxos::Decision::set(std::move(bytes));
}

void Membership::propose(Change change, Instant now) {
  if (now >= change.deadline || !formed()) {
    const Status status =
        formed() ? not_decided(change)
                 : Status::Unavailable(
                       "the cluster has not formed yet: not all of its voters have been heard of since it began");
    out_.answers.push_back([done = std::move(change.done), status] { done(status, nullptr); });
    return;
  }
  paxos::Proposal proposal;
  if (change.edit) {
    proposal.change = [this, edit = change.edit, attempts = change.attempts](const paxos::Seen& seen) {
      return decide(edit, *attempts, seen);
    };
  }
  proposal.repeatable = change.repeatable;
  proposal.deadline = change.deadline;
  auto ticket = register_.propose(std::move(proposal), now);
  if (!ticket.ok()) {
    out_.answers.push_back([done = std::move(change.done), status = ticket.status()] { done(status, nullptr); });
    return;
  }
  changes_.emplace(*ticket, std::move(change));
}

// What is said of a change that time ran out for between two attempts. One that recognizes its own effect may be in a
// configuration that an attempt saw and did not look at, for it was behind.
Status Membership::not_decided(const Change& change) {
  if (change.repeatable && change.attempts->proposed) return unknown();
  return Status::Unavailable("no majority of the voters answered in time");
}

void Membership::finish(Change change, const paxos::Outcome& outcome, Instant now) {
  using Kind = paxos::Outcome::Kind;
  // Refused or not, the value is the register's.
  if ((outcome.kind == Kind::kChosen || outcome.kind == Kind::kRefused) && outcome.value) {
    auto config = decode_config(*outcome.value);
    if (config.ok()) adopt(std::move(*config), {}, now);
  }
  if (outcome.kind == Kind::kRefused && change.attempts->behind) {
    again_.push_back(std::move(change));
    return;
  }
  Status status = outcome.status;
  if (outcome.kind == Kind::kNotApplied) status = not_decided(change);
  if (outcome.kind == Kind::kUnknown) status = unknown();
  out_.answers.push_back([done = std::move(change.done), status, config = config_] { done(status, config); });
}

// Carries messages to the register, to the other acceptors and to the own one until nobody has more to say.
void Membership::pump(Instant now) {
  while (true) {
    std::vector<paxos::Send> sends;
    if (catch_up_) {
      sends = catch_up_->take_sends();
      if (catch_up_->done()) {
        acceptor_.install(catch_up_->generation(), catch_up_->accepted(), catch_up_->value());
        out_.persist = true;
        catch_up_.reset();
        tell_all(/*asks=*/false);
      }
    }
    paxos::Register::Output output = register_.take_output();
    std::move(output.sends.begin(), output.sends.end(), std::back_inserter(sends));
    if (sends.empty() && output.done.empty()) break;
    for (const paxos::Send& each : sends) {
      const std::string bytes = ControlMessage(ControlType::kPaxos, each.request.encode()).encode();
      for (NodeIndex to : each.to) {
        if (to != options_.self) {
          out_.messages.push_back({to, bytes});
        } else if (each.request.generation == config_->epoch && may_vote()) {
          paxos::Acceptor::Answer answer = acceptor_.on_request(each.request);
          if (answer.after_version > durable_version_) out_.persist = true;
          register_.on_reply(to, answer.reply, now);
        }
      }
    }
    for (paxos::Register::Done& each : output.done) {
      auto found = changes_.find(each.ticket);
      Change change = std::move(found->second);
      changes_.erase(found);
      finish(std::move(change), each.outcome, now);
    }
  }
  if (out_.persist) durable_version_ = acceptor_.version();
}

}  // namespace cartwheel::node
