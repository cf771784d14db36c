#include "crdt/hlc.h"

#include <algorithm>

namespace cartwheel::crdt {

Hlc HybridClock::tick(WallTime wall_now) {
  uint64_t now = static_cast<uint64_t>(std::max<int64_t>(wall_now.ms, 0)) << 16;
  last_.value = std::max(last_.value + 1, now);
  return last_;
}

bool HybridClock::observe(Hlc remote, WallTime wall_now, int64_t skew_ms) {
  if (remote.ms() > wall_now.ms + skew_ms) return false;
  last_ = std::max(last_, remote);
  return true;
}

WallTime HybridClock::wall(WallTime wall_now) {
  wall_max_ = std::max(wall_max_, wall_now.ms);
  return {wall_max_};
}

}  // namespace cartwheel::crdt
