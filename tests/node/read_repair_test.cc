// A replica that a read finds behind is told, once, within a budget, and only if it is really behind: node 0 reads at
// two of three, with a perfect network. The clocks are announced so seldom that they tell nobody anything.
#include <gtest/gtest.h>

#include "node/core/message.h"
#include "tests/node/stripe_cluster.h"

namespace cartwheel::node {
namespace {

StripeOptions quiet() {
  StripeOptions options;
  options.announce_interval = Duration::seconds(1000);
  options.peer_timeout = Duration::seconds(2000);
  return options;
}

// Node 2 lacks a write of node 0, and is asked first for its key.
struct Behind {
  explicit Behind(StripeOptions options, size_t value_bytes = 1) : cluster({3}, "quorum", options) {
    cluster.on_message = [this](NodeIndex, const Output::Message& m) {
      if (message_type(m.bytes) != MessageType::kNudge) return;
      ++nudges;
      bytes = m.bytes.size();
    };
    for (int i = 0; key.empty(); ++i) {
      std::string each = "k" + std::to_string(i);
      std::vector<NodeIndex> owners = cluster.config().assignments[0].owners[arc_of(each, cluster.config().partitions)];
      std::erase(owners, NodeIndex{0});
      if (owners[0] == 2) key = each;
    }
    write_behind_its_back(std::string(value_bytes, 'v'));
  }
  void write_behind_its_back(const std::string& value) {
    cluster.cut(0, 2);
    EXPECT_TRUE(cluster.call(0, op(Verb::kSet, key, {value})).status.ok());
    cluster.cut(0, 2, false);
    EXPECT_FALSE(cluster.converged());
  }
  void read() { EXPECT_TRUE(cluster.call(0, op(Verb::kGet, key)).status.ok()); }

