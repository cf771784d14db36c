// When the operations of an open loop are due: a Poisson process or a fixed beat, decided by seed and rate alone. What
// the server does never moves it, which is why latency counted from these times hides no stall.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/rng.h"

namespace cartwheel::bench {

class Schedule {
 public:
  // REQUIRES: rate_per_second > 0.
  Schedule(double rate_per_second, bool poisson, uint64_t seed)
      : interval_ns_(1e9 / rate_per_second), poisson_(poisson), rng_(seed) {
    advance();
  }

  // Nanoseconds from the start of the schedule to the next operation.
  uint64_t due_ns() const { return static_cast<uint64_t>(due_ns_); }

  void advance() { due_ns_ += poisson_ ? -std::log(1 - rng_.uniform()) * interval_ns_ : interval_ns_; }

 private:
  double interval_ns_;
  bool poisson_;
  Rng rng_;
  double due_ns_ = 0;
};

}  // namespace cartwheel::bench
