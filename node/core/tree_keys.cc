// The step of a tree exchange from buckets that differ to keys that differ, straight from the engine's rows.
//
// Mostly one side has lost some keys. Then the XOR of a bucket's hashes on both sides is that of the digests of these
// keys, and who has them finds out which they are from its own rows alone, and sends them. The asker tries that first
// and asks about the buckets of which it finds nothing; the side that is asked tries it too. What is left both sides
// list with digests; there a key that one side does not have at all is sent as it stands in its row, and all others
// are compared leaf by leaf (tree_leaves.cc).

#include <algorithm>
#include <unordered_set>

#include "node/core/stripe_impl.h"
#include "node/core/xor_subset.h"

namespace cartwheel::node {

namespace {
constexpr size_t kBucketsPerMessage = 256;
constexpr size_t kKeysPerLook = 8192;  // that one turn looks at here before the other side is asked
constexpr size_t kFewBuckets = 8;      // too few to say where it is that keys are lacking
}  // namespace

// The keys of a bucket that show anything. REQUIRES: rows_are_current(), here and below.
Result<std::vector<Stripe::Impl::ListedKey>> Stripe::Impl::list_bucket(const Partition& p, uint32_t bucket,
                                                                       ObjectListing& rows) {
  std::vector<ListedKey> keys;
  Status status = rows.seek(PartitionTree::first_hash(bucket, p.id.arc, config_->partitions));
  while (status.ok() && rows.valid() && PartitionTree::bucket_of(rows.hash(), config_->partitions) == bucket) {
    auto header = rows.header();
    if (!header.ok()) {
      status = header.status();
      break;
    }
    if (header->digest() != 0) keys.push_back({rows.hash(), header->digest(), header->exploded});
    status = rows.next();
  }
  if (status.ok()) return keys;
  store_.note_unreadable(p.id, status);
  return status;
}

// Adds what a key that was listed shows. REQUIRES: it is not a large object.
Status Stripe::Impl::add_key(const Partition& p, const ListedKey& key, ObjectListing& rows, TreeRows& to) {
  Status status = rows.seek(key.hash);
  for (; status.ok() && rows.valid() && rows.hash() == key.hash; status = rows.next()) {
    auto header = rows.header();
    if (!header.ok()) {
      status = header.status();
      break;
    }
    if (header->digest() != key.digest) continue;  // another key of the same hash
    to.add_object(rows.key(), header->object);
    break;
  }
  if (!status.ok()) store_.note_unreadable(p.id, status);
  return status;
}

// If the difference of a bucket's hashes is that the other side lacks some of its `keys` as a whole, these are found
// without a look at the other side, and go to `lacking`.
Result<bool> Stripe::Impl::add_lacking(const Partition& p, const std::vector<ListedKey>& keys, uint64_t difference,
                                       ObjectListing& rows, TreeRows& lacking) {
  if (difference == 0) return false;
  std::vector<uint64_t> digests;
  digests.reserve(keys.size());
  for (const ListedKey& key : keys) digests.push_back(key.digest);
  const auto found = xor_subset(digests, difference);
  if (!found || std::any_of(found->begin(), found->end(), [&](uint32_t i) { return keys[i].exploded; })) return false;
  for (uint32_t i : *found) RETURN_IF_ERROR(add_key(p, keys[i], rows, lacking));
  return true;
}

// Chooses the buckets to ask about next, and sends what the other side is found to lack of some of them without asking.
Status Stripe::Impl::look_here(const Partition& p, TreeExchange& x) {
  TreeRows push;
  ObjectListing rows(engine_, p.id);
  size_t looked = 0, found = 0, keys = 0;
  while (!x.buckets.empty() && x.asking.size() < kBucketsPerMessage && keys < kKeysPerLook &&
         push.bytes < options_.catch_up_chunk_bytes) {
    const TreeBucket b = x.buckets.front();
    x.buckets.pop_front();
    // In a later round the difference was not what it seemed to be.
    if (!x.asks_first && x.rounds == 0) {
      auto listed = list_bucket(p, b.bucket, rows);
      if (!listed.ok()) return listed.status();
      keys += listed->size();
      auto all = add_lacking(p, *listed, b.difference, rows, push);
      if (!all.ok()) return all.status();
      ++looked;
      found += *all;
      if (*all) continue;
      x.asks_first = looked >= kFewBuckets && found * 2 < looked;
    }
    x.asking.push_back(b);
  }
  push_rows(p, x.peer, push);
  return Status::Ok();
}

// Of one bucket after the other, as many as a message may hold: the rows that the asker lacks, if that was all, or else
// the hashes and digests of its keys.
Status Stripe::Impl::answer_keys(const Partition& p, const std::vector<uint64_t>& numbers, TreeReplyMessage& reply,
                                 TreeRows& lacking) {
  ObjectListing rows(engine_, p.id);
  for (size_t i = 0; i + 1 < numbers.size(); i += 2) {
    if (numbers[i] >= PartitionTree::kBuckets) return Status::Corruption("no such bucket");
    if (reply.numbers.size() * 8 + lacking.bytes > options_.catch_up_chunk_bytes) break;
    auto keys = list_bucket(p, static_cast<uint32_t>(numbers[i]), rows);
    if (!keys.ok()) return keys.status();
    auto all = add_lacking(p, *keys, numbers[i + 1], rows, lacking);
    if (!all.ok()) return all.status();
    if (*all) {
      reply.wanted.push_back(i / 2);
    } else {
      for (const ListedKey& key : *keys) {
        reply.numbers.push_back(key.hash);
        reply.numbers.push_back(key.digest);
      }
    }
    ++reply.done;
  }
  return Status::Ok();
}

// Compares the first `looked` buckets with the other side's lists. What it does not have at all is sent to it, as much
// as a message may hold; the other keys that differ are to be compared leaf by leaf.
Status Stripe::Impl::compare_keys(const Partition& p, TreeExchange& x, const TreeReplyMessage& m, size_t looked) {
  // By key hash: the XOR of the digests on both sides. Keys of one hash are compared together.
  std::vector<std::pair<uint64_t, uint64_t>> theirs;
  theirs.reserve(m.numbers.size() / 2);
  for (size_t i = 0; i + 1 < m.numbers.size(); i += 2) {
    if (arc_of_hash(m.numbers[i], config_->partitions) == p.id.arc) theirs.emplace_back(m.numbers[i], m.numbers[i + 1]);
  }
  std::sort(theirs.begin(), theirs.end());
  auto at = theirs.begin();
  auto differs = [&](uint64_t hash) {
    if (x.slices.empty() || x.slices.back().hash != hash) x.slices.push_back({hash, 0, UINT64_MAX, false, 0, {}});
  };
  auto pass_until = [&](uint64_t hash) {
    for (; at != theirs.end() && at->first < hash; ++at) {
      if (at->second != 0) differs(at->first);
    }
  };
  const std::unordered_set<uint64_t> sent_whole(m.wanted.begin(), m.wanted.end());
  TreeRows push;
  ObjectListing rows(engine_, p.id), again(engine_, p.id);
  for (size_t i = 0; i < looked; ++i) {
    if (sent_whole.contains(i)) continue;
    auto keys = list_bucket(p, x.asking[i].bucket, rows);
    if (!keys.ok()) return keys.status();
    for (const ListedKey& key : *keys) {
      pass_until(key.hash);
      if (at != theirs.end() && at->first == key.hash) {
        at->second ^= key.digest;
      } else if (key.exploded || push.bytes >= options_.catch_up_chunk_bytes) {
        differs(key.hash);
      } else {
        RETURN_IF_ERROR(add_key(p, key, again, push));
      }
    }
  }
  pass_until(UINT64_MAX);
  if (at != theirs.end() && at->second != 0) differs(at->first);
  push_rows(p, x.peer, push);
  return Status::Ok();
}

void Stripe::Impl::on_keys(Partition& p, TreeExchange& x, const TreeReplyMessage& m) {
  const size_t looked = std::min<size_t>(m.done, x.asking.size());
  if (looked == 0 || !compare_keys(p, x, m, looked).ok()) {
    tree_exchanges_.erase(x.partition);
    return;
  }
  x.asking.erase(x.asking.begin(), x.asking.begin() + static_cast<long>(looked));
  if (x.asking.empty() && x.buckets.empty()) x.step = TreeStep::kLeaves;
  join_tree_rows(p, m.rows);
  ask_tree(x);
}

// Rows that the other side lacks. REQUIRES: they are those of the clock here.
void Stripe::Impl::push_rows(const Partition& p, NodeIndex to, const TreeRows& rows) {
  if (rows.rows.empty()) return;
  TreeMessage push;
  push.id = next_id_++;
  push.partition = p.id;
  push.step = TreeStep::kPush;
  push.epoch = config_->epoch;
  push.clock = clock_hash(p);
  push.rows = rows.rows;
  send_tree(to, push.encode());
}

// Also within a turn that has changed something, which the exchange never is.
Status Stripe::Impl::keys_of_bucket(
    const Partition& p, uint32_t bucket,
    const std::function<bool(uint64_t hash, const std::string& key, uint64_t digest)>& visit) {
  const uint64_t first = PartitionTree::first_hash(bucket, p.id.arc, config_->partitions);
  std::vector<std::pair<uint64_t, std::string>> keys;
  RETURN_IF_ERROR(store_.for_each_key(p.id, first, [&](uint64_t hash, std::string_view key) {
    if (PartitionTree::bucket_of(hash, config_->partitions) != bucket) return false;
    keys.emplace_back(hash, key);
    return true;
  }));
  for (const auto& [hash, key] : keys) {
    auto object = store_.open(p.id, hash, key);
    if (!object.ok()) return object.status();
    if (const uint64_t digest = (*object)->digest(); digest != 0 && !visit(hash, key, digest)) break;
  }
  return Status::Ok();
}

}  // namespace cartwheel::node
