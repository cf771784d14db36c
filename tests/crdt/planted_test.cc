// Every deliberate defect of crdt/ and of the model's harness is found, within a bounded number of seeds or by a
// scenario aimed at it; with none on, the same program passes. Prints a catalogue of what found what.
//
// Built with CARTWHEEL_PLANTED_BUGS only (preset `planted`).
#include "base/planted.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <ostream>

#include "tests/crdt/model/forgetting.h"
#include "tests/crdt/model/twins.h"
#include "tests/crdt/model/world.h"

namespace cartwheel::crdt::model {
namespace {

struct Planted {
  Bug bug;
  const char* name;
  uint64_t seeds;  // within so many one must fail; about ten times what was needed when the bug was planted
};
std::ostream& operator<<(std::ostream& out, const Planted& planted) {
  return out << planted.name;
}

class PlantedBug : public ::testing::TestWithParam<Planted> {
 protected:
  void TearDown() override { g_planted_bug = Bug::kNone; }
};

TEST_P(PlantedBug, IsFoundByTheModel) {
  g_planted_bug = GetParam().bug;
  for (uint64_t seed = 0; seed < GetParam().seeds; ++seed) {
    if (auto why = run_seed(seed)) {
      std::printf("%-24s found after %4llu seeds: %s\n", GetParam().name, static_cast<unsigned long long>(seed + 1),
                  why->c_str());
      return;
    }
  }
  ADD_FAILURE() << GetParam().name << " is not found in " << GetParam().seeds << " seeds";
}

INSTANTIATE_TEST_SUITE_P(Catalogue, PlantedBug,
                         ::testing::Values(Planted{Bug::kUnionWithoutFloorCheck, "UnionWithoutFloorCheck", 3000},
                                           Planted{Bug::kRangeForgotten, "RangeForgotten", 3000},
                                           Planted{Bug::kReuseDot, "ReuseDot", 3000},
                                           Planted{Bug::kVoidForgotten, "VoidForgotten", 3000},
                                           Planted{Bug::kVoidCountsAsSeen, "VoidCountsAsSeen", 3000},
                                           Planted{Bug::kVoidNotInherited, "VoidNotInherited", 3000},
                                           Planted{Bug::kRemoveWithoutDot, "RemoveWithoutDot", 3000},
                                           Planted{Bug::kResetForgotten, "ResetForgotten", 3000},
                                           Planted{Bug::kOneRound, "OneRound", 20000},
                                           Planted{Bug::kBothSidesKeep, "BothSidesKeep", 3000},
                                           Planted{Bug::kLwwByArrival, "LwwByArrival", 3000},
                                           Planted{Bug::kPendingRangeNotApplied, "PendingRangeNotApplied", 3000}),
                         [](const auto& planted) { return std::string(planted.param.name); });

TEST(NoPlantedBug, TheSameSeedsPass) {
  ASSERT_EQ(g_planted_bug, Bug::kNone);
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    auto why = run_seed(seed);
    ASSERT_FALSE(why) << *why;
  }
}

// The windows that random schedules hit rarely, by hand.
const std::string kText = path_step(Tag::kString);
const std::string kElement = path_step(Tag::kElement, "x");

// Whether a replica forgets a reset too early: it has the reset, but not yet the increment that the reset saw.
int64_t count_after_late_increment() {
  Twins twins(3);
  Forgetting rounds;
  Message five = twins.increment(0, "k", kText, 5);
  twins.apply(1, five);
  Message reset = twins.reset(1, "k", kText);
  twins.apply(0, reset);
  twins.apply(2, reset);
  for (int i = 0; i < 3; ++i) rounds.round({&twins[0].document, &twins[1].document, &twins[2].document});
  twins.apply(2, five);
  return twins.count(2, "k", kText);
}

TEST(AimedSchedule, OneRoundBringsAResetIncrementBack) {
  EXPECT_EQ(count_after_late_increment(), 0);
  g_planted_bug = Bug::kOneRound;
  EXPECT_EQ(count_after_late_increment(), 5);
  g_planted_bug = Bug::kNone;
}

// What replica 2 shows of an element that it gets while it joins what replica 1 had, which knew it to be superseded.
std::string shown_after_a_dead_write_in_the_midst() {
  Twins twins(3);
  Message dead = twins.add(0, "k", kElement);
  Message alive = twins.add(0, "k", kElement);
  twins.apply(1, alive);
  twins.add(1, "l", kElement);
  twins.begin_join(2, 1);
  EXPECT_FALSE(twins.join_step(2));  // "k"
  twins.apply(2, dead);
  EXPECT_TRUE(twins.join_step(2));  // "l"
  return twins.check(2).value_or("as the model");
}

TEST(AimedSchedule, DeadKnownLateLetsASupersededWriteIn) {
  EXPECT_EQ(shown_after_a_dead_write_in_the_midst(), "as the model");
  g_planted_bug = Bug::kDeadKnownLate;
  EXPECT_NE(shown_after_a_dead_write_in_the_midst(), "as the model");
  g_planted_bug = Bug::kNone;
}

bool shown_after_mutual_removals() {
  Twins twins(3);
  twins.add(0, "k", kElement);
  twins.add(1, "k", kElement);
  twins.merge(2, 0);
  twins.reset(0, "k", kElement);
  twins.merge(0, 1);
  twins.reset(1, "k", kElement);
  twins.merge(2, 1);
  twins.merge(0, 2);
  return !twins.view(0, "k", kElement).empty();
}

TEST(AimedSchedule, BothSidesKeepBringsARemovedElementBack) {
  EXPECT_FALSE(shown_after_mutual_removals());
  g_planted_bug = Bug::kBothSidesKeep;
  EXPECT_TRUE(shown_after_mutual_removals());
  g_planted_bug = Bug::kNone;
}

}  // namespace
}  // namespace cartwheel::crdt::model
