#include <algorithm>

#include "base/planted.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

namespace {
constexpr Duration kNoProgress = Duration::millis(1500);  // a repair whose source says nothing for so long is given up
}

// Asks for dots that others have announced and that have not come by themselves.
void Stripe::Impl::repair_gaps() {
  for (auto it = repairs_.begin(); it != repairs_.end();) {
    auto next = std::next(it);
    const Repair& repair = it->second;
    bool waits = !repair.joining;  // what has come whole is joined whatever becomes of its source
    if (waits && (now_.instant - repair.last_progress > kNoProgress || !peers_[repair.from].reachable)) end_repair(it);
    it = next;
  }
  std::vector<PartitionId> ids(gaps_.begin(), gaps_.end());
  for (PartitionId id : ids) {
    Partition& p = partitions_.at(id);
    auto& [missing, since] = gap_.at(id);
    missing.subtract(p.causal.clock);
    if (missing.empty()) {  // all of that came; there may be a newer gap
      gaps_.erase(id);
      gap_.erase(id);
      p.behind_since.reset();
      note_gap(p);
      continue;
    }
    if (now_.instant - since < options_.catch_up_delay || repairs_.contains(id)) continue;
    NodeIndex from = choose_source(p);
    if (from != kNoNode) start_catch_up(p, from);
  }
}

// Ends a repair, whether it brought what it was begun for or not.
void Stripe::Impl::end_repair(std::map<PartitionId, Repair>::iterator repair) {
  if (repair->second.raw) {
    out_.loads.push_back({Output::Load::Step::kAbort, repair->second.id, {}});
  } else if (repair->second.exchange && (repair->second.joining || repair->second.step > 0)) {
    std::string prefix = stage_prefix(repair->first);
    out_.batch.erase_range(prefix, prefix_end(prefix));
    turn_dirty_ = true;
  }
  joins_ -= repair->second.joining;
  repairs_.erase(repair);
}

// A reachable replica that has something missing here, of the own region if there is one.
NodeIndex Stripe::Impl::choose_source(const Partition& p) const {
  NodeIndex best = kNoNode;
  auto consider = [&](NodeIndex n, const crdt::Clock& clock) {
    if (!peers_[n].reachable || p.refused.contains(n) || p.causal.clock.covers(clock)) return false;
    if (best == kNoNode || region_of(n) == my_region_) best = n;
    return region_of(best) == my_region_;
  };
  for (NodeIndex n : p.replicas) {
    auto it = p.peers.find(n);
    if (it != p.peers.end() && consider(n, it->second.clock)) return best;
  }
  for (const auto& [n, guest] : p.guests) {
    if (consider(n, guest.clock)) return best;
  }
  return best;
}

void Stripe::Impl::start_catch_up(Partition& p, NodeIndex from) {
  if (repairs_.contains(p.id) || repairs_.size() >= limits::kRepairs) return;
  ++stats_.catch_ups;
  Repair& repair = repairs_[p.id];
  repair.from = from;
  request_deltas(p, repair);
}

// Each request has an id of its own: a doubled reply must not start a second conversation.
void Stripe::Impl::request_deltas(Partition& p, Repair& repair) {
  repair.id = next_id_++;
  repair.last_progress = now_.instant;
  send(repair.from, CatchUpMessage{repair.id, p.id, p.causal.clock}.encode());
}

Result<TurnRecord> Stripe::Impl::read_record(uint64_t number) {
  std::string bytes;
  auto found = engine_.get(record_row(number), &bytes);
  if (!found.ok()) return found.status();
  if (!*found) return Status::Corruption("a record of the dot log is missing");
  return TurnRecord::decode(bytes);
}

