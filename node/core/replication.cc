#include <algorithm>

#include "base/planted.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

// Sends a delta to all writers of the own region and one copy to each other region, where its receiver passes it on.
void Stripe::Impl::replicate(Partition& p, std::string_view encoded, uint64_t ack_id, const Needs& wanted,
                             Pending* op) {
  for (size_t region = 0; region < config_->regions.size(); ++region) {
    bool local = region == my_region_;
    // Acks are asked for where they can count for the level.
    auto counts_for = [&](const Need& need, const std::vector<uint32_t>& counts) {
      return need.per_region[region] > 0 || need.total > counts[my_region_] || (local && need.total > 1);
    };
    bool counts = counts_for(wanted.owners, p.owner_counts) ||
                  (wanted.others && (local || counts_for(*wanted.others, p.other_counts)));
    std::vector<NodeIndex> targets;
    targets.reserve(p.writers.size());
    for (NodeIndex n : p.writers) {
      if (n != options_.self && region_of(n) == region && peers_[n].reachable) targets.push_back(n);
    }
    WriteMessage message{counts ? ack_id : 0, options_.self, !local, p.id, encoded, config_->epoch};
    if (local) send_to_fallbacks(p, message);  // in the other regions whoever passes it on does that
    if (targets.empty()) continue;
    std::string bytes = message.encode();
    if (local) {
      for (NodeIndex n : targets) {
        if (message.ack_id != 0) peers_[n].digests.sent(message.ack_id, now_.instant);
        if (n != targets.back()) send(n, bytes);
      }
      send(targets.back(), std::move(bytes));
      stats_.deltas_sent += targets.size();
    } else {
      send(targets[p.id.arc % targets.size()], std::move(bytes));
      ++stats_.deltas_sent;
    }
    if (op != nullptr && planted(Bug::kAckCountsUnreachable)) {
      op->acked[region] += static_cast<uint32_t>(targets.size());
    }
  }
}

// Whether the writer has begun another life since, or was removed. It may have lost the write, and nobody's clock may
// have it: then things that were forgotten because everybody had seen all there was would come back with it. If a
// replica has it, it comes by catch-up.
bool Stripe::Impl::is_of_closed_life(const crdt::Delta& delta) const {
  const crdt::Actor& actor = delta.changes[0].dot.actor;
  auto node = node_of_actor_.find(actor.node);
  if (node == node_of_actor_.end()) return false;
  return peers_[node->second].instance > actor.epoch || config_->nodes[node->second].removed();
}

void Stripe::Impl::on_write(NodeIndex from, const WriteMessage& m) {
  Partition* p = find(m.partition);
  Decoder in(m.delta);
  crdt::Delta delta = crdt::Delta::decode(in);
  if ((p == nullptr && !m.fallback) || !in.done() || m.ack_to >= config_->nodes.size()) {
    ++stats_.rejected_messages;
    return;
  }
  note_epoch(from, m.epoch);
  if (is_of_closed_life(delta)) return;
  if (p == nullptr) return keep_for_owners(m, delta);
  // What a node that is not an owner yet, or no more, needs of it comes by other ways.
  if (p->loading || (p->leftover && !m.fallback)) return;
  if (m.relay && !planted(Bug::kRelayDropsDelta)) {
    WriteMessage copy = m;
    copy.relay = false;
    std::string bytes = copy.encode();
    for (NodeIndex n : p->writers) {
      if (n != options_.self && n != from && region_of(n) == my_region_ && peers_[n].reachable) send(n, bytes);
    }
    send_to_fallbacks(*p, copy);
  }
  if (!apply_delta(*p, std::move(delta), m.delta) || m.ack_id == 0) return;
  // A coordinator that does not know yet that new owners need the write, too, must not count this one.
  if (m.epoch < p->write_fence && !planted(Bug::kNoFence)) return;
  if (config_->keyspaces[p->id.keyspace].durability == Keyspace::Durability::kAlways) out_.sync = true;
  peers_[m.ack_to].acks.push_back(m.ack_id);
  turn_dirty_ = true;
}

void Stripe::Impl::on_write_ack(NodeIndex from, const WriteAckMessage& m) {
  for (uint64_t id : m.ids) {
    (void)peers_[from].digests.answered(id, now_.instant);
    count_ack(id, from);
  }
}

void Stripe::Impl::count_ack(uint64_t id, NodeIndex from) {
  auto it = pending_.find(id);
  if (it == pending_.end() || it->second.phase != Pending::Phase::kWriting) return;
  Pending& op = it->second;
  if (std::count(op.answered.begin(), op.answered.end(), from) > 0 ||
      (!op.needs.fallbacks && std::count(op.partition->writers.begin(), op.partition->writers.end(), from) == 0)) {
    return;
  }
  op.answered.push_back(from);
  count_answers(op);
  if (is_met(op)) finish(id, std::move(op.reply));
}

