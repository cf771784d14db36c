// The side of a tree exchange that is asked (tree_exchange.cc has the side that asks), and what operators are told.

#include <algorithm>
#include <set>

#include "base/planted.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

namespace {
constexpr size_t kDeferred = 256;  // messages that wait for the next turn; beyond it they are lost, and asked again
}  // namespace

// Whether the engine's rows are those of the clocks and the trees.
bool Stripe::Impl::rows_are_current() const {
  return !turn_dirty_ && turn_deltas_.empty();
}

// What comes in a turn that has changed something waits for the next one.
bool Stripe::Impl::defer_tree(NodeIndex from, std::string_view bytes) {
  if (rows_are_current()) return false;
  if (deferred_trees_.size() < kDeferred) deferred_trees_.emplace_back(from, bytes);
  return true;
}

void Stripe::Impl::take_deferred_trees() {
  while (!deferred_trees_.empty() && rows_are_current()) {
    auto [from, bytes] = std::move(deferred_trees_.front());
    deferred_trees_.pop_front();
    if (config_->nodes[from].removed()) continue;
    if (auto m = TreeMessage::decode(bytes); m.ok()) on_tree(from, *m);
    if (auto m = TreeReplyMessage::decode(bytes); m.ok()) on_tree_reply(from, *m);
  }
}

void Stripe::Impl::on_tree(NodeIndex from, const TreeMessage& m) {
  TreeReplyMessage reply;
  reply.id = m.id;
  reply.partition = m.partition;
  reply.step = m.step;
  TreeRows rows;
  Partition* p = find(m.partition);
  if (m.epoch != config_->epoch) {
    reply.outcome = TreeReplyMessage::Outcome::kMoved;
  } else if (m.step == TreeStep::kSummary) {
    std::vector<Partition*> shared = shared_with(from);
    const std::vector<uint64_t> mine = fingerprints(shared);
    if (m.numbers.size() != 1) return;
    if (m.numbers[0] != hash_numbers(mine)) {
      reply.numbers = mine;
      if (mine.empty()) return;
    }
  } else if (p == nullptr || !is_comparable(*p)) {
    reply.outcome = TreeReplyMessage::Outcome::kBusy;
  } else if (m.clock != clock_hash(*p) && !planted(Bug::kTreeIgnoresClock)) {
    reply.outcome = TreeReplyMessage::Outcome::kMoved;
  } else if (m.step == TreeStep::kPush) {
    return join_tree_rows(*p, m.rows);
  } else if (!answer_tree(*p, m, reply, rows).ok()) {
    return;  // the engine cannot be read, or nonsense was asked
  }
  if (m.step == TreeStep::kPush) return;
  if (p != nullptr) reply.clock = clock_hash(*p);
  reply.rows = rows.rows;
  send_tree(from, reply.encode());
}

Status Stripe::Impl::answer_tree(const Partition& p, const TreeMessage& m, TreeReplyMessage& reply, TreeRows& rows) {
  switch (m.step) {
    case TreeStep::kGroups:
      if (m.numbers.size() == 1 && m.numbers[0] == p.tree.root()) return Status::Ok();
      for (uint32_t g = 0; g < PartitionTree::kFanOut; ++g) reply.numbers.push_back(p.tree.group(g));
      return Status::Ok();
    case TreeStep::kBuckets:
      for (uint64_t group : m.numbers) {
        if (group >= PartitionTree::kFanOut) return Status::Corruption("no such group");
        for (uint32_t b = 0; b < PartitionTree::kFanOut; ++b) {
          reply.numbers.push_back(p.tree.bucket(static_cast<uint32_t>(group) * PartitionTree::kFanOut + b));
        }
      }
      return Status::Ok();
    case TreeStep::kKeys:
      return answer_keys(p, m.numbers, reply, rows);
    case TreeStep::kLeaves:
      for (size_t i = 0; i < m.slices.size() && rows.bytes < options_.catch_up_chunk_bytes; ++i) {
        auto compared = compare_slice(p, m.slices[i], rows, reply.wanted);
        if (!compared.ok()) return compared.status();
        if (!*compared) reply.numbers.push_back(i);
        ++reply.done;
      }
      return Status::Ok();
    case TreeStep::kSummary:
    case TreeStep::kPush:
      break;
  }
  return Status::Ok();
}

