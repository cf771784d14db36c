// The read phase: before a read at more than one replica, and before a write that acts on what is there, this replica
// becomes as new, for the key, as the level's replicas are. Requests for the key keep their order meanwhile.

#include <algorithm>

#include "base/planted.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

namespace {
constexpr Duration kOnItsWay = Duration::millis(20);  // what a replica has and is missing here mostly comes by itself
constexpr Duration kFetchAgain = Duration::millis(100);
}  // namespace

// Returns whether the phase has begun; if not, the request was answered or passed on.
bool Stripe::Impl::begin_read_phase(Caller caller, Request request, Partition& p, uint64_t hash, Needs wanted) {
  if (p.quarantined) {
    pass_on(std::move(caller), std::move(request), p);
    return false;
  }
  if (p.recovering && wanted.owners.total > 1) {
    if (caller.origin != kNoNode) {
      ++stats_.unavailable;
      answer(caller, {Status::Unavailable(node_name(options_.self) +
                                          " is recovering what it may have lost and cannot vote in a quorum yet"),
                      {}});
      return false;
    }
    std::vector<NodeIndex> others;
    for (NodeIndex n : p.owners) {
      if (n != options_.self) others.push_back(n);
    }
    forward(std::move(caller), std::move(request), others);
    return false;
  }
  if (!reachable_enough(wanted, p)) {
    ++stats_.unavailable;
    Level level = request.level ? *request.level : config_->keyspaces[p.id.keyspace].read;
    answer(caller, {unreachable_error(level, p), {}}, true);
    return false;
  }
  auto object = store_.open(p.id, hash, request.operation.key);
  if (!object.ok()) {
    answer_unreadable(std::move(caller), std::move(request), p, object.status());
    return false;
  }
  Gate& gate = gates_[gate_key(request)];
  if (is_write(request.operation.verb))
    gate.writer = true;
  else
    ++gate.readers;
  uint64_t id = next_id_++;
  Pending op;
  op.phase = Pending::Phase::kReading;
  op.caller = std::move(caller);
  op.request = std::move(request);
  op.partition = &p;
  op.hash = hash;
  op.needs = std::move(wanted);
  op.acked.assign(config_->regions.size(), 0);
  op.acked[my_region_] = 1;
  op.answered = {options_.self};
  schedule(op.request.deadline, id);
  if (must_wait_for_session(op.request, p)) {
    const SessionDemand& demand = *op.request.session;
    op.session_until = op.request.deadline;
    if (demand.patience.us > 0) op.session_until = std::min(op.session_until, now_.instant + demand.patience);
    schedule(op.session_until, id);
    awaiting_session_.insert(id);
  }
  Pending& kept = pending_.emplace(id, std::move(op)).first->second;
  ask_replicas(id, kept, false);
  // Not if that has ended it: the object cannot be read.
  if (auto it = pending_.find(id); it != pending_.end()) {
    begin_hedging(id, it->second);
    probe_slow(id, it->second);
  }
  return true;
}

// Asks as many replicas as the level needs beside those that have answered or may still do; or all that are reachable.
void Stripe::Impl::ask_replicas(uint64_t id, Pending& op, bool everyone) {
  std::vector<uint32_t> coming = op.acked;
  for (NodeIndex n : op.asked) {
    coming[region_of(n)] += peers_[n].reachable && std::count(op.answered.begin(), op.answered.end(), n) == 0;
  }
  for (const auto& [n, clock] : op.awaited) coming[region_of(n)] += peers_[n].reachable;
  std::vector<NodeIndex> chosen, candidates = ranked(op.partition->owners, false);
  for (size_t region = 0; op.needs.fallbacks && region < config_->regions.size(); ++region) {
    for (NodeIndex n : fallbacks_of(*op.partition, region)) candidates.push_back(n);
  }
  for (int round = 0; round < 2; ++round) {
    for (NodeIndex n : candidates) {
      if (std::count(op.asked.begin(), op.asked.end(), n) > 0 || std::count(chosen.begin(), chosen.end(), n) > 0)
        continue;
      size_t region = region_of(n);
      bool wanted = everyone || coming[region] < op.needs.owners.per_region[region] ||
                    (round == 1 && !met(op.needs.owners, coming));
      if (!wanted) continue;
      ++coming[region];
      chosen.push_back(n);
    }
  }
  for (NodeIndex n : chosen) {
    if (pending_.find(id) == pending_.end()) return;
    ask_replica(id, op, n);
  }
}

