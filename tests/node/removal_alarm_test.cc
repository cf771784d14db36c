// A full exchange that would remove much is stopped before it removes anything, until the operator accepts it.
#include <gtest/gtest.h>

#include "tests/node/stripe_cluster.h"

namespace cartwheel::node {
namespace {

// Node 1 is away while `removed` of 40 keys go at node 0, whose log is too short to tell it of them.
class RemovalAlarm : public testing::Test {
 protected:
  static StripeOptions options() {
    StripeOptions options;
    options.log_entries = 1;
    options.alarm_keys = 10;
    options.catch_up_chunk_bytes = 200;  // several stages
    return options;
  }
  void remove_behind_its_back(int removed) {
    for (int i = 0; i < 40; ++i) cluster_.call(0, op(Verb::kSet, "k" + std::to_string(i), {"v"}));
    cluster_.run(Duration::seconds(2));
    cluster_.cut(0, 1);
    cluster_.run(Duration::seconds(3));
    for (int i = 0; i < removed; ++i) cluster_.call(0, op(Verb::kDelete, "k" + std::to_string(i)));
    cluster_.call(0, op(Verb::kSet, "later", {"v"}));
    cluster_.cut(0, 1, false);
    cluster_.run(Duration::seconds(10));
  }
  size_t keys_at_1() {
    size_t keys = 0;
    for (int i = 0; i < 40; ++i) keys += !cluster_[1].inspect(0, "k" + std::to_string(i))->empty();
    return keys;
  }
  StripeCluster cluster_{{2}, "one", options(), 1};
};

TEST_F(RemovalAlarm, FewRemovalsAreJoined) {
  remove_behind_its_back(15);
  EXPECT_EQ(cluster_[1].stats().repair_alarms, 0u);
  EXPECT_EQ(keys_at_1(), 25u);
  EXPECT_TRUE(cluster_.converged());
}

TEST_F(RemovalAlarm, ManyStopTheExchangeBeforeAnythingIsRemoved) {
  remove_behind_its_back(35);
  EXPECT_EQ(cluster_[1].stats().repair_alarms, 1u);
  EXPECT_EQ(cluster_[1].stats().alarmed, 1u);
  EXPECT_EQ(keys_at_1(), 40u);
  ASSERT_EQ(cluster_.events(1).size(), 1u);
  EXPECT_EQ(cluster_.events(1)[0].kind, Output::Event::Kind::kAlarm);
  EXPECT_EQ(cluster_.events(1)[0].peer, 0u);
  EXPECT_EQ(cluster_.events(1)[0].why, "it would remove 35 of 40 keys");
  cluster_.call(0, op(Verb::kSet, "direct", {"v"}));  // writes go on
  EXPECT_EQ(cluster_.call(1, op(Verb::kGet, "direct")).value.bytes, "v");
  cluster_.kill(1);  // the alarm comes again with the next life
  cluster_.boot(1);
  cluster_.run(Duration::seconds(10));
  EXPECT_EQ(cluster_[1].stats().repair_alarms, 1u);
  EXPECT_EQ(keys_at_1(), 40u);
  cluster_[1].accept_losses(cluster_.now());
  cluster_.run(Duration::seconds(5));
  EXPECT_EQ(keys_at_1(), 5u);
  EXPECT_EQ(cluster_[1].stats().alarmed, 0u);
  EXPECT_EQ(cluster_.events(1).back().kind, Output::Event::Kind::kAlarmLifted);
  EXPECT_TRUE(cluster_.converged());
}

}  // namespace
}  // namespace cartwheel::node
