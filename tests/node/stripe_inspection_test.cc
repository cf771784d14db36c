// What a stripe tells operators: who lacks what of whom, and how a key is stored.
#include <gtest/gtest.h>

#include <map>

#include "tests/node/stripe_cluster.h"

namespace cartwheel::node {
namespace {

using Pair = std::pair<NodeIndex, NodeIndex>;
std::map<Pair, OriginLag> lag_of(StripeCluster& cluster, NodeIndex n) {
  std::map<Pair, OriginLag> by_pair;
  for (const OriginLag& lag : cluster[n].origin_lag(cluster.now())) by_pair[{lag.replica, lag.origin}] = lag;
  return by_pair;
}

TEST(StripeLag, NobodyIsSaidToLackWhatItWroteBecauseItsAnnouncementIsLate) {
  StripeCluster cluster({3}, "all");
  for (int i = 0; i < 20; ++i) cluster.call(0, op(Verb::kSetAdd, "s" + std::to_string(i), {"x"}));
  EXPECT_EQ(lag_of(cluster, 1).count({0, 0}), 0u) << "it has had no time to announce them";
}

TEST(StripeInspection, LagIsByOriginAndEndsWithTheCut) {
  StripeCluster cluster({2, 1}, "local_one");
  cluster.call(0, op(Verb::kSetAdd, "before", {"x"}));
  cluster.run(Duration::seconds(2));
  for (NodeIndex n = 0; n < 3; ++n) EXPECT_TRUE(lag_of(cluster, n).empty()) << n;
  cluster.cut(0, 2);
  cluster.cut(1, 2);
  for (int i = 0; i < 7; ++i) cluster.call(0, op(Verb::kSetAdd, "a" + std::to_string(i), {"x"}));
  for (int i = 0; i < 3; ++i) cluster.call(1, op(Verb::kSetAdd, "b" + std::to_string(i), {"x"}));
  for (int i = 0; i < 2; ++i) cluster.call(2, op(Verb::kSetAdd, "c" + std::to_string(i), {"x"}));
  cluster.run(Duration::seconds(10));
  for (NodeIndex n = 0; n < 2; ++n) {
    const auto lag = lag_of(cluster, n);
    ASSERT_EQ(lag.size(), 2u);
    EXPECT_EQ(lag.at({2, 0}).dots, 7u);
    EXPECT_EQ(lag.at({2, 1}).dots, 3u);
    EXPECT_GE(lag.at({2, 0}).seconds, 9);
    EXPECT_LE(lag.at({2, 0}).seconds, 12);
  }
  const auto lag = lag_of(cluster, 2);
  EXPECT_EQ(lag.size(), 2u);
  EXPECT_EQ(lag.at({0, 2}).dots, 2u);
  EXPECT_EQ(lag.at({1, 2}).dots, 2u);
  cluster.cut(0, 2, false);
  cluster.cut(1, 2, false);
  cluster.run(Duration::seconds(5));
  for (NodeIndex n = 0; n < 3; ++n) EXPECT_TRUE(lag_of(cluster, n).empty()) << n;
}

// A replica hears of a dot by the announcement of one peer while its source cannot be reached: it counts what is
// missing here itself, once, and for how long.
TEST(StripeInspection, AReplicaKnowsWhatItLacksItself) {
  StripeOptions options;
  options.catch_up_delay = Duration::seconds(3600);  // nobody brings what was lost
  StripeCluster cluster({3}, "one", options);
  cluster.cut(0, 2);
  cluster.call(0, op(Verb::kSetAdd, "k", {"x"}));
  cluster.run(Duration::seconds(5));
  const auto lag = lag_of(cluster, 2);
  ASSERT_TRUE(lag.contains({2, 0}));
  EXPECT_EQ(lag.at({2, 0}).dots, 1u);
  EXPECT_GE(lag.at({2, 0}).seconds, 3);
  EXPECT_LE(lag.at({2, 0}).seconds, 5);
  EXPECT_EQ(cluster[2].stats().behind, 1u);
  EXPECT_GE(cluster[2].stats().behind_oldest_seconds, 3u);
  EXPECT_LE(cluster[2].stats().behind_oldest_seconds, 5u);
  EXPECT_EQ(cluster[1].stats().behind, 0u);
}

TEST(StripeInspection, TheAgeOfTheOldestDifferenceGrowsUntilEqualityIsProven) {
  StripeCluster cluster({2}, "one");
  cluster.run(Duration::seconds(30));
  EXPECT_LE(cluster[0].stats().unproven_seconds, 11u);  // compared every 10 s
  cluster.cut(0, 1);
  cluster.call(0, op(Verb::kSetAdd, "k", {"x"}));
  cluster.run(Duration::seconds(60));
  EXPECT_GE(cluster[0].stats().unproven_seconds, 60u);
  EXPECT_EQ(cluster[1].stats().catch_up_bytes, 0u);
  cluster.cut(0, 1, false);
  cluster.run(Duration::seconds(30));
  EXPECT_LE(cluster[0].stats().unproven_seconds, 11u);
  EXPECT_GT(cluster[1].stats().catch_up_bytes, 0u);
  EXPECT_EQ(cluster[1].stats().unproven_seconds, 0u) << "the other one compares";
}

TEST(StripeInspection, AKeyIsVisitedWholeOrByField) {
  StripeCluster cluster({2}, "all");
  for (size_t elements : {3, 500}) {  // packed, and a row per leaf
    const std::string key = "set" + std::to_string(elements);
    std::vector<std::string> args;
    for (size_t i = 0; i < elements; ++i) args.push_back("e" + std::to_string(i));
    cluster.call(0, op(Verb::kSetAdd, key, args));
    std::vector<std::string> seen;
    size_t most = 1000;
    const auto visit = [&](std::string_view path, const crdt::Leaf& leaf) {
      EXPECT_TRUE(leaf.visible());
      seen.emplace_back(path);
      return seen.size() < most;
    };
    auto summary = cluster[1].look_at(0, key, std::nullopt, visit);
    ASSERT_TRUE(summary.ok());
    EXPECT_EQ(summary->leaves, elements);
    EXPECT_EQ(summary->root, crdt::Tag::kElement);
    EXPECT_EQ(seen.size(), elements);
    seen.clear();
    most = 2;
    ASSERT_TRUE(cluster[1].look_at(0, key, std::nullopt, visit).ok());
    EXPECT_EQ(seen.size(), 2u);
    seen.clear();
    most = 1000;
    ASSERT_TRUE(cluster[1].look_at(0, key, "e2", visit).ok());
    EXPECT_EQ(seen, std::vector<std::string>{crdt::path_step(crdt::Tag::kElement, "e2")});
    seen.clear();
    ASSERT_TRUE(cluster[1].look_at(0, key, "other", visit).ok());
    EXPECT_TRUE(seen.empty());
  }
  const auto none = [](std::string_view, const crdt::Leaf&) { return true; };
  EXPECT_EQ(cluster[0].look_at(7, "k", std::nullopt, none).status().code(), Code::kNotFound);
  EXPECT_EQ(cluster[0].look_at(0, "k", std::nullopt, none)->leaves, 0u);
}

}  // namespace
}  // namespace cartwheel::node
