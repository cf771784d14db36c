// A life begins: what the engine holds of the lives before, by its rows (rows.h). Whatever cannot be read of a
// partition that has other replicas makes it doubtful, and it is rebuilt from them (quarantine.cc).

#include <algorithm>

#include "base/planted.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

// The epoch is new in every life: it is unique by its random bits, so that a restored copy or a clone of a disk cannot
// repeat a dot, and above the last one, so that old epochs can be told from new ones.
Status Stripe::Impl::recover(Now now) {
  now_ = now;
  wall_ = hlc_.wall(now.wall);
  std::string bytes;
  auto found = engine_.get(identity_row(), &bytes);
  if (!found.ok()) return found.status();
  bool fresh = !*found;
  bool may_have_lost = fresh;
  if (!fresh) {
    auto identity = Identity::decode(bytes);
    if (!identity.ok()) return identity.status();
    const std::string& name = config_->nodes[options_.self].name;
    if (identity->cluster != config_->name || identity->node != name) {
      return Status::InvalidArgument("the data directory belongs to node '" + identity->node + "' of cluster '" +
                                     identity->cluster + "', not to '" + name + "' of '" + config_->name + "'");
    }
    identity_ = *identity;
    may_have_lost = !identity_.clean && (options_.boot_id.empty() || options_.boot_id != identity_.boot_id);
  }
  std::set<PartitionId> doubtful;  // whose clock may lack what was in a row that cannot be read
  RETURN_IF_ERROR(read_partition_rows(doubtful));
  RETURN_IF_ERROR(read_records(doubtful));
  // The mark of a clean stop tells how far the log went: coming back short of it is a loss too.
  if (!fresh && identity_.clean && identity_.next_record > next_record_ && !records_.empty()) may_have_lost = true;
  next_record_ = std::max(next_record_, identity_.next_record);
  // All records may be gone while the rows tell of them; a number below a row's would be taken for contained in it.
  for (const auto& [id, p] : partitions_) next_record_ = std::max(next_record_, p.row_record);
  uint64_t epoch = (static_cast<uint64_t>(std::max<int64_t>(now.wall.ms, 0)) << 16) | (rng_.next() & 0xffff);
  if (planted(Bug::kReuseDot) && !fresh) {
    actor_ = {actor_node_id(*config_, options_.self), identity_.epoch};
  } else {
    actor_ = {actor_node_id(*config_, options_.self), std::max(epoch, fresh ? 0 : epoch_above(identity_.epoch))};
  }
  for (const auto& [id, p] : partitions_) {
    for (const crdt::DotSet::Row& row : p.causal.clock.rows()) {
      const bool later = row.actor.node == actor_.node && row.actor.epoch >= actor_.epoch;
      if (later && !planted(Bug::kReuseDot)) actor_.epoch = epoch_above(row.actor.epoch);
    }
  }
  // Of a lost clock the leaves tell some: a copy without what they show is not enough (quarantine.cc).
  for (PartitionId id : doubtful) (void)count_keys(partitions_.at(id));
  for (auto& [id, p] : partitions_) {
    bool was_alone = p.row_alone || !p.replicated();
    // Alone, it serves what can be read.
    if (was_alone && !p.loading && !identity_.clean && !fresh && !count_keys(p).ok()) {
      quarantine(p, "rows of it cannot be read");
    }
    p.next_seq = p.causal.clock.last(actor_) + 1;
    if (!p.causal.clock.empty()) p.version = ++version_;
    p.recovering = (may_have_lost || doubtful.contains(id)) && p.replicated() && !p.loading;
    if (doubtful.contains(id)) quarantine(p, "its clock, or a record of the dot log, cannot be read");
  }
  recover_quarantines();
  recover_fallbacks();
  recover_exchanges();
  recover_trees(identity_.clean && !may_have_lost);
  next_id_ = std::max(epoch, actor_.epoch);
  identity_ = {config_->name, config_->nodes[options_.self].name, actor_.epoch, false, options_.boot_id, next_record_};
  out_.batch.put(identity_row(), identity_.encode());
  out_.sync = true;
  next_announce_ = next_housekeeping_ = now.instant;
  next_sweep_ = now.instant + Duration::seconds(1);
  return Status::Ok();
}

