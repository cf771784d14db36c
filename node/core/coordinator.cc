#include <algorithm>

#include "base/planted.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

namespace {
// The coordinator of a forwarded request answers by the deadline; its answer needs a moment to get here.
constexpr Duration kAnswerTime = Duration::millis(50);
}  // namespace

uint32_t arc_of_operation(const ClusterConfig& config, const Operation& operation) {
  if (operation.verb == Verb::kCountKeys) return static_cast<uint32_t>(operation.number) % config.partitions;
  // A cursor is the top 52 bits of a key's hash.
  if (operation.verb == Verb::kScanKeys)
    return arc_of_hash(static_cast<uint64_t>(operation.number) << 12, config.partitions);
  return arc_of(operation.key, config.partitions);
}

uint32_t stripe_of(const ClusterConfig& config, const Request& request) {
  return arc_of_operation(config, request.operation) % config.stripes;
}

std::string Stripe::Impl::gate_key(const Request& request) {
  std::string key = request.operation.key;
  Encoder(key).u16(request.keyspace);
  return key;
}

void Stripe::Impl::request(Caller caller, Request request) {
  if (farewell_round_ > 0) return answer(caller, {Status(Code::kShuttingDown, "this node is shutting down"), {}}, true);
  if (request.keyspace >= config_->keyspaces.size() || config_->keyspaces[request.keyspace].dropped) {
    return answer(caller, {Status(Code::kNotFound, "no such keyspace"), {}}, true);
  }
  if (request.deadline.us == 0) request.deadline = now_.instant + options_.request_timeout;
  if (pending_.size() + gated_ >= limits::kPendingOperations) {
    ++stats_.overloaded;
    return answer(caller, {Status(Code::kOverloaded, "too many operations in flight on this node; retry later"), {}},
                  true);
  }
  uint64_t hash = is_arc_wide(request.operation.verb) ? 0 : hash64(request.operation.key);
  uint32_t arc = is_arc_wide(request.operation.verb) ? arc_of_operation(*config_, request.operation)
                                                     : arc_of_hash(hash, config_->partitions);
  Partition* p = by_arc_[request.keyspace][arc];
  if (p != nullptr && p->serves) return start(std::move(caller), std::move(request), *p, hash);
  const std::vector<NodeIndex>& owners = config_->assignments[request.keyspace].owners[arc];
  forward(std::move(caller), std::move(request), owners);
}

Result<Stripe::Impl::Needs> Stripe::Impl::needs_of(const Request& request, const Partition& p, bool for_read) {
  bool own_level = request.level && is_write(request.operation.verb) != for_read;
  const Keyspace& keyspace = config_->keyspaces[p.id.keyspace];
  const Level& level = own_level ? *request.level : for_read ? keyspace.read : keyspace.write;
  Needs wanted;
  wanted.fallbacks = keyspace.fallbacks && !level.primaries;
  if (!own_level && p.regular) {
    wanted.owners = (for_read ? default_read_ : default_write_)[p.id.keyspace];
    if (for_read || p.others.empty()) return wanted;
  }
  if (own_level || !p.regular) {
    auto owners = need_of(level, p.owner_counts, my_region_);
    if (!owners.ok()) return owners.status();
    wanted.owners = std::move(*owners);
  }
  if (!for_read && !p.others.empty()) {
    auto others = need_of(level, p.other_counts, my_region_);
    // A region that comes or goes has no owners on one side: there a local level asks for nothing.
    if (others.ok())
      wanted.others = std::move(*others);
    else if (p.other_counts[my_region_] > 0)
      return others.status();
  }
  return wanted;
}

// Requests for one key keep their order: one that is in its read phase holds back those that come after it, unless both
// only read.
void Stripe::Impl::start(Caller caller, Request request, Partition& p, uint64_t hash) {
  if (p.quarantined) return pass_on(std::move(caller), std::move(request), p);
  bool writes = is_write(request.operation.verb);
  if (must_wait_for_session(request, p) && forward_for_session(caller, request, p)) return;
  if (!gates_.empty() && !is_arc_wide(request.operation.verb)) {
    auto gate = gates_.find(gate_key(request));
    if (gate != gates_.end() && (writes || gate->second.writer || !gate->second.queue.empty())) {
      ++gated_;
      uint64_t id = next_id_++;
      schedule(request.deadline, id);
      gated_keys_.emplace(id, gate->first);
      gate->second.queue.push_back({id, std::move(caller), std::move(request), &p, hash});
      return;
    }
  }
  if (observes(request.operation.verb) && !is_arc_wide(request.operation.verb) && p.replicated() &&
      !planted(Bug::kQuorumReadsLocal)) {
    auto wanted = needs_of(request, p, true);
    if (!wanted.ok()) return answer(caller, {wanted.status(), {}}, true);
    if (wanted->owners.total > 1) {
      begin_read_phase(std::move(caller), std::move(request), p, hash, std::move(*wanted));
      return;
    }
  }
  if (must_wait_for_session(request, p)) {
    auto wanted = needs_of(request, p, true);
    if (!wanted.ok()) return answer(caller, {wanted.status(), {}}, true);
    begin_read_phase(std::move(caller), std::move(request), p, hash, std::move(*wanted));
    return;
  }
  execute(std::move(caller), std::move(request), p, hash);
}