// --- announcements: which dots this node has, for repair, stability and lag ------------------------------------------

bool Stripe::Impl::wants_clock(const Partition& p, NodeIndex node) {
  return std::count(p.replicas.begin(), p.replicas.end(), node) > 0 || p.guests.contains(node);
}

void Stripe::Impl::announce(NodeIndex to) {
  AnnounceMessage message;
  message.instance = actor_.epoch;
  message.since = peers_[to].acked_version;
  message.version = version_;
  message.as_of = wall_;
  message.epoch = config_->epoch;
  for (const auto& [id, p] : partitions_) {
    if (p.version > message.since && !p.loading && !p.emptied && wants_clock(p, to)) {
      message.entries.push_back({id, p.causal.clock});
    }
  }
  announce_fallbacks(to, message);
  announce_lives(message);
  send(to, message.encode());
}

void Stripe::Impl::on_announce(NodeIndex from, AnnounceMessage m) {
  PeerState& peer = peers_[from];
  note_epoch(from, m.epoch);
  if (peer.instance != m.instance) {  // a new life: what the old one announced no longer counts
    // A wiped node whose clock went back does not know its own last epoch: it is told.
    if (m.instance < peer.instance) return send(from, AnnounceAckMessage{peer.instance, 0}.encode());
    peer.instance = m.instance;
    peer.life_version = ++version_;
    peer.lives.clear();
    peer.version = 0;
    peer.acked_version = 0;
    peer.epoch = 0;
    peer.as_of = WallTime{INT64_MIN};
    peer.stops_until = {};
    for (auto& [id, kept] : fallbacks_) kept.owners.erase(from);  // it may have lost some of it
    // Clocks of the old life stay known to be there: a restart keeps them, and if it lost some, its new announcement
    // says so at once.
  }
  if (m.since > peer.version) return send(from, AnnounceAckMessage{m.instance, peer.version}.encode());
  if (m.since == 0 && peer.version == 0) {
    for (auto& [id, p] : partitions_) {
      if (auto it = p.peers.find(from); it != p.peers.end())
        it->second = {{}, it->second.counts, it->second.counts, it->second.drains};
    }
  }
  if (m.version >= peer.version) {
    count_announced(from, m);
    if (m.since == 0) forget_fallback(from);  // all that it keeps is in this announcement
    for (const AnnounceMessage::Entry& entry : m.entries) outlive(entry.clock);
    for (AnnounceMessage::Entry& entry : m.entries) {
      Partition* p = find(entry.partition);
      if (p == nullptr) {
        if (auto kept = fallbacks_.find(entry.partition); kept != fallbacks_.end())
          kept->second.owners[from] = std::move(entry.clock);
        continue;
      }
      auto it = p->peers.find(from);
      if (it != p->peers.end())
        it->second = {std::move(entry.clock), true, true, it->second.drains};
      else if (!p->leftover)  // it owns the arc no more, keeps what the owners may lack, and waits to hear of them
        welcome(*p, from, {std::move(entry.clock)});
      note_gap(*p);
    }
    on_fallbacks_announced(from, m);
    on_lives_announced(from, m);
    if (m.as_of > peer.as_of) peer.announced_at = now_.instant;
    peer.version = m.version;
    peer.epoch = std::max(peer.epoch, m.epoch);
    peer.as_of = std::max(peer.as_of, m.as_of);
    for (auto& [id, p] : partitions_) {
      if (p.recovering) check_recovered(p);
    }
    if (!awaiting_session_.empty()) check_sessions_of(nullptr);
  }
  send(from, AnnounceAckMessage{m.instance, peer.version}.encode());
}

// A replica that has a write acknowledges it by announcing it, too: the write or its ack was lost, as happens while a
// connection comes back, and catch-up has brought it there. Not where an ack means an fsync, nor when the replica knows
// of a later epoch: by that it may have refused the ack (the fence).
void Stripe::Impl::count_announced(NodeIndex from, const AnnounceMessage& m) {
  if (m.epoch > config_->epoch && !planted(Bug::kAnnouncedUnfenced)) return;
  std::vector<uint64_t> ids;
  for (const auto& [id, op] : pending_) {
    if (op.phase != Pending::Phase::kWriting) continue;
    if (config_->keyspaces[op.partition->id.keyspace].durability == Keyspace::Durability::kAlways) continue;
    auto entry = std::find_if(m.entries.begin(), m.entries.end(),
                              [&op = op](const auto& e) { return e.partition == op.partition->id; });
    if (entry == m.entries.end()) continue;
    crdt::DotSet written;
    written.add(op.actor, op.seqs);
    if (entry->clock.covers(written)) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());  // the order of answers must not depend on the table's
  for (uint64_t id : ids) count_ack(id, from);
}

