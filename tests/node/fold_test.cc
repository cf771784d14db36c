// Lives that have ended are folded out of partition clocks, when nobody can have anything of them that others lack; and
// who has folded and who has not understand each other.
#include <gtest/gtest.h>

#include "node/core/message.h"
#include "tests/node/stripe_cluster.h"

namespace cartwheel::node {
namespace {

StripeOptions soon() {
  StripeOptions options;
  options.fold_delay = Duration::seconds(4);
  options.fold_age = Duration::seconds(1);
  return options;
}

class Folding : public testing::Test {
 protected:
  Folding() : cluster({3}, "quorum", soon(), 1) {}

  void set(NodeIndex n, const std::string& key) {
    ASSERT_TRUE(cluster.call(n, op(Verb::kSet, key, {"v" + key})).status.ok());
  }
  void new_life(NodeIndex n) {
    cluster.kill(n);
    cluster.run(Duration::millis(100));
    cluster.boot(n);
    cluster.run(Duration::seconds(1));
  }
  const crdt::Clock& clock(NodeIndex n) { return cluster[n].clock(0, 0); }
  size_t rows(NodeIndex n) { return clock(n).rows().size(); }
  bool folded(NodeIndex n) { return clock(n).has_folds(); }
  bool all_folded() { return folded(0) && folded(1) && folded(2); }
  // Two lives of node 0 that have written something.
  void two_lives() {
    set(0, "a");
    new_life(0);
    set(0, "b");
    cluster.run(Duration::seconds(1));
  }

  // Node `to` hears an announcement of node `from` with this clock.
  void say(NodeIndex from, NodeIndex to, const crdt::Clock& clock) {
    AnnounceMessage m;
    m.instance = cluster[from].epoch();
    m.version = 1'000'000;
    m.as_of = cluster.now().wall;
    m.entries = {{{0, 0}, clock}};
    cluster[to].on_message(from, m.encode(), cluster.now());
    cluster.settle(to);
    cluster.run(Duration::millis(500));
  }

