// What a configuration says about this stripe's partitions, and what happens to them when it changes. The stages of a
// move and why they are safe are in docs/membership.md; here is the part of one node:
//
//   kLoad        a future owner loads (load.cc); the old ones go on as before, but keep their log for it
//   kWriteBoth   the coordinators (old owners) send deltas to both sides and count acks on both
//   kReadNew     the coordinators are the new owners; an old one passes requests on
//   kDrain       an old owner that is not a new one has a leftover: it announces its clock to the owners, serves what
//                they lack, and drops the partition when all of them have all of it
//
// The last stage makes the owners know who else may have something: what is remembered for deltas that may still come
// (voids, pending removals, resets) is remembered until nobody has any. A move that is given up drains, too. But a
// leftover does not depend on that stage: a node that finds, with whatever configuration, that it owns no longer what
// it has, hands it over.

#include <algorithm>
#include <iterator>

#include "base/planted.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

namespace {

void add_new(std::vector<NodeIndex>& to, const std::vector<NodeIndex>& from) {
  std::copy_if(from.begin(), from.end(), std::back_inserter(to), [&](NodeIndex n) { return !contains(to, n); });
}

}  // namespace

// The tables about nodes, regions and keyspaces. Positions never change, so tables only grow.
void Stripe::Impl::read_config() {
  const ClusterConfig& config = *config_;
  my_region_ = config.region(config.nodes[options_.self].region);
  node_region_.clear();
  node_of_actor_.clear();
  for (NodeIndex n = 0; n < config.nodes.size(); ++n) {
    node_region_.push_back(config.region(config.nodes[n].region));
    auto [it, fresh] = node_of_actor_.emplace(actor_node_id(config, n), n);
    if (!fresh && !config.nodes[n].removed()) it->second = n;  // a name may be given again
  }
  peers_.resize(config.nodes.size());
  by_arc_.resize(config.keyspaces.size());
  region_replicas_.clear();
  default_read_.clear();
  default_write_.clear();
  for (uint16_t k = 0; k < config.keyspaces.size(); ++k) {
    const Keyspace& keyspace = config.keyspaces[k];
    std::vector<uint32_t> replicas;
    for (const std::string& region : config.regions) {
      auto it = keyspace.replicas.find(region);
      replicas.push_back(it == keyspace.replicas.end() ? 0 : it->second);
    }
    // A region without replicas coordinates nothing; its nodes pass requests on.
    auto read = need_of(keyspace.read, replicas, my_region_), write = need_of(keyspace.write, replicas, my_region_);
    default_read_.push_back(read.ok() ? *read : Need{1, std::vector<uint32_t>(replicas.size(), 0)});
    default_write_.push_back(write.ok() ? *write : Need{1, std::vector<uint32_t>(replicas.size(), 0)});
    region_replicas_.push_back(std::move(replicas));
    by_arc_[k].resize(config.partitions, nullptr);
  }
}