// May end the phase: when the object cannot be read.
void Stripe::Impl::ask_replica(uint64_t id, Pending& op, NodeIndex to) {
  Partition& p = *op.partition;
  auto object = store_.open(p.id, op.hash, op.request.operation.key);
  if (!object.ok()) return end_read_phase(id, object.status());
  op.asked.push_back(to);
  peers_[to].digests.sent(id, now_.instant);
  send(to, ReadMessage{id, p.id, op.request.operation.key, (*object)->digest(), config_->epoch}.encode());
}

void Stripe::Impl::on_read(NodeIndex from, const ReadMessage& m) {
  Partition* p = find(m.partition);
  note_epoch(from, m.epoch);
  ReadReplyMessage reply;
  reply.id = m.id;
  if (p == nullptr) {  // a fallback says what it keeps: nothing, or dots that the asker may lack
    if (m.partition.keyspace >= config_->keyspaces.size() || !config_->keyspaces[m.partition.keyspace].fallbacks)
      return;
    if (auto kept = fallbacks_.find(m.partition); kept != fallbacks_.end() && !kept->second.clock.empty()) {
      reply.answer = ReadReplyMessage::Answer::kDiffers;
      Encoder out(reply.clock);
      kept->second.clock.encode(out);
    }
    return send(from, reply.encode());
  }
  bool past = (m.epoch < p->read_fence && !planted(Bug::kNoFence)) || p->leftover || p->loading || p->quarantined;
  if (past) {  // whoever asks does not know the owners of today
    reply.answer = ReadReplyMessage::Answer::kNoVote;
    return send(from, reply.encode());
  }
  auto object = store_.open(p->id, hash64(m.key), m.key);
  if (!object.ok() || p->recovering) {  // the coordinator asks another replica

    reply.answer = ReadReplyMessage::Answer::kNoVote;
  } else if ((*object)->digest() != m.digest) {
    reply.answer = ReadReplyMessage::Answer::kDiffers;
    Encoder out(reply.clock);
    p->causal.clock.encode(out);
  }
  send(from, reply.encode());
}

void Stripe::Impl::on_read_reply(NodeIndex from, const ReadReplyMessage& m) {
  if (auto took = peers_[from].digests.answered(m.id, now_.instant)) peers_[from].digests.add(*took);
  auto it = pending_.find(m.id);
  if (it == pending_.end()) return on_second_look(from, m);
  if (it->second.phase != Pending::Phase::kReading) return;
  Pending& op = it->second;
  if (std::count(op.asked.begin(), op.asked.end(), from) == 0 ||
      std::count(op.answered.begin(), op.answered.end(), from) > 0) {
    return;
  }
  op.answered.push_back(from);
  if (m.answer == ReadReplyMessage::Answer::kNoVote) {
    return ask_replicas(m.id, op, false);
  }
  if (m.answer == ReadReplyMessage::Answer::kDiffers) {
    ++stats_.quorum_read_mismatches;
    Decoder in(m.clock);
    crdt::Clock theirs = crdt::Clock::decode(in);
    if (!in.done()) {
      ++stats_.rejected_messages;
      return;
    }
    note_laggard(from, *op.partition, op.request.operation.key, theirs);
    if (!op.partition->causal.clock.covers(theirs)) {
      // What is missing is mostly on its way; if it is not here soon, it is asked for.
      op.awaited.emplace_back(from, std::move(theirs));
      if (op.catch_up_at.us == INT64_MAX) {
        op.catch_up_at = now_.instant + kOnItsWay;
        schedule(op.catch_up_at, m.id);
      }
      awaiting_clock_[op.partition->id].push_back(m.id);
      return;
    }
  }
  count_vote(op, from);
  check_read_phase(m.id);
}

void Stripe::Impl::count_vote(Pending& op, NodeIndex from) {
  ++op.acked[region_of(from)];
  const auto& owners = op.partition->owners;
  if (std::find(owners.begin(), owners.end(), from) == owners.end()) op.fallbacks.push_back(from);
}

// Asks for what a replica has and what did not come by itself. If another repair of the partition is under way, or this
// one breaks off, it is tried again.
void Stripe::Impl::fetch_awaited(uint64_t id, Pending& op) {
  op.catch_up_at = Instant{INT64_MAX};
  if (op.awaited.empty()) return;
  for (const auto& [from, clock] : op.awaited) {
    if (!peers_[from].reachable) continue;
    start_catch_up(*op.partition, from);
    break;
  }
  op.catch_up_at = now_.instant + kFetchAgain;
  schedule(op.catch_up_at, id);
}

