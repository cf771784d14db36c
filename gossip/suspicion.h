// Suspicion: how long a suspect has to refute (Lifeguard's LHA-Suspicion). It starts long, because this node may be the
// one that is slow, and shrinks as others say that they get no answer either.
#pragma once

#include <array>
#include <cstddef>

#include "base/time.h"
#include "gossip/options.h"
#include "gossip/types.h"

namespace cartwheel::gossip {

// mult * max(1, log10(n)) * interval: news needs about log(n) rounds to reach everybody, and so does the refutation.
Duration min_suspicion(const Options& options, size_t n);

// How long a suspicion lasts in all after `confirmations` of `expected`:
//   max - (max - min) * log(confirmations + 1) / log(expected + 1), not below min; min if expected is 0.
// The first confirmation counts most: two nodes are rarely slow at once.
Duration suspicion_duration(Duration min, Duration max, int confirmations, int expected);

class Suspicion {
 public:
  // `accuser` is whoever said it first; `n` the members that take part in probing.
  Suspicion(const Options& options, Incarnation incarnation, MemberId accuser, size_t n, Instant now);

  // Counts another accuser; true if it is new and still wanted, so that the confirmation is worth passing on.
  bool confirm(MemberId accuser);
  // This node did not run for so long: so much more time for the refutation.
  void postpone(Duration by) { start_ = start_ + by; }

  Instant deadline() const { return start_ + suspicion_duration(min_, max_, count_, expected_); }
  Incarnation incarnation() const { return incarnation_; }
  int confirmations() const { return count_; }

 private:
  Incarnation incarnation_;
  Duration min_, max_;
  Instant start_;
  int expected_;
  int count_ = 0;
  std::array<MemberId, limits::kAccusers + 1> accusers_;  // the first, then those that confirmed
};

}  // namespace cartwheel::gossip