// The dot log. A record that cannot be read may be of any partition whose row is older: each of those that has other
// replicas is rebuilt, what the record had of the others is in their leaves.
Status Stripe::Impl::read_records(std::set<PartitionId>& doubtful) {
  auto doubt = [&](uint64_t number) {
    for (auto& [id, p] : partitions_) {
      if (p.row_record <= number && can_be_rebuilt(p)) doubtful.insert(id);
    }
  };
  auto rows = engine_.scan("r", "s");
  for (; rows->valid(); rows->next()) {
    Decoder key(rows->key().substr(1));
    uint64_t number = key.u64();
    if (!key.done()) return Status::Corruption("the key of a record of the dot log does not decode");
    auto record = TurnRecord::decode(rows->value());
    if (!record.ok()) {
      doubt(number);
      record = TurnRecord();
    }
    LoggedRecord logged{number, rows->value().size(), {}, {}};
    for (const TurnRecord::Part& part : record->parts) {
      Partition* p = find(part.partition);
      if (p == nullptr || p->loading) continue;  // dropped, or not here yet
      logged.parts.push_back(p);
      if (number >= p->row_record) p->keys = part.keys;
      for (const std::string& encoded : part.deltas) {
        Decoder in(encoded);
        crdt::Delta delta = crdt::Delta::decode(in);
        if (!in.done()) {
          doubt(number);
          break;
        }
        hlc_.restore(delta.time);
        for (const crdt::Change& change : delta.changes) {
          if (number >= p->row_record && !p->causal.clock.contains(change.dot)) p->causal.record(delta.key, change);
          p->log.add(change.dot, number);
          logged.dots.emplace_back(p, change.dot);
        }
      }
    }
    logged_dots_ += logged.dots.size();
    record_bytes_ += logged.bytes;
    records_.push_back(std::move(logged));
    next_record_ = number + 1;
  }
  if (rows->status().ok()) return Status::Ok();
  // Nobody knows what lies behind. It must not come back in a later life, under numbers that were given again.
  doubt(UINT64_MAX);
  out_.batch.erase_range(record_row(next_record_), "s");
  return Status::Ok();
}

// The clocks of the partitions that this node has according to its configuration, and of those that it had and has not
// dropped yet. What an interrupted load left behind goes. Every partition has its row from the beginning: by its rows
// alone a node knows, after a change of the ring that it has not seen, what it still has.
Status Stripe::Impl::read_partition_rows(std::set<PartitionId>& doubtful) {
  std::set<PartitionId> found;
  auto rows = engine_.scan("p", "q");
  for (; rows->valid(); rows->next()) {
    Decoder key(rows->key().substr(1));
    const PartitionId id = decode_partition_id(key);
    auto row = PartitionRow::decode(rows->value());
    if (!key.done()) return Status::Corruption("the key of a partition row does not decode");
    bool exists = id.keyspace < config_->keyspaces.size() && !config_->keyspaces[id.keyspace].dropped &&
                  id.arc < config_->partitions && id.arc % config_->stripes == options_.stripe;
    if (!exists) {
      std::string prefix = object_prefix(id);
      out_.batch.erase_range(prefix, prefix_end(prefix));
      out_.batch.erase(std::string(rows->key()));
      continue;
    }
    found.insert(id);
    Partition* p = find(id);
    if (p == nullptr) p = &create_partition(id);  // a leftover
    if (!row.ok()) {
      if (!can_be_rebuilt(*p)) return row.status();
      doubtful.insert(id);
      continue;
    }
    p->causal = std::move(row->causal);
    p->keys = row->keys;
    p->row_record = row->record;
    p->row_alone = row->alone;
  }
  Status scanned = rows->status();
  for (auto& [id, p] : partitions_) {
    if (found.contains(id)) continue;
    if (!scanned.ok()) {  // it may have a row
      if (!can_be_rebuilt(p)) return scanned;
      doubtful.insert(id);
      continue;
    }
    if (p.move && p.move->stage == Stage::kLoad && !p.serves) {
      p.loading = true;
      loading_.insert(id);
      erase_rows(id);
    } else {
      write_row(p);
    }
  }
  return Status::Ok();
}

// Of a partition without a row of its own: a load whose rows were taken in was not finished.
void Stripe::Impl::erase_rows(PartitionId id) {
  std::string prefix = object_prefix(id), end = prefix_end(prefix);
  auto left = engine_.scan(prefix, end);
  if (!left->valid() && left->status().ok()) return;
  out_.batch.erase_range(prefix, end);
  turn_dirty_ = true;
}

// Random, because another life may start from the same knowledge: a node that is wiped twice is told the same last
// epoch twice, and two copies of one disk have the same identity.
uint64_t Stripe::Impl::epoch_above(uint64_t epoch) {
  return epoch + kEpochStep + (rng_.next() & (kEpochStep - 1));
}

}  // namespace cartwheel::node
