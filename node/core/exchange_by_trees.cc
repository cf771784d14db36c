// Full exchange by trees: what exchange.cc does, without the rows that both sides have. Whoever asks shows its hash
// tree with the first request; the source compares it with its own at the instant of its snapshot, says which buckets
// differ, and streams
//   - every leaf of the buckets that differ,
//   - of the others the leaves that remember resets of counters, because no hash covers those.
// Without a tree on either side the partition is shipped whole.
//
// Why the result is the same. Let `asked` be the clock here at the instant of the tree that was shown. In an equal
// bucket the source showed at its snapshot exactly the entries and chains that were here then, and every one of them is
// in `asked`. So for an entry or a chain that is here when it is joined, there are two cases:
//   - its dot is in `asked`: it was here then, as a dot is applied once; so the source shows it, and it stays, as
//     it would beside the source's leaf.
//   - it is not: it came by a delta since, and the source does not show it. If the snapshot has seen the dot (for
//     entries its voids count, too) it was superseded or reset there, and goes; otherwise it is news, and stays. That
//     is what the join with a leaf that lacks it does.
// Nothing else comes of the join: what the source shows and was removed here since has its dot in `asked`, which counts
// as seen; an older state of a chain adds nothing to a newer one. A chain that the source shows cannot be here with a
// later dot that the snapshot has seen, or the source would show that one. Resets that the source remembers came with
// their leaves, which are joined as ever; what they leave is left alone by the rule above. The snapshot's pending range
// removals are applied at the end, to whatever is here.
//
// The dots of the second case are the `window`: what the clock here has beyond `asked`, and the snapshot has seen.
// Once the joining has begun it does not grow, because such dots are skipped, or dead on arrival. Mostly it is empty:
// it takes a write that came here between the request and the snapshot, or so, by another way. Then nothing of the
// equal buckets is looked at. Otherwise those are gone through, a bucket in each turn, whose hash is not that of the
// tree that was shown. `asked` is kept in a row beside the stages; the tree is not, so a later life goes through all of
// them.
//
// A quarantined partition is rebuilt from nothing, and never by trees.

#include "base/planted.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

namespace {
constexpr uint64_t kAsked = UINT64_MAX - 1;  // the step that the row with `asked` has
constexpr uint64_t kWorthATree = 1000;       // so many keys are not shipped only because the tree is not built yet
constexpr Duration kTreeInTime = Duration::seconds(60);
}  // namespace

// --- the side that serves --------------------------------------------------------------------------------------------

// REQUIRES: the turn has changed nothing, so that the tree is that of the snapshot.
void Stripe::Impl::serve_by_trees(const Partition& p, Serving& serving, const ExchangeMessage& m) const {
  serving.by_trees = m.tree && !m.raw && p.tree_ready;
  if (!serving.by_trees) return;
  serving.differing = p.tree.differences(*m.tree);
  if (!planted(Bug::kTreesForgetResets)) serving.remembering = p.tree.remembering();
}

// The snapshot is at a key with this hash. Steps over the buckets of which nothing is sent; returns whether it did.
bool Stripe::Impl::pass_equal_buckets(Serving& serving, PartitionId id, uint64_t hash) const {
  if (!serving.by_trees) return false;
  auto serves = [&](uint32_t bucket) { return serving.differing[bucket] || serving.remembering[bucket]; };
  uint32_t bucket = PartitionTree::bucket_of(hash, config_->partitions);
  if (serves(bucket)) return false;
  while (bucket < PartitionTree::kBuckets && !serves(bucket)) ++bucket;
  serving.rows->seek(bucket < PartitionTree::kBuckets
                         ? object_position(id, PartitionTree::first_hash(bucket, id.arc, config_->partitions))
                         : prefix_end(object_prefix(id)));
  return true;
}

bool Stripe::Impl::is_served(const Serving& serving, uint64_t hash, const crdt::EncodedLeaf& leaf) const {
  return !serving.by_trees || leaf.remembers() ||
         serving.differing[PartitionTree::bucket_of(hash, config_->partitions)];
}

// --- the side that asks ----------------------------------------------------------------------------------------------

// Whether a full exchange should wait until the tree is built: a start needs some time for that.
bool Stripe::Impl::awaits_tree(Partition& p) {
  if (p.tree_ready || p.quarantined || p.keys < kWorthATree || unreadable_.contains(p.id)) {
    p.awaits_tree.reset();
    return false;
  }
  if (!p.awaits_tree) p.awaits_tree = now_.instant;
  return now_.instant - *p.awaits_tree < kTreeInTime;
}

// With what the turn has changed so far, as in the clock.
void Stripe::Impl::offer_tree(const Partition& p, Repair& repair) {
  if (!p.tree_ready || p.quarantined || p.keys == 0) return;
  repair.by_trees = Repair::ByTrees();
  Repair::ByTrees& by_trees = *repair.by_trees;
  by_trees.asked = p.causal.clock;
  by_trees.shown = p.tree;
  store_.for_each_changed(p.id, [&](const ObjectStore::Changed& c) {
    by_trees.shown->change(PartitionTree::bucket_of(c.hash, config_->partitions), c.digest, c.resets);
  });
}

