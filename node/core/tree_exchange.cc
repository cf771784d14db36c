// The tree exchange: the background proof that two owners of a partition hold the same, and the repair where they do
// not, whatever the reason: rows that a disk lost or spoiled, a program's mistake. Of two nodes the one with the lower
// number asks, the other one answers and remembers nothing:
//   summary   one hash over all partitions that both own; when it is equal that was all
//   groups, buckets   down the tree of each partition that differs
//   keys      which keys of the differing buckets differ; those that the other side lacks go to it (tree_keys.cc)
//   leaves    which leaves of the others; what either lacks goes to it
// What a replica holds follows from its partition clock, so a difference at equal clocks is a fault, and one at unequal
// clocks is a write that is under way, which is none of this exchange's business (catch_up.cc). Every message carries a
// hash of the clock, and every step is answered, and its answer taken, only if both clocks are equal at that moment;
// otherwise the step is tried again a little later. So the exchange never takes a write in flight for a difference, and
// a replica that is behind never brings back what was removed.

#include <algorithm>
#include <unordered_set>

#include "base/hash.h"
#include "base/planted.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

namespace {

constexpr Duration kRetry = Duration::millis(20);  // after which writes under way may have arrived
constexpr int kTries = 10;                         // of one step; the next round begins anew
constexpr Duration kNoAnswer = Duration::seconds(3);
constexpr size_t kSlicesPerMessage = 512;
constexpr size_t kDigestsPerMessage = 8192;

}  // namespace

uint64_t Stripe::Impl::hash_numbers(const std::vector<uint64_t>& numbers) {
  std::string bytes;
  Encoder out(bytes);
  for (uint64_t n : numbers) out.u64(n);
  return hash64(bytes);
}

void Stripe::Impl::TreeRows::add(std::string_view key, std::string_view path, const crdt::Leaf& leaf) {
  std::string encoded;
  Encoder out(encoded);
  leaf.encode(out);
  auto keep = [&](std::string_view view) { return std::string_view(kept.emplace_back(view)); };
  bytes += key.size() + path.size() + encoded.size();
  rows.push_back({keep(key), keep(path), keep(encoded)});
}

void Stripe::Impl::TreeRows::add_object(std::string_view key, std::string_view encoded) {
  const std::string_view key_here = kept.emplace_back(key);
  Decoder in(kept.emplace_back(encoded));
  crdt::EncodedObject object(in);
  while (object.next()) {
    if (!object.leaf().visible) continue;
    bytes += key.size() + object.path().size() + object.leaf().bytes.size();
    rows.push_back({key_here, object.path(), object.leaf().bytes});
  }
}

uint64_t Stripe::Impl::clock_hash(const Partition& p) {
  return p.causal.clock.hash();
}

// Whether the tree here says something about the partition's clock.
bool Stripe::Impl::is_comparable(const Partition& p) const {
  auto repair = repairs_.find(p.id);
  const bool joins = repair != repairs_.end() && repair->second.joining;
  return p.tree_ready && !p.loading && !p.quarantined && !joins && p.skip.empty();
}

// The partitions that this node and `peer` own for good, in the same order there if the configuration is the same.
std::vector<Partition*> Stripe::Impl::shared_with(NodeIndex peer) {
  std::vector<Partition*> shared;
  for (auto& [id, p] : partitions_) {
    if (by_arc_[id.keyspace][id.arc] == &p && !p.move && contains(p.owners, options_.self) && contains(p.owners, peer))
      shared.push_back(&p);
  }
  return shared;
}

// Of each of them, 0 where there is nothing to compare.
std::vector<uint64_t> Stripe::Impl::fingerprints(const std::vector<Partition*>& partitions) const {
  std::vector<uint64_t> out;
  out.reserve(partitions.size());
  for (const Partition* p : partitions) {
    out.push_back(is_comparable(*p) ? hash_numbers({clock_hash(*p), p->tree.root()}) | 1 : 0);
  }
  return out;
}

void Stripe::Impl::send_tree(NodeIndex to, std::string bytes) {
  stats_.tree_bytes_sent += bytes.size();
  ++stats_.tree_messages_sent;
  tree_budget_.take(bytes.size());
  send(to, std::move(bytes));
}

// --- asking ----------------------------------------------------------------------------------------------------------

// Only at the beginning of a turn, when the trees are those of the clocks.
void Stripe::Impl::tick_trees() {
  next_tree_ = now_.instant + options_.tree_interval;
  if (repair_paused_) return;
  for (NodeIndex n = options_.self + 1; n < peers_.size(); ++n) {
    PeerState& peer = peers_[n];
    if (!peer.reachable || config_->nodes[n].removed()) continue;
    if (peer.next_summary <= now_.instant) {
      peer.next_summary = now_.instant + (repairing_now_ ? Duration::seconds(1) : options_.tree_interval);
      send_summary(n);
    }
    next_tree_ = std::min(next_tree_, peer.next_summary);
  }
  for (auto it = tree_exchanges_.begin(); it != tree_exchanges_.end();) {
    TreeExchange& x = (it++)->second;
    if (now_.instant - x.last_progress > kNoAnswer || !peers_[x.peer].reachable) {
      tree_exchanges_.erase(x.partition);
      continue;
    }
    if (x.retry_at && *x.retry_at <= now_.instant) {
      x.retry_at.reset();
      ask_tree(x);
    } else if (x.retry_at) {
      next_tree_ = std::min(next_tree_, *x.retry_at);
    }
  }
}

