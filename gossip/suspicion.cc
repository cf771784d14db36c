#include "gossip/suspicion.h"

#include <algorithm>
#include <cmath>

#include "base/planted.h"

namespace cartwheel::gossip {

Duration min_suspicion(const Options& options, size_t n) {
  double scale = std::max(1.0, std::log10(static_cast<double>(std::max<size_t>(n, 1))));
  return {static_cast<int64_t>(options.suspicion_mult * scale * static_cast<double>(options.probe_interval.us))};
}

Duration suspicion_duration(Duration min, Duration max, int confirmations, int expected) {
  if (expected <= 0 || confirmations >= expected) return min;
  double fraction = std::log(confirmations + 1.0) / std::log(expected + 1.0);
  return {std::max(min.us, max.us - static_cast<int64_t>(fraction * static_cast<double>(max.us - min.us)))};
}

Suspicion::Suspicion(const Options& options, Incarnation incarnation, MemberId accuser, size_t n, Instant now)
    : incarnation_(incarnation), min_(min_suspicion(options, n)), start_(now) {
  // Suspect and accuser cannot confirm, so a small cluster expects fewer.
  int others = n < 2 ? 0 : static_cast<int>(n) - 2;
  expected_ = options.lifeguard ? std::min({options.confirmations, others, static_cast<int>(limits::kAccusers)}) : 0;
  max_ = {min_.us * std::max(1, options.suspicion_max_mult)};
  accusers_[0] = accuser;
}

bool Suspicion::confirm(MemberId accuser) {
  if (count_ >= expected_) return false;
  auto end = accusers_.begin() + count_ + 1;
  if (std::find(accusers_.begin(), end, accuser) != end && !planted(Bug::kConfirmationsBySelf)) return false;
  *end = accuser;
  ++count_;
  return true;
}

}  // namespace cartwheel::gossip