void Stripe::Impl::execute(Caller caller, Request request, Partition& p, uint64_t hash) {
  const Operation& op = request.operation;
  if (p.quarantined) return pass_on(std::move(caller), std::move(request), p);
  if (is_arc_wide(op.verb)) {
    auto value = execute_scan(store_, p, op, wall_, config_->partitions);
    if (is_unreadable(value.status())) {
      return answer_unreadable(std::move(caller), std::move(request), p, value.status());
    }
    return answer(caller, {value.status(), value.ok() ? std::move(*value) : Value()}, true);
  }
  auto object = store_.open(p.id, hash, op.key);
  if (!object.ok()) return answer_unreadable(std::move(caller), std::move(request), p, object.status());
  if (!is_write(op.verb)) {
    ++stats_.reads;
    auto value = execute_read(store_, **object, op, wall_);
    if (is_unreadable(value.status())) {
      return answer_unreadable(std::move(caller), std::move(request), p, value.status());
    }
    Reply reply{value.status(), value.ok() ? std::move(*value) : Value()};
    if (request.session) reply.seen = seen_of(request, p);
    return answer(caller, std::move(reply), true);
  }
  auto wanted = needs_of(request, p, false);
  if (!wanted.ok()) return answer(caller, {wanted.status(), {}}, true);
  if (!reachable_enough(*wanted, p)) {
    ++stats_.unavailable;
    Level level = request.level ? *request.level : config_->keyspaces[p.id.keyspace].write;
    return answer(caller, {unreachable_error(level, p), {}}, true);
  }
  execute_write_now(std::move(caller), std::move(request), p, **object, *wanted);
}

void Stripe::Impl::execute_write_now(Caller caller, Request request, Partition& p, StoredObject& object,
                                     const Needs& wanted) {
  ++stats_.writes;
  const Keyspace& keyspace = config_->keyspaces[p.id.keyspace];
  Mutation mutation(store_, p, object, actor_, hlc_.tick(wall_), p.replicated() || observer_ != nullptr);
  auto value = execute_write(mutation, request.operation, wall_, keyspace.default_ttl_ms);
  crdt::Delta delta = mutation.take();
  if (is_unreadable(value.status())) {
    if (delta.changes.empty()) return answer_unreadable(std::move(caller), std::move(request), p, value.status());
    value = Status(Code::kUnknownOutcome, "a part of the write was applied: " + value.status().message());
  }
  Reply reply{value.status(), value.ok() ? std::move(*value) : Value()};
  if (request.session) reply.seen = seen_of(request, p);
  if (delta.changes.empty()) return answer(caller, std::move(reply));
  if (keyspace.durability == Keyspace::Durability::kAlways) out_.sync = true;
  bool waits = (wanted.owners.total > 1 || wanted.others) && reply.status.ok();
  uint64_t id = waits ? next_id_++ : 0;
  Pending op;
  if (waits) {
    op.phase = Pending::Phase::kWriting;
    op.partition = &p;
    op.needs = wanted;
    op.answered.reserve(p.writers.size());
    op.answered.push_back(options_.self);
    count_answers(op);
    op.reply = std::move(reply);
    op.request.deadline = request.deadline;
    op.request.level = request.level;
    op.request.operation.verb = request.operation.verb;
    op.caller = std::move(caller);
    op.actor = actor_;
    op.seqs = {delta.changes.front().dot.seq, delta.changes.front().dot.seq};
    for (const crdt::Change& change : delta.changes) {
      op.seqs = {std::min(op.seqs.first, change.dot.seq), std::max(op.seqs.last, change.dot.seq)};
    }
  }
  publish(p, delta, id, wanted, waits ? &op : nullptr);
  if (!waits) return answer(caller, std::move(reply));  // NOLINT(bugprone-use-after-move): only where it waits
  if (is_met(op)) return answer(op.caller, std::move(op.reply));
  schedule(op.request.deadline, id);
  pending_.emplace(id, std::move(op));
}

