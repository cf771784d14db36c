#include <algorithm>

#include "base/planted.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

namespace {
constexpr int kRowsPerSlice = 500;
constexpr int kRecordsPerTurn = 16;
constexpr Duration kBetweenSlices = Duration::millis(20);
}  // namespace

// Looks through the objects, a slice at a time, and removes those that expired long enough ago. Only the first replica
// of a partition does so, by a write like any other: it removes what it has observed. If each replica removed the rows
// by itself, a key that is written anew would mix, at a replica that is late, with its own expired past. The writer
// knows every write that any replica made until a grace beyond the expiry and the bound on clock skew, so that nobody
// has touched the object in time.
void Stripe::Impl::sweep() {
  if (partitions_.empty()) return;
  auto it = sweeping_ ? partitions_.lower_bound(sweep_partition_) : partitions_.begin();
  if (!sweeping_) sweep_hash_ = 0;
  sweeping_ = true;
  int rows = 0;
  for (; it != partitions_.end() && rows < kRowsPerSlice; ++it, sweep_hash_ = 0) {
    Partition& p = it->second;
    sweep_partition_ = p.id;
    if (p.loading || p.quarantined) continue;
    WallTime known = planted(Bug::kExpiryByLocalDelete) ? wall_ : covered_through(p);
    bool finished = true;
    std::vector<std::pair<uint64_t, std::string>> keys;
    Status walked = store_.for_each_key(p.id, sweep_hash_, [&](uint64_t hash, std::string_view key) {
      if (rows >= kRowsPerSlice && (keys.empty() || keys.back().first != hash)) {
        sweep_hash_ = hash;
        finished = false;
        return false;
      }
      ++rows;
      keys.emplace_back(hash, key);
      return true;
    });
    if (!walked.ok()) continue;  // quarantined, or without other replicas: what lies behind is not swept
    for (const auto& [hash, key] : keys) {
      auto object = store_.open(p.id, hash, key);
      if (!object.ok()) continue;
      if (!forget_settled_resets(p, **object).ok()) continue;
      auto at = (*object)->expires_at();
      if (p.owners.front() != options_.self || !at) continue;
      if (*at + limits::kExpiryGraceMs > known.ms || *at + limits::kExpiryGraceMs > wall_.ms) continue;
      Mutation mutation(store_, p, **object, actor_, hlc_.tick(wall_), p.replicated() || observer_ != nullptr);
      Status cleared = mutation.clear("");
      crdt::Delta delta = mutation.take();
      if (!delta.changes.empty())
        publish(p, delta, 0, {Need{1, std::vector<uint32_t>(config_->regions.size(), 0)}, {}}, nullptr);
      if (cleared.ok()) ++stats_.expired_objects;
    }
    if (!finished) {
      next_sweep_ = now_.instant + kBetweenSlices;
      return;
    }
  }
  if (it != partitions_.end()) {
    sweep_partition_ = it->first;
    next_sweep_ = now_.instant + kBetweenSlices;
    return;
  }
  sweeping_ = false;
  next_sweep_ = now_.instant + options_.sweep_interval;
}

// A counter that was removed remembers what its reset saw until that can no longer matter.
Status Stripe::Impl::forget_settled_resets(Partition& p, StoredObject& object) {
  if (object.is_exploded() && object.visible()) return Status::Ok();  // done leaf by leaf when one is touched
  std::vector<std::pair<std::string, crdt::Leaf>> changed;
  RETURN_IF_ERROR(store_.for_each(object, "", [&](std::string_view path, const crdt::Leaf& leaf) {
    if (leaf.resets.empty()) return true;
    crdt::Leaf rest = leaf;
    rest.forget_resets([&](const crdt::Dot& dot) { return p.settled(dot); });
    if (rest.resets.size() != leaf.resets.size()) changed.emplace_back(path, std::move(rest));
    return true;
  }));
  for (auto& [path, leaf] : changed) {
    turn_dirty_ = true;
    RETURN_IF_ERROR(store_.update(object, path, std::move(leaf)));
  }
  return Status::Ok();
}

void Stripe::Impl::write_unlogged_rows() {
  next_rows_ = Instant{INT64_MAX};
  for (auto& [id, p] : partitions_) {
    if (!p.unlogged) continue;
    p.unlogged = false;
    write_row(p);
  }
}

// After an unclean stop of a partition without records, whose row may be a second old: its keys are counted, and its
// clock gets the dots that its leaves show, in case the partition gets other replicas.
Status Stripe::Impl::count_keys(Partition& p) {
  p.keys = 0;
  auto see = [&](const crdt::Leaf& leaf) {
    for (const crdt::Entry& entry : leaf.entries) p.causal.clock.add(entry.dot);
    for (const crdt::ActorChain& chain : leaf.chains) p.causal.clock.add({chain.actor, chain.chain.seq});
  };
  std::string prefix = object_prefix(p.id);
  auto rows = engine_.scan(prefix, prefix_end(prefix));
  for (; rows->valid(); rows->next()) {
    auto row = parse_object_row(rows->key());
    if (!row.ok()) return row.status();
    if (row->is_leaf) {
      Decoder in(rows->value());
      see(crdt::Leaf::decode(in));
      if (!in.done()) return Status::Corruption("a leaf does not decode");
      continue;
    }
    ++p.keys;
    auto leaves = ObjectStore::decode_header(rows->value());
    if (!leaves.ok()) return leaves.status();
    for (const auto& [path, leaf] : leaves->rows()) see(leaf);
  }
  return rows->status();
}

// Drops the oldest records: when all replicas have their dots, or when the log is at its limit. A partition whose row
// does not contain a record that goes gets its row written with this turn.
void Stripe::Impl::truncate_log() {
  auto stable = [](const LoggedRecord& record) {
    return std::all_of(record.dots.begin(), record.dots.end(),
                       [](const auto& dot) { return dot.first->stable(dot.second); });
  };
  // A few per turn: an announcement may make thousands of them stable at once.
  for (int n = 0; n < kRecordsPerTurn && !records_.empty(); ++n) {
    const LoggedRecord& oldest = records_.front();
    bool full = logged_dots_ > options_.log_entries || record_bytes_ > options_.log_bytes;
    bool enough = records_.size() > limits::kRecordsKept || record_bytes_ > limits::kRecordBytesKept;
    if (!full && !(enough && stable(oldest))) return;
    for (const auto& [p, dot] : oldest.dots) p->log.remove(dot);
    for (Partition* p : oldest.parts) {
      if (p->row_record <= oldest.number) write_row(*p);
    }
    logged_dots_ -= oldest.dots.size();
    record_bytes_ -= oldest.bytes;
    out_.batch.erase(record_row(oldest.number));
    turn_dirty_ = true;
    records_.pop_front();
    while (!graveyard_.empty() && (records_.empty() || records_.front().number >= graveyard_.front().first)) {
      graveyard_.pop_front();
    }
  }
}

}  // namespace cartwheel::node
