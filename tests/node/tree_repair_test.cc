// Repair by hash trees: rows that a disk loses or spoils behind the stripe's back come back from another owner.
#include <gtest/gtest.h>

#include "base/hash.h"
#include "crdt/path.h"
#include "node/core/message.h"
#include "node/core/object_store.h"
#include "tests/node/stripe_cluster.h"

namespace cartwheel::node {
namespace {

StripeOptions quick() {
  StripeOptions options;
  options.tree_interval = Duration::millis(500);
  options.cache_bytes = 0;  // what is read is what the engine has
  return options;
}

std::string base_of(const StripeCluster& cluster, const std::string& key) {
  const uint64_t hash = hash64(key);
  return object_base({0, arc_of_hash(hash, cluster.config().partitions)}, hash, key);
}

// Takes the rows of `key` away at node `n`.
void lose(StripeCluster& cluster, NodeIndex n, const std::string& key) {
  storage::WriteBatch batch;
  const std::string base = base_of(cluster, key);
  batch.erase_range(base, prefix_end(base));
  ASSERT_TRUE(cluster.engine(n).write(std::move(batch)).ok());
}

uint64_t repaired(StripeCluster& cluster) {
  uint64_t sum = 0;
  for (NodeIndex n = 0; n < cluster.size(); ++n) sum += cluster[n].stats().tree_keys_repaired;
  return sum;
}

bool all_equal(StripeCluster& cluster) {
  for (NodeIndex n = 0; n < cluster.size(); ++n) {
    const TreeProgress progress = cluster[n].tree_progress();
    if (progress.trees_to_build > 0 || progress.equal != progress.pairs) return false;
  }
  return true;
}

void compare_now(StripeCluster& cluster, int seconds = 20) {
  for (NodeIndex n = 0; n < cluster.size(); ++n) cluster[n].repair_now(cluster.now());
  for (int i = 0; i < seconds * 10 && !all_equal(cluster); ++i) cluster.run(Duration::millis(100));
}

TEST(TreeRepair, EqualReplicasProveItAndRepairNothing) {
  StripeCluster cluster({3, 2}, "local_quorum", quick());
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(
        cluster
            .call(static_cast<NodeIndex>(i % 5), op(Verb::kSetAdd, "s" + std::to_string(i % 40), {std::to_string(i)}))
            .status.ok());
  }
  cluster.run(Duration::seconds(2));
  compare_now(cluster);
  EXPECT_TRUE(all_equal(cluster));
  EXPECT_EQ(repaired(cluster), 0u);
  EXPECT_GT(cluster[0].tree_progress().pairs, 0u);
}

TEST(TreeRepair, APausedRepairComparesNothingUntilItIsResumed) {
  StripeCluster cluster({2}, "one", quick());
  for (int i = 0; i < 20; ++i) cluster.call(0, op(Verb::kSet, "k" + std::to_string(i), {"v"}));
  cluster.run(Duration::seconds(2));
  for (NodeIndex n = 0; n < 2; ++n) cluster[n].pause_repair(true, cluster.now());
  const uint64_t sent = cluster[0].stats().tree_messages_sent, rows = cluster[0].stats().scanned_rows;
  cluster[0].repair_now(cluster.now());
  cluster.run(Duration::seconds(5));
  EXPECT_EQ(cluster[0].stats().tree_messages_sent, sent);
  EXPECT_EQ(cluster[0].stats().scanned_rows, rows);
  EXPECT_TRUE(cluster[0].tree_progress().paused);
  for (NodeIndex n = 0; n < 2; ++n) cluster[n].pause_repair(false, cluster.now());
  compare_now(cluster);
  EXPECT_TRUE(all_equal(cluster));
}

TEST(TreeRepair, TakesNoMoreBytesASecondThanItMay) {
  StripeOptions slow = quick();
  slow.tree_bytes_per_second = 20'000;
  StripeCluster cluster({2}, "one", slow);
  for (int i = 0; i < 400; ++i) cluster.call(0, op(Verb::kSet, "k" + std::to_string(i), {std::string(200, 'v')}));
  cluster.run(Duration::seconds(2));
  compare_now(cluster);
  for (int i = 0; i < 400; ++i) lose(cluster, 1, "k" + std::to_string(i));
  cluster.kill(1);
  cluster.boot(1);
  const uint64_t before = cluster[0].stats().tree_bytes_sent + cluster[1].stats().tree_bytes_sent;
  const Instant since = cluster.now().instant;
  cluster.run(Duration::seconds(1));
  for (NodeIndex n = 0; n < 2; ++n) cluster[n].repair_now(cluster.now());
  while (!all_equal(cluster)) cluster.run(Duration::millis(100));
  const auto bytes =
      static_cast<double>(cluster[0].stats().tree_bytes_sent + cluster[1].stats().tree_bytes_sent - before);
  const double seconds = static_cast<double>((cluster.now().instant - since).us) / 1e6;
  EXPECT_EQ(repaired(cluster), 400u);
  EXPECT_GT(bytes, 80'000);
  // What a second may take is saved up at most, and one step may go beyond.
  EXPECT_GT(seconds, bytes / 20'000 - 4) << bytes << " bytes";
}

TEST(TreeRepair, OfARegionCountsTheComparisonsWithAnOwnerThere) {
  StripeCluster cluster({2, 1}, "local_quorum", quick());
  EXPECT_EQ(cluster[0].tree_progress().pairs, 2u * 8) << "with its neighbour and with the other region";
  EXPECT_EQ(cluster[0].tree_progress({}, 1).pairs, 8u);
  EXPECT_EQ(cluster[1].tree_progress({}, 1).pairs, 8u);
  EXPECT_EQ(cluster[1].tree_progress({}, 0).pairs, 8u);
}

TEST(TreeRepair, ALostObjectComesBackFromAnotherRegionToo) {
  StripeCluster cluster({2, 1}, "local_quorum", quick());
  cluster.call(0, op(Verb::kMapSet, "cart", {"apples", "1", "pears", "2"}));
  cluster.call(0, op(Verb::kSet, "other", {"v"}));
  cluster.run(Duration::seconds(2));
  lose(cluster, 2, "cart");
  EXPECT_TRUE(cluster[2].inspect(0, "cart")->empty());
  // The tree in memory knows nothing of it until the rows are looked through again.
  cluster.run(Duration::seconds(130));
  EXPECT_GE(cluster[2].stats().rotten_partitions, 1u);
  EXPECT_EQ(cluster[2].inspect(0, "cart")->rows().size(), 2u);
  EXPECT_EQ(repaired(cluster), 1u);
  compare_now(cluster);
  EXPECT_TRUE(all_equal(cluster));
}

TEST(TreeRepair, ALifeThatBeginsWithALossRepairsIt) {
  StripeCluster cluster({3}, "quorum", quick());
  for (int i = 0; i < 200; ++i) cluster.call(0, op(Verb::kSet, "k" + std::to_string(i), {"v" + std::to_string(i)}));
  cluster.run(Duration::seconds(2));
  cluster.kill(1);
  for (int i = 0; i < 200; i += 3) lose(cluster, 1, "k" + std::to_string(i));
  cluster.boot(1);
  cluster.run(Duration::seconds(5));
  compare_now(cluster);
  EXPECT_TRUE(all_equal(cluster));
  EXPECT_EQ(repaired(cluster), 67u);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(cluster[1].inspect(0, "k" + std::to_string(i))->rows().size(), 1u) << i;
  EXPECT_TRUE(cluster.converged());
}

TEST(TreeRepair, OfALargeSetOnlyTheLostElementsAreSent) {
  StripeCluster cluster({2}, "one", quick());
  for (int i = 0; i < 100; ++i) {
    std::vector<std::string> elements;
    for (int k = 0; k < 100; ++k) elements.push_back("element-" + std::to_string(100 * i + k));
    ASSERT_TRUE(cluster.call(0, op(Verb::kSetAdd, "big", elements)).status.ok());
  }
  cluster.run(Duration::seconds(3));
  cluster.kill(0);
  storage::WriteBatch batch;
  for (int i : {7, 4444, 9999}) {
    const std::string path = crdt::path_step(crdt::Tag::kElement, "element-" + std::to_string(i));
    batch.erase(leaf_row(base_of(cluster, "big"), path));
  }
  ASSERT_TRUE(cluster.engine(0).write(std::move(batch)).ok());
  cluster.boot(0);
  cluster.run(Duration::seconds(1));
  const uint64_t before = cluster[0].stats().tree_bytes_sent + cluster[1].stats().tree_bytes_sent;
  compare_now(cluster);
  EXPECT_TRUE(all_equal(cluster));
  EXPECT_EQ(cluster[0].stats().tree_leaves_repaired, 3u);
  EXPECT_EQ(cluster[0].inspect(0, "big")->rows().size(), 10'000u);
  // Three slices of 2,048 digests at most, of a set whose elements take about half a megabyte.
  EXPECT_LT(cluster[0].stats().tree_bytes_sent + cluster[1].stats().tree_bytes_sent - before, 120'000u);
}

// Keys of all kinds, of which each side has lost some: strings, a few fields, sets that are one row or a row per leaf.
TEST(TreeRepair, WhatEitherSideLacksComesBackWhicheverOfThemAsks) {
  StripeOptions small = quick();
  small.catch_up_chunk_bytes = 2000;  // many messages
  StripeCluster cluster({2}, "one", small, 2);
  const int keys = 900;
  auto name = [](int i) { return "key-" + std::to_string(i); };
  for (int i = 0; i < keys; ++i) {
    std::vector<std::string> elements;
    for (int k = 0; k < (i % 50 == 3 ? 90 : 5); ++k) elements.push_back(std::to_string(k));
    Operation made = i % 5 == 3   ? op(Verb::kSetAdd, name(i), elements)
                     : i % 5 == 4 ? op(Verb::kMapSet, name(i), {"apples", "1", "pears", "2"})
                                  : op(Verb::kSet, name(i), {std::string(30, 'v')});
    ASSERT_TRUE(cluster.call(static_cast<NodeIndex>(i % 2), std::move(made)).status.ok());
  }
  cluster.run(Duration::seconds(2));
  compare_now(cluster);
  ASSERT_TRUE(all_equal(cluster));
  std::vector<size_t> rows;
  for (int i = 0; i < keys; ++i) rows.push_back(cluster[0].inspect(0, name(i))->rows().size());
  for (NodeIndex n = 0; n < 2; ++n) cluster.kill(n);
  int lost = 0;
  for (int i = 0; i < keys; ++i) {
    if (i % 3 == 2) continue;
    lose(cluster, static_cast<NodeIndex>(i % 3), name(i));
    ++lost;
  }
  for (NodeIndex n = 0; n < 2; ++n) cluster.boot(n);
  cluster.run(Duration::seconds(2));
  compare_now(cluster);
  EXPECT_TRUE(all_equal(cluster));
  EXPECT_EQ(repaired(cluster), static_cast<uint64_t>(lost));
  for (int i = 0; i < keys; ++i) {
    for (NodeIndex n = 0; n < 2; ++n) {
      EXPECT_EQ(cluster[n].inspect(0, name(i))->rows().size(), rows[static_cast<size_t>(i)]) << i << " at " << n;
    }
  }
  EXPECT_TRUE(cluster.converged());
}

// Keys that the other side does not have at all go to it with the list, as many as a message may hold.
TEST(TreeRepair, MessagesStaySmallWhenEverythingIsLost) {
  for (NodeIndex loser : {NodeIndex{0}, NodeIndex{1}}) {
    StripeOptions small = quick();
    small.catch_up_chunk_bytes = 20'000;
    StripeCluster cluster({2}, "one", small, 1);
    for (int i = 0; i < 1000; ++i) cluster.call(0, op(Verb::kSet, "k" + std::to_string(i), {std::string(200, 'v')}));
    cluster.run(Duration::seconds(2));
    cluster.kill(loser);
    for (int i = 0; i < 1000; ++i) lose(cluster, loser, "k" + std::to_string(i));
    cluster.boot(loser);
    cluster.run(Duration::seconds(1));
    size_t largest = 0;
    cluster.on_message = [&](NodeIndex, const Output::Message& m) {
      const auto type = message_type(m.bytes);
      if (type == MessageType::kTree || type == MessageType::kTreeReply) largest = std::max(largest, m.bytes.size());
    };
    compare_now(cluster);
    EXPECT_TRUE(all_equal(cluster));
    EXPECT_EQ(repaired(cluster), 1000u);
    EXPECT_LT(largest, 45'000u);  // of 512 keys with one digest each, or what a message may hold and one key
  }
}

TEST(TreeRepair, ARowThatDoesNotDecodeInABucketThatDiffersTakesThePartitionOutOfService) {
  for (NodeIndex spoiled : {NodeIndex{0}, NodeIndex{1}}) {
    StripeCluster cluster({2}, "one", quick(), 1);
    for (int i = 0; i < 300; ++i) cluster.call(0, op(Verb::kSet, "k" + std::to_string(i), {"v"}));
    cluster.run(Duration::seconds(2));
    compare_now(cluster);
    ASSERT_TRUE(all_equal(cluster));
    // A difference in the bucket of a key whose row is spoiled: both are alone, so put the difference beside it.
    const std::string victim = "k7";
    const std::string row = header_row(base_of(cluster, victim));
    std::string value;
    ASSERT_TRUE(*cluster.engine(spoiled).get(row, &value));
    const NodeIndex other = 1 - spoiled;
    cluster.kill(other);
    lose(cluster, other, victim);
    cluster.boot(other);
    cluster.run(Duration::millis(300));
    storage::WriteBatch batch;
    batch.put(row, value + "x");
    ASSERT_TRUE(cluster.engine(spoiled).write(std::move(batch)).ok());
    cluster[0].repair_now(cluster.now());
    cluster.run(Duration::seconds(1));
    EXPECT_EQ(cluster[spoiled].stats().quarantines, 1u) << spoiled;
    EXPECT_EQ(cluster[other].stats().quarantines, 0u);
  }
}

TEST(TreeRepair, OfASpoiledValueBothKeepTheSame) {
  StripeCluster cluster({2}, "one", quick());
  cluster.call(0, op(Verb::kSet, "k", {"right"}));
  cluster.run(Duration::seconds(2));
  cluster.kill(1);
  const std::string row = header_row(base_of(cluster, "k"));
  std::string value;
  ASSERT_TRUE(*cluster.engine(1).get(row, &value));
  const size_t at = value.find("right");
  ASSERT_NE(at, std::string::npos);
  value[at] = 'f';
  storage::WriteBatch batch;
  batch.put(row, value);
  ASSERT_TRUE(cluster.engine(1).write(std::move(batch)).ok());
  cluster.boot(1);
  cluster.run(Duration::seconds(3));
  compare_now(cluster);
  EXPECT_TRUE(all_equal(cluster));
  for (NodeIndex n = 0; n < 2; ++n) EXPECT_EQ(cluster.call(n, op(Verb::kGet, "k")).value.bytes, "right") << n;
}

TEST(TreeRepair, WhatWasRemovedStaysRemovedAtAReplicaThatWasAway) {
  StripeCluster cluster({3}, "one", quick());
  for (int i = 0; i < 100; ++i) cluster.call(0, op(Verb::kSet, "k" + std::to_string(i), {"v"}));
  cluster.run(Duration::seconds(2));
  cluster.cut(0, 2);
  cluster.cut(1, 2);
  for (int i = 0; i < 100; ++i) cluster.call(0, op(Verb::kDelete, "k" + std::to_string(i)));
  cluster.run(Duration::seconds(10));
  cluster.cut(0, 2, false);
  cluster.cut(1, 2, false);
  cluster.run(Duration::seconds(10));
  compare_now(cluster);
  EXPECT_TRUE(all_equal(cluster));
  EXPECT_EQ(repaired(cluster), 0u);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(cluster[1].inspect(0, "k" + std::to_string(i))->empty()) << i;
}

TEST(TreeRepair, ACleanStopKeepsTheTrees) {
  StripeCluster cluster({2}, "one", quick());
  for (int i = 0; i < 100; ++i) cluster.call(0, op(Verb::kSet, "k" + std::to_string(i), {"v"}));
  cluster.run(Duration::seconds(2));
  cluster[1].stop(cluster.now());
  cluster.settle(1);
  cluster.kill(1);
  cluster.boot(1);
  EXPECT_EQ(cluster[1].tree_progress().trees_to_build, 0u);
  EXPECT_EQ(cluster[1].stats().scanned_rows, 0u);
  compare_now(cluster);
  EXPECT_TRUE(all_equal(cluster));
}

TEST(TreeRepair, ATreeThatIsKeptKnowsWhatTheLastTurnWrote) {
  StripeCluster cluster({2}, "one", quick());
  for (int i = 0; i < 20; ++i) cluster.call(0, op(Verb::kSet, "k" + std::to_string(i), {"v"}));
  cluster.run(Duration::seconds(2));
  cluster.submit(1, op(Verb::kSet, "last", {"v"}), [](Reply) {});
  cluster[1].stop(cluster.now());
  cluster.settle(1);
  cluster.kill(1);
  cluster.boot(1);
  cluster.run(Duration::seconds(2));
  compare_now(cluster);
  EXPECT_TRUE(all_equal(cluster));
  EXPECT_EQ(repaired(cluster), 0u);
}

}  // namespace
}  // namespace cartwheel::node