// Fills what the configuration says of `p`; what was known of other replicas stays known.
void Stripe::Impl::place(Partition& p) {
  const Assignment& assignment = config_->assignments[p.id.keyspace];
  const Move* move = assignment.move(p.id.arc);
  p.owners = assignment.owners[p.id.arc];
  if (move == nullptr) p.loaded_bytes = 0;
  p.move = move == nullptr ? std::nullopt : std::optional<Move>(*move);
  p.others.clear();
  bool both = move != nullptr && (move->stage == Stage::kWriteBoth || move->stage == Stage::kReadNew);
  bool drains = move != nullptr && move->stage == Stage::kDrain;
  if (both) p.others = move->others;
  p.writers = p.owners;
  add_new(p.writers, p.others);
  std::vector<NodeIndex> holders = p.writers;
  if (move != nullptr && !drains) add_new(holders, move->others);
  p.serves = contains(p.owners, options_.self);
  p.leftover = !contains(holders, options_.self);
  if (p.leftover)
    holders.push_back(options_.self);
  else if (drains)
    add_new(holders, move->others);
  auto removed = [this](NodeIndex n) { return config_->nodes[n].removed(); };
  std::erase_if(holders, removed);
  p.replicas = std::move(holders);
  p.read_fence = assignment.fence(p.id.arc);
  p.write_fence = !p.others.empty() ? std::max(p.read_fence, move->since) : p.read_fence;
  auto counts_of = [this](const std::vector<NodeIndex>& nodes) {
    std::vector<uint32_t> counts(config_->regions.size(), 0);
    for (NodeIndex n : nodes) ++counts[region_of(n)];
    return counts;
  };
  p.owner_counts = counts_of(p.owners);
  p.other_counts = counts_of(p.others);
  p.regular = p.owner_counts == region_replicas_[p.id.keyspace];

  for (auto it = p.peers.begin(); it != p.peers.end();) {
    auto& [n, peer] = *it;
    if (contains(p.replicas, n)) {
      ++it;
      continue;
    }
    // It may have what the owners lack, and waits to hear that they have it.
    if (!p.leftover && !removed(n)) {
      p.guests[n] = {std::move(peer.clock)};
      with_guests_.insert(p.id);
    }
    peers_[n].version = 0;  // what it keeps as a fallback was not listened to
    it = p.peers.erase(it);
  }
  for (NodeIndex n : p.replicas) {
    if (n == options_.self) continue;
    bool future = move != nullptr && move->stage == Stage::kLoad && !contains(p.owners, n);
    auto [entry, is_new] = p.peers.try_emplace(n);
    Partition::Peer& peer = entry->second;
    if (auto guest = p.guests.find(n); is_new && guest != p.guests.end() && !guest->second.fallback) {
      peer.clock = std::move(guest->second.clock);
      peer.heard = true;
    } else if (is_new) {
      // It may have known before this node did that both have the partition, and announced it in vain; what it has
      // nothing of it does not announce by itself. It is asked for everything once more.
      peers_[n].version = 0;
    }
    peer.drains = drains && !contains(p.owners, n);
    peer.counts = !future || peer.heard || (peer.counts && !peer.clock.empty());
    p.guests.erase(n);
  }
  std::erase_if(p.guests, [&](const auto& entry) { return removed(entry.first); });
  if (p.leftover)
    leftovers_.insert(p.id);
  else
    leftovers_.erase(p.id);
  if (p.serves) p.next_seq = std::max(p.next_seq, p.causal.clock.last(actor_) + 1);
  if (!p.tree_ready) next_scan_ = std::min(next_scan_, now_.instant);
}

Partition& Stripe::Impl::create_partition(PartitionId id) {
  Partition& p = partitions_[id];
  p.id = id;
  p.unproven_since = wall_;
  by_arc_[id.keyspace][id.arc] = &p;
  place(p);
  if (config_->keyspaces[id.keyspace].fallbacks) {  // nor what anybody keeps for the owners of this partition
    for (PeerState& peer : peers_) peer.version = 0;
  }
  return p;
}