void Stripe::Impl::check_read_phase(uint64_t id) {
  auto it = pending_.find(id);
  if (it == pending_.end() || it->second.phase != Pending::Phase::kReading) return;
  Pending& op = it->second;
  std::erase_if(op.awaited, [&](const auto& awaited) {
    if (!op.partition->causal.clock.covers(awaited.second)) return false;
    count_vote(op, awaited.first);
    return true;
  });
  if (!met(op.needs.owners, op.acked)) return;
  if (must_wait_for_session(op.request, *op.partition)) {
    // Also if it was not so when the phase began: what was covered up to a time need not be when a peer tells more.
    awaiting_session_.insert(id);
  } else {
    end_read_phase(id, Status::Ok());
  }
}

void Stripe::Impl::end_read_phase(uint64_t id, Status status) {
  auto it = pending_.find(id);
  Pending op = std::move(it->second);
  pending_.erase(it);
  disarm_hedge(id, op);
  if (status.ok()) count_hedge(op);
  awaiting_session_.erase(id);
  std::string key = gate_key(op.request);
  bool writer = is_write(op.request.operation.verb);
  if (is_unreadable(status)) {
    answer_unreadable(std::move(op.caller), std::move(op.request), *op.partition, std::move(status));
  } else if (!status.ok()) {
    ++stats_.unavailable;
    answer(op.caller, {std::move(status), {}});
  } else {
    op.caller.fallbacks = fallbacks_that_count(op);
    execute(std::move(op.caller), std::move(op.request), *op.partition, op.hash);
  }
  release_gate(key, writer);
}

void Stripe::Impl::release_gate(const std::string& key, bool writer) {
  auto it = gates_.find(key);
  if (writer)
    it->second.writer = false;
  else
    --it->second.readers;
  pump_gate(key);
}

void Stripe::Impl::pump_gate(const std::string& key) {
  // Started requests may close the gate again, or release it; so it is looked up anew each time.
  for (;;) {
    auto it = gates_.find(key);
    if (it == gates_.end()) return;
    Gate& gate = it->second;
    if (gate.queue.empty()) {
      if (gate.readers == 0 && !gate.writer) gates_.erase(it);
      return;
    }
    bool next_writes = is_write(gate.queue.front().request.operation.verb);
    if (gate.writer || (next_writes && gate.readers > 0)) return;
    Gate::Waiting next = std::move(gate.queue.front());
    gate.queue.pop_front();
    gated_keys_.erase(next.id);
    --gated_;
    if (next.request.deadline <= now_.instant) {
      refuse_gated(next);
      continue;
    }
    // What still waits stays behind this one: hide the queue while it starts.
    std::deque<Gate::Waiting> rest = std::move(gate.queue);
    gate.queue.clear();
    if (gate.readers == 0) gates_.erase(it);
    if (next.partition->serves)
      start(std::move(next.caller), std::move(next.request), *next.partition, next.hash);
    else
      forward(std::move(next.caller), std::move(next.request), next.partition->owners);
    if (!rest.empty()) {
      Gate& again = gates_[key];
      for (auto& w : again.queue) rest.push_back(std::move(w));
      again.queue = std::move(rest);
    }
  }
}

// A request behind a gate has its own deadline, which may be earlier than that of the request that holds the gate.
void Stripe::Impl::on_gated_deadline(uint64_t id) {
  auto waiting = gated_keys_.find(id);
  if (waiting == gated_keys_.end()) return;
  auto& queue = gates_.at(waiting->second).queue;
  auto it = std::find_if(queue.begin(), queue.end(), [&](const Gate::Waiting& w) { return w.id == id; });
  if (it->request.deadline > now_.instant) return;
  Gate::Waiting late = std::move(*it);
  queue.erase(it);
  gated_keys_.erase(waiting);
  --gated_;
  refuse_gated(late);
}

void Stripe::Impl::refuse_gated(Gate::Waiting& late) {
  ++stats_.unavailable;
  answer(late.caller, {Status::Unavailable("the deadline passed while earlier requests for the key were waiting"), {}});
}

}  // namespace cartwheel::node