void Stripe::Impl::send_summary(NodeIndex to) {
  std::vector<Partition*> shared = shared_with(to);
  if (shared.empty()) return;
  TreeMessage m;
  m.id = peers_[to].summary_id = next_id_++;
  m.epoch = config_->epoch;
  m.numbers = {hash_numbers(fingerprints(shared))};
  ++stats_.tree_summaries;
  send_tree(to, m.encode());
}

void Stripe::Impl::on_summary_reply(NodeIndex from, const TreeReplyMessage& m) {
  if (m.id != peers_[from].summary_id || m.outcome != TreeReplyMessage::Outcome::kOk) return;
  peers_[from].summary_id = 0;
  std::vector<Partition*> shared = shared_with(from);
  const std::vector<uint64_t> mine = fingerprints(shared);
  if (!m.numbers.empty() && m.numbers.size() != shared.size()) return;
  for (size_t i = 0; i < shared.size(); ++i) {
    // What was equal when it was asked may have gone on since: it was equal then.
    if (m.numbers.empty() || (mine[i] != 0 && mine[i] == m.numbers[i])) {
      if (mine[i] != 0) shared[i]->found_equal[from] = wall_;
    } else if (mine[i] != 0 && m.numbers[i] != 0) {
      begin_tree_exchange(*shared[i], from);
    }
  }
}

void Stripe::Impl::begin_tree_exchange(Partition& p, NodeIndex with) {
  if (tree_exchanges_.contains(p.id) || tree_exchanges_.size() >= limits::kRepairs) return;
  TreeExchange& x = tree_exchanges_[p.id];
  x.partition = p.id;
  x.peer = with;
  x.step = TreeStep::kGroups;
  ask_tree(x);
}

// Asks for the exchange's step, with what there is to ask about, or ends it. May erase `x`.
void Stripe::Impl::ask_tree(TreeExchange& x) {
  Partition* p = find(x.partition);
  if (p == nullptr || !is_comparable(*p)) {
    tree_exchanges_.erase(x.partition);
    return;
  }
  x.last_progress = now_.instant;
  if (options_.tree_bytes_per_second > 0 && !tree_budget_.may_take(now_.instant)) {
    x.retry_at = now_.instant + std::max(Duration::millis(1), tree_budget_.paid_back_in());
    next_tree_ = std::min(next_tree_, *x.retry_at);
    return;
  }
  TreeMessage m;
  m.id = x.id = next_id_++;
  m.partition = x.partition;
  m.step = x.step;
  m.epoch = config_->epoch;
  m.clock = clock_hash(*p);
  switch (x.step) {
    case TreeStep::kSummary:
    case TreeStep::kPush:
      break;
    case TreeStep::kGroups:
      if (turn_dirty_ || !turn_deltas_.empty()) {  // the tree is not yet that of the clock
        x.retry_at = next_tree_ = now_.instant;
        return;
      }
      m.numbers = {p->tree.root()};
      break;
    case TreeStep::kBuckets:
      m.numbers = x.groups;
      break;
    case TreeStep::kKeys:
      if (x.asking.empty()) {
        if (!rows_are_current()) {
          x.retry_at = next_tree_ = now_.instant;
          return;
        }
        if (!look_here(*p, x).ok()) {
          tree_exchanges_.erase(x.partition);
          return;
        }
        if (x.asking.empty()) {  // all was found here; the next turn goes on
          if (x.buckets.empty()) x.step = TreeStep::kLeaves;
          x.retry_at = next_tree_ = now_.instant;
          return;
        }
      }
      for (const TreeBucket& b : x.asking) {
        m.numbers.push_back(b.bucket);
        m.numbers.push_back(x.rounds == 0 ? b.difference : 0);
      }
      break;
    case TreeStep::kLeaves:
      if (!fill_slices(*p, x).ok()) {
        tree_exchanges_.erase(x.partition);
        return;
      }
      if (x.sent.empty()) {  // nothing is left: is all equal now?
        x.step = TreeStep::kGroups;
        x.groups.clear();
        if (++x.rounds > 2) {
          tree_exchanges_.erase(x.partition);
          return;
        }
        return ask_tree(x);
      }
      m.slices = x.sent;
      break;
  }
  send_tree(x.peer, m.encode());
}