// Makes what this node has coordinated, and already applied, part of the turn, and sends it to the other replicas.
void Stripe::Impl::publish(Partition& p, const crdt::Delta& delta, uint64_t ack_id, const Needs& wanted, Pending* op) {
  if (observer_ != nullptr) observer_->on_coordinated(p.id.keyspace, p.id.arc, delta, p.replicated());
  std::string encoded;
  if (p.replicated()) {
    encoded.reserve(delta.size_hint());
    Encoder out(encoded);
    delta.encode(out);
    replicate(p, encoded, ack_id, wanted, op);
  }
  turn_dirty_ = true;
  log_delta(p, delta, std::move(encoded));
  clock_advanced(p);
}

// --- passing on ------------------------------------------------------------------------------------------------------

bool Stripe::Impl::needs_local(const Request& request) const {
  const auto& owners = config_->assignments[request.keyspace].owners[arc_of_operation(*config_, request.operation)];
  if (std::none_of(owners.begin(), owners.end(), [&](NodeIndex n) { return region_of(n) == my_region_; })) return false;
  const Keyspace& keyspace = config_->keyspaces[request.keyspace];
  auto is_local = [](const Level& level) {
    return level.kind == Level::Kind::kLocalOne || level.kind == Level::Kind::kLocalQuorum;
  };
  bool writes = is_write(request.operation.verb);
  bool local_read =
      observes(request.operation.verb) && is_local(writes ? keyspace.read : request.level.value_or(keyspace.read));
  return local_read || (writes && is_local(request.level.value_or(keyspace.write)));
}

// `anywhere`: the caller has asked for an answer from wherever it can be had.
void Stripe::Impl::forward(Caller caller, Request request, const std::vector<NodeIndex>& replicas, bool anywhere) {
  // A local level is a promise about this node's region: another one must not answer for it.
  bool local = !anywhere && needs_local(request);
  NodeIndex to = kNoNode;
  for (NodeIndex n : ranked(replicas, true)) {
    if (to == kNoNode && (!local || region_of(n) == my_region_)) to = n;
  }
  if (to == kNoNode || caller.hops >= kHopsMax) {
    ++stats_.unavailable;
    std::string names;
    for (NodeIndex n : replicas) names += (names.empty() ? "" : ", ") + node_name(n);
    return answer(caller, {Status::Unavailable("none of the key's replicas can be reached: " + names), {}}, true);
  }
  ++stats_.forwards;
  uint64_t id = next_id_++;
  Pending op;
  op.phase = Pending::Phase::kForwarded;
  ForwardMessage message{id, static_cast<uint8_t>(caller.hops + 1), std::move(request)};
  op.caller = std::move(caller);
  op.forwarded_to = to;
  op.asked = {to};
  peers_[to].coordinated.sent(id, now_.instant);
  send(to, message.encode(now_.instant));
  op.request = std::move(message.request);
  op.request.deadline = op.request.deadline + kAnswerTime;
  schedule(op.request.deadline, id);
  if (!anywhere) op.candidates = replicas;
  if (!is_write(op.request.operation.verb) && !anywhere) begin_hedging(id, op);  // a write must not be doubled
  pending_.emplace(id, std::move(op));
}

// Passes a request on to one more node: the one that has it does not answer a read, or has refused.
void Stripe::Impl::pass_on(uint64_t id, Pending& op, NodeIndex to) {
  op.asked.push_back(to);
  op.forwarded_to = to;
  peers_[to].coordinated.sent(id, now_.instant);
  ForwardMessage message{id, static_cast<uint8_t>(op.caller.hops + 1), op.request};
  message.request.deadline = Instant{op.request.deadline.us - kAnswerTime.us};
  send(to, message.encode(now_.instant));
}

// Whether this is the first copy of a forwarded request. A node's ids grow, also from life to life, so those below the
// ones remembered are old.
bool Stripe::Impl::is_first_copy(NodeIndex from, uint64_t id) {
  PeerState& peer = peers_[from];
  if (id <= peer.forwarded_floor || !peer.forwarded.insert(id).second) return false;
  if (peer.forwarded.size() > limits::kForwardsRemembered) {
    peer.forwarded_floor = *peer.forwarded.begin();
    peer.forwarded.erase(peer.forwarded.begin());
  }
  return true;
}

