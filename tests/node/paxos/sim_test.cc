// Random runs of consensus under faults (world.h). CARTWHEEL_PAXOS_SEED runs one seed, CARTWHEEL_PAXOS_SEEDS so many.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "tests/node/paxos/world.h"

namespace cartwheel::node::paxos::model {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr uint64_t kSeeds = 2'000;
#else
constexpr uint64_t kSeeds = 20'000;
#endif

uint64_t number(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

std::string replay(uint64_t seed) {
  return "seed " + std::to_string(seed) + "; replay: CARTWHEEL_PAXOS_SEED=" + std::to_string(seed) + " paxos_sim_test";
}

TEST(PaxosSim, HistoriesAreLinearizableAndEveryNodeGoesOnAfterHealing) {
  uint64_t first = number("CARTWHEEL_PAXOS_SEED", 0);
  uint64_t seeds = first ? 1 : number("CARTWHEEL_PAXOS_SEEDS", kSeeds);
  if (!first) first = 1;
  RunResult sum;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    RunResult result = run_seed(seed);
    ASSERT_FALSE(result.failure) << *result.failure << "\n" << replay(seed);
    sum.events += result.events;
    sum.chosen += result.chosen;
    sum.refused += result.refused;
    sum.not_applied += result.not_applied;
    sum.unknown += result.unknown;
    sum.crashes += result.crashes;
    sum.wipes += result.wipes;
    sum.generations += result.generations;
    sum.readmitted += result.readmitted;
  }
  std::printf(
      "%llu seeds, %llu events; chosen %zu, refused %zu, not applied %zu, unknown %zu; crashes %zu, lost disks "
      "%zu, caught up %zu, generations %zu\n",
      static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(sum.events), sum.chosen, sum.refused,
      sum.not_applied, sum.unknown, sum.crashes, sum.wipes, sum.readmitted, sum.generations);
  if (seeds < 100) return;
  // The runs are worth something only if all of this happens.
  EXPECT_GT(sum.refused, seeds / 10);
  EXPECT_GT(sum.unknown, seeds / 10);
  EXPECT_GT(sum.crashes, seeds / 10);
  EXPECT_GT(sum.wipes, seeds / 100);
  EXPECT_GT(sum.readmitted, seeds / 100);
  EXPECT_GT(sum.generations, seeds);
}

// Each duty of docs/consensus.md is one: whoever neglects it loses changes, or (the last) the register.
class Duty : public testing::TestWithParam<std::pair<Careless, const char*>> {};

TEST_P(Duty, IsNeeded) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    RunResult result = run_seed(seed, GetParam().first);
    if (!result.failure || result.safe != (GetParam().first == Careless::kFencesWithoutKnowing)) continue;
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), result.failure->c_str());
    return;
  }
  FAIL() << GetParam().second << " does no harm in " << kSeeds << " seeds";
}

INSTANTIATE_TEST_SUITE_P(PaxosSim, Duty,
                         testing::Values(std::pair(Careless::kChangesAtOnce, "ChangesAtOnce"),
                                         std::pair(Careless::kDecidesFromAfar, "DecidesFromAfar"),
                                         std::pair(Careless::kFencesWithoutKnowing, "FencesWithoutKnowing")),
                         [](const auto& test) { return std::string(test.param.second); });

TEST(PaxosSim, TheSameSeedIsTheSameRun) {
  for (uint64_t seed = 1; seed <= 100; ++seed) ASSERT_EQ(run_seed(seed).trace, run_seed(seed).trace) << replay(seed);
}

}  // namespace
}  // namespace cartwheel::node::paxos::model