  StripeCluster cluster;
  std::string key;
  size_t nudges = 0, bytes = 0;
};

TEST(ReadRepair, AReplicaThatAReadFoundBehindCatchesUpATenthOfASecondLater) {
  Behind it(quiet());
  it.read();
  it.cluster.run(Duration::millis(120));
  EXPECT_TRUE(it.cluster.converged());
  EXPECT_EQ(it.cluster[0].stats().read_repair_told, 1u);
  EXPECT_EQ(it.cluster[2].stats().read_repair_catch_ups, 1u);
  EXPECT_EQ(it.cluster[2].stats().catch_up_deltas, 1u);
  EXPECT_LE(it.bytes, 64u);
}

TEST(ReadRepair, WithoutAReadNobodyIsTold) {
  Behind it(quiet());
  it.cluster.run(Duration::seconds(5));
  EXPECT_FALSE(it.cluster.converged());
  EXPECT_EQ(it.nudges, 0u);
}

TEST(ReadRepair, AThousandReadsTellItOnce) {
  Behind it(quiet());
  for (int i = 0; i < 1000; ++i) {
    it.read();
    if (i % 10 == 0) it.cluster.run(Duration::millis(1), 1);
  }
  it.cluster.run(Duration::seconds(1));
  EXPECT_EQ(it.nudges, 1u);
  EXPECT_EQ(it.cluster[2].stats().read_repair_catch_ups, 1u);
}

TEST(ReadRepair, OneThatDoesNothingAboutItIsToldOnceASecond) {
  Behind it(quiet());
  // Its catch-ups do not arrive.
  it.cluster.drop = [](const Output::Message& m) { return message_type(m.bytes) == MessageType::kCatchUp; };
  for (int i = 0; i < 5000; i += 5) {
    it.read();
    it.cluster.run(Duration::millis(5), 5);
  }
  EXPECT_GE(it.nudges, 3u);
  EXPECT_LE(it.nudges, 5u);
  it.cluster.drop = {};
  for (int i = 0; i < 3000; i += 5) {
    it.read();
    it.cluster.run(Duration::millis(5), 5);
  }
  EXPECT_TRUE(it.cluster.converged());
}

TEST(ReadRepair, WritesUnderWayAreNoLag) {
  StripeCluster cluster({3}, "quorum", quiet());
  // Node 2 takes 50 ms for everything, so that reads mostly find it behind what was just written.
  uint64_t told = 0;
  for (int round = 0; round < 100; ++round) {
    cluster.stand_still(2);
    for (int i = 0; i < 5; ++i) {
      const std::string key = "k" + std::to_string(i);
      cluster.submit(static_cast<NodeIndex>(i % 2), op(Verb::kSet, key, {std::to_string(round)}), [](const Reply&) {});
      cluster.settle(static_cast<NodeIndex>(i % 2));
      cluster.submit(0, op(Verb::kGet, key), [](const Reply&) {});
      cluster.settle(0);
    }
    cluster.deliver();
    cluster.run(Duration::millis(50));
    cluster.go_on(2);
  }
  cluster.run(Duration::seconds(1));
  uint64_t mismatches = 0, dropped = 0;
  for (NodeIndex n = 0; n < 3; ++n) {
    mismatches += cluster[n].stats().quorum_read_mismatches;
    told += cluster[n].stats().read_repair_told;
    dropped += cluster[n].stats().read_repair_dropped;
    EXPECT_EQ(cluster[n].stats().catch_ups, 0u);
  }
  EXPECT_GT(mismatches, 50u);
  EXPECT_EQ(told, 0u);
  EXPECT_EQ(dropped, 0u);
}

TEST(ReadRepair, DeltasThatWereFetchedBecauseOfItArePaidFor) {
  StripeOptions options = quiet();
  options.read_repair_bytes_per_second = 10'000;
  Behind it(options, 50'000);
  it.read();
  it.cluster.run(Duration::millis(200));
  EXPECT_TRUE(it.cluster.converged());
  EXPECT_EQ(it.cluster[0].stats().read_repair_told, 1u);
  // Behind again at once: four seconds must pass first.
  it.write_behind_its_back("w");
  for (int i = 0; i < 2000; i += 10) {
    it.read();
    it.cluster.run(Duration::millis(10));
  }
  EXPECT_EQ(it.cluster[0].stats().read_repair_told, 1u);
  EXPECT_GE(it.cluster[0].stats().read_repair_dropped, 1u);
  EXPECT_FALSE(it.cluster.converged());
  for (int i = 0; i < 4000; i += 10) {
    it.read();
    it.cluster.run(Duration::millis(10));
  }
  EXPECT_EQ(it.cluster[0].stats().read_repair_told, 2u);
  EXPECT_TRUE(it.cluster.converged());
}

TEST(ReadRepair, ANudgeIsCheckedAndBelievedToNobody) {
  NudgeMessage nudge{{0, 3}, {{{1, 5}, 7}, {{2, 9}, 1}}};
  std::string bytes = nudge.encode();
  auto back = NudgeMessage::decode(bytes);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->dots, nudge.dots);
  EXPECT_EQ(back->partition, nudge.partition);
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(NudgeMessage::decode(bytes.substr(0, n)).ok());
  nudge.dots.assign(limits::kNudgedDots + 1, {{1, 5}, 7});
  EXPECT_FALSE(NudgeMessage::decode(nudge.encode()).ok());

  // Of dots that nobody has: it looks, and its clock stays what it is.
  StripeCluster cluster({3}, "quorum", quiet());
  uint32_t arc = 3;
  crdt::Clock before = cluster[1].clock(0, arc);
  cluster[1].on_message(0, NudgeMessage{{0, arc}, {{{0, 12345}, 99}}}.encode(), cluster.now());
  cluster.settle(1);
  cluster.deliver();
  cluster.run(Duration::millis(100));
  EXPECT_EQ(cluster[1].clock(0, arc), before);
  EXPECT_EQ(cluster[1].stats().read_repair_catch_ups, 1u);
  EXPECT_TRUE(cluster.converged());
}

}  // namespace
}  // namespace cartwheel::node
