// The simulation as a test: seeds, and the figures that gossip must reach, beside plain SWIM in the same network.
#include <gtest/gtest.h>

#include <string>

#include "tests/gossip/sim/figures.h"
#include "tests/gossip/sim/run_seed.h"

namespace cartwheel::gossip::sim {
namespace {

// Sanitized builds look for errors of memory, not for figures: fewer seeds, smaller clusters.
#ifdef __SANITIZE_ADDRESS__
constexpr uint64_t kSeeds = 25;
constexpr size_t kLarge = 48;
#else
constexpr uint64_t kSeeds = 200;
constexpr size_t kLarge = 256;
#endif

TEST(GossipSim, AfterFaultsHealEverybodySeesEverybodyAsItIs) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SeedResult result = run_seed(seed);
    ASSERT_FALSE(result.failure) << *result.failure << "\n  " << result.shape
                                 << "\n  replay: cartwheel_gossip_sim --seed " << seed << " --verbose";
  }
}

TEST(GossipSim, OneSeedIsOneRun) {
  for (uint64_t seed = 1; seed <= 5; ++seed) EXPECT_EQ(run_seed(seed).trace, run_seed(seed).trace) << seed;
}

TEST(GossipFigures, ACrashIsFoundAboutAsFastAsByPlainSwim) {
  for (size_t nodes : {size_t{8}, size_t{32}, kLarge / 2}) {
    Detection plain = measure_detection({nodes, 1, 7, false, 0.01}, 21),
              ours = measure_detection({nodes, 1, 7, true, 0.01}, 21);
    EXPECT_EQ(plain.missed + ours.missed, 0) << nodes;
    EXPECT_LE(median(ours.first), 1.3 * median(plain.first)) << nodes;
    EXPECT_LE(median(ours.all), 1.3 * median(plain.all)) << nodes;
  }
}

TEST(GossipFigures, StarvedNodesBuryFiftyTimesFewerHealthyOnes) {
  for (Starving starving : {Starving::kBlocked, Starving::kLate}) {
    FalseDeaths plain = measure_false_deaths({64, 1, 7, false, 0.01}, starving, 240);
    FalseDeaths ours = measure_false_deaths({64, 1, 7, true, 0.01}, starving, 240);
    EXPECT_GE(plain.healthy, 200u) << "the comparison says something";
    EXPECT_LE(50 * ours.healthy, plain.healthy);
  }
}

TEST(GossipFigures, BytesPerNodeDoNotGrowWithTheCluster) {
  Traffic small = measure_traffic({16, 1, 7}, 60, false), large = measure_traffic({kLarge, 1, 7}, 60, false);
  EXPECT_LE(large.bytes, 1.3 * small.bytes);
  EXPECT_LE(large.largest, 1.3 * small.largest);
  Traffic two = measure_traffic({16, 2, 7}, 60, false), wide = measure_traffic({kLarge, 2, 7}, 60, false);
  EXPECT_LE(wide.bytes, 1.3 * two.bytes);
  EXPECT_LE(wide.wan_largest, 1.3 * two.wan_largest) << "of a gateway, to the other region";
}

TEST(GossipFigures, AMassRestartIsOverInSeconds) {
  double seconds = measure_mass_restart({kLarge, 1, 7}, 60);
  EXPECT_GE(seconds, 0);
  EXPECT_LE(seconds, 15);
}

}  // namespace
}  // namespace cartwheel::gossip::sim