// False: the reply is nonsense.
bool Stripe::Impl::take_differing(Repair& repair, const ExchangeReplyMessage& m) {
  if (m.step != 0) return !m.differing;
  if (!m.differing) {
    repair.by_trees.reset();
    return true;
  }
  if (!repair.by_trees) return false;
  repair.by_trees->differing = *m.differing;
  ++stats_.full_exchanges_by_trees;
  stats_.full_exchange_buckets += m.differing->count();
  return true;
}

void Stripe::Impl::keep_asked(const Partition& p, const Repair::ByTrees& by_trees) {
  crdt::Causal asked;
  asked.clock = by_trees.asked;
  std::string causal;
  Encoder out(causal);
  asked.encode(out);
  ExchangeReplyMessage row;
  row.partition = p.id;
  row.step = kAsked;
  row.causal = causal;
  out_.batch.put(stage_row(p.id, kAsked), row.encode());
}

bool Stripe::Impl::is_asked_row(const ExchangeReplyMessage& m) {
  return m.step == kAsked;
}

// The joining begins, or begins anew.
Status Stripe::Impl::begin_by_trees(const Partition& p, Repair& repair, const ExchangeReplyMessage& first) {
  if (!first.differing) {
    repair.by_trees.reset();
    return Status::Ok();
  }
  if (!repair.by_trees) {  // of an earlier life
    std::string bytes;
    auto found = engine_.get(stage_row(p.id, kAsked), &bytes);
    if (!found.ok()) return found.status();
    auto row = *found ? ExchangeReplyMessage::decode(bytes) : Status::Corruption("a stage is missing");
    if (!row.ok()) return row.status();
    Decoder in(row->causal);
    crdt::Causal asked = crdt::Causal::decode(in);
    if (!in.done()) return Status::Corruption("a stage does not decode");
    repair.by_trees = Repair::ByTrees();
    repair.by_trees->asked = std::move(asked.clock);
  }
  repair.by_trees->differing = *first.differing;
  repair.by_trees->rows_joined = false;
  return Status::Ok();
}

bool Stripe::Impl::differs(const Repair& repair, uint64_t hash) const {
  return !repair.by_trees || repair.by_trees->differing[PartitionTree::bucket_of(hash, config_->partitions)];
}

// The least hash behind `hash` in a bucket that differs.
std::optional<uint64_t> Stripe::Impl::next_differing(const Partition& p, const Repair& repair, uint64_t hash) const {
  uint32_t bucket = PartitionTree::bucket_of(hash, config_->partitions) + 1;
  while (bucket < PartitionTree::kBuckets && !repair.by_trees->differing[bucket]) ++bucket;
  if (bucket == PartitionTree::kBuckets) return {};
  return PartitionTree::first_hash(bucket, p.id.arc, config_->partitions);
}

// Removes from the equal buckets what the window has, one of them in each call.
Status Stripe::Impl::join_equal_buckets(Partition& p, Repair& repair, bool* ended) {
  Repair::ByTrees& by_trees = *repair.by_trees;
  if (!by_trees.rows_joined) {
    by_trees.rows_joined = true;
    by_trees.bucket = 0;
    crdt::DotSet fresh = p.causal.clock.minus(by_trees.asked), unseen = fresh.minus(repair.snapshot.clock);
    unseen.subtract(repair.snapshot.voids);
    by_trees.window = fresh.minus(unseen);
  }
  *ended = false;
  uint32_t& bucket = by_trees.bucket;
  if (by_trees.window.empty() || planted(Bug::kTreesKeepDead)) bucket = PartitionTree::kBuckets;
  for (; bucket < PartitionTree::kBuckets; ++bucket) {
    if (by_trees.differing[bucket]) continue;
    if (by_trees.shown && p.tree_ready && p.tree.bucket(bucket) == by_trees.shown->bucket(bucket)) continue;
    return join_equal_bucket(p, repair, bucket++);
  }
  *ended = true;
  return Status::Ok();
}

Status Stripe::Impl::join_equal_bucket(Partition& p, Repair& repair, uint32_t bucket) {
  const crdt::DotSet& window = repair.by_trees->window;
  std::vector<std::pair<uint64_t, std::string>> keys;
  RETURN_IF_ERROR(keys_of_bucket(p, bucket, [&](uint64_t hash, const std::string& key, uint64_t) {
    keys.emplace_back(hash, key);
    return true;
  }));
  for (const auto& [hash, key] : keys) {
    auto object = store_.open(p.id, hash, key);
    if (!object.ok()) return object.status();
    std::vector<std::pair<std::string, crdt::Leaf>> changed;
    RETURN_IF_ERROR(store_.for_each(**object, "", [&](std::string_view path, const crdt::Leaf& leaf) {
      crdt::Leaf joined = leaf;
      std::erase_if(joined.entries, [&](const crdt::Entry& e) { return window.contains(e.dot); });
      std::erase_if(joined.chains, [&](const crdt::ActorChain& c) {
        const crdt::Dot dot{c.actor, c.chain.seq};
        return window.contains(dot) && repair.snapshot.clock.contains(dot);
      });
      if (repair.counting)
        count_leaf(repair, leaf, joined);
      else if (joined != leaf)
        changed.emplace_back(path, std::move(joined));
      return true;
    }));
    if (repair.counting) count_key(repair);
    for (auto& [path, leaf] : changed) {
      turn_dirty_ = true;
      RETURN_IF_ERROR(store_.update(**object, path, std::move(leaf)));
    }
  }
  return Status::Ok();
}

}  // namespace cartwheel::node
