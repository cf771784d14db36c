// Quarantine: a partition of which a row cannot be read answers nobody wrongly, and is rebuilt from another replica.
#include <gtest/gtest.h>

#include "base/hash.h"
#include "base/planted.h"
#include "node/core/object_store.h"
#include "tests/node/stripe_cluster.h"

namespace cartwheel::node {
namespace {

StripeOptions uncached() {
  StripeOptions options;
  options.cache_bytes = 0;  // what is read is what the engine has
  return options;
}

PartitionId partition_of(const StripeCluster& cluster, const std::string& key) {
  return {0, arc_of_hash(hash64(key), cluster.config().partitions)};
}

std::string row_of(const StripeCluster& cluster, const std::string& key) {
  return header_row(object_base(partition_of(cluster, key), hash64(key), key));
}

// Makes the row of `key` at node `n` one that does not decode.
void spoil(StripeCluster& cluster, NodeIndex n, const std::string& row) {
  storage::WriteBatch batch;
  batch.put(row, "\xff\xff garbage");
  ASSERT_TRUE(cluster.engine(n).write(std::move(batch)).ok());
}

std::string name(int i) {
  return "k" + std::to_string(i);
}

void fill(StripeCluster& cluster, int keys = 40) {
  for (int i = 0; i < keys; ++i) ASSERT_TRUE(cluster.call(0, op(Verb::kSet, name(i), {"v" + name(i)})).status.ok());
  cluster.run(Duration::seconds(2));
}

uint64_t quarantined_now(StripeCluster& cluster) {
  uint64_t sum = 0;
  for (NodeIndex n = 0; n < cluster.size(); ++n) sum += cluster[n].stats().quarantined;
  return sum;
}

bool rebuilt(StripeCluster& cluster) {
  for (int i = 0; i < 100 && quarantined_now(cluster) > 0; ++i) cluster.run(Duration::millis(100));
  return quarantined_now(cluster) == 0 && cluster.converged();
}

TEST(Quarantine, AReadThatFindsABadRowIsAnsweredByAnotherReplica) {
  StripeCluster cluster({3}, "one", uncached());
  fill(cluster);
  spoil(cluster, 1, row_of(cluster, "k7"));
  EXPECT_EQ(cluster.call(1, op(Verb::kGet, "k7")).value.bytes, "vk7");
  EXPECT_EQ(cluster[1].stats().quarantines, 1u);
  ASSERT_TRUE(rebuilt(cluster));
  EXPECT_EQ(cluster[1].stats().rebuilt_partitions, 1u);
  const auto& events = cluster.events(1);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].kind, Output::Event::Kind::kQuarantined);
  EXPECT_EQ(events[0].partition, partition_of(cluster, "k7"));
  EXPECT_FALSE(events[0].why.empty());
  EXPECT_EQ(events[1].kind, Output::Event::Kind::kRebuilt);
  EXPECT_NE(events[1].peer, kNoNode);
  EXPECT_EQ(cluster[1].inspect(0, "k7")->rows().size(), 1u);
  for (int i = 0; i < 40; ++i) EXPECT_EQ(cluster.call(1, op(Verb::kGet, name(i))).value.bytes, "v" + name(i)) << i;
}

TEST(Quarantine, WhatWasRemovedStaysRemovedAndWhatIsWrittenMeanwhileComes) {
  StripeCluster cluster({3}, "one", uncached());
  fill(cluster);
  for (int i = 0; i < 40; i += 2) cluster.call(0, op(Verb::kDelete, name(i)));
  cluster.run(Duration::seconds(1));
  spoil(cluster, 2, row_of(cluster, "k7"));
  EXPECT_EQ(cluster.call(2, op(Verb::kGet, "k7")).value.bytes, "vk7");
  for (int i = 1; i < 40; i += 2) {
    ASSERT_TRUE(cluster.call(static_cast<NodeIndex>(i % 3), op(Verb::kSet, name(i), {"new"})).status.ok()) << i;
  }
  ASSERT_TRUE(rebuilt(cluster));
  for (int i = 0; i < 40; ++i) {
    EXPECT_EQ(cluster.call(2, op(Verb::kGet, name(i))).value.bytes, i % 2 == 0 ? "" : "new") << i;
  }
}

