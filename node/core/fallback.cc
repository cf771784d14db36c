// Fallbacks: in a keyspace that has them, deltas for an owner that cannot be reached go to another node of its region
// as well, which keeps them and counts for levels in the owner's place (sloppy quorum, hinted handoff; DeCandia et al.,
// "Dynamo", SOSP 2007). What it keeps is a set of deltas with exactly their dots and no objects. It announces those
// dots to the owners like an owner of the past (a guest), and whoever lacks some asks for them by catch-up. When all
// owners have said to have all of them, they go. It follows that
//   - a delta comes to whoever owns the arc by then, and to an owner that was not meant, if it lacks it too;
//   - what comes twice or late is known by its dot;
//   - a fallback that loses some of it, or drops it because it is too old or too much, claims nothing of that;
//   - nobody is sent anything that it does not lack, and who has been away asks at its own pace (limits::kRepairs).
// A node that becomes an owner takes what it keeps over itself.

#include <algorithm>

#include "base/hash.h"
#include "base/planted.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

namespace {

constexpr uint8_t kFormat = 1;

std::vector<crdt::Dot> dots_of(const crdt::Delta& delta) {
  std::vector<crdt::Dot> dots;
  for (const crdt::Change& change : delta.changes) dots.push_back(change.dot);
  return dots;
}

}  // namespace

// --- the side that writes --------------------------------------------------------------------------------------------

// One node for each owner in `region` that cannot be reached, as far as there are: of those that are no replicas, in an
// order that differs from arc to arc and is the same at every node.
std::vector<NodeIndex> Stripe::Impl::fallbacks_of(const Partition& p, size_t region) const {
  size_t wanted = 0;
  for (NodeIndex n : p.owners) {
    wanted += n != options_.self && region_of(n) == region && !peers_[n].reachable && !config_->nodes[n].removed();
  }
  if (wanted == 0) return {};
  std::vector<std::pair<uint64_t, NodeIndex>> ranked;
  for (NodeIndex n = 0; n < peers_.size(); ++n) {
    if (region_of(n) != region || config_->nodes[n].state != NodeInfo::State::kMember || n == options_.self) continue;
    if (!peers_[n].reachable || peers_[n].full || contains(p.replicas, n)) continue;
    const uint32_t place[] = {p.id.arc, n};
    ranked.emplace_back(hash64(std::string_view(reinterpret_cast<const char*>(place), sizeof place)), n);
  }
  std::sort(ranked.begin(), ranked.end());
  if (ranked.size() > wanted) ranked.resize(wanted);
  std::vector<NodeIndex> out;
  out.reserve(ranked.size());
  for (const auto& [rank, n] : ranked) out.push_back(n);
  return out;
}

// In this node's region, of which it is one of the owners.
void Stripe::Impl::send_to_fallbacks(const Partition& p, WriteMessage message) {
  if (!config_->keyspaces[p.id.keyspace].fallbacks) return;
  const std::vector<NodeIndex> fallbacks = fallbacks_of(p, my_region_);
  if (fallbacks.empty()) return;
  message.fallback = true;
  message.relay = false;
  const std::string bytes = message.encode();
  for (NodeIndex n : fallbacks) send(n, bytes);
}

// What `peer`, which has just gone, has not acknowledged goes to fallbacks.
void Stripe::Impl::send_pending_to_fallbacks(NodeIndex peer) {
  std::vector<uint64_t> ids;
  for (const auto& [id, op] : pending_) {
    bool waits = op.phase == Pending::Phase::kWriting && op.needs.fallbacks && contains(op.partition->owners, peer) &&
                 !contains(op.answered, peer);
    if (waits && region_of(peer) == my_region_) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());  // the order of messages must not depend on the table's
  for (uint64_t id : ids) {
    Pending& op = pending_.at(id);
    resend(op, id, fallbacks_of(*op.partition, my_region_), true);
  }
}

// How many of `nodes` are owners, per region.
std::vector<uint32_t> Stripe::Impl::count_owners(const Pending& op, const std::vector<NodeIndex>& nodes) const {
  std::vector<uint32_t> counts(config_->regions.size(), 0);
  for (NodeIndex n : nodes) counts[region_of(n)] += contains(op.partition->owners, n);
  return counts;
}