void Stripe::Impl::on_announce_ack(NodeIndex from, const AnnounceAckMessage& m) {
  if (m.instance > actor_.epoch && m.instance <= UINT64_MAX - 2 * kEpochStep) return begin_epoch_above(m.instance);
  if (m.instance != actor_.epoch || m.version > version_) return;
  peers_[from].acked_version = m.version;
  for (auto it = with_guests_.begin(); it != with_guests_.end();) {
    Partition* p = find(*it);
    // The guest knows that this owner has all of it.
    if (p != nullptr && p->version <= m.version) {
      auto guest = p->guests.find(from);
      if (guest != p->guests.end() && p->causal.clock.covers(guest->second.clock)) p->guests.erase(guest);
    }
    it = p == nullptr || p->guests.empty() ? with_guests_.erase(it) : std::next(it);
  }
}

// Others know a later epoch of this node than its own. They would take what it says for old, so it goes on as a new
// actor; what it wrote as the present one stays valid.
void Stripe::Impl::begin_epoch_above(uint64_t epoch) {
  actor_.epoch = epoch_above(epoch);
  next_id_ = std::max(next_id_, actor_.epoch);
  for (auto& [id, p] : partitions_) p.next_seq = p.causal.clock.last(actor_) + 1;
  for (PeerState& peer : peers_) peer.acked_version = 0;
  identity_.epoch = actor_.epoch;
  out_.batch.put(identity_row(), identity_.encode());
  out_.sync = true;
  next_announce_ = now_.instant;
}

// A node that is no replica says what it has.
void Stripe::Impl::welcome(Partition& p, NodeIndex node, Partition::Guest guest) {
  p.guests[node] = std::move(guest);
  with_guests_.insert(p.id);
  p.version = ++version_;  // so that it is told what is here
}

// Remembers which of the dots that others have are missing here, for repair_gaps() to ask for if they stay missing.
void Stripe::Impl::note_gap(Partition& p) {
  if (gaps_.contains(p.id) || p.loading || p.leftover || p.quarantined) return;
  crdt::DotSet missing;
  for (const auto& [node, peer] : p.peers) {
    if (!p.causal.clock.covers(peer.clock)) missing.merge(peer.clock.minus(p.causal.clock));
  }
  for (const auto& [node, guest] : p.guests) {
    if (!p.causal.clock.covers(guest.clock)) missing.merge(guest.clock.minus(p.causal.clock));
  }
  if (missing.empty()) return;
  gaps_.insert(p.id);
  gap_[p.id] = {std::move(missing), now_.instant};
  p.behind_since = now_.instant;
}

// A recovering replica may vote again once it has everything that the others of its region (or, without any, of the
// other regions) have: no acknowledged write of a majority can be missing then.
void Stripe::Impl::check_recovered(Partition& p) {
  if (p.quarantined) return;
  bool any_local = std::any_of(p.replicas.begin(), p.replicas.end(),
                               [&](NodeIndex n) { return n != options_.self && region_of(n) == my_region_; });
  for (const auto& [node, peer] : p.peers) {
    if (!peer.counts || (any_local && region_of(node) != my_region_)) continue;
    if (!peer.heard || !p.causal.clock.covers(peer.clock)) return;
  }
  p.recovering = false;
}

WallTime Stripe::Impl::covered_through(const Partition& p) const {
  WallTime least = wall_;
  for (const auto& [node, peer] : p.peers) {
    if (!peer.heard || !p.causal.clock.covers(peer.clock)) return {INT64_MIN};
    least = std::min(least, peers_[node].as_of);
  }
  return least;
}

// --- who is reachable ------------------------------------------------------------------------------------------------

void Stripe::Impl::heard(NodeIndex from) {
  PeerState& peer = peers_[from];
  peer.last_heard = now_.instant;
  // What is sent to a node that has just connected would be lost, until this side has connected, too.
  if (peer.reachable || (!peer.linked && !planted(Bug::kReachableUnlinked))) return;
  peer.reachable = true;
  announce(from);
}

void Stripe::Impl::set_unreachable(NodeIndex peer) {
  peers_[peer].stops_until = {};
  if (!peers_[peer].reachable) return;
  peers_[peer].reachable = false;
  peers_[peer].digests.forget_awaited();
  peers_[peer].coordinated.forget_awaited();
  fail_operations_of(peer);
  send_pending_to_fallbacks(peer);
  replace_replica(peer);
}

}  // namespace cartwheel::node
