// Changes of the ring on whole clusters, one at a time: nodes join, leave and are replaced while clients write. Each
// ends with the ring at rest, all replicas equal, and nothing lost that was acknowledged.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "tests/sim/checkers.h"
#include "tests/sim/sim_world.h"

namespace cartwheel::sim {
namespace {

using node::Operation;
using node::Verb;

class OneRegion : public testing::Test {
 protected:
  OneRegion() : world(make_config({{"eu", 3}}, 8, 1, {{{3}}}), options()) {
    world.start_all();
    world.run_for(Duration::seconds(1));
  }
  static WorldOptions options() {
    WorldOptions options;
    options.seed = 11;
    options.stripe.sweep_interval = Duration::seconds(1);
    return options;
  }

  static node::NodeInfo newcomer(const std::string& name) {
    node::NodeInfo info;
    info.name = name;
    info.region = "eu";
    info.zone = "b";
    info.identity = 77;
    info.rpc = {"127.0.0.1", 9001};
    return info;
  }
  // Adds one element to each of eight sets, at the node that `n` names; whether all were acknowledged.
  bool write(node::NodeIndex n) {
    bool all = true;
    for (int set = 0; set < 8; ++set) {
      Operation add;
      add.verb = Verb::kSetAdd;
      add.key = "set:" + std::to_string(set);
      add.args = {"e" + std::to_string(++elements_)};
      bool ok = world.call(n, 0, add).outcome == Outcome::kOk;
      if (ok) acknowledged_.emplace_back(add.key, add.args[0]);
      all = all && ok;
    }
    return all;
  }
  void write_until_the_ring_rests(node::NodeIndex n) {
    for (int round = 0; round < 600 && world.ring_unrest(); ++round) {
      EXPECT_TRUE(write(n)) << "round " << round;
      world.run_for(Duration::millis(50));
    }
    EXPECT_EQ(world.ring_unrest().value_or("rest"), "rest");
  }
  void check() {
    world.run_for(Duration::seconds(5));
    ASSERT_TRUE(world.run_until([&] { return world.converged(); }, Duration::seconds(60)))
        << world.difference().value_or("");
    EXPECT_EQ(world.history().violation().value_or("nothing"), "nothing");
    for (auto check : {check_oracle, check_acknowledged, check_removed, check_sessions}) {
      EXPECT_EQ(check(world).value_or("nothing"), "nothing");
    }
    EXPECT_EQ(check_levels(world).value_or("nothing"), "nothing");
    for (node::NodeIndex n = 0; n < world.config().nodes.size(); ++n) {
      if (!world.is_up(n)) continue;
      for (int set = 0; set < 8; ++set) {
        Operation all;
        all.verb = Verb::kSetAll;
        all.key = "set:" + std::to_string(set);
        std::set<std::string> seen;
        for (const node::Value& value : world.call(n, 0, all).reply.value.list) seen.insert(value.bytes);
        for (const auto& [key, element] : acknowledged_) {
          EXPECT_TRUE(key != all.key || seen.contains(element)) << element << " of " << key << " at node " << n;
        }
      }
    }
  }

  SimWorld world;
  int elements_ = 0;
  std::vector<std::pair<std::string, std::string>> acknowledged_;
};

TEST_F(OneRegion, ANodeThatJoinsUnderWritesGetsItsShareAndNothingIsLost) {
  ASSERT_TRUE(write(0));
  ASSERT_TRUE(world.join(newcomer("eu-4")).ok());
  write_until_the_ring_rests(1);
  size_t owned = 0;
  for (Partition partition : world.partitions()) owned += world.owns(3, partition);
  EXPECT_EQ(owned, 6u);  // 8 arcs of 3 replicas over 4 nodes
  check();
}

TEST_F(OneRegion, ANodeThatLeavesHandsOverWhatItHasAndIsRemoved) {
  ASSERT_TRUE(world.join(newcomer("eu-4")).ok());
  write_until_the_ring_rests(0);
  ASSERT_TRUE(world.change_ring([](node::ClusterConfig& c) { return node::leave(c, "eu-1", false); }).ok());
  write_until_the_ring_rests(1);
  EXPECT_TRUE(world.config().nodes[0].removed());
  check();
}

TEST_F(OneRegion, ADeadNodeIsReplacedUnderWrites) {
  ASSERT_TRUE(write(0));
  world.kill(2);
  world.run_for(Duration::seconds(3));
  ASSERT_TRUE(world.join(newcomer("eu-4"), "eu-3").ok());
  write_until_the_ring_rests(0);
  size_t owned = 0;
  for (Partition partition : world.partitions()) owned += world.owns(3, partition);
  EXPECT_EQ(owned, 8u);
  check();
}

TEST_F(OneRegion, ANodeThatCannotLeaveIsToldWhy) {
  Status refused = world.change_ring([](node::ClusterConfig& c) { return node::leave(c, "eu-1", false); });
  EXPECT_EQ(refused.code(), Code::kInvalidArgument);
  EXPECT_NE(refused.message().find("3 replicas in region 'eu', where 2 other nodes would be left"), std::string::npos)
      << refused.message();
  EXPECT_EQ(world.config().epoch, 1u);
}

TEST_F(OneRegion, AJoinGoesOnWhenTheNewNodeDiesInTheMiddle) {
  ASSERT_TRUE(write(0));
  ASSERT_TRUE(world.join(newcomer("eu-4")).ok());
  world.run_for(Duration::millis(400));
  world.kill(3);
  EXPECT_TRUE(write(1));
  world.run_for(Duration::seconds(2));
  EXPECT_TRUE(world.ring_unrest().has_value());
  world.start(3);
  write_until_the_ring_rests(1);
  check();
}

}  // namespace
}  // namespace cartwheel::sim
