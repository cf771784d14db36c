// What other systems got wrong, each from a report of its users, as a scenario that must end well: deletes, expiry,
// hints and returns. (The hint that comes after what it was overwritten by was forgotten is in
// fallback_scenario_test.cc.)
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "node/core/partition_tree.h"
#include "tests/sim/checkers.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/workload.h"

namespace cartwheel::sim {
namespace {

using node::NodeIndex;
using node::Operation;
using node::Verb;

Operation op(Verb verb, std::string key, std::vector<std::string> args = {}) {
  Operation operation;
  operation.verb = verb;
  operation.key = std::move(key);
  operation.args = std::move(args);
  if (verb == Verb::kSet) operation.expiry.kind = node::Expiry::Kind::kNone;
  return operation;
}

WorldOptions quick() {
  WorldOptions options;
  options.seed = 29;
  options.stripe.sweep_interval = Duration::seconds(1);
  options.stripe.tree_interval = Duration::seconds(2);
  return options;
}

// Two regions; nodes 0 to 2 are in eu, 3 to 5 in us; three copies in each.
class Field : public testing::Test {
 protected:
  explicit Field(WorldOptions options = quick())
      : world(make_config({{"eu", 3}, {"us", 3}}, 4, 1, {{{3, 3}}}), options) {
    world.start_all();
    world.run_for(Duration::seconds(2));
  }
  node::Reply ok(NodeIndex n, Operation operation) {
    const OpRecord& done = world.call(n, 0, std::move(operation));
    EXPECT_EQ(done.outcome, Outcome::kOk) << to_string(done);
    return done.reply;
  }
  std::set<std::string> elements(NodeIndex n, const std::string& key, Verb verb = Verb::kSetAll) {
    std::set<std::string> out;
    for (const node::Value& value : ok(n, op(verb, key)).value.list) out.insert(value.bytes);
    return out;
  }
  void settle() {
    world.heal();
    ASSERT_TRUE(world.run_until([&] { return world.converged(); }, Duration::seconds(60)))
        << world.difference().value_or("");
    EXPECT_EQ(world.history().violation().value_or("nothing"), "nothing");
    for (auto check : {check_oracle, check_acknowledged, check_removed, check_sessions}) {
      EXPECT_EQ(check(world).value_or("nothing"), "nothing");
    }
    EXPECT_EQ(check_levels(world).value_or("nothing"), "nothing");
    EXPECT_EQ(check_trees(world).value_or("nothing"), "nothing");
    compare_trees(world);
    EXPECT_TRUE(world.run_until([&] { return !trees_compared(world); }, Duration::seconds(60)))
        << trees_compared(world).value_or("");
  }
  uint64_t total(uint64_t node::StripeStats::*counter) const { return world.total(counter); }

