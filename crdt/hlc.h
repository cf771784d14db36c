// Hybrid logical time (Kulkarni et al. 2014): wall-clock milliseconds with a counter, so that an event is later than
// everything its node has seen. 48 bits of milliseconds, 16 of counter, in one number that compares.
#pragma once

#include <compare>
#include <cstdint>

#include "base/time.h"

namespace cartwheel::crdt {

struct Hlc {
  uint64_t value = 0;
  int64_t ms() const { return static_cast<int64_t>(value >> 16); }
  friend auto operator<=>(const Hlc&, const Hlc&) = default;
};

class HybridClock {
 public:
  // A time later than all that this clock gave or accepted, and not before `wall`.
  Hlc tick(WallTime wall);

  // Takes note of a remote time. False, changing nothing, when it is further ahead of `wall` than `skew_ms`: one bad
  // clock must not drag the cluster into the future.
  bool observe(Hlc remote, WallTime wall, int64_t skew_ms);

  // Never goes back, whatever the wall clock does: what expiry is compared with.
  WallTime wall(WallTime wall_now);

  Hlc last() const { return last_; }
  void restore(Hlc at_least) {
    if (last_ < at_least) last_ = at_least;
  }

 private:
  Hlc last_;
  int64_t wall_max_ = 0;
};

}  // namespace cartwheel::crdt