void Stripe::Impl::on_config(std::shared_ptr<const ClusterConfig> config) {
  if (config->epoch <= config_->epoch) return;
  if (!doomed_.empty()) {  // what goes with this turn must be gone before it may come again
    deferred_config_ = std::move(config);
    return;
  }
  std::shared_ptr<const ClusterConfig> before = std::exchange(config_, std::move(config));
  read_config();
  std::vector<bool> removed_now(config_->nodes.size(), false);
  bool any_removed = false;
  for (NodeIndex n = 0; n < config_->nodes.size(); ++n) {
    removed_now[n] = config_->nodes[n].removed() && (n >= before->nodes.size() || !before->nodes[n].removed());
    any_removed |= removed_now[n];
    if (removed_now[n]) set_unreachable(n);
  }
  bool all = any_removed || config_->regions.size() != before->regions.size();
  bool again = false;  // a partition that this life has had before
  for (uint16_t k = 0; k < config_->keyspaces.size(); ++k) {
    const Assignment& now = config_->assignments[k];
    const Assignment* was = k < before->assignments.size() ? &before->assignments[k] : nullptr;
    bool counts_changed = was == nullptr || config_->keyspaces[k].replicas != before->keyspaces[k].replicas;
    for (uint32_t arc = options_.stripe; arc < config_->partitions; arc += config_->stripes) {
      PartitionId id{k, arc};
      Partition* p = by_arc_[k][arc];
      if (config_->keyspaces[k].dropped) {
        if (p != nullptr) doom(*p);
        continue;
      }
      const Move* move = now.move(arc);
      const Move* old_move = was == nullptr ? nullptr : was->move(arc);
      bool same_move = (move == nullptr) == (old_move == nullptr) && (move == nullptr || *move == *old_move);
      if (!all && !counts_changed && same_move && now.owners[arc] == was->owners[arc]) continue;
      bool holds = contains(now.owners[arc], options_.self) ||
                   (move != nullptr && move->stage != Stage::kDrain && contains(move->others, options_.self));
      if (p == nullptr) {
        if (!holds) continue;
        again |= given_up_.erase(id) > 0;
        p = &create_partition(id);
        p->loading = move != nullptr && move->stage == Stage::kLoad && !p->serves;
        if (p->loading) {
          loading_.insert(id);
          erase_rows(id);
        } else {
          write_row(*p);
        }
      } else {
        bool was_alone = !p->replicated();
        place(*p);
        if (p->loading && (move == nullptr || p->leftover)) {  // the change was given up
          doom(*p);
          continue;
        }
        // Its dots are in no record, or will be in none from now on.
        if (was_alone == p->replicated()) write_row(*p);
      }
      p->version = ++version_;  // so that everybody is told of it anew
    }
  }
  for (auto& [id, kept] : fallbacks_) kept.version = ++version_;  // there may be other owners to tell
  if (again) begin_epoch_above(actor_.epoch);
  reconsider_operations();
  start_loads();
  next_announce_ = now_.instant;
}

