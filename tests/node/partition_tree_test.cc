#include "node/core/partition_tree.h"

#include <gtest/gtest.h>

#include <map>

#include "base/rng.h"
#include "node/core/cluster.h"
#include "node/core/message.h"
#include "node/core/tree_message.h"

namespace cartwheel::node {
namespace {

TEST(PartitionTree, ItsSumsAreThoseOfTheLeavesWhateverTheOrderOfChanges) {
  Rng rng(1);
  for (int round = 0; round < 50; ++round) {
    PartitionTree tree;
    std::map<uint32_t, uint64_t> buckets;
    std::vector<std::pair<uint32_t, uint64_t>> leaves;
    for (int i = 0; i < 300; ++i) {
      if (!leaves.empty() && rng.chance(0.3)) {
        size_t gone = rng.below(leaves.size());
        tree.change(leaves[gone].first, leaves[gone].second);
        leaves.erase(leaves.begin() + static_cast<long>(gone));
        continue;
      }
      leaves.emplace_back(static_cast<uint32_t>(rng.below(PartitionTree::kBuckets)), rng.next());
      tree.change(leaves.back().first, leaves.back().second);
    }
    uint64_t root = 0;
    std::map<uint32_t, uint64_t> groups;
    for (const auto& [bucket, digest] : leaves) {
      buckets[bucket] ^= digest;
      groups[bucket / PartitionTree::kFanOut] ^= digest;
      root ^= digest;
    }
    EXPECT_EQ(tree.root(), root);
    for (uint32_t b = 0; b < PartitionTree::kBuckets; ++b) ASSERT_EQ(tree.bucket(b), buckets[b]);
    for (uint32_t g = 0; g < PartitionTree::kFanOut; ++g) ASSERT_EQ(tree.group(g), groups[g]);
    auto decoded = PartitionTree::decode(tree.encode());
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(*decoded, tree);
    PartitionTree twice = tree;
    twice.merge(tree);
    EXPECT_EQ(twice, PartitionTree());
  }
}

TEST(PartitionTree, ABucketsKeysAreOneRangeOfHashes) {
  Rng rng(2);
  for (uint32_t partitions : {1u, 8u, 1024u}) {
    for (int i = 0; i < 2000; ++i) {
      const uint64_t hash = rng.next();
      const uint32_t arc = arc_of_hash(hash, partitions), bucket = PartitionTree::bucket_of(hash, partitions);
      ASSERT_LE(PartitionTree::first_hash(bucket, arc, partitions), hash);
      if (bucket + 1 < PartitionTree::kBuckets) {
        ASSERT_LT(hash, PartitionTree::first_hash(bucket + 1, arc, partitions));
      }
      const uint64_t first = PartitionTree::first_hash(bucket, arc, partitions);
      ASSERT_EQ(arc_of_hash(first, partitions), arc);
      ASSERT_EQ(PartitionTree::bucket_of(first, partitions), bucket);
    }
  }
}

TEST(PartitionTree, RefusesATreeOfAnotherSize) {
  for (size_t buckets :
       {1u, PartitionTree::kBuckets - 1, PartitionTree::kBuckets + 1, 2 * PartitionTree::kBuckets + 1}) {
    EXPECT_FALSE(PartitionTree::decode("\2" + std::string(8 * buckets, '\1')).ok()) << buckets;
  }
  EXPECT_FALSE(PartitionTree::decode("").ok());
  EXPECT_FALSE(PartitionTree::decode(std::string(8 * PartitionTree::kBuckets, '\1')).ok()) << "without its format";
  EXPECT_TRUE(PartitionTree::decode("\2").ok());
}

TEST(PartitionTree, RememberedResetsAreKeptBesideTheHashesAndNeverShown) {
  PartitionTree tree;
  tree.change(5, 50);
  const std::string shown = tree.encode_shown();
  tree.change(5, 0, 7);
  tree.change(900, 0, 9);
  EXPECT_EQ(tree.encode_shown(), shown);
  EXPECT_EQ(tree.root(), 50u);
  EXPECT_EQ(tree.remembering().count(), 2u);
  EXPECT_TRUE(tree.remembering()[900]);
  auto decoded = PartitionTree::decode(tree.encode());
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(*decoded, tree);
  PartitionTree merged;
  merged.merge(tree);
  EXPECT_EQ(merged, tree);
  tree.change(900, 0, 9);
  EXPECT_FALSE(merged == tree);
  EXPECT_EQ(tree.remembering().count(), 1u);
}

TEST(PartitionTree, WhatIsShownTellsInWhichBucketsTwoTreesDiffer) {
  PartitionTree mine, theirs;
  for (uint32_t b = 0; b < PartitionTree::kBuckets; b += 3) mine.change(b, b + 1), theirs.change(b, b + 1);
  theirs.change(9, 4);
  theirs.change(1023, 4);
  mine.change(10, 4);
  auto shown = PartitionTree::decode_shown(mine.encode_shown());
  ASSERT_TRUE(shown.ok());
  EXPECT_EQ(*shown, mine);
  const PartitionTree::Buckets found = theirs.differences(*shown);
  EXPECT_EQ(found.count(), 3u);
  EXPECT_TRUE(found[9] && found[10] && found[1023]);
  const std::string one("\0\5hhhhhhhh", 10), before("\0\4hhhhhhhh", 10);
  EXPECT_TRUE(PartitionTree::decode_shown(before + one).ok());
  EXPECT_FALSE(PartitionTree::decode_shown(one + before).ok());
  EXPECT_FALSE(PartitionTree::decode_shown(one + one).ok());
  EXPECT_FALSE(PartitionTree::decode_shown(one.substr(1)).ok());
  EXPECT_FALSE(PartitionTree::decode_shown(std::string("\4\0hhhhhhhh", 10)).ok()) << "no such bucket";
  EXPECT_FALSE(PartitionTree::decode_shown(std::string("\0\5\0\0\0\0\0\0\0\0", 10)).ok()) << "0 is not shown";
}

TEST(TreeMessage, ComesBackAsItWasSentAndCutShortItIsRefused) {
  TreeMessage m;
  m.id = 7;
  m.partition = {1, 5};
  m.step = TreeStep::kLeaves;
  m.epoch = 3;
  m.clock = 99;
  m.numbers = {1, UINT64_MAX};
  m.slices = {{5, 0, 9, true, 4, {1, 2}}, {6, 10, UINT64_MAX, false, 8, {}}};
  m.rows = {{"key", "path", "leaf"}};
  const std::string bytes = m.encode();
  EXPECT_EQ(message_type(bytes), MessageType::kTree);
  auto back = TreeMessage::decode(bytes);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->encode(), bytes);
  TreeReplyMessage reply{
      7, {1, 5}, TreeStep::kKeys, TreeReplyMessage::Outcome::kMoved, 3, {1}, {2, 3}, {{"k", "p", "l"}}, 4};
  const std::string reply_bytes = reply.encode();
  auto reply_back = TreeReplyMessage::decode(reply_bytes);
  ASSERT_TRUE(reply_back.ok());
  EXPECT_EQ(reply_back->encode(), reply_bytes);
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(TreeMessage::decode(bytes.substr(0, n)).ok()) << n;
  for (size_t n = 0; n < reply_bytes.size(); ++n) EXPECT_FALSE(TreeReplyMessage::decode(reply_bytes.substr(0, n)).ok());
}

}  // namespace
}  // namespace cartwheel::node