// 0 if the owners that have answered meet the level without them.
uint16_t Stripe::Impl::fallbacks_that_count(const Pending& op) const {
  if (!op.needs.fallbacks || planted(Bug::kFallbackUntold)) return 0;
  size_t fallbacks = 0;
  std::vector<uint32_t> owners = op.acked;
  if (op.phase == Pending::Phase::kReading) {
    fallbacks = op.fallbacks.size();
    for (NodeIndex n : op.fallbacks) --owners[region_of(n)];
  } else {
    owners = count_owners(op, op.answered);
    for (NodeIndex n : op.answered) fallbacks += !contains(op.partition->writers, n);
  }
  return met(op.needs.owners, owners) ? 0 : static_cast<uint16_t>(fallbacks);
}

// --- the side that keeps ---------------------------------------------------------------------------------------------

void Stripe::Impl::keep_for_owners(const WriteMessage& m, const crdt::Delta& delta) {
  const PartitionId id = m.partition;
  bool sound = id.keyspace < config_->keyspaces.size() && !config_->keyspaces[id.keyspace].dropped &&
               config_->keyspaces[id.keyspace].fallbacks && id.arc < config_->partitions &&
               id.arc % config_->stripes == options_.stripe &&
               arc_of_hash(hash64(delta.key), config_->partitions) == id.arc;
  if (!sound || !hlc_.observe(delta.time, wall_, limits::kClockSkewMs)) {
    ++stats_.rejected_messages;
    return;
  }
  auto acknowledge = [&] {
    if (m.ack_id == 0) return;
    if (config_->keyspaces[id.keyspace].durability == Keyspace::Durability::kAlways) out_.sync = true;
    peers_[m.ack_to].acks.push_back(m.ack_id);
    turn_dirty_ = true;
  };
  std::vector<crdt::Dot> dots = dots_of(delta);
  if (auto kept = fallbacks_.find(id); kept != fallbacks_.end()) {
    const crdt::Clock& clock = kept->second.clock;
    if (std::all_of(dots.begin(), dots.end(), [&](const crdt::Dot& dot) { return clock.contains(dot); }))
      return acknowledge();
  }
  if (fallback_bytes_ + m.delta.size() > options_.fallback_bytes) {
    ++stats_.fallback_refused;
    return;
  }
  Fallback& kept = fallbacks_[id];
  std::string row;
  Encoder out(row);
  out.u8(kFormat);
  out.u64(static_cast<uint64_t>(wall_.ms));
  row += m.delta;
  out_.batch.put(fallback_row(id, next_fallback_), std::move(row));
  turn_dirty_ = true;
  for (const crdt::Dot& dot : dots) kept.clock.add(dot);
  kept.rows.push_back({next_fallback_++, wall_, m.delta.size(), std::move(dots)});
  kept.version = ++version_;
  fallback_bytes_ += m.delta.size();
  ++stats_.fallback_taken;
  acknowledge();
}

// What a life finds of the one before it. Of a row that cannot be read, or does not decode, nothing is claimed.
void Stripe::Impl::recover_fallbacks() {
  auto rows = engine_.scan("f", "g");
  for (; rows->valid(); rows->next()) {
    Decoder key(rows->key().substr(1));
    const PartitionId id = decode_partition_id(key);
    uint64_t number = key.u64();
    Decoder in(rows->value());
    bool known = in.u8() == kFormat;
    WallTime at{static_cast<int64_t>(in.u64())};
    size_t bytes = rows->value().size();
    crdt::Delta delta;
    if (in.ok()) delta = crdt::Delta::decode(in);
    bool exists = id.keyspace < config_->keyspaces.size() && !config_->keyspaces[id.keyspace].dropped &&
                  id.arc < config_->partitions && id.arc % config_->stripes == options_.stripe;
    if (!known || !key.done() || !in.done() || !exists) {
      out_.batch.erase(std::string(rows->key()));
      stats_.fallback_expired += exists;
      continue;
    }
    hlc_.restore(delta.time);
    Fallback& kept = fallbacks_[id];
    std::vector<crdt::Dot> dots = dots_of(delta);
    for (const crdt::Dot& dot : dots) kept.clock.add(dot);
    bytes -= 9;  // of the delta alone
    kept.rows.push_back({number, at, bytes, std::move(dots)});
    kept.version = ++version_;
    fallback_bytes_ += bytes;
    next_fallback_ = std::max(next_fallback_, number + 1);
  }
  stats_.fallback_expired += !rows->status().ok();
}

