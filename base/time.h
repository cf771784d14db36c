// Two kinds of time that never mix. Both come in with events; no core reads a clock.
#pragma once

#include <compare>
#include <cstdint>

namespace cartwheel {

// Microseconds of a clock that never goes back (since an arbitrary start). Deadlines and durations.
struct Instant {
  int64_t us = 0;
  friend auto operator<=>(const Instant&, const Instant&) = default;
};
struct Duration {
  int64_t us = 0;
  static constexpr Duration millis(int64_t ms) { return {ms * 1000}; }
  static constexpr Duration seconds(int64_t s) { return {s * 1'000'000}; }
  friend auto operator<=>(const Duration&, const Duration&) = default;
};
inline Instant operator+(Instant a, Duration d) {
  return {a.us + d.us};
}
inline Duration operator-(Instant a, Instant b) {
  return {a.us - b.us};
}

// Milliseconds since 1970 by a clock that people and other machines share: may be wrong, may step. Expiry and HLC.
struct WallTime {
  int64_t ms = 0;
  friend auto operator<=>(const WallTime&, const WallTime&) = default;
};

// What every event carries: both times as they were when the loop turn began.
struct Now {
  Instant instant;
  WallTime wall;
};

}  // namespace cartwheel
