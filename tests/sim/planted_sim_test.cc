// Each deliberate defect of the protocol (base/planted.h) makes a checker of the simulator object, within a bounded
// number of seeds. Prints how many each needed, and what was said.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "base/planted.h"
#include "tests/sim/run_seed.h"

namespace cartwheel::sim {
namespace {

struct Planted {
  Bug bug;
  const char* name;
};

class PlantedBug : public testing::TestWithParam<Planted> {
 protected:
  void TearDown() override { g_planted_bug = Bug::kNone; }
};

constexpr uint64_t kSeedsMax = 400;

TEST_P(PlantedBug, IsFoundByARandomRun) {
  g_planted_bug = GetParam().bug;
  for (uint64_t seed = 1; seed <= kSeedsMax; ++seed) {
    SeedResult result = run_seed(seed);
    if (!result.failure) continue;
    std::printf("%s: seed %llu: %s\n", GetParam().name, static_cast<unsigned long long>(seed), result.failure->c_str());
    return;
  }
  FAIL() << GetParam().name << " was not found by " << kSeedsMax << " seeds";
}

INSTANTIATE_TEST_SUITE_P(
    Core, PlantedBug,
    testing::Values(Planted{Bug::kReuseDot, "ReuseDot"}, Planted{Bug::kClockAheadOfData, "ClockAheadOfData"},
                    Planted{Bug::kDroppedDelta, "DroppedDelta"}, Planted{Bug::kBothSidesKeep, "BothSidesKeep"},
                    Planted{Bug::kAckBeforeLocalWrite, "AckBeforeLocalWrite"},
                    Planted{Bug::kSendBeforeLocalWrite, "SendBeforeLocalWrite"},
                    Planted{Bug::kAckCountsUnreachable, "AckCountsUnreachable"},
                    Planted{Bug::kExpiryByLocalDelete, "ExpiryByLocalDelete"},
                    Planted{Bug::kRelayDropsDelta, "RelayDropsDelta"},
                    Planted{Bug::kCatchUpClaimsTooMuch, "CatchUpClaimsTooMuch"},
                    Planted{Bug::kQuorumReadsLocal, "QuorumReadsLocal"}, Planted{Bug::kLwwByArrival, "LwwByArrival"},
                    Planted{Bug::kUnionWithoutFloorCheck, "UnionWithoutFloorCheck"},
                    Planted{Bug::kPendingRangeNotApplied, "PendingRangeNotApplied"}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace cartwheel::sim
