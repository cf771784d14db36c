// A replica that stands still, or dies, is not waited for: node 0 reads at two of three, with a perfect network, so
// that an answer comes in no time unless somebody stands still.
#include <gtest/gtest.h>

#include "tests/node/stripe_cluster.h"

namespace cartwheel::node {
namespace {

class StripeHedge : public testing::Test {
 protected:
  // A key whose owners, without node 0, begin with `first`.
  static std::string key_of(StripeCluster& cluster, NodeIndex first, bool own = true) {
    for (int i = 0;; ++i) {
      std::string key = "k" + std::to_string(i);
      std::vector<NodeIndex> owners = cluster.config().assignments[0].owners[arc_of(key, cluster.config().partitions)];
      bool owned = std::erase(owners, NodeIndex{0}) > 0;
      if (owned == own && owners[0] == first) return key;
    }
  }
  // So many reads that it is known what is usual.
  static void warm_up(StripeCluster& cluster, NodeIndex n = 0) {
    for (int i = 0; i < 100; ++i) cluster.call(n, op(Verb::kGet, "w" + std::to_string(i)));
    ASSERT_EQ(cluster[n].stats().hedges, 0u);
  }
  // How many milliseconds a read through node `n` takes; -1: more than 3000.
  static int read_ms(StripeCluster& cluster, const std::string& key, NodeIndex n = 0) {
    bool done = false;
    cluster.submit(n, op(Verb::kGet, key), [&](Reply reply) {
      EXPECT_TRUE(reply.status.ok()) << reply.status.message();
      done = true;
    });
    cluster.settle(n);
    cluster.deliver();
    for (int ms = 0; ms <= 3000; ++ms) {
      if (done) return ms;
      cluster.run(Duration::millis(1), 1);
    }
    return -1;
  }
};

TEST_F(StripeHedge, AReplicaThatStandsStillCostsWhatAnAnswerUsuallyTakes) {
  StripeCluster cluster({3}, "quorum");
  warm_up(cluster);
  const std::string key = key_of(cluster, 2);
  cluster.stand_still(2);
  EXPECT_LE(read_ms(cluster, key), 3);
  EXPECT_EQ(cluster[0].stats().hedges, 1u);
  EXPECT_EQ(cluster[0].stats().hedges_won, 1u);
  // Now it is known, and not asked first any more.
  for (int i = 0; i < 20; ++i) EXPECT_EQ(read_ms(cluster, key), 0);
  EXPECT_EQ(cluster[0].stats().hedges, 1u);
}

TEST_F(StripeHedge, AWriteThatItOwesAnAckForTellsItToo) {
  StripeCluster cluster({3}, "quorum");
  warm_up(cluster);
  cluster.stand_still(2);
  EXPECT_TRUE(cluster.call(0, op(Verb::kSet, "k", {"v"})).status.ok());
  cluster.run(Duration::millis(3), 1);
  EXPECT_EQ(read_ms(cluster, key_of(cluster, 2)), 0);
  EXPECT_EQ(cluster[0].stats().hedges, 0u);
}

TEST_F(StripeHedge, AReplicaThatGoesOnIsUsedAgain) {
  StripeCluster cluster({3}, "quorum");
  warm_up(cluster);
  const std::string key = key_of(cluster, 2);
  cluster.stand_still(2);
  read_ms(cluster, key);
  cluster.run(Duration::millis(100), 1);
  cluster.go_on(2);
  for (int i = 0; i < 5000; ++i) cluster.call(0, op(Verb::kGet, "w" + std::to_string(i % 100)));
  EXPECT_GT(cluster[0].stats().probes, 0u);
  EXPECT_LT(cluster[0].stats().probes, 100u) << "once it is as fast as the others, nobody needs to find that out";
  cluster.stand_still(1);
  EXPECT_EQ(read_ms(cluster, key), 0) << "node 2 is asked first again";
}

TEST_F(StripeHedge, WithoutABudgetItTakesAsLongAsItAlwaysDid) {
  StripeOptions options;
  options.hedge_percent = 0;
  options.hedge_burst = 2;
  StripeCluster cluster({3}, "quorum", options);
  warm_up(cluster);
  const std::string key = key_of(cluster, 2);
  cluster.stand_still(2);
  // At the same moment, so that nobody has noticed yet.
  int done = 0;
  for (int i = 0; i < 3; ++i) cluster.submit(0, op(Verb::kGet, key), [&](Reply reply) { done += reply.status.ok(); });
  cluster.settle(0);
  cluster.run(Duration::millis(50), 1);
  EXPECT_EQ(done, 2);
  EXPECT_EQ(cluster[0].stats().hedges, 2u);
  EXPECT_EQ(cluster[0].stats().hedges_refused, 1u);
  cluster.run(Duration::millis(60), 1);
  EXPECT_EQ(done, 3) << "what can succeed does not fail for want of budget";
}

TEST_F(StripeHedge, AnUnknownPeerIsWaitedForAsLongAsTheOptionSays) {
  StripeCluster cluster({3}, "quorum");
  cluster.stand_still(2);
  int ms = read_ms(cluster, key_of(cluster, 2));
  EXPECT_GE(ms, 99);
  EXPECT_LE(ms, 102);
}

TEST_F(StripeHedge, LongAnswersOfTheOwnRegionThatHaveBecomeUsualAreNotPutUpWith) {
  StripeOptions options;
  options.hedge_percent = options.hedge_burst = 0;
  StripeCluster cluster({3}, "quorum", options);
  const std::string key = key_of(cluster, 2);
  for (int i = 0; i < 40; ++i) {  // both of the others stand still, again and again
    cluster.stand_still(1);
    cluster.stand_still(2);
    cluster.submit(0, op(Verb::kGet, key), [](Reply) {});
    cluster.settle(0);
    cluster.run(Duration::millis(180), 10);
    cluster.go_on(1);
    cluster.go_on(2);
  }
  cluster.stand_still(2);
  int ms = read_ms(cluster, key);
  EXPECT_GT(ms, 102) << "what is usual has not changed: this tests nothing";
  EXPECT_LE(ms, 151);
}

// Seed 71000040 (--stops): the coordinator that is asked at last asks first who has kept the request waiting.
TEST_F(StripeHedge, TwoNodesOneAfterTheOtherDoNotWaitForTheSameOneForLong) {
  StripeOptions options;
  options.hedge_percent = options.hedge_burst = 0;
  StripeCluster cluster({4}, "quorum", options, 64, 3);
  std::string key;  // node 0 passes requests for it on to node 2, or to 1 or 3, which ask node 2 first
  for (int i = 0; key.empty(); ++i) {
    const std::string k = "k" + std::to_string(i);
    if (cluster.config().assignments[0].owners[arc_of(k, 64)] == std::vector<NodeIndex>{2, 1, 3}) key = k;
  }
  cluster.stand_still(2);
  int ms = read_ms(cluster, key);
  EXPECT_GT(ms, 200) << "they do not wait one after the other: this tests nothing";
  EXPECT_LE(ms, 260);
}

TEST_F(StripeHedge, ABrokenConnectionHasTheNextOneAskedAtOnce) {
  StripeCluster cluster({3}, "quorum");
  const std::string key = key_of(cluster, 2);
  cluster.stand_still(2);
  bool done = false;
  cluster.submit(0, op(Verb::kGet, key), [&](Reply reply) { done = reply.status.ok(); });
  cluster.settle(0);
  cluster.deliver();
  EXPECT_FALSE(done);
  cluster.kill(2);
  cluster[0].on_peer_connection(2, false, cluster.now());
  cluster.settle(0);
  cluster.deliver();
  EXPECT_TRUE(done);
  EXPECT_EQ(cluster[0].stats().hedges, 0u);
}

TEST_F(StripeHedge, AReadThatNobodyElseCanHelpFailsAtOnceAndNamesWhomItMissed) {
  StripeCluster cluster({3}, "all");
  cluster.stand_still(2);
  std::optional<Reply> reply;
  cluster.submit(0, op(Verb::kGet, "k"), [&](Reply r) { reply = std::move(r); });
  cluster.settle(0);
  cluster.deliver();
  EXPECT_FALSE(reply.has_value());
  cluster.kill(2);
  cluster[0].on_peer_connection(2, false, cluster.now());
  cluster.settle(0);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->status.code(), Code::kUnavailable);
  EXPECT_NE(reply->status.message().find("no connection to r0-2"), std::string::npos) << reply->status.message();
}

TEST_F(StripeHedge, AWriteWaitsForAConnectionThatMayComeBack) {
  StripeCluster cluster({3}, "all");
  cluster.stand_still(2);
  std::optional<Reply> reply;
  cluster.submit(0, op(Verb::kSet, "k", {"v"}), [&](Reply r) { reply = std::move(r); });
  cluster.settle(0);
  cluster[0].on_peer_connection(2, false, cluster.now());
  cluster.settle(0);
  cluster.deliver();
  EXPECT_FALSE(reply.has_value());
  cluster.go_on(2);
  cluster.run(Duration::millis(10));
  ASSERT_TRUE(reply.has_value());
  EXPECT_TRUE(reply->status.ok()) << reply->status.message();
}

// The node itself was not running for a while: that its timers are late says nothing about the others.
TEST_F(StripeHedge, ANodeThatStoodStillItselfDoesNotBlameOthers) {
  StripeCluster cluster({3}, "quorum");
  warm_up(cluster);
  bool done = false;
  cluster.submit(0, op(Verb::kGet, key_of(cluster, 2)), [&](Reply reply) { done = reply.status.ok(); });
  cluster.settle(0);
  cluster.stand_still(0);
  cluster.run(Duration::millis(50), 1);
  cluster[0].on_tick(cluster.now());
  cluster.settle(0);
  EXPECT_EQ(cluster[0].stats().hedges, 0u);
  cluster.go_on(0);
  EXPECT_TRUE(done);
}

// Two of three nodes have each key, so node 0 passes some requests on.
TEST_F(StripeHedge, AReadWhoseCoordinatorStandsStillIsPassedOnToAnotherOne) {
  StripeCluster cluster({4}, "one", {}, 64, 2);
  for (int i = 0; i < 200; ++i) cluster.call(0, op(Verb::kGet, "w" + std::to_string(i)));
  const std::string key = key_of(cluster, 2, false);
  cluster.stand_still(2);
  EXPECT_LE(read_ms(cluster, key), 3);
  EXPECT_EQ(cluster[0].stats().hedges, 1u);
  EXPECT_EQ(cluster[0].stats().hedges_won, 1u);
  EXPECT_EQ(read_ms(cluster, key), 0) << "the next one goes to the other at once";
}

TEST_F(StripeHedge, AWriteIsNeverPassedOnTwice) {
  StripeCluster cluster({4}, "one", {}, 64, 2);
  for (int i = 0; i < 200; ++i) cluster.call(0, op(Verb::kGet, "w" + std::to_string(i)));
  const std::string key = key_of(cluster, 2, false);
  cluster.stand_still(2);
  Operation increment = op(Verb::kIncrement, key);
  increment.number = 1;
  std::optional<Reply> reply;
  cluster.submit(0, increment, [&](Reply r) { reply = std::move(r); });
  cluster.settle(0);
  cluster.run(Duration::millis(300), 1);
  EXPECT_FALSE(reply.has_value());
  cluster.go_on(2);
  ASSERT_TRUE(reply.has_value());
  EXPECT_TRUE(reply->status.ok());
  cluster.run(Duration::seconds(2));
  EXPECT_EQ(cluster.call(2, op(Verb::kGet, key)).value.bytes, "1");
  EXPECT_EQ(cluster[0].stats().hedges, 0u);
}

}  // namespace
}  // namespace cartwheel::node