// Who gets what is kept for a partition: its owners of now and, while it moves, of then.
std::vector<NodeIndex> Stripe::Impl::heirs_of(PartitionId id) const {
  const Assignment& assignment = config_->assignments[id.keyspace];
  std::vector<NodeIndex> heirs = assignment.owners[id.arc];
  const Move* move = assignment.move(id.arc);
  if (move != nullptr && (move->stage == Stage::kWriteBoth || move->stage == Stage::kReadNew)) {
    std::copy_if(move->others.begin(), move->others.end(), std::back_inserter(heirs),
                 [&](NodeIndex n) { return !contains(heirs, n); });
  }
  std::erase_if(heirs, [this](NodeIndex n) { return config_->nodes[n].removed(); });
  return heirs;
}

void Stripe::Impl::announce_fallbacks(NodeIndex to, AnnounceMessage& message) const {
  message.full = fallback_bytes_ >= options_.fallback_bytes - options_.fallback_bytes / 16;
  for (const auto& [id, kept] : fallbacks_) {
    bool held = by_arc_[id.keyspace][id.arc] != nullptr;  // then it is being taken over
    if (kept.version > message.since && !held && contains(heirs_of(id), to)) {
      message.fallbacks.push_back({id, kept.clock});
    }
  }
}

// --- handing back ----------------------------------------------------------------------------------------------------

void Stripe::Impl::on_fallbacks_announced(NodeIndex from, const AnnounceMessage& m) {
  peers_[from].full = m.full;
  for (const AnnounceMessage::Entry& entry : m.fallbacks) {
    Partition* p = find(entry.partition);
    if (p == nullptr || p->leftover || p->peers.contains(from)) continue;
    if (entry.clock.empty()) {
      if (auto guest = p->guests.find(from); guest != p->guests.end() && guest->second.fallback) p->guests.erase(guest);
      continue;
    }
    welcome(*p, from, {entry.clock, true});
    note_gap(*p);
  }
}

// `node` is about to tell anew what it keeps.
void Stripe::Impl::forget_fallback(NodeIndex node) {
  for (const PartitionId& id : with_guests_) {
    Partition* p = find(id);
    if (p == nullptr) continue;
    if (auto guest = p->guests.find(node); guest != p->guests.end() && guest->second.fallback) p->guests.erase(guest);
  }
}

void Stripe::Impl::serve_fallback(NodeIndex from, const CatchUpMessage& m) {
  auto it = fallbacks_.find(m.partition);
  if (it == fallbacks_.end()) return;
  const Fallback& kept = it->second;
  CatchUpReplyMessage reply;
  reply.id = m.id;
  reply.partition = m.partition;
  reply.clock = kept.clock;
  std::deque<std::string> rows;  // what the views of the reply point into
  size_t bytes = 0;
  for (const Fallback::Row& row : kept.rows) {
    bool known =
        std::all_of(row.dots.begin(), row.dots.end(), [&](const crdt::Dot& dot) { return m.clock.contains(dot); });
    if (known) continue;
    if (bytes >= options_.catch_up_chunk_bytes) {
      reply.outcome = CatchUpReplyMessage::Outcome::kMore;
      break;
    }
    std::string value;
    auto found = engine_.get(fallback_row(m.partition, row.number), &value);
    if (!found.ok()) return;
    if (!*found || value.size() < 9) break;  // of this very turn: it is asked for again
    bytes += value.size();
    reply.deltas.push_back(std::string_view(rows.emplace_back(std::move(value))).substr(9));
  }
  send(from, reply.encode());
}

// Whether all owners have said to have it all; or, of them, all that can be reached.
bool Stripe::Impl::has_handed_over(PartitionId id, const Fallback& kept, bool reachable_only) const {
  const std::vector<NodeIndex> heirs = heirs_of(id);
  auto has = [&](NodeIndex n) {
    auto owner = kept.owners.find(n);
    return owner != kept.owners.end() && owner->second.covers(kept.clock);
  };
  if (planted(Bug::kFallbackForgets)) return std::any_of(heirs.begin(), heirs.end(), has);
  bool any = std::any_of(heirs.begin(), heirs.end(), has);
  return any && std::all_of(heirs.begin(), heirs.end(), [&](NodeIndex n) {
           return has(n) || n == options_.self || (reachable_only && !peers_[n].reachable);
         });
}