  StripeCluster cluster;
};

TEST_F(Folding, ALifeThatHasEndedIsFoldedAtAllReplicasAfterTheDelay) {
  two_lives();
  EXPECT_EQ(rows(1), 2u);
  const uint64_t hash = clock(1).hash();
  cluster.run(Duration::seconds(1));
  EXPECT_FALSE(folded(0) || folded(1) || folded(2));
  cluster.run(Duration::seconds(6));
  EXPECT_TRUE(all_folded());
  for (NodeIndex n = 0; n < 3; ++n) {
    EXPECT_EQ(rows(n), 2u) << n;  // a fold, and the present life
    EXPECT_EQ(clock(n).hash(), hash) << n;
    EXPECT_EQ(cluster[n].stats().clock_rows, 2u) << n;
    EXPECT_EQ(cluster.call(n, op(Verb::kGet, "a")).value.bytes, "va") << n;
  }
  EXPECT_GE(cluster[0].stats().folded_lives + cluster[1].stats().folded_lives, 2u);
  EXPECT_TRUE(cluster.converged());
  EXPECT_EQ(cluster[1].stats().catch_ups + cluster[1].stats().full_exchanges, 0u) << "a fold is nothing to repair";
}

TEST_F(Folding, ManyLivesAreOneRow) {
  for (int life = 0; life < 5; ++life) {
    set(0, "k" + std::to_string(life));
    new_life(0);
  }
  set(0, "last");
  cluster.run(Duration::seconds(1));
  EXPECT_EQ(rows(2), 6u);
  // Each life began at least 65 s above the one before it.
  cluster.run(Duration::seconds(1200), 100);
  for (NodeIndex n = 0; n < 3; ++n) EXPECT_EQ(rows(n), 2u) << n;
  EXPECT_TRUE(cluster.converged());
}

TEST_F(Folding, WaitsForAReplicaThatIsAway) {
  set(0, "a");
  cluster.kill(2);
  new_life(0);
  set(0, "b");
  cluster.run(Duration::seconds(30));
  EXPECT_FALSE(folded(0) || folded(1));
  cluster.boot(2);
  cluster.run(Duration::seconds(10));
  EXPECT_TRUE(all_folded());
  EXPECT_TRUE(cluster.converged());
}

TEST_F(Folding, WaitsForAReplicaThatHasNotHeardOfTheNewLife) {
  set(0, "a");
  cluster.cut(0, 2);
  new_life(0);
  set(0, "b");
  cluster.run(Duration::seconds(30));
  EXPECT_TRUE(clock(1).covers(clock(2)) && clock(2).covers(clock(1))) << "by way of node 1 it has everything";
  EXPECT_FALSE(folded(0) || folded(1) || folded(2));
  cluster.cut(0, 2, false);
  cluster.run(Duration::seconds(10));
  EXPECT_TRUE(all_folded());
}

TEST_F(Folding, WaitsForAReplicaThatLacksTheLastWrites) {
  set(0, "a");
  cluster.cut(0, 2);
  cluster.cut(1, 2);
  set(0, "only at two");
  cluster.cut(1, 2, false);
  cluster.cut(0, 2, false);
  cluster.cut(0, 1);
  cluster.drop = [](const Output::Message& m) { return message_type(m.bytes) == MessageType::kCatchUpReply; };
  cluster.cut(0, 1, false);
  new_life(0);
  cluster.run(Duration::seconds(20));
  EXPECT_FALSE(clock(2).covers(clock(0)));
  EXPECT_FALSE(folded(0) || folded(1) || folded(2));
  cluster.drop = {};
  cluster.run(Duration::seconds(20));
  EXPECT_TRUE(all_folded());
  EXPECT_EQ(cluster.call(2, op(Verb::kGet, "only at two")).value.bytes, "vonly at two");
}

TEST_F(Folding, OutlivesARestart) {
  two_lives();
  cluster.run(Duration::seconds(8));
  ASSERT_TRUE(all_folded());
  const auto through = clock(1).folded_through(clock(1).rows()[0].actor.node);
  new_life(1);
  EXPECT_EQ(clock(1).folded_through(clock(1).rows()[0].actor.node), through);
  EXPECT_TRUE(cluster.converged());
  set(1, "c");
  EXPECT_EQ(cluster.call(2, op(Verb::kGet, "c")).value.bytes, "vc");
}

TEST_F(Folding, AReplicaThatLostItsDiskGetsTheFoldAndNothingThatWasRemoved) {
  set(0, "gone");
  two_lives();
  ASSERT_TRUE(cluster.call(1, op(Verb::kDelete, "gone")).status.ok());
  cluster.run(Duration::seconds(8));
  ASSERT_TRUE(all_folded());
  cluster.wipe(2);
  cluster.boot(2);
  for (int i = 0; i < 100 && !cluster.converged(); ++i) cluster.run(Duration::millis(100));
  ASSERT_TRUE(cluster.converged());
  EXPECT_TRUE(folded(2));
  EXPECT_GE(cluster[2].stats().full_exchanges, 1u) << "of which dots of a fold it lacks nobody can say";
  EXPECT_EQ(cluster.call(2, op(Verb::kGet, "a")).value.bytes, "va");
  EXPECT_EQ(cluster.call(2, op(Verb::kGet, "gone")).value.kind, Value::Kind::kNil);
}

TEST_F(Folding, WhatAnotherOneHasFoldedAlikeIsFoldedAtOnce) {
  two_lives();
  const crdt::Actor first = clock(2).rows()[0].actor;
  crdt::Clock theirs = clock(1);
  theirs.fold(first, *theirs.fold_hash(first.node, first.epoch));
  say(1, 2, theirs);
  EXPECT_EQ(clock(2).folded_through(first.node), first.epoch);
  EXPECT_EQ(cluster[2].stats().catch_ups, 0u);
}

TEST_F(Folding, WhatAnotherOneHasFoldedOtherwiseIsMissingHere) {
  two_lives();
  const crdt::Actor first = clock(2).rows()[0].actor;
  crdt::Clock theirs = clock(1);
  theirs.fold(first, *theirs.fold_hash(first.node, first.epoch) + 1);
  say(1, 2, theirs);
  EXPECT_FALSE(folded(2));
  EXPECT_GE(cluster[2].stats().catch_ups, 1u);
}

// Its disk was lost, and its clock is behind: its own numbers must not be those of the past, nor lie under a fold.
TEST_F(Folding, ANodeThatHearsOfLaterLivesOfItsOwnGoesOnAboveThem) {
  set(0, "a");
  const crdt::Actor actor = clock(0).rows()[0].actor;
  crdt::Clock theirs = clock(0);
  theirs.add({actor.node, actor.epoch + 1000}, {1, 1});
  say(1, 0, theirs);
  const uint64_t above = cluster[0].epoch();
  EXPECT_GT(above, actor.epoch + 1000);
  theirs = clock(0);
  theirs.fold({actor.node, above}, 77);
  say(2, 0, theirs);
  EXPECT_GT(cluster[0].epoch(), above);
  set(0, "b");
  EXPECT_EQ(cluster.call(1, op(Verb::kGet, "b")).value.bytes, "vb");
}

TEST_F(Folding, ARangeRemovalTakesWhatWasWrittenInFoldedLives) {
  std::vector<std::string> elements;
  for (int i = 0; i < 500; ++i) elements.push_back("e" + std::to_string(i));
  ASSERT_TRUE(cluster.call(0, op(Verb::kSetAdd, "s", elements)).status.ok());
  two_lives();
  cluster.run(Duration::seconds(8));
  ASSERT_TRUE(all_folded());
  size_t bytes = 0;
  cluster.on_message = [&](NodeIndex, const Output::Message& m) {
    if (message_type(m.bytes) == MessageType::kWrite) bytes = std::max(bytes, m.bytes.size());
  };
  ASSERT_TRUE(cluster.call(1, op(Verb::kDelete, "s")).status.ok());
  cluster.run(Duration::seconds(1));
  for (NodeIndex n = 0; n < 3; ++n) EXPECT_TRUE(cluster[n].inspect(0, "s")->empty()) << n;
  EXPECT_TRUE(cluster.converged());
  EXPECT_GT(bytes, 0u);
  EXPECT_LT(bytes, 400u) << "it names what it has seen by intervals";
}

}  // namespace
}  // namespace cartwheel::node