  SimWorld world;
};

// OpenRiak/riak_kv#151 and #49: tombstones reaped in one cluster while the other one lags and a node is down come back,
// or full-sync ships them for ever.
TEST_F(Field, KeysDeletedInOneRegionWhileTheOtherLagsAndANodeIsDownDoNotReturn) {
  for (int i = 0; i < 60; ++i)
    ok(static_cast<NodeIndex>(i % 6), op(Verb::kMapSet, "cart:" + std::to_string(i), {"apples", "1"}));
  settle();
  world.kill(5);
  world.cut_regions("eu", "us");
  for (int i = 0; i < 60; ++i) ok(0, op(Verb::kDelete, "cart:" + std::to_string(i)));
  world.run_for(Duration::seconds(10));
  world.leap(40ll * 86'400'000);  // longer than any grace period
  world.run_for(Duration::seconds(5));
  settle();
  for (NodeIndex n = 0; n < 6; ++n) {
    for (int i = 0; i < 60; ++i) EXPECT_EQ(ok(n, op(Verb::kExists, "cart:" + std::to_string(i))).value.integer, 0);
  }
  EXPECT_EQ(total(&node::StripeStats::keys), 0u) << "a delete leaves nothing";
  EXPECT_EQ(total(&node::StripeStats::full_exchanges), 0u);
  EXPECT_EQ(total(&node::StripeStats::tree_keys_repaired), 0u);
}

// basho/riak#981: expiry by each replica's own clock makes hash trees differ, and their rebuild repairs what is dead.
TEST_F(Field, ThirtyDaysOfExpiringSessionsWithATreeRebuildInTheMiddleRepairNothing) {
  constexpr int kHours = 720;
  constexpr int64_t kHourMs = 3'600'000;
  uint64_t most = 0;
  for (int hour = 0; hour < kHours; ++hour) {
    for (int i = 0; i < 6; ++i) {
      Operation set = op(Verb::kSet, "session:" + std::to_string(hour) + ":" + std::to_string(i), {"logged in"});
      set.expiry = {node::Expiry::Kind::kAt, {world.wall().ms + (1 + (hour + i) % 3) * kHourMs / 2}};
      ok(static_cast<NodeIndex>(i), set);
      if (hour > 0 && i == 2) {  // touched, shortly before it ends
        Operation touch = op(Verb::kExpire, "session:" + std::to_string(hour - 1) + ":2");
        touch.expiry = {node::Expiry::Kind::kAt, {world.wall().ms + 2 * kHourMs}};
        ok(static_cast<NodeIndex>(hour % 6), touch);
      }
    }
    if (hour == kHours / 2) {  // their trees are gone, and are built from the rows while sessions go on
      for (NodeIndex n : std::vector<NodeIndex>{0, 4}) {
        world.kill(n);
        world.start(n);
      }
      world.kill(2);
      world.wipe(2);
      world.start(2);
      world.run_for(Duration::seconds(5));
    }
    world.run_for(Duration::seconds(3));
    most = std::max(most, total(&node::StripeStats::keys));
    world.leap(kHourMs - 3000);
  }
  EXPECT_LT(most, 6u * 40) << "what is stored follows what lives";
  EXPECT_EQ(total(&node::StripeStats::tree_keys_repaired), 0u) << "false repairs";
  EXPECT_EQ(total(&node::StripeStats::rotten_partitions), 0u);
  EXPECT_GT(total(&node::StripeStats::tree_summaries), 1000u) << "and they were compared";
  world.leap(4 * kHourMs);
  world.run_for(Duration::seconds(10));
  settle();
  EXPECT_EQ(total(&node::StripeStats::keys), 0u);
  for (NodeIndex n = 0; n < 6; ++n) {
    for (const node::PartitionDigest& each : world.stripe(n, 0).stripe().partition_digests()) {
      EXPECT_EQ(each.tree, node::PartitionTree().root()) << "an empty partition has an empty tree";
    }
  }
}

// basho/riak_kv#1360 and #1777: a delete beside an update in another region makes siblings, or crashes their merge.
TEST_F(Field, ADeleteBesideAnUpdateInAnotherRegionLeavesTheUpdateAlone) {
  ok(0, op(Verb::kMapSet, "cart", {"apples", "1", "pears", "2"}));
  ok(0, op(Verb::kSet, "note", {"old"}));
  settle();
  world.cut_regions("eu", "us");
  ok(0, op(Verb::kDelete, "cart"));
  ok(0, op(Verb::kDelete, "note"));
  ok(3, op(Verb::kMapSet, "cart", {"pears", "3"}));
  ok(3, op(Verb::kSet, "note", {"new"}));
  world.run_for(Duration::seconds(3));
  settle();
  for (NodeIndex n = 0; n < 6; ++n) {
    EXPECT_EQ(elements(n, "cart", Verb::kMapAll), (std::set<std::string>{"pears", "3"})) << n;
    EXPECT_EQ(ok(n, op(Verb::kGet, "note")).value.bytes, "new");
  }
}

// basho/riak_dt#82: an element that both sides hold under dots of which each has seen the other's die.
TEST_F(Field, AnElementThatBothSidesHoldByDotsThatTheOtherSawDieIsAbsent) {
  ok(0, op(Verb::kSetAdd, "set", {"a"}));
  settle();
  world.cut_regions("eu", "us");
  ok(0, op(Verb::kSetRemove, "set", {"a"}));
  ok(0, op(Verb::kSetAdd, "set", {"a"}));
  ok(3, op(Verb::kSetRemove, "set", {"a"}));
  ok(3, op(Verb::kSetAdd, "set", {"a"}));
  settle();  // both adds are there, by two dots
  EXPECT_EQ(elements(1, "set"), std::set<std::string>{"a"});
  world.cut_regions("eu", "us");
  ok(1, op(Verb::kSetRemove, "set", {"a"}));  // each side removes both
  ok(4, op(Verb::kSetRemove, "set", {"a"}));
  settle();
  for (NodeIndex n = 0; n < 6; ++n) EXPECT_TRUE(elements(n, "set").empty());
}

class ShortLog : public Field {
 protected:
  ShortLog() : Field(options()) {}
  static WorldOptions options() {
    WorldOptions options = quick();
    options.stripe.log_entries = 20;
    return options;
  }
};

// AntidoteDB/antidote#489 and #420: adds made during a partition, or while a region was down for longer than the log
// reaches, are lost.
TEST_F(ShortLog, ASetThatGrewInARegionThatWasCutOffBeyondTheLogIsThereEverywhere) {
  std::set<std::string> all;
  auto add = [&](NodeIndex n, int count) {
    for (int i = 0; i < count; ++i) {
      const std::string element = "e" + std::to_string(all.size());
      ok(n, op(Verb::kSetAdd, "set:" + std::to_string(i % 5), {element}));
      all.insert(element);
    }
  };
  add(0, 20);
  world.cut_regions("eu", "us");
  add(1, 200);
  add(4, 200);
  world.leap(30ll * 86'400'000);
  add(2, 50);
  for (NodeIndex n : std::vector<NodeIndex>{3, 4, 5}) world.kill(n);
  world.mend_regions("eu", "us");
  add(0, 200);
  for (NodeIndex n : std::vector<NodeIndex>{3, 4, 5}) world.start(n);
  settle();
  EXPECT_GT(total(&node::StripeStats::full_exchanges), 0u) << "the log did not reach";
  for (NodeIndex n = 0; n < 6; ++n) {
    std::set<std::string> found;
    for (int i = 0; i < 5; ++i) found.merge(elements(n, "set:" + std::to_string(i)));
    EXPECT_EQ(found, all) << "at node " << n;
  }
}

// A region that was cut off for a month, beyond the log, comes back: what is shipped is what differs, by the measure of
// hash trees, and not everything (AntidoteDB ships its whole log, KeyDB and Redis the whole data set).
TEST_F(ShortLog, ARegionThatWasCutOffForAMonthComesBackByItsHashTrees) {
  constexpr int kKeys = 3000, kChanged = 30;
  const std::string value(200, 'v');
  for (int i = 0; i < kKeys; ++i)
    ok(static_cast<NodeIndex>(i % 6), op(Verb::kSet, "cart:" + std::to_string(i), {value}));
  settle();
  world.cut_regions("eu", "us");
  for (int i = 0; i < kChanged; ++i) {
    ok(static_cast<NodeIndex>(i % 3), op(Verb::kSet, "cart:" + std::to_string(i * 50), {"eu " + value}));
    ok(static_cast<NodeIndex>(3 + i % 3), op(Verb::kDelete, "cart:" + std::to_string(i * 50 + 7)));
    ok(static_cast<NodeIndex>(3 + i % 3), op(Verb::kSetAdd, "wishes:" + std::to_string(i % 5), {std::to_string(i)}));
  }
  world.run_for(Duration::seconds(5));
  world.leap(30ll * 86'400'000);
  const uint64_t exchanges = total(&node::StripeStats::full_exchanges);
  const uint64_t by_trees = total(&node::StripeStats::full_exchanges_by_trees);
  const uint64_t before = total(&node::StripeStats::full_exchange_bytes);
  const uint64_t buckets_before = total(&node::StripeStats::full_exchange_buckets);
  settle();
  const uint64_t shipped = total(&node::StripeStats::full_exchange_bytes) - before;
  const uint64_t buckets = total(&node::StripeStats::full_exchange_buckets) - buckets_before;
  EXPECT_GT(total(&node::StripeStats::full_exchanges), exchanges) << "the log did not reach";
  EXPECT_EQ(total(&node::StripeStats::full_exchanges) - exchanges,
            total(&node::StripeStats::full_exchanges_by_trees) - by_trees);
  // A bucket has 0.7 keys of 250 bytes, and the hashes of a partition are 10 bytes for each bucket that has any.
  const uint64_t shown = (total(&node::StripeStats::full_exchanges_by_trees) - by_trees) * 5'500;
  EXPECT_LT(shipped, shown + 3 * 250 * buckets);
  EXPECT_LT(shipped, 6u * kKeys * 250 / 4) << "what the replicas hold";
  for (NodeIndex n = 0; n < 6; ++n) {
    EXPECT_EQ(ok(n, op(Verb::kGet, "cart:50")).value.bytes, "eu " + value);
    EXPECT_EQ(ok(n, op(Verb::kExists, "cart:57")).value.integer, 0);
  }
}

// Snapchat/KeyDB#247 and #366: two active masters under load end with different data.
TEST_F(Field, TwoRegionsUnderLoadAreByteEqualWhenItEnds) {
  WorkloadOptions load;
  load.clients = 30;
  load.think_us = 20'000;
  load.timeout_min_ms = 2'000;
  load.other_region = 0.5;
  load.weights = {3, 3, 3, 3, 3, 3, 1};
  Workload workload(world, load, 5);
  workload.start();
  world.run_for(Duration::seconds(20));
  workload.stop();
  world.run_for(Duration::seconds(5));
  settle();  // clocks, canonical states and hash trees of all six are equal
  EXPECT_GT(world.history().ops().size(), 10'000u);
}

}  // namespace
}  // namespace cartwheel::sim