void Stripe::Impl::on_forward(NodeIndex from, ForwardMessage m) {
  if (!is_first_copy(from, m.id)) return;
  Caller caller;
  caller.origin = from;
  caller.origin_id = m.id;
  caller.hops = m.hops;
  if (m.request.keyspace >= config_->keyspaces.size()) {
    return answer(caller, {Status(Code::kNotFound, "no such keyspace"), {}});
  }
  if (Status s = validate(m.request.operation); !s.ok()) return answer(caller, {std::move(s), {}});
  if (arc_of_operation(*config_, m.request.operation) % config_->stripes != options_.stripe) {
    return answer(caller, {Status::InvalidArgument("the request was sent to the wrong stripe"), {}});
  }
  request(std::move(caller), std::move(m.request));
}

void Stripe::Impl::on_forward_reply(NodeIndex from, ForwardReplyMessage m) {
  if (auto took = peers_[from].coordinated.answered(m.id, now_.instant)) peers_[from].coordinated.add(*took);
  auto it = pending_.find(m.id);
  if (it == pending_.end() || it->second.phase != Pending::Phase::kForwarded) return;
  Pending& op = it->second;
  if (std::count(op.asked.begin(), op.asked.end(), from) == 0) return;
  op.answered.push_back(from);
  const Code code = m.reply.status.code();
  if (code == Code::kShuttingDown) believe_stopping(from);
  const bool elsewhere = code == Code::kUnavailable || code == Code::kOverloaded || code == Code::kShuttingDown;
  if (elsewhere && awaits_answers(op)) return;  // another node that has the read may do better
  // Nothing was done there, and others may see more of the cluster: whoever has just started sees nothing yet. With a
  // session it may have been waited for, which is not to happen twice.
  const bool refused = code == Code::kShuttingDown || (code == Code::kUnavailable && !op.request.session);
  if (refused && now_.instant + kAnswerTime < op.request.deadline && !planted(Bug::kRefusedIsFailed)) {
    if (NodeIndex to = next_coordinator(op); to != kNoNode) return pass_on(m.id, op, to);
  }
  count_hedge(op);
  Reply reply = std::move(m.reply);
  if (reply.seen) {  // which partition it is about is for this node to say
    auto seen = std::make_shared<SessionSeen>(*reply.seen);
    seen->keyspace = it->second.request.keyspace;
    seen->arc = arc_of_operation(*config_, it->second.request.operation);
    reply.seen = it->second.request.session ? std::move(seen) : nullptr;
  }
  finish(m.id, std::move(reply));
}

// --- answers and deadlines -------------------------------------------------------------------------------------------

void Stripe::Impl::answer(Caller& caller, Reply reply, bool at_once) {
  stats_.fallback_counted += caller.fallbacks > 0;
  reply.fallbacks = std::max(reply.fallbacks, caller.fallbacks);
  if (caller.origin != kNoNode)
    return send(caller.origin, ForwardReplyMessage{caller.origin_id, std::move(reply)}.encode());
  if (at_once) return caller.callback(std::move(reply));
  out_.answers.push_back({std::move(caller.callback), std::move(reply)});
}

void Stripe::Impl::finish(uint64_t id, Reply reply) {
  auto it = pending_.find(id);
  Caller caller = std::move(it->second.caller);
  if (it->second.phase == Pending::Phase::kWriting && reply.status.ok())
    caller.fallbacks = std::max(caller.fallbacks, fallbacks_that_count(it->second));
  disarm_hedge(id, it->second);
  pending_.erase(it);
  answer(caller, std::move(reply));
}

void Stripe::Impl::on_deadline(uint64_t id) {
  auto it = pending_.find(id);
  if (it == pending_.end()) return on_gated_deadline(id);
  Pending& op = it->second;
  bool late = op.request.deadline <= now_.instant;
  switch (op.phase) {
    case Pending::Phase::kReading:
      if (op.session_until <= now_.instant && must_wait_for_session(op.request, *op.partition)) {
        return end_read_phase(id,
                              Status::Unavailable("session token: " + node_name(options_.self) +
                                                  " has not got in time all that the session has written and read"));
      }
      if (late) return end_read_phase(id, Status::Unavailable("not enough replicas answered in time"));
      if (op.catch_up_at <= now_.instant) fetch_awaited(id, op);
      return;
    case Pending::Phase::kWriting:
      if (!late) return;
      ++stats_.unknown_outcomes;
      return finish(id, {Status(Code::kUnknownOutcome,
                                "the write was applied by " + std::to_string(op.answered.size()) +
                                    " replicas, fewer than its level asks for; it is not undone and may spread"),
                         {}});
    case Pending::Phase::kForwarded: {
      if (!late) return;
      bool write = is_write(op.request.operation.verb);
      ++(write ? stats_.unknown_outcomes : stats_.unavailable);
      return finish(id, {Status(write ? Code::kUnknownOutcome : Code::kUnavailable,
                                node_name(op.forwarded_to) + ", which coordinates the request, did not answer in time"),
                         {}});
    }
  }
}