// A node that leaves does not wait for owners that are away: what the others have they will give them.
uint64_t Stripe::Impl::fallbacks_to_hand_over() const {
  return static_cast<uint64_t>(std::count_if(fallbacks_.begin(), fallbacks_.end(), [this](const auto& entry) {
    return !entry.second.rows.empty() && !has_handed_over(entry.first, entry.second, true);
  }));
}

void Stripe::Impl::drop_first(PartitionId id, Fallback& kept, size_t rows) {
  for (size_t i = 0; i < rows; ++i) {
    out_.batch.erase(fallback_row(id, kept.rows.front().number));
    fallback_bytes_ -= kept.rows.front().bytes;
    kept.rows.pop_front();
  }
  turn_dirty_ = true;
  kept.clock = {};
  for (const Fallback::Row& row : kept.rows) {
    for (const crdt::Dot& dot : row.dots) kept.clock.add(dot);
  }
  kept.version = ++version_;
}

// This node owns the arc now: what it keeps becomes what it has. False if that cannot be done yet.
bool Stripe::Impl::take_over(Partition& p, const Fallback& kept) {
  for (const Fallback::Row& row : kept.rows) {
    std::string value;
    auto found = engine_.get(fallback_row(p.id, row.number), &value);
    if (!found.ok() || !*found || value.size() < 9) return false;
    Decoder in(std::string_view(value).substr(9));
    crdt::Delta delta = crdt::Delta::decode(in);
    if (!in.done()) continue;
    if (!apply_delta(p, std::move(delta), std::string_view(value).substr(9))) return false;
  }
  return true;
}

// From time to time: what is not needed here any more goes.
void Stripe::Impl::tend_fallbacks() {
  note_possible_fallbacks();
  for (auto it = fallbacks_.begin(); it != fallbacks_.end();) {
    auto& [id, kept] = *it;
    Partition* p = find(id);
    size_t old = 0;
    while (old < kept.rows.size() && wall_.ms - kept.rows[old].at.ms > options_.fallback_age.us / 1000) ++old;
    if (config_->keyspaces[id.keyspace].dropped) {
      drop_first(id, kept, kept.rows.size());
    } else if (p != nullptr) {
      if (!p->loading && !p->quarantined && take_over(*p, kept)) {
        drop_first(id, kept, kept.rows.size());
        keep_durably(*p);
      }
    } else if (!kept.rows.empty() && has_handed_over(id, kept, false)) {
      stats_.fallback_handed_back += kept.rows.size();
      drop_first(id, kept, kept.rows.size());
    } else if (old > 0) {
      stats_.fallback_expired += old;
      drop_first(id, kept, old);
    }
    // The owners are told that nothing is left; then it is forgotten.
    const std::vector<NodeIndex> heirs = heirs_of(id);
    bool told = p != nullptr || std::all_of(heirs.begin(), heirs.end(), [&, version = kept.version](NodeIndex n) {
                  return n == options_.self || peers_[n].acked_version >= version;
                });
    it = kept.rows.empty() && told ? fallbacks_.erase(it) : std::next(it);
  }
}

// A node that cannot be asked may keep something that nobody else has: until it can, what is remembered for deltas that
// may still come is remembered.
void Stripe::Impl::note_possible_fallbacks() {
  std::vector<NodeIndex> unknown;
  for (NodeIndex n = 0; n < peers_.size(); ++n) {
    if (n == options_.self || config_->nodes[n].removed()) continue;
    if (!peers_[n].reachable || peers_[n].instance == 0) unknown.push_back(n);
  }
  for (auto& [id, p] : partitions_) {
    p.may_have_fallbacks = !unknown.empty() && config_->keyspaces[id.keyspace].fallbacks &&
                           std::any_of(unknown.begin(), unknown.end(), [&p = p, this](NodeIndex n) {
                             return p.owner_counts[region_of(n)] > 0 && !contains(p.replicas, n);
                           });
  }
}

}  // namespace cartwheel::node