TEST(Quarantine, ADeltaAReplicaReadAndALookThroughTheRowsFindBadRowsToo) {
  StripeCluster cluster({3}, "quorum", uncached());
  fill(cluster);
  spoil(cluster, 1, row_of(cluster, "k3"));  // a delta for it comes
  ASSERT_TRUE(cluster.call(0, op(Verb::kSet, "k3", {"new"})).status.ok());
  EXPECT_EQ(cluster[1].stats().quarantines, 1u);
  ASSERT_TRUE(rebuilt(cluster));
  spoil(cluster, 1, row_of(cluster, "k4"));
  spoil(cluster, 2, row_of(cluster, "k4"));
  // A quorum of one: nobody answers before another one is rebuilt.
  const Reply reply = cluster.call(1, op(Verb::kGet, "k4"));
  EXPECT_TRUE(reply.status.code() == Code::kUnavailable || reply.value.bytes == "vk4") << reply.status.to_string();
  cluster.run(Duration::seconds(3));
  ASSERT_TRUE(rebuilt(cluster));
  EXPECT_EQ(cluster.call(1, op(Verb::kGet, "k4")).value.bytes, "vk4");
  spoil(cluster, 2, row_of(cluster, "k5"));  // nobody asks for it
  cluster.run(Duration::seconds(130));
  EXPECT_GE(cluster[2].stats().rebuilt_partitions, 1u);
  ASSERT_TRUE(rebuilt(cluster));
  EXPECT_EQ(cluster[2].inspect(0, "k5")->rows().size(), 1u);
}

TEST(Quarantine, ASourceThatIsSpoiledRefusesAndTheNextOneIsTaken) {
  StripeCluster cluster({3}, "one", uncached());
  fill(cluster);
  spoil(cluster, 0, row_of(cluster, "k7"));
  spoil(cluster, 1, row_of(cluster, "k7"));
  EXPECT_EQ(cluster.call(0, op(Verb::kGet, "k7")).value.bytes, "vk7");
  ASSERT_TRUE(rebuilt(cluster));
  for (NodeIndex n = 0; n < 3; ++n) EXPECT_EQ(cluster.call(n, op(Verb::kGet, "k7")).value.bytes, "vk7") << n;
}

TEST(Quarantine, NothingIsDroppedWhileNobodyElseCanBeReached) {
  StripeCluster cluster({3}, "one", uncached());
  fill(cluster);
  cluster.cut(0, 1);
  cluster.cut(1, 2);
  cluster.run(Duration::seconds(3));
  ASSERT_TRUE(cluster.call(1, op(Verb::kSet, "k7", {"only here"})).status.ok());
  ASSERT_TRUE(cluster.call(1, op(Verb::kSet, "k8", {"only here"})).status.ok());
  const std::string other = row_of(cluster, "k7");
  spoil(cluster, 1, other);
  Reply reply = cluster.call(1, op(Verb::kGet, "k7"));
  EXPECT_EQ(reply.status.code(), Code::kUnavailable);
  EXPECT_NE(reply.status.message().find("quarantined"), std::string::npos) << reply.status.message();
  cluster.run(Duration::seconds(5));
  std::string value;
  EXPECT_TRUE(*cluster.engine(1).get(other, &value));
  // The dot log still has what only this replica acknowledged.
  cluster.cut(0, 1, false);
  cluster.cut(1, 2, false);
  cluster.run(Duration::seconds(4));
  ASSERT_TRUE(rebuilt(cluster));
  for (NodeIndex n = 0; n < 3; ++n) {
    EXPECT_EQ(cluster.call(n, op(Verb::kGet, "k7")).value.bytes, "only here") << n;
    EXPECT_EQ(cluster.call(n, op(Verb::kGet, "k8")).value.bytes, "only here") << n;
  }
}

TEST(Quarantine, ACopyWithLessIsTakenOnlyWhenTheOperatorSaysSo) {
  StripeOptions options = uncached();
  options.log_entries = 1;
  StripeCluster cluster({2}, "one", options, 1);
  fill(cluster);
  cluster.cut(0, 1);
  cluster.run(Duration::seconds(3));
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(cluster.call(1, op(Verb::kSet, name(i), {"only here"})).status.ok());
  spoil(cluster, 1, row_of(cluster, "k7"));
  EXPECT_EQ(cluster.call(1, op(Verb::kGet, "k7")).status.code(), Code::kUnavailable);
  cluster.cut(0, 1, false);
  cluster.run(Duration::seconds(20));
  EXPECT_EQ(quarantined_now(cluster), 1u);  // it has what nobody else has, and the log has it no more
  EXPECT_EQ(cluster.call(1, op(Verb::kGet, "k9")).value.bytes, "vk9");
  cluster[1].accept_losses(cluster.now());
  cluster.run(Duration::seconds(3));
  ASSERT_TRUE(rebuilt(cluster));
  ASSERT_TRUE(cluster.call(1, op(Verb::kSet, "k1", {"later"})).status.ok());
  cluster.run(Duration::seconds(2));
  for (NodeIndex n = 0; n < 2; ++n) {
    EXPECT_EQ(cluster.call(n, op(Verb::kGet, "k1")).value.bytes, "later") << n;
    EXPECT_EQ(cluster.call(n, op(Verb::kGet, "k7")).value.bytes, "vk7") << n;
  }
}

