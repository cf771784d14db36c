// A log-linear histogram of microseconds (the layout of HdrHistogram): values below 2^b have a bucket each, and every
// doubling above them is cut into 2^(b-1) equal buckets, so that a bucket is never wider than a fixed share of its
// values.
//
// Result: percentile() is at most a factor (1 + relative_error()) above the exact one and never below it.
// Range: 0 us to kMaxUs; a value above is counted in the last bucket, min() and max() are exact for every value.
// Threads: none of its own; each loop records into its own histogram and the results are merged at the end.
#pragma once

#include <cstdint>
#include <vector>

namespace cartwheel::bench {

class Histogram {
 public:
  static constexpr uint64_t kMaxUs = (uint64_t{1} << 32) - 1;  // 71 minutes

  // REQUIRES: significant_digits is 2 (buckets of 1/128) or 3 (buckets of 1/1024).
  explicit Histogram(int significant_digits = 3);

  void record(uint64_t us) {
    ++counts_[index_of(us < kMaxUs ? us : kMaxUs)];
    ++count_;
    sum_ += us;
    if (us < min_) min_ = us;
    if (us > max_) max_ = us;
  }

  // Afterwards this holds the values of both. REQUIRES: the same significant digits.
  void merge(const Histogram& other);

  // The smallest value that at least `percent` % of the recorded values do not exceed, rounded up to the end of its
  // bucket but never above max(). 0 when nothing was recorded. `percent` is clamped to [0, 100].
  uint64_t percentile(double percent) const;

  uint64_t count() const { return count_; }
  uint64_t min() const { return count_ == 0 ? 0 : min_; }
  uint64_t max() const { return max_; }
  double mean() const { return count_ == 0 ? 0.0 : static_cast<double>(sum_) / static_cast<double>(count_); }
  double relative_error() const { return 1.0 / static_cast<double>(uint64_t{1} << (bits_ - 1)); }

  friend bool operator==(const Histogram&, const Histogram&) = default;

 private:
  uint64_t index_of(uint64_t us) const {
    const int top = 64 - __builtin_clzll(us | 1);  // number of significant bits
    const int shift = top > bits_ ? top - bits_ : 0;
    return (static_cast<uint64_t>(shift) << (bits_ - 1)) + (us >> shift);
  }
  uint64_t highest_in_bucket(uint64_t index) const;

  int bits_;  // b above
  std::vector<uint64_t> counts_;
  uint64_t count_ = 0;
  uint64_t sum_ = 0;
  uint64_t min_ = UINT64_MAX;
  uint64_t max_ = 0;
};

}  // namespace cartwheel::bench
