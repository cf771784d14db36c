// Each deliberate defect of the protocol (base/planted.h) makes a checker of the simulator object, within a bounded
// number of seeds. Prints how many each needed, and what was said.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "base/planted.h"
#include "tests/sim/ring_histories.h"
#include "tests/sim/run_seed.h"
#include "tests/sim/stop_history.h"

namespace cartwheel::sim {
namespace {

struct Planted {
  Bug bug;
  const char* name;
};

class PlantedBug : public testing::TestWithParam<Planted> {
 protected:
  void TearDown() override { g_planted_bug = Bug::kNone; }
  // The first seed that fails for the bug alone: without it the same seed must pass.
  void find(RunKind kind, uint64_t seeds_max) {
    for (uint64_t seed = 1; seed <= seeds_max; ++seed) {
      g_planted_bug = GetParam().bug;
      SeedResult result = run_seed(seed, false, kind);
      if (!result.failure) continue;
      g_planted_bug = Bug::kNone;
      SeedResult sound = run_seed(seed, false, kind);
      EXPECT_FALSE(sound.failure) << "seed " << seed << " fails without any planted bug: " << *sound.failure;
      if (sound.failure) continue;
      std::printf("%s: seed %llu: %s\n", GetParam().name, static_cast<unsigned long long>(seed),
                  result.failure->c_str());
      return;
    }
    FAIL() << GetParam().name << " was not found by " << seeds_max << " seeds";
  }
};

TEST_P(PlantedBug, IsFoundByARandomRun) {
  find({}, 400);
}

class PlantedRingBug : public PlantedBug {};

TEST_P(PlantedRingBug, IsFoundByARandomRunThatChangesTheRing) {
  find({.ring = true}, 100);
}

class PlantedFallbackBug : public PlantedBug {};

TEST_P(PlantedFallbackBug, IsFoundByARandomRunWithFallbacks) {
  find({.fallbacks = true}, 400);
}

INSTANTIATE_TEST_SUITE_P(Fallbacks, PlantedFallbackBug,
                         testing::Values(Planted{Bug::kFallbackUntold, "FallbackUntold"}),
                         [](const auto& test) { return std::string(test.param.name); });

INSTANTIATE_TEST_SUITE_P(Ring, PlantedRingBug, testing::Values(Planted{Bug::kLoadForgetsTail, "LoadForgetsTail"}),
                         [](const auto& test) { return std::string(test.param.name); });

class PlantedSpoilBug : public PlantedBug {};

TEST_P(PlantedSpoilBug, IsFoundByARandomRunWithDisksThatSpoilRows) {
  find({.spoil = true}, 200);
}

INSTANTIATE_TEST_SUITE_P(Spoil, PlantedSpoilBug,
                         testing::Values(Planted{Bug::kQuarantineKeepsClock, "QuarantineKeepsClock"},
                                         Planted{Bug::kQuarantineTakesLess, "QuarantineTakesLess"},
                                         Planted{Bug::kUnreadableIsAbsent, "UnreadableIsAbsent"},
                                         Planted{Bug::kSalvageHolesRemove, "SalvageHolesRemove"}),
                         [](const auto& test) { return std::string(test.param.name); });

class PlantedStopBug : public PlantedBug {};

TEST_P(PlantedStopBug, IsFoundByARandomRunWithShortStops) {
  find({.stops = true}, 100);
}

INSTANTIATE_TEST_SUITE_P(Stops, PlantedStopBug,
                         testing::Values(Planted{Bug::kHedgeNever, "HedgeNever"},
                                         Planted{Bug::kHedgeWithoutBudget, "HedgeWithoutBudget"}),
                         [](const auto& test) { return std::string(test.param.name); });

// What needs one moment and no other (ring_histories.h).
struct PlantedHistory {
  Bug bug;
  Verdict (*history)();
  const char* name;
};

class PlantedRingHistory : public testing::TestWithParam<PlantedHistory> {
 protected:
  void TearDown() override { g_planted_bug = Bug::kNone; }
};

TEST_P(PlantedRingHistory, LosesSomething) {
  g_planted_bug = GetParam().bug;
  Verdict wrong = GetParam().history();
  ASSERT_TRUE(wrong.has_value());
  EXPECT_NE(wrong->find("was acknowledged and is missing"), std::string::npos) << *wrong;
  std::printf("%s: %s\n", GetParam().name, wrong->c_str());
}

INSTANTIATE_TEST_SUITE_P(
    Ring, PlantedRingHistory,
    testing::Values(PlantedHistory{Bug::kWriteCountsOldOwnersOnly, write_beside_a_cut_new_owner,
                                   "WriteCountsOldOwnersOnly"},
                    PlantedHistory{Bug::kFallbackForgets, last_copy_with_a_fallback, "FallbackForgets"},
                    PlantedHistory{Bug::kReadNewTooEarly, write_behind_the_snapshot, "ReadNewTooEarly"},
                    PlantedHistory{Bug::kNoFence, write_by_a_coordinator_of_the_past, "NoFence"},
                    PlantedHistory{Bug::kAnnouncedUnfenced, write_by_a_coordinator_of_the_past, "AnnouncedUnfenced"},
                    PlantedHistory{Bug::kDropUncovered, heir_that_dies_before_the_handover, "DropUncovered"},
                    PlantedHistory{Bug::kFoldByOldNews, life_that_ended_unseen, "FoldByOldNews"},
                    PlantedHistory{Bug::kFoldUnasked, life_that_ended_unseen, "FoldUnasked"},
                    PlantedHistory{Bug::kMovedWithoutSync, power_loss_behind_a_move, "MovedWithoutSync"}),
    [](const auto& test) { return std::string(test.param.name); });

// A rolling restart fails a request (stop_history.h).
class PlantedRollingRestart : public testing::TestWithParam<Planted> {
 protected:
  void TearDown() override { g_planted_bug = Bug::kNone; }
};

TEST_P(PlantedRollingRestart, FailsARequest) {
  g_planted_bug = GetParam().bug;
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    const Verdict wrong = rolling_restart(seed);
    if (!wrong) continue;
    std::printf("%s: seed %llu: %s\n", GetParam().name, static_cast<unsigned long long>(seed), wrong->c_str());
    return;
  }
  FAIL() << GetParam().name << " was not found";
}

INSTANTIATE_TEST_SUITE_P(Stop, PlantedRollingRestart,
                         testing::Values(Planted{Bug::kFarewellNotAwaited, "FarewellNotAwaited"},
                                         Planted{Bug::kLastAnswersNotAwaited, "LastAnswersNotAwaited"},
                                         Planted{Bug::kFarewellNotKnown, "FarewellNotKnown"},
                                         Planted{Bug::kReachableUnlinked, "ReachableUnlinked"},
                                         Planted{Bug::kRefusedIsFailed, "RefusedIsFailed"}),
                         [](const auto& test) { return std::string(test.param.name); });

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
                    Planted{Bug::kPendingRangeNotApplied, "PendingRangeNotApplied"},
                    Planted{Bug::kTreeIgnoresClock, "TreeIgnoresClock"}, Planted{Bug::kTokenIgnored, "TokenIgnored"},
                    Planted{Bug::kTokenForgetsReads, "TokenForgetsReads"},
                    Planted{Bug::kNudgeWithoutLook, "NudgeWithoutLook"}, Planted{Bug::kNudgeBelieved, "NudgeBelieved"}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace cartwheel::sim
