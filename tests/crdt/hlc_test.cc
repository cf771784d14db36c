#include "crdt/hlc.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "base/rng.h"

namespace cartwheel::crdt {
namespace {

TEST(HybridClock, TicksAlwaysGrowWhateverTheWallClockDoes) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    Rng rng(seed);
    HybridClock clock;
    Hlc last;
    for (int i = 0; i < 500; ++i) {
      int64_t wall = static_cast<int64_t>(rng.below(1000)) - 10;  // jumps both ways, even before 1970
      if (rng.chance(0.3)) {
        Hlc remote{rng.below(2000) << 16 | rng.below(65536)};
        if (clock.observe(remote, {wall}, 500))
          last = std::max(last, remote);
        else
          ASSERT_GT(remote.ms(), wall + 500) << "seed " << seed;
        ASSERT_EQ(clock.last(), last) << "seed " << seed;
      }
      Hlc tick = clock.tick({wall});
      ASSERT_GT(tick, last) << "seed " << seed;
      ASSERT_GE(tick.ms(), wall) << "seed " << seed;
      last = tick;
    }
  }
}

TEST(HybridClock, TimesTooFarAheadAreRefusedAndChangeNothing) {
  HybridClock clock;
  Hlc before = clock.tick({1000});
  EXPECT_FALSE(
      clock.observe({static_cast<uint64_t>(1000 + limits::kClockSkewMs + 1) << 16}, {1000}, limits::kClockSkewMs));
  EXPECT_EQ(clock.last(), before);
  EXPECT_FALSE(clock.observe({UINT64_MAX}, {1000}, limits::kClockSkewMs));
  EXPECT_TRUE(clock.observe({static_cast<uint64_t>(1000 + limits::kClockSkewMs) << 16}, {1000}, limits::kClockSkewMs));
  EXPECT_EQ(clock.last().ms(), 1000 + limits::kClockSkewMs);
}

TEST(HybridClock, ManyTicksInOneMillisecondRunIntoTheNext) {
  HybridClock clock;
  for (int i = 0; i < 65536; ++i) (void)clock.tick({5});
  EXPECT_EQ(clock.tick({5}).ms(), 6);
}

TEST(HybridClock, WallNeverGoesBack) {
  HybridClock clock;
  EXPECT_EQ(clock.wall({10}).ms, 10);
  EXPECT_EQ(clock.wall({7}).ms, 10);
  EXPECT_EQ(clock.wall({11}).ms, 11);
}

TEST(HybridClock, RestoreOnlyRaises) {
  HybridClock clock;
  clock.restore({100});
  clock.restore({50});
  EXPECT_EQ(clock.last().value, 100u);
  EXPECT_EQ(clock.tick({0}).value, 101u);
}

}  // namespace
}  // namespace cartwheel::crdt