// Each of `copies` owners loses another row, and one that all of them lose.
void spoil_all(StripeCluster& cluster, NodeIndex copies) {
  for (NodeIndex n = 0; n < copies; ++n) {
    spoil(cluster, n, row_of(cluster, name(static_cast<int>(n))));
    spoil(cluster, n, row_of(cluster, "k9"));
    EXPECT_NE(cluster.call(n, op(Verb::kGet, name(static_cast<int>(n)))).value.bytes, "wrong");
  }
  cluster.run(Duration::seconds(2));
}

std::string salvage_of(NodeIndex copies) {
  StripeCluster cluster({copies}, "one", uncached(), 1);
  fill(cluster);
  for (int i = 30; i < 40; ++i) cluster.call(0, op(Verb::kDelete, name(i)));
  cluster.run(Duration::seconds(2));
  spoil_all(cluster, copies);
  if (quarantined_now(cluster) != copies) return "not all are quarantined";
  cluster.run(Duration::seconds(40));
  for (NodeIndex n = 0; n < copies; ++n) {
    if (cluster.events(n).back().kind != Output::Event::Kind::kWaits) return "the operator is not told";
    if (cluster.call(n, op(Verb::kGet, "k20")).status.code() != Code::kUnavailable) return "somebody answers";
  }
  for (NodeIndex n = 0; n < copies; ++n) cluster[n].accept_losses(cluster.now());
  if (!rebuilt(cluster)) return "not resolved";
  for (NodeIndex n = 0; n < copies; ++n) {
    for (int i = 0; i < 40; ++i) {
      const std::string value = cluster.call(n, op(Verb::kGet, name(i))).value.bytes;
      if (value != (i == 9 || i >= 30 ? "" : "v" + name(i))) return name(i) + " at " + std::to_string(n) + ": " + value;
    }
    if (cluster[n].stats().keys != 29) return "keys are counted wrongly: " + std::to_string(cluster[n].stats().keys);
  }
  if (!cluster.call(0, op(Verb::kSet, "k9", {"again"})).status.ok()) return "not written";
  cluster.run(Duration::seconds(15));
  if (cluster.call(copies - 1, op(Verb::kGet, "k9")).value.bytes != "again") return "not replicated";
  return cluster.converged() ? "" : "not equal";
}

TEST(Quarantine, WhereAllOwnersAreSpoiledTheOperatorGetsAllThatAnyOfThemCanRead) {
  EXPECT_EQ(salvage_of(2), "");
  EXPECT_EQ(salvage_of(3), "");
}

#ifdef CARTWHEEL_PLANTED_BUGS
TEST(Quarantine, AHoleThatCountsAsRemovedIsFound) {
  g_planted_bug = Bug::kSalvageHolesRemove;
  EXPECT_NE(salvage_of(2), "");
  g_planted_bug = Bug::kNone;
}
#endif

TEST(Quarantine, AnOwnerThatIsAwayIsWaitedForBeforeAnythingIsSalvaged) {
  StripeCluster cluster({3}, "one", uncached(), 1);
  fill(cluster);
  cluster.cut(0, 2);
  cluster.cut(1, 2);
  cluster.run(Duration::seconds(3));
  for (NodeIndex n = 0; n < 2; ++n) {
    spoil(cluster, n, row_of(cluster, "k9"));
    cluster.call(n, op(Verb::kGet, "k9"));
  }
  for (NodeIndex n = 0; n < 2; ++n) cluster[n].accept_losses(cluster.now());
  cluster.run(Duration::seconds(5));
  EXPECT_EQ(quarantined_now(cluster), 2u);
  cluster.cut(0, 2, false);
  cluster.cut(1, 2, false);
  cluster.run(Duration::seconds(3));
  ASSERT_TRUE(rebuilt(cluster));
  for (NodeIndex n = 0; n < 3; ++n) EXPECT_EQ(cluster.call(n, op(Verb::kGet, "k9")).value.bytes, "vk9") << n;
}

TEST(Quarantine, SalvageGoesOnBehindRowsThatTheDiskDoesNotGive) {
  StripeCluster cluster({2}, "one", uncached(), 1);
  fill(cluster);
  spoil(cluster, 0, row_of(cluster, "k0"));
  cluster.engine(1).fail_reads(row_of(cluster, "k1"), row_of(cluster, "k1") + "z");
  for (NodeIndex n = 0; n < 2; ++n) cluster.call(n, op(Verb::kGet, name(static_cast<int>(n))));
  ASSERT_EQ(quarantined_now(cluster), 2u);
  for (NodeIndex n = 0; n < 2; ++n) cluster[n].accept_losses(cluster.now());
  for (int i = 0; i < 200 && cluster[0].stats().quarantined > 0; ++i) cluster.run(Duration::millis(50));
  EXPECT_EQ(cluster[0].stats().quarantined, 0u);
  EXPECT_EQ(cluster.call(0, op(Verb::kGet, "k0")).value.bytes, "vk0");
  cluster.engine(1).heal();  // the block is not read any more, once its rows are erased
  ASSERT_TRUE(rebuilt(cluster));
  for (NodeIndex n = 0; n < 2; ++n) {
    for (int i = 0; i < 40; ++i) EXPECT_EQ(cluster.call(n, op(Verb::kGet, name(i))).value.bytes, "v" + name(i)) << i;
  }
}

