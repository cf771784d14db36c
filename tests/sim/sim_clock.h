// SimClock: the two clocks of one machine, both functions of the world's time. The monotone one starts anywhere and
// runs a little fast or slow; the wall clock does so too, is off by the machine's skew, and may step.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace cartwheel::sim {

inline constexpr int64_t kWallStartMs = 1'700'000'000'000;  // the true wall time when a world begins

class SimClock {
 public:
  SimClock() = default;
  SimClock(int64_t instant_offset_us, int64_t drift_ppm, int64_t skew_ms)
      : offset_us_(instant_offset_us), drift_ppm_(drift_ppm), skew_ms_(skew_ms) {}

  Now at(int64_t true_us) const {
    int64_t own = own_us(true_us);
    return {{offset_us_ + own}, {kWallStartMs + skew_ms_ + leapt_ms_ + own / 1000}};
  }

  // The first moment of the world at which this clock shows `instant` or more.
  int64_t true_time_of(Instant instant) const {
    int64_t own = instant.us - offset_us_;
    int64_t guess = own - own * drift_ppm_ / (1'000'000 + drift_ppm_) - 2;
    while (own_us(guess) < own) ++guess;
    return guess;
  }

  int64_t skew_ms() const { return skew_ms_; }
  void set_skew(int64_t ms) { skew_ms_ = ms; }  // a step
  void leap(int64_t ms) { leapt_ms_ += ms; }    // together with every other clock: the same as a long wait

 private:
  int64_t own_us(int64_t true_us) const { return true_us + true_us * drift_ppm_ / 1'000'000; }

  int64_t offset_us_ = 0;
  int64_t drift_ppm_ = 0;
  int64_t skew_ms_ = 0;
  int64_t leapt_ms_ = 0;
};

}  // namespace cartwheel::sim
