// Where hash trees come from, and what watches over the rows: the partitions are looked through one after the other, a
// slice at a time, from a snapshot of the engine. The first time a partition's tree is built: what is written meanwhile
// is added by each turn (a tree is a XOR, so the order does not matter). From then on the rows are compared with the
// tree as it was when the snapshot was taken: a difference means that a disk or a program has changed rows behind the
// stripe's back. Then the tree is built anew from what is there, and the next exchange brings back what was lost.

#include "base/hash.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

namespace {
constexpr int kRowsPerSlice = 500;
constexpr Duration kBetweenBuilds = Duration::millis(5);
constexpr Duration kBetweenScrubs = Duration::millis(200);  // 2,500 rows a second and stripe
constexpr Duration kBetweenPasses = Duration::seconds(60);
constexpr int kStartsPerSlice = 16;  // of partitions that turn out to be empty
}  // namespace

void Stripe::Impl::forget_tree(Partition& p) {
  p.tree.clear();
  p.tree_ready = false;
  p.found_equal.clear();
  p.unproven_since = wall_;
  if (tree_scan_ && tree_scan_->partition == p.id) tree_scan_.reset();
  next_scan_ = std::min(next_scan_, now_.instant);
}

// The next partition to look through: those without a tree first.
Partition* Stripe::Impl::choose_scan() {
  for (auto& [id, p] : partitions_) {
    const auto rest = unreadable_.find(id);
    if (rest != unreadable_.end() && rest->second > now_.instant) continue;
    if (!p.tree_ready && !p.loading && !p.quarantined && by_arc_[id.keyspace][id.arc] == &p && p.replicated())
      return &p;
  }
  if (repair_paused_) return nullptr;
  for (auto it = partitions_.upper_bound(scrubbed_); it != partitions_.end(); ++it) {
    if (it->second.tree_ready && !it->second.quarantined && by_arc_[it->first.keyspace][it->first.arc] == &it->second)
      return &it->second;
  }
  return nullptr;
}

// Only at the beginning of a turn: the snapshot must show what the tree does, and nothing may be only in memory.
void Stripe::Impl::scan_trees() {
  next_scan_ = now_.instant + kBetweenBuilds;
  for (int starts = 0; !tree_scan_ && starts < kStartsPerSlice; ++starts) {
    Partition* p = choose_scan();
    if (p == nullptr) {
      if (!repair_paused_) {
        scrubbed_ = {};
        ++stats_.scrub_passes;
      }
      next_scan_ = now_.instant + kBetweenPasses;
      return;
    }
    tree_scan_ = TreeScan();
    TreeScan& scan = *tree_scan_;
    scan.partition = p->id;
    scan.builds = !p->tree_ready;
    if (scan.builds)
      p->tree.clear();
    else
      scan.before = p->tree;
    const std::string prefix = object_prefix(p->id);
    scan.rows = engine_.scan(prefix, prefix_end(prefix));
    if (!scan.rows->valid() && scan.rows->status().ok()) end_scan(*p);
  }
  if (!tree_scan_) return;
  CHECK(!turn_dirty_ && turn_deltas_.empty());
  Partition& p = partitions_.at(tree_scan_->partition);
  const bool builds = tree_scan_->builds;
  const Status status = scan_slice(*tree_scan_);
  if (!status.ok()) {
    // Unreadable rows are no reason to believe the others: there is no tree until they can be read.
    ++stats_.unreadable_scans;
    scrubbed_ = p.id;
    unreadable_[p.id] = now_.instant + kBetweenPasses;
    forget_tree(p);
    quarantine(p, status.message());
    return;
  }
  if (!tree_scan_->rows->valid()) end_scan(p);
  if (!builds) next_scan_ = now_.instant + kBetweenScrubs;
}

Status Stripe::Impl::scan_slice(TreeScan& scan) {
  for (int rows = 0; rows < kRowsPerSlice && scan.rows->valid(); ++rows, scan.rows->next()) {
    auto row = parse_object_row(scan.rows->key());
    if (!row.ok()) return row.status();
    const uint32_t bucket = PartitionTree::bucket_of(row->hash, config_->partitions);
    ++stats_.scanned_rows;
    auto read = EncodedRow::read(*row, scan.rows->value());
    if (!read.ok()) return read.status();
    if (row->is_leaf) {
      const uint64_t digest = read->leaf.visible ? read->leaf.digest(row->path) : 0;
      scan.found.change(bucket, digest, read->leaf.resets_hash());
      if (row->key == scan.large) scan.expected ^= digest;
      continue;
    }
    end_large(scan);
    scan.large = row->key;
    scan.expected = read->header.elsewhere;
    scan.found.change(bucket, read->header.inside, read->header.resets);
  }
  return scan.rows->status();
}

// All leaves of the large object before were seen.
void Stripe::Impl::end_large(TreeScan& scan) {
  if (scan.expected != 0) scan.miscounted.push_back(std::move(scan.large));
  scan.large.clear();
  scan.expected = 0;
}

void Stripe::Impl::end_scan(Partition& p) {
  TreeScan scan = std::move(*tree_scan_);
  tree_scan_.reset();
  end_large(scan);
  if (scan.builds) {
    p.tree.merge(scan.found);
    p.tree_ready = true;
    // Of rows that were lost the header still tells.
    for (const std::string& key : scan.miscounted) {
      auto object = store_.open(p.id, hash64(key), key);
      if (object.ok() && store_.recount(**object).ok()) turn_dirty_ = true;
    }
    return;
  }
  scrubbed_ = p.id;
  if (scan.found == scan.before && scan.miscounted.empty()) return;
  ++stats_.rotten_partitions;
  // What is cached is what the rows should have been; compared with others it would hide what they are.
  store_.forget([&](PartitionId id) { return id == p.id; });
  forget_tree(p);
}

// A clean stop keeps the trees for the next life.
void Stripe::Impl::save_trees() {
  for (const auto& [id, p] : partitions_) {
    if (p.tree_ready && by_arc_[id.keyspace][id.arc] == &p) out_.batch.put(tree_row(id), p.tree.encode());
  }
}

// They are of use to the first life after a clean stop only: the rows go at once.
void Stripe::Impl::recover_trees(bool clean) {
  auto rows = engine_.scan("h", "i");
  bool any = false;
  for (; rows->valid(); rows->next()) {
    any = true;
    Decoder key(rows->key().substr(1));
    const PartitionId id = decode_partition_id(key);
    Partition* p = key.done() ? find(id) : nullptr;
    auto tree = PartitionTree::decode(rows->value());
    if (!clean || p == nullptr || p->loading || p->quarantined || !tree.ok()) continue;
    p->tree = std::move(*tree);
    p->tree_ready = true;
  }
  if (any || !rows->status().ok()) out_.batch.erase_range("h", "i");
}

}  // namespace cartwheel::node