// --- what an operator asks for ---------------------------------------------------------------------------------------

// Has every partition compared with every other owner now, and again each second until all were found equal.
void Stripe::Impl::repair_now(std::optional<size_t> region) {
  repairing_now_ = wall_;
  for (NodeIndex n = 0; n < peers_.size(); ++n) {
    if (!region || *region == my_region_ || *region == region_of(n)) peers_[n].next_summary = now_.instant;
  }
  next_tree_ = now_.instant;
}

void Stripe::Impl::pause_repair(bool paused) {
  repair_paused_ = paused;
  tree_exchanges_.clear();
  if (tree_scan_ && !tree_scan_->builds) tree_scan_.reset();
  next_tree_ = next_scan_ = now_.instant;
}

TreeProgress Stripe::Impl::tree_progress(std::optional<uint16_t> keyspace, std::optional<size_t> region) {
  TreeProgress progress;
  progress.paused = repair_paused_;
  for (auto& [id, p] : partitions_) {
    if (by_arc_[id.keyspace][id.arc] != &p || p.move || (keyspace && *keyspace != id.keyspace)) continue;
    if (p.replicated()) ++(p.tree_ready ? progress.trees : progress.trees_to_build);
    if (std::count(p.owners.begin(), p.owners.end(), options_.self) == 0) continue;
    for (NodeIndex n : p.owners) {
      if (n <= options_.self || config_->nodes[n].removed()) continue;  // the other one asks
      if (region && *region != my_region_ && *region != region_of(n)) continue;
      ++progress.pairs;
      auto found = p.found_equal.find(n);
      if (repairing_now_ && found != p.found_equal.end() && found->second.ms >= repairing_now_->ms) ++progress.equal;
      if (found == p.found_equal.end()) {
        progress.never_compared = true;
      } else {
        progress.oldest = std::min(progress.oldest, found->second);
      }
    }
  }
  return progress;
}

std::vector<PartitionDigest> Stripe::Impl::partition_digests() {
  std::vector<PartitionDigest> out;
  const std::set<PartitionId> ahead = store_.changed_partitions();  // whose clock is ahead of the tree
  for (auto& [id, p] : partitions_) {
    if (by_arc_[id.keyspace][id.arc] != &p || p.leftover) continue;
    out.push_back({id, clock_hash(p), p.tree.root(), p.keys, is_comparable(p) && !ahead.contains(id)});
  }
  return out;
}

// --- the public face -------------------------------------------------------------------------------------------------

void Stripe::repair_now(Now now, std::optional<size_t> region) {
  impl_->begin_event(now);
  impl_->repair_now(region);
}

void Stripe::accept_losses(Now now) {
  impl_->begin_event(now);
  impl_->accept_losses();
}

void Stripe::pause_repair(bool paused, Now now) {
  impl_->begin_event(now);
  impl_->pause_repair(paused);
}

TreeProgress Stripe::tree_progress(std::optional<uint16_t> keyspace, std::optional<size_t> region) {
  return impl_->tree_progress(keyspace, region);
}

std::vector<PartitionDigest> Stripe::partition_digests() {
  return impl_->partition_digests();
}

Result<std::vector<uint64_t>> Stripe::bucket_hashes(PartitionId id) {
  const Partition* p = impl_->find(id);
  if (p == nullptr || !impl_->is_comparable(*p)) return Status(Code::kNotFound, "no tree of this partition");
  std::vector<uint64_t> hashes;
  for (uint32_t b = 0; b < PartitionTree::kBuckets; ++b) hashes.push_back(p->tree.bucket(b));
  return hashes;
}

Result<std::vector<std::pair<std::string, uint64_t>>> Stripe::bucket_keys(PartitionId id, uint32_t bucket,
                                                                          size_t limit) {
  const Partition* p = impl_->find(id);
  if (p == nullptr || !impl_->is_comparable(*p) || bucket >= PartitionTree::kBuckets) {
    return Status(Code::kNotFound, "no such bucket of this partition");
  }
  std::vector<std::pair<std::string, uint64_t>> keys;
  RETURN_IF_ERROR(impl_->keys_of_bucket(*p, bucket, [&](uint64_t, const std::string& key, uint64_t digest) {
    if (keys.size() < limit) keys.emplace_back(key, digest);
    return keys.size() < limit;
  }));
  return keys;
}

}  // namespace cartwheel::node
