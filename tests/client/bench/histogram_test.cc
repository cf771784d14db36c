#include "client/bench/histogram.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>

namespace cartwheel::bench {
namespace {

// Values of every magnitude that the histogram covers, not only large ones.
rc::Gen<uint64_t> latency() {
  return rc::gen::map(rc::gen::pair(rc::gen::inRange<uint64_t>(0, uint64_t{1} << 32), rc::gen::inRange(0, 32)),
                      [](const std::pair<uint64_t, int>& p) { return p.first >> p.second; });
}
rc::Gen<std::vector<uint64_t>> latencies() {
  return rc::gen::container<std::vector<uint64_t>>(latency());
}

Histogram of(const std::vector<uint64_t>& values, int digits) {
  Histogram h(digits);
  for (const uint64_t v : values) h.record(v);
  return h;
}

RC_GTEST_PROP(HistogramLaws, PercentileIsTheSortedOneUpToTheRelativeError, ()) {
  const int digits = *rc::gen::element(2, 3);
  auto values = *rc::gen::nonEmpty(latencies());
  const double percent = *rc::gen::element(0.0, 1.0, 50.0, 90.0, 99.0, 99.9, 100.0);
  const Histogram h = of(values, digits);
  std::sort(values.begin(), values.end());
  const auto rank =
      std::max<size_t>(1, static_cast<size_t>(std::ceil(percent / 100 * static_cast<double>(values.size()))));
  const uint64_t exact = values[rank - 1];
  const uint64_t got = h.percentile(percent);
  RC_ASSERT(got >= exact);
  RC_ASSERT(static_cast<double>(got) <= static_cast<double>(exact) * (1 + h.relative_error()));
}

RC_GTEST_PROP(HistogramLaws, MergeIsTheHistogramOfBoth, ()) {
  const int digits = *rc::gen::element(2, 3);
  auto a = *latencies();
  const auto b = *latencies();
  Histogram merged = of(a, digits);
  merged.merge(of(b, digits));
  a.insert(a.end(), b.begin(), b.end());
  RC_ASSERT(merged == of(a, digits));
}

RC_GTEST_PROP(HistogramLaws, CountMeanAndExtremesAreExact, ()) {
  const auto values = *rc::gen::nonEmpty(latencies());
  const Histogram h = of(values, 3);
  double sum = 0;
  for (const uint64_t v : values) sum += static_cast<double>(v);
  RC_ASSERT(h.count() == values.size());
  RC_ASSERT(h.min() == *std::min_element(values.begin(), values.end()));
  RC_ASSERT(h.max() == *std::max_element(values.begin(), values.end()));
  RC_ASSERT(std::abs(h.mean() - sum / static_cast<double>(values.size())) < 1e-3);
}

TEST(Histogram, EmptyAnswersZero) {
  const Histogram h;
  EXPECT_EQ(h.count(), 0u);
  EXPECT_EQ(h.percentile(99), 0u);
  EXPECT_EQ(h.min(), 0u);
  EXPECT_EQ(h.max(), 0u);
}

TEST(Histogram, KeepsThreeDigitsAtAMinute) {
  Histogram h;
  h.record(60'000'000);
  h.record(61'000'000);
  EXPECT_NEAR(static_cast<double>(h.percentile(50)), 60e6, 60e6 / 1000);
  EXPECT_EQ(h.percentile(100), 61'000'000u);
}

TEST(Histogram, CountsValuesBeyondItsRangeAndKeepsTheirMaximum) {
  Histogram h(2);
  h.record(Histogram::kMaxUs * 100);
  h.record(5);
  EXPECT_EQ(h.count(), 2u);
  EXPECT_EQ(h.percentile(50), 5u);
  EXPECT_EQ(h.percentile(100), Histogram::kMaxUs * 100);
}

}  // namespace
}  // namespace cartwheel::bench
