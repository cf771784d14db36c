// Each deliberate defect of consensus (base/planted.h) is found by the random runs within a bounded number of seeds,
// about ten times what it took when it was planted; with none on, the same seeds pass. Prints what found what.
//
// Built with CARTWHEEL_PLANTED_BUGS only (preset `planted`).
#include "base/planted.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "tests/node/paxos/world.h"

namespace cartwheel::node::paxos::model {
namespace {

struct Planted {
  Bug bug;
  const char* name;
  uint64_t seeds;
};

class PlantedBug : public testing::TestWithParam<Planted> {
 protected:
  void TearDown() override { g_planted_bug = Bug::kNone; }
};

TEST_P(PlantedBug, IsFoundByARandomRun) {
  g_planted_bug = GetParam().bug;
  for (uint64_t seed = 1; seed <= GetParam().seeds; ++seed) {
    RunResult result = run_seed(seed);
    if (!result.failure) continue;
    std::printf("%s: seed %llu: %s\n", GetParam().name, static_cast<unsigned long long>(seed), result.failure->c_str());
    return;
  }
  FAIL() << GetParam().name << " was not found by " << GetParam().seeds << " seeds";
}

INSTANTIATE_TEST_SUITE_P(Paxos, PlantedBug,
                         testing::Values(Planted{Bug::kPaxosForgottenPromise, "ForgottenPromise", 20000},
                                         Planted{Bug::kPaxosReplyBeforeSync, "ReplyBeforeSync", 20000},
                                         Planted{Bug::kPaxosIgnoresAccepted, "IgnoresAccepted", 20000},
                                         Planted{Bug::kPaxosBallotReuse, "BallotReuse", 40000},
                                         Planted{Bug::kPaxosMajorityOfUnion, "MajorityOfUnion", 20000},
                                         Planted{Bug::kPaxosReadFromMinority, "ReadFromMinority", 20000},
                                         Planted{Bug::kPaxosRefusalAfterAccept, "RefusalAfterAccept", 20000},
                                         Planted{Bug::kPaxosAmnesiacVotes, "AmnesiacVotes", 20000},
                                         Planted{Bug::kPaxosRepeatsBlindly, "RepeatsBlindly", 20000},
                                         Planted{Bug::kPaxosNoFence, "NoFence", 40000}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(NoPlantedBug, TheSameSeedsPass) {
  ASSERT_EQ(g_planted_bug, Bug::kNone);
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    RunResult result = run_seed(seed);
    ASSERT_FALSE(result.failure) << "seed " << seed << ": " << *result.failure;
  }
}

}  // namespace
}  // namespace cartwheel::node::paxos::model