void Stripe::Impl::on_catch_up(NodeIndex from, const CatchUpMessage& m) {
  Partition* p = find(m.partition);
  if (p == nullptr) return serve_fallback(from, m);
  if (p->loading || p->emptied) return;
  CatchUpReplyMessage reply;
  reply.id = m.id;
  reply.partition = m.partition;
  reply.clock = p->causal.clock;
  // Which records hold what is missing there? Any dot without one is below the log.
  crdt::DotSet missing = p->causal.clock.minus(m.clock);
  std::set<uint64_t> numbers;
  bool complete = true;
  // A quarantined partition gives what its log has, because nothing else of it can be had.
  bool partly = p->quarantined;
  if (partly) {
    p->log.for_each([&](const crdt::Dot& dot, uint64_t number) {
      if (missing.contains(dot)) numbers.insert(number);
    });
  }
  if (partly || missing.size() > p->log.size()) complete = false;
  // Which dots of a fold are missing there, nobody can say.
  if (missing.has_folds()) complete = false;
  for (const auto& row : missing.rows()) {
    for (const auto& interval : row.intervals) {
      for (uint64_t seq = interval.first; complete && seq <= interval.last; ++seq) {
        auto number = p->log.find({row.actor, seq});
        if (number)
          numbers.insert(*number);
        else
          complete = false;
      }
    }
  }
  if (!complete && !partly && !planted(Bug::kUnionWithoutFloorCheck)) {
    reply.outcome = CatchUpReplyMessage::Outcome::kBelowLog;
    return send(from, reply.encode());
  }
  std::vector<std::string> deltas;
  size_t bytes = 0;
  auto add = [&](const std::string& encoded) {
    Decoder in(encoded);
    crdt::Delta delta = crdt::Delta::decode(in);
    bool wanted = std::any_of(delta.changes.begin(), delta.changes.end(),
                              [&](const crdt::Change& c) { return missing.contains(c.dot); });
    if (!wanted) return;
    bytes += encoded.size();
    deltas.push_back(encoded);
  };
  for (uint64_t number : numbers) {
    if (bytes >= options_.catch_up_chunk_bytes) {
      reply.outcome = CatchUpReplyMessage::Outcome::kMore;
      break;
    }
    if (number == next_record_) {  // of this very turn
      for (const std::string& encoded : turn_deltas_[p->id]) add(encoded);
      continue;
    }
    auto record = read_record(number);
    if (!record.ok() && partly) continue;
    if (!record.ok()) {  // as good as gone from the log
      reply.outcome = CatchUpReplyMessage::Outcome::kBelowLog;
      reply.deltas.clear();
      return send(from, reply.encode());
    }
    for (const TurnRecord::Part& part : record->parts) {
      if (part.partition != p->id) continue;
      for (const std::string& encoded : part.deltas) add(encoded);
    }
  }
  reply.deltas.assign(deltas.begin(), deltas.end());
  charge_read_repair(from, m.partition, bytes);
  send(from, reply.encode());
}

void Stripe::Impl::on_catch_up_reply(NodeIndex from, const CatchUpReplyMessage& m, size_t bytes) {
  auto it = repairs_.find(m.partition);
  Partition* p = find(m.partition);
  if (p == nullptr || it == repairs_.end() || it->second.id != m.id || it->second.from != from || it->second.exchange) {
    return;
  }
  Repair& repair = it->second;
  if (m.outcome == CatchUpReplyMessage::Outcome::kBelowLog) {
    repairs_.erase(it);
    if (!awaits_tree(*p)) return start_exchange(*p, from);
    if (auto gap = gap_.find(p->id); gap != gap_.end()) gap->second.second = now_.instant;
    return;
  }
  uint64_t version_before = p->version;
  stats_.catch_up_bytes += bytes;
  for (std::string_view encoded : m.deltas) {
    Decoder in(encoded);
    crdt::Delta delta = crdt::Delta::decode(in);
    if (!in.done()) {
      ++stats_.rejected_messages;
      continue;
    }
    ++stats_.catch_up_deltas;
    apply_delta(*p, std::move(delta), encoded);
  }
  if (!m.deltas.empty()) keep_durably(*p);
  if (planted(Bug::kUnionWithoutFloorCheck) ||
      (planted(Bug::kCatchUpClaimsTooMuch) && m.outcome == CatchUpReplyMessage::Outcome::kMore)) {
    p->causal.clock.merge(m.clock);
    write_row(*p);
  }
  // Without progress (a time too far in the future, an engine that cannot be read) to ask again at once would not help.
  bool progress = p->version != version_before;
  if (m.outcome == CatchUpReplyMessage::Outcome::kMore && progress) return request_deltas(*p, repair);
  repairs_.erase(it);
  if (auto gap = gap_.find(p->id); gap != gap_.end()) gap->second.second = now_.instant;
}

}  // namespace cartwheel::node