TEST(Quarantine, TheNextLifeGoesOnWithIt) {
  StripeCluster cluster({3}, "one", uncached());
  fill(cluster);
  cluster.cut(0, 1);
  cluster.cut(1, 2);
  cluster.run(Duration::seconds(3));
  spoil(cluster, 1, row_of(cluster, "k7"));
  EXPECT_EQ(cluster.call(1, op(Verb::kGet, "k7")).status.code(), Code::kUnavailable);
  cluster.run(Duration::millis(50));
  cluster.kill(1);
  cluster.boot(1);
  cluster.run(Duration::seconds(1));
  EXPECT_EQ(cluster[1].stats().quarantined, 1u);
  cluster.cut(0, 1, false);
  cluster.run(Duration::seconds(3));
  ASSERT_TRUE(rebuilt(cluster));
  EXPECT_EQ(cluster.call(1, op(Verb::kGet, "k7")).value.bytes, "vk7");
}

TEST(Quarantine, AStartOverAPartitionRowOrALogThatDoNotDecodeRebuildsWhatTheyWereOf) {
  for (bool log : {false, true}) {
    StripeCluster cluster({3}, "quorum", uncached());
    fill(cluster);
    cluster.kill(1);
    std::string row = partition_row({0, 3});
    if (log) {
      auto records = cluster.engine(1).scan("r", "s");
      ASSERT_TRUE(records->valid());
      row = records->key();
    }
    spoil(cluster, 1, row);
    cluster.boot(1);
    EXPECT_GE(cluster[1].stats().quarantines, 1u);
    cluster.run(Duration::millis(50));  // until it has met the others
    for (int i = 0; i < 40; ++i) EXPECT_EQ(cluster.call(1, op(Verb::kGet, name(i))).value.bytes, "v" + name(i)) << i;
    cluster.run(Duration::seconds(3));
    ASSERT_TRUE(rebuilt(cluster));
    for (int i = 0; i < 40; ++i) EXPECT_EQ(cluster.call(1, op(Verb::kGet, name(i))).value.bytes, "v" + name(i)) << i;
  }
}

TEST(Quarantine, AReplicaThatIsAskedForAllFindsOutThatItIsSpoiled) {
  StripeOptions options = uncached();
  options.log_entries = 1;
  StripeCluster cluster({3}, "one", options);
  fill(cluster);
  for (int i = 0; i < 40; ++i) spoil(cluster, 0, row_of(cluster, name(i)));
  cluster.wipe(2);
  cluster.boot(2);
  cluster.run(Duration::seconds(8));
  EXPECT_GE(cluster[0].stats().quarantines, 1u);
  for (int i = 0; i < 40; ++i) EXPECT_EQ(cluster.call(0, op(Verb::kGet, name(i))).value.bytes, "v" + name(i)) << i;
  ASSERT_TRUE(rebuilt(cluster));
  for (NodeIndex n = 0; n < 3; ++n) {
    for (int i = 0; i < 40; ++i) EXPECT_EQ(cluster.call(n, op(Verb::kGet, name(i))).value.bytes, "v" + name(i)) << i;
  }
}

TEST(Quarantine, WithoutOtherReplicasOnlyTheBadKeyIsRefused) {
  StripeCluster cluster({1}, "one", uncached(), 1);
  fill(cluster);
  spoil(cluster, 0, row_of(cluster, "k7"));
  EXPECT_EQ(cluster.call(0, op(Verb::kGet, "k7")).status.code(), Code::kCorruption);
  EXPECT_EQ(cluster.call(0, op(Verb::kGet, "k8")).value.bytes, "vk8");
  cluster.kill(0);
  cluster.boot(0);
  EXPECT_EQ(cluster.call(0, op(Verb::kGet, "k7")).status.code(), Code::kCorruption);
  EXPECT_EQ(cluster.call(0, op(Verb::kGet, "k8")).value.bytes, "vk8");
  EXPECT_EQ(quarantined_now(cluster), 0u);
  ASSERT_FALSE(cluster.events(0).empty());
  for (const Output::Event& event : cluster.events(0)) EXPECT_EQ(event.kind, Output::Event::Kind::kUnreadable);
}

}  // namespace
}  // namespace cartwheel::node
