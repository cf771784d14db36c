// LocalHealth: how much this node trusts itself (Lifeguard's local health multiplier). A node that misses acks and
// nacks that it should have got, must refute accusations, or finds that it did not run, probably is the slow one
// itself; it then probes less often and waits longer before it accuses anybody.
#pragma once

#include <algorithm>

#include "base/time.h"

namespace cartwheel::gossip {

class LocalHealth {
 public:
  // Scaling is by 1 .. max.
  explicit LocalHealth(int max) : limit_(std::max(0, max - 1)) {}

  // Positive: a sign of own slowness. Negative: a probe went well.
  void add(int delta) { score_ = std::clamp(score_ + delta, 0, limit_); }
  int score() const { return score_; }  // 0: healthy
  Duration scale(Duration d) const { return {d.us * (score_ + 1)}; }

 private:
  int limit_;
  int score_ = 0;
};

}  // namespace cartwheel::gossip
