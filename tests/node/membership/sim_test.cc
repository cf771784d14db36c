// Random runs of membership under faults (world.h). CARTWHEEL_MEMBERSHIP_SEED runs one seed,
// CARTWHEEL_MEMBERSHIP_SEEDS so many.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "tests/node/membership/world.h"

namespace cartwheel::node::member_model {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kSeeds = 200;
#else
constexpr uint64_t kSeeds = 2'000;
#endif

uint64_t number(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

std::string replay(uint64_t seed) {
  return "seed " + std::to_string(seed) + "; replay: CARTWHEEL_MEMBERSHIP_SEED=" + std::to_string(seed) +
         " membership_sim_test";
}

TEST(MembershipSim, OneConfigurationPerEpochAndRestAfterHealing) {
  const uint64_t only = number("CARTWHEEL_MEMBERSHIP_SEED", 0);
  const uint64_t first = only ? only : number("CARTWHEEL_MEMBERSHIP_FIRST", 1);
  const uint64_t seeds = only ? 1 : number("CARTWHEEL_MEMBERSHIP_SEEDS", kSeeds);
  RunResult sum;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    const RunResult result = run_seed(seed);
    ASSERT_FALSE(result.failure) << *result.failure << "\n" << replay(seed);
    sum.events += result.events;
    sum.epochs += result.epochs;
    sum.ok += result.ok;
    sum.not_made += result.not_made;
    sum.refused += result.refused;
    sum.unknown += result.unknown;
    sum.crashes += result.crashes;
    sum.wipes += result.wipes;
    sum.old_disks += result.old_disks;
    sum.joins += result.joins;
    sum.leaves += result.leaves;
    sum.replacements += result.replacements;
    sum.rest_us = std::max(sum.rest_us, result.rest_us);
  }
  std::printf(
      "%llu seeds, %llu events, %llu epochs; changes: made %zu, not made %zu, refused %zu, unknown %zu; crashes %zu, "
      "lost disks %zu, old disks %zu, joins %zu, leaves %zu, replacements %zu; rest after at most %.1f s\n",
      static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(sum.events),
      static_cast<unsigned long long>(sum.epochs), sum.ok, sum.not_made, sum.refused, sum.unknown, sum.crashes,
      sum.wipes, sum.old_disks, sum.joins, sum.leaves, sum.replacements, static_cast<double>(sum.rest_us) / 1e6);
  if (seeds < 100) return;
  // The runs are worth something only if all of this happens.
  EXPECT_GT(sum.epochs, seeds * 4);
  EXPECT_GT(sum.ok, seeds * 2);
  EXPECT_GT(sum.not_made, seeds / 10);
  EXPECT_GT(sum.unknown, seeds / 10);
  EXPECT_GT(sum.crashes, seeds);
  EXPECT_GT(sum.wipes, seeds / 10);
  EXPECT_GT(sum.old_disks, seeds / 50);
  EXPECT_GT(sum.joins, seeds / 2);
  EXPECT_GT(sum.replacements, seeds / 50);
}

TEST(MembershipSim, TheSameSeedIsTheSameRun) {
  for (uint64_t seed = 1; seed <= 20; ++seed) ASSERT_EQ(run_seed(seed).trace, run_seed(seed).trace) << replay(seed);
}

}  // namespace
}  // namespace cartwheel::node::member_model