// Everything that is under way goes on by the new configuration.
void Stripe::Impl::reconsider_operations() {
  std::vector<uint64_t> ids;
  for (const auto& [id, op] : pending_) {
    if (op.phase != Pending::Phase::kForwarded) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  for (uint64_t id : ids) {
    auto it = pending_.find(id);
    if (it == pending_.end()) continue;
    Pending& op = it->second;
    Partition& p = *op.partition;
    if (op.phase == Pending::Phase::kWriting) {
      if (config_->keyspaces[p.id.keyspace].dropped) {
        finish(id, {Status(Code::kNotFound, "the keyspace was dropped"), {}});
        continue;
      }
      auto wanted = needs_of(op.request, p, false);
      if (wanted.ok()) op.needs = std::move(*wanted);
      count_answers(op);
      if (is_met(op))
        finish(id, std::move(op.reply));
      else
        resend(op, id, p.writers, false);
      continue;
    }
    // A read phase begins anew, here or at an owner; what it was told may be of the past.
    Caller caller = std::move(op.caller);
    Request request = std::move(op.request);
    uint64_t hash = op.hash;
    std::string key = gate_key(request);
    bool writer = is_write(request.operation.verb);
    pending_.erase(it);
    awaiting_session_.erase(id);
    Gate& gate = gates_.at(key);
    if (writer)
      gate.writer = false;
    else
      --gate.readers;
    bool holds_gate = false;
    if (config_->keyspaces[p.id.keyspace].dropped)
      answer(caller, {Status(Code::kNotFound, "the keyspace was dropped"), {}});
    else if (!p.serves)
      forward(std::move(caller), std::move(request), p.owners);
    else if (auto wanted = needs_of(request, p, true); !wanted.ok())
      answer(caller, {wanted.status(), {}});
    else if (wanted->owners.total > 1 || must_wait_for_session(request, p))
      holds_gate = begin_read_phase(std::move(caller), std::move(request), p, hash, std::move(*wanted));
    else
      execute(std::move(caller), std::move(request), p, hash);
    if (!holds_gate) pump_gate(key);
  }
}

// Sends a write that is under way once more, under the present epoch, to those of `to` who have not acknowledged it.
void Stripe::Impl::resend(Pending& op, uint64_t id, const std::vector<NodeIndex>& to, bool fallback) {
  Partition& p = *op.partition;
  std::set<uint64_t> records;
  for (uint64_t seq = op.seqs.first; seq <= op.seqs.last; ++seq) {
    if (auto number = p.log.find({op.actor, seq})) records.insert(*number);
  }
  auto send_those = [&](const std::vector<std::string>& deltas) {
    for (const std::string& encoded : deltas) {
      Decoder in(encoded);
      crdt::Delta delta = crdt::Delta::decode(in);
      bool wanted = in.done() && std::any_of(delta.changes.begin(), delta.changes.end(), [&](const crdt::Change& c) {
                      return c.dot.actor == op.actor && c.dot.seq >= op.seqs.first && c.dot.seq <= op.seqs.last;
                    });
      if (!wanted) continue;
      std::string bytes = WriteMessage{id, options_.self, false, p.id, encoded, config_->epoch, fallback}.encode();
      for (NodeIndex n : to) {
        if (n != options_.self && peers_[n].reachable && !contains(op.answered, n)) send(n, bytes);
      }
    }
  };
  for (uint64_t number : records) {
    if (number == next_record_) {
      send_those(turn_deltas_[p.id]);
      continue;
    }
    auto record = read_record(number);
    if (!record.ok()) return;  // the write is on its way by catch-up, and is counted when it is announced
    for (const TurnRecord::Part& part : record->parts) {
      if (part.partition == p.id) send_those(part.deltas);
    }
  }
}

// What this node has got by repair is synced before it says that it has it, while others may drop their copy for that.
// (What comes as a write has the durability that its ack promised.)
void Stripe::Impl::keep_durably(const Partition& p) {
  if ((p.move || !p.guests.empty()) && !planted(Bug::kMovedWithoutSync)) out_.sync = true;
}

// --- partitions that go ----------------------------------------------------------------------------------------------

bool Stripe::Impl::is_in_use(const Partition& p) const {
  bool pending =
      std::any_of(pending_.begin(), pending_.end(), [&](const auto& op) { return op.second.partition == &p; });
  return pending || std::any_of(gates_.begin(), gates_.end(), [&](const auto& gate) {
           return std::any_of(gate.second.queue.begin(), gate.second.queue.end(),
                              [&](const Gate::Waiting& w) { return w.partition == &p; });
         });
}

void Stripe::Impl::let_go_of_leftovers() {
  std::vector<PartitionId> ids(leftovers_.begin(), leftovers_.end());
  for (PartitionId id : ids) {
    Partition& p = partitions_.at(id);
    // Without an owner that is left this may be the last copy: whoever gets the arc takes it from here.
    bool covered = p.causal.clock.empty() ||
                   (!p.peers.empty() && std::all_of(p.peers.begin(), p.peers.end(), [&](const auto& entry) {
                     return entry.second.heard && entry.second.clock.covers(p.causal.clock);
                   }));
    if ((covered || planted(Bug::kDropUncovered)) && !is_in_use(p)) doom(p);
  }
}

// From now on the partition does not exist here; its rows go with this turn.
void Stripe::Impl::doom(Partition& p) {
  if (by_arc_[p.id.keyspace][p.id.arc] == nullptr) return;
  by_arc_[p.id.keyspace][p.id.arc] = nullptr;
  if (auto repair = repairs_.find(p.id); repair != repairs_.end()) end_repair(repair);
  gaps_.erase(p.id);
  gap_.erase(p.id);
  loading_.erase(p.id);
  leftovers_.erase(p.id);
  quarantined_.erase(p.id);
  awaiting_clock_.erase(p.id);
  tree_exchanges_.erase(p.id);
  folding_.erase(folding_.lower_bound({p.id, 0}), folding_.upper_bound({p.id, UINT32_MAX}));
  if (tree_scan_ && tree_scan_->partition == p.id) tree_scan_.reset();
  std::erase_if(serving_, [&](const auto& entry) { return entry.first.second == p.id; });
  doomed_.push_back(p.id);
  turn_dirty_ = true;
}

// The end of the turn: called when the turn's rows and record are in the batch. The log's records still point to what
// goes, so the partitions stay in memory, empty, until those records have gone.
void Stripe::Impl::bury_doomed() {
  std::set<PartitionId> gone(doomed_.begin(), doomed_.end());
  store_.forget([&](PartitionId id) { return gone.contains(id); });
  for (PartitionId id : gone) {
    std::string prefix = object_prefix(id);
    out_.batch.erase_range(prefix, prefix_end(prefix));
    out_.batch.erase(partition_row(id));
    out_.batch.erase(quarantine_row(id));
    Partition& p = partitions_.at(id);
    p = Partition();
    p.id = id;
    p.row_record = UINT64_MAX;
    graveyard_.emplace_back(next_record_, partitions_.extract(id));
    given_up_.insert(id);
    // What comes back by a loss of power would not be known to the owners any more.
    out_.sync = true;
    going_[id] = now_.instant;
  }
  doomed_.clear();
}

// --- how far it is ---------------------------------------------------------------------------------------------------

void Stripe::Impl::note_epoch(NodeIndex from, uint64_t epoch) {
  if (epoch <= config_->epoch || (out_.newer_config && out_.newer_config->epoch >= epoch)) return;
  out_.newer_config = Output::Newer{from, epoch};
}

// Whether this node has, of a partition in kWriteBoth, all that the old owners acknowledged before they learned of the
// stage: what every one of them that is not removed has announced since. Fewer would do for quorums, not for a write at
// level one and a read at level all.
bool Stripe::Impl::covers_old_owners(const Partition& p) const {
  if (p.recovering || p.loading || p.quarantined) return false;
  if (planted(Bug::kReadNewTooEarly)) return true;
  return std::all_of(p.owners.begin(), p.owners.end(), [&](NodeIndex n) {
    if (n == options_.self || config_->nodes[n].removed()) return true;
    auto it = p.peers.find(n);
    return it != p.peers.end() && it->second.heard && peers_[n].epoch >= p.move->since &&
           p.causal.clock.covers(it->second.clock);
  });
}

RingProgress Stripe::Impl::ring_progress() const {
  RingProgress progress;
  progress.epoch = config_->epoch;
  progress.leftovers = leftovers_.size() + fallbacks_to_hand_over();
  uint64_t known = 0, waiting = 0;  // snapshots whose size is known, and others
  for (const auto& [id, p] : partitions_) {
    if (!p.move || p.leftover) continue;
    RingProgress::Step step{id, p.move->since, true};
    if (p.move->stage == Stage::kLoad) step.done = !p.loading && !p.quarantined;
    auto repair = repairs_.find(id);
    if (p.loading && repair != repairs_.end() && repair->second.bytes_total > 0) {
      progress.bytes_done += repair->second.bytes;
      progress.bytes_to_do += std::max(repair->second.bytes_total, repair->second.bytes);
      ++known;
    } else if (p.loading) {
      ++waiting;
    } else if (p.loaded_bytes > 0) {
      progress.bytes_done += p.loaded_bytes;
      progress.bytes_to_do += p.loaded_bytes;
      ++known;
    }
    if (p.move->stage == Stage::kWriteBoth) step.done = !contains(p.others, options_.self) || covers_old_owners(p);
    progress.steps.push_back(step);
  }
  // Arcs are about equally large.
  if (known > 0) progress.bytes_to_do += waiting * (progress.bytes_to_do / known);
  for (uint16_t k = 0; k < config_->assignments.size(); ++k) {
    for (const auto& [arc, move] : config_->assignments[k].moves) {
      bool mine = move.stage == Stage::kDrain && arc % config_->stripes == options_.stripe;
      if (!mine || !contains(move.others, options_.self)) continue;
      PartitionId id{k, arc};
      progress.steps.push_back({id, move.since, !partitions_.contains(id) && !going_.contains(id)});
    }
  }
  return progress;
}

}  // namespace cartwheel::node