// Takes from what is to be compared as much as a message may hold.
Status Stripe::Impl::fill_slices(const Partition& p, TreeExchange& x) {
  size_t digests = 0;
  while (!x.slices.empty() && x.sent.size() < kSlicesPerMessage && digests < kDigestsPerMessage) {
    TreeSlice slice = std::move(x.slices.front());
    x.slices.pop_front();
    const uint64_t end = slice.to;
    RETURN_IF_ERROR(fill_slice(p, slice));
    digests += slice.digests.size();
    if (slice.to < end) x.slices.push_front({slice.hash, slice.to + 1, end, false, 0, {}});
    x.sent.push_back(std::move(slice));
  }
  return Status::Ok();
}

void Stripe::Impl::on_tree_reply(NodeIndex from, const TreeReplyMessage& m) {
  if (m.step == TreeStep::kSummary) return on_summary_reply(from, m);
  auto it = tree_exchanges_.find(m.partition);
  Partition* p = find(m.partition);
  if (p == nullptr || it == tree_exchanges_.end()) return;
  TreeExchange& x = it->second;
  if (x.id != m.id || x.peer != from || x.step != m.step || x.retry_at) return;
  x.last_progress = now_.instant;
  const bool equal_clocks = m.clock == clock_hash(*p) || planted(Bug::kTreeIgnoresClock);
  if (m.outcome == TreeReplyMessage::Outcome::kBusy || !is_comparable(*p)) {
    tree_exchanges_.erase(it);
    return;
  }
  if (m.outcome == TreeReplyMessage::Outcome::kMoved || !equal_clocks) {
    for (auto slice = x.sent.rbegin(); slice != x.sent.rend(); ++slice) x.slices.push_front(std::move(*slice));
    x.sent.clear();
    if (++x.tries > kTries) {
      tree_exchanges_.erase(it);
      return;
    }
    x.retry_at = now_.instant + kRetry;
    next_tree_ = std::min(next_tree_, *x.retry_at);
    return;
  }
  x.tries = 0;
  switch (m.step) {
    case TreeStep::kGroups:
      return on_groups(*p, x, m);
    case TreeStep::kBuckets:
      return on_buckets(*p, x, m);
    case TreeStep::kKeys:
      return on_keys(*p, x, m);
    case TreeStep::kLeaves:
      return on_leaves(*p, x, m);
    case TreeStep::kSummary:
    case TreeStep::kPush:
      return;
  }
}

void Stripe::Impl::on_groups(Partition& p, TreeExchange& x, const TreeReplyMessage& m) {
  x.groups.clear();
  for (uint32_t g = 0; g < PartitionTree::kFanOut && m.numbers.size() == PartitionTree::kFanOut; ++g) {
    if (m.numbers[g] != p.tree.group(g)) x.groups.push_back(g);
  }
  if (x.groups.empty()) {
    if (m.numbers.empty() || m.numbers.size() == PartitionTree::kFanOut) p.found_equal[x.peer] = wall_;
    tree_exchanges_.erase(x.partition);
    return;
  }
  ++stats_.tree_differences;
  x.step = TreeStep::kBuckets;
  ask_tree(x);
}

void Stripe::Impl::on_buckets(Partition& p, TreeExchange& x, const TreeReplyMessage& m) {
  x.buckets.clear();
  x.asking.clear();
  if (m.numbers.size() == x.groups.size() * PartitionTree::kFanOut) {
    for (size_t i = 0; i < m.numbers.size(); ++i) {
      const auto bucket = static_cast<uint32_t>(x.groups[i / PartitionTree::kFanOut] * PartitionTree::kFanOut +
                                                i % PartitionTree::kFanOut);
      const uint64_t difference = m.numbers[i] ^ p.tree.bucket(bucket);
      if (difference != 0) x.buckets.push_back({bucket, difference});
    }
  }
  x.step = x.buckets.empty() ? TreeStep::kGroups : TreeStep::kKeys;
  x.slices.clear();
  ask_tree(x);
}

void Stripe::Impl::on_leaves(Partition& p, TreeExchange& x, const TreeReplyMessage& m) {
  std::vector<TreeSlice> sent = std::move(x.sent);
  x.sent.clear();
  const size_t looked = std::min<size_t>(m.done, sent.size());
  if (looked == 0) {
    tree_exchanges_.erase(x.partition);
    return;
  }
  // What the other side lacks, before what it has is joined here.
  TreeRows rows;
  std::unordered_set<uint64_t> wanted(m.wanted.begin(), m.wanted.end());
  for (size_t i = 0; i < looked && !wanted.empty(); ++i) {
    if (sent[i].listed && !pick_rows(p, sent[i], wanted, rows).ok()) break;
  }
  for (size_t i = sent.size(); i-- > looked;) x.slices.push_front(std::move(sent[i]));
  for (size_t i = m.numbers.size(); i-- > 0;) {
    if (m.numbers[i] >= looked) continue;
    TreeSlice& slice = sent[m.numbers[i]];
    slice.listed = true;
    x.slices.push_front(std::move(slice));
  }
  push_rows(p, x.peer, rows);
  join_tree_rows(p, m.rows);
  ask_tree(x);
}

}  // namespace cartwheel::node
