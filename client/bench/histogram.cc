#include "client/bench/histogram.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace cartwheel::bench {

Histogram::Histogram(int significant_digits) : bits_(significant_digits == 2 ? 8 : 11) {
  CHECK(significant_digits == 2 || significant_digits == 3);
  counts_.resize(index_of(kMaxUs) + 1);
}

void Histogram::merge(const Histogram& other) {
  CHECK(bits_ == other.bits_);
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
}

uint64_t Histogram::highest_in_bucket(uint64_t index) const {
  const uint64_t half = uint64_t{1} << (bits_ - 1);
  if (index < 2 * half) return index;
  const uint64_t shift = index / half - 1;
  const uint64_t mantissa = index - shift * half;
  return ((mantissa + 1) << shift) - 1;
}

uint64_t Histogram::percentile(double percent) const {
  if (count_ == 0) return 0;
  const double share = std::clamp(percent, 0.0, 100.0) / 100.0;
  const auto wanted = static_cast<uint64_t>(std::ceil(share * static_cast<double>(count_)));
  const uint64_t rank = std::clamp<uint64_t>(wanted, 1, count_);
  uint64_t seen = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    seen += counts_[i];
    // The last bucket also holds what lies beyond the range, of which only the maximum is known.
    if (seen >= rank) return i + 1 == counts_.size() ? max_ : std::min(highest_in_bucket(i), max_);
  }
  return max_;
}

}  // namespace cartwheel::bench
