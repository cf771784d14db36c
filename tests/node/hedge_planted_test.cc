// The planted defects of hedging are found by what stripe_hedge_test.cc promises: a bounded wait, within a budget.
#include <gtest/gtest.h>

#include "base/planted.h"
#include "tests/node/stripe_cluster.h"

namespace cartwheel::node {
namespace {

class PlantedHedge : public testing::Test {
 protected:
  void TearDown() override { g_planted_bug = Bug::kNone; }
  // Three reads at once of a key whose other copy that is asked first stands still: how many were answered within
  // `ms`, and how many requests were sent beyond need.
  static std::pair<int, uint64_t> reads(Bug bug, int64_t ms) {
    g_planted_bug = Bug::kNone;
    StripeOptions options;
    options.hedge_percent = 0;
    options.hedge_burst = 2;
    StripeCluster cluster({3}, "quorum", options);
    Operation get;
    get.verb = Verb::kGet;
    for (int i = 0; i < 100; ++i) {
      get.key = "w" + std::to_string(i);
      cluster.call(0, get);
    }
    for (int i = 0;; ++i) {
      get.key = "k" + std::to_string(i);
      std::vector<NodeIndex> owners =
          cluster.config().assignments[0].owners[arc_of(get.key, cluster.config().partitions)];
      std::erase(owners, NodeIndex{0});
      if (owners[0] == 2) break;
    }
    cluster.stand_still(2);
    g_planted_bug = bug;
    int done = 0;
    for (int i = 0; i < 3; ++i) cluster.submit(0, get, [&](const Reply& reply) { done += reply.status.ok(); });
    cluster.settle(0);
    cluster.run(Duration::millis(ms), 1);
    return {done, cluster[0].stats().hedges};
  }
};

TEST_F(PlantedHedge, AReadThatNeverHedgesWaits) {
  EXPECT_EQ(reads(Bug::kNone, 150).first, 3);
  EXPECT_EQ(reads(Bug::kHedgeNever, 150).first, 0);
}

TEST_F(PlantedHedge, HedgesWithoutABudgetAreMoreThanItAllows) {
  EXPECT_EQ(reads(Bug::kNone, 50).second, 2u);
  EXPECT_GT(reads(Bug::kHedgeWithoutBudget, 50).second, 2u);
}

}  // namespace
}  // namespace cartwheel::node
