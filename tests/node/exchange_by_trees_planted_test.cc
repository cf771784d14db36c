// The planted defects of the full exchange by trees are found by the histories of exchange_by_trees_test.cc.
#include <gtest/gtest.h>

#include <cstdio>

#include "base/planted.h"
#include "tests/node/exchange_by_trees_testing.h"

namespace cartwheel::node {
namespace {

class PlantedExchangeByTrees : public testing::Test {
 protected:
  void TearDown() override { g_planted_bug = Bug::kNone; }
  static std::string with(Bug bug, std::string (*history)()) {
    g_planted_bug = bug;
    std::string wrong = history();
    g_planted_bug = Bug::kNone;
    std::printf("%s\n", wrong.c_str());
    return wrong;
  }
};

TEST_F(PlantedExchangeByTrees, KeepingWhatTheSourceKnewToBeDeadIsFound) {
  EXPECT_NE(with(Bug::kTreesKeepDead, [] { return dead_in_the_window(false); }).find("shows late"), std::string::npos);
  EXPECT_NE(with(Bug::kTreesKeepDead, [] { return dead_in_the_window(true); }).find("shows late"), std::string::npos);
}

TEST_F(PlantedExchangeByTrees, ResetsThatDoNotComeAreFound) {
  EXPECT_NE(with(Bug::kTreesForgetResets, late_increment_of_a_reset_counter).find("counts 6"), std::string::npos);
}

TEST_F(PlantedExchangeByTrees, BothAreFoundByRandomHistories) {
  for (Bug bug : {Bug::kTreesKeepDead, Bug::kTreesForgetResets}) {
    std::string wrong;
    for (uint64_t seed = 1; wrong.empty() && seed <= 3000; ++seed) {
      g_planted_bug = bug;
      wrong = random_history(seed);
      g_planted_bug = Bug::kNone;
    }
    EXPECT_NE(wrong, "");
    std::printf("%s\n", wrong.c_str());
  }
}

}  // namespace
}  // namespace cartwheel::node