// What was passed on to a peer whose connection broke: a read is passed on again, a write may have happened.
void Stripe::Impl::fail_operations_of(NodeIndex peer) {
  std::vector<uint64_t> ids;
  for (const auto& [id, op] : pending_) {
    if (op.phase == Pending::Phase::kForwarded && std::count(op.asked.begin(), op.asked.end(), peer) > 0 &&
        std::count(op.answered.begin(), op.answered.end(), peer) == 0) {
      ids.push_back(id);
    }
  }
  std::sort(ids.begin(), ids.end());
  for (uint64_t id : ids) {
    Pending& op = pending_.at(id);
    if (is_write(op.request.operation.verb)) {
      ++stats_.unknown_outcomes;
      finish(id, {Status(Code::kUnknownOutcome, "the connection to " + node_name(peer) +
                                                    ", which coordinated the write, broke; it may have been applied"),
                  {}});
      continue;
    }
    op.answered.push_back(peer);
    if (awaits_answers(op)) continue;  // another node has it, too
    disarm_hedge(id, op);
    Caller caller = std::move(op.caller);
    Request again = std::move(op.request);
    again.deadline = Instant{again.deadline.us - kAnswerTime.us};
    pending_.erase(id);
    request(std::move(caller), std::move(again));
  }
}

// Counts anew who has answered, among the partition's owners and others of now.
void Stripe::Impl::count_answers(Pending& op) const {
  const Partition& p = *op.partition;
  op.acked = count_owners(op, op.answered);
  op.others_acked.assign(op.needs.others ? config_->regions.size() : 0, 0);
  for (NodeIndex n : op.answered) {
    if (op.needs.others) op.others_acked[region_of(n)] += std::count(p.others.begin(), p.others.end(), n) > 0;
    bool fallback = op.needs.fallbacks && std::count(p.writers.begin(), p.writers.end(), n) == 0;
    if (fallback && op.acked[region_of(n)] < p.owner_counts[region_of(n)]) ++op.acked[region_of(n)];
  }
}

bool Stripe::Impl::is_met(const Pending& op) const {
  return met(op.needs.owners, op.acked) &&
         (!op.needs.others || planted(Bug::kWriteCountsOldOwnersOnly) || met(*op.needs.others, op.others_acked));
}

// Whether a read phase may still get its votes, of those who can be reached now.
bool Stripe::Impl::can_be_met(const Pending& op) const {
  if (op.needs.fallbacks) return true;  // whoever is one next may be
  std::vector<uint32_t> possible = op.acked;
  for (NodeIndex n : op.partition->owners) {
    possible[region_of(n)] += peers_[n].reachable && std::count(op.answered.begin(), op.answered.end(), n) == 0;
  }
  for (const auto& [n, clock] : op.awaited) ++possible[region_of(n)];
  return met(op.needs.owners, possible);
}

// REQUIRES: this node is one of the owners.
bool Stripe::Impl::reachable_enough(const Needs& wanted, const Partition& p) const {
  auto reachable = [&](const Need& need, const std::vector<NodeIndex>& nodes, bool fallbacks) {
    std::vector<uint32_t> up(config_->regions.size(), 0);
    for (NodeIndex n : nodes) up[region_of(n)] += n == options_.self || peers_[n].reachable;
    if (met(need, up)) return true;
    if (!fallbacks) return false;
    for (size_t region = 0; region < up.size(); ++region) {
      up[region] += static_cast<uint32_t>(fallbacks_of(p, region).size());
    }
    return met(need, up);
  };
  return (wanted.owners.total <= 1 || reachable(wanted.owners, p.owners, wanted.fallbacks)) &&
         (!wanted.others || reachable(*wanted.others, p.others, false));
}

Status Stripe::Impl::unreachable_error(const Level& level, const Partition& p) const {
  std::string missing;
  std::vector<NodeIndex> wanted = p.owners;
  wanted.insert(wanted.end(), p.others.begin(), p.others.end());
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  for (NodeIndex n : wanted) {
    if (n != options_.self && !peers_[n].reachable) missing += (missing.empty() ? "" : ", ") + node_name(n);
  }
  const bool fallbacks = config_->keyspaces[p.id.keyspace].fallbacks;
  return Status::Unavailable("level " + level.to_string() + " cannot be met: no connection to " + missing +
                             (!fallbacks        ? ""
                              : level.primaries ? ", and fallbacks do not count"
                                                : ", and there are not enough fallbacks"));
}

}  // namespace cartwheel::node
