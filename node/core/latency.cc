#include "node/core/latency.h"

#include <algorithm>
#include <bit>

namespace cartwheel::node {

namespace {

constexpr int64_t kLeastUs = 16;
constexpr uint32_t kFew = 20;          // answers, before a quantile means anything
constexpr uint32_t kRemembered = 512;  // answers, after which all count half
constexpr int64_t kMeanOf = 4;         // answers, about

}  // namespace

void AnswerTimes::sent(uint64_t id, Instant at) {
  if (awaited_.size() < limits::kAwaitedAnswers) awaited_.push_back({id, at});
}

std::optional<Duration> AnswerTimes::answered(uint64_t id, Instant at) {
  auto it = std::find_if(awaited_.begin(), awaited_.end(), [id](const Awaited& a) { return a.id == id; });
  if (it == awaited_.end()) return {};
  Duration took = at - it->sent;
  awaited_.erase(awaited_.begin(), std::next(it));
  return took;
}

void AnswerTimes::add(Duration took) {
  int64_t us = std::max<int64_t>(took.us, 1);  // 0 is for: nothing is known
  mean_us_ = total_ == 0 ? us : mean_us_ + (us - mean_us_) / kMeanOf;
  ++counts_[bucket_of(us)];
  if (++total_ < kRemembered) return;
  total_ = 0;
  for (uint16_t& count : counts_) total_ += count /= 2;
}

Duration AnswerTimes::expected(Instant now) const {
  int64_t oldest = awaited_.empty() ? 0 : (now - awaited_.front().sent).us;
  return {std::max(mean_us_, oldest)};
}

std::optional<Duration> AnswerTimes::quantile(uint32_t part) const {
  if (total_ < kFew) return {};
  uint64_t wanted = (uint64_t{total_} * part + 99) / 100, seen = 0;
  size_t bucket = 0;
  for (; bucket + 1 < kBuckets; ++bucket) {
    seen += counts_[bucket];
    if (seen >= wanted) break;
  }
  // The upper end of the bucket.
  int64_t base = kLeastUs << (bucket / 5);
  return Duration{base + base * static_cast<int64_t>(bucket % 5 + 1) / 5};
}

size_t AnswerTimes::bucket_of(int64_t us) {
  if (us < kLeastUs) return 0;
  auto power = static_cast<size_t>(std::bit_width(static_cast<uint64_t>(us / kLeastUs))) - 1;
  if (power >= kBuckets / 5) return kBuckets - 1;
  int64_t base = kLeastUs << power;
  return 5 * power + static_cast<size_t>((us - base) * 5 / base);
}

bool SentBudget::take(bool spare) {
  if (left_ < 100 || (spare && left_ < most_ / 2 + 100)) return false;
  left_ -= 100;
  return true;
}

bool ByteBudget::may_take(Instant now) {
  int64_t passed = at_ ? std::min<int64_t>((now - *at_).us, 10'000'000) : 0;
  at_ = now;
  // A slow bucket that is looked at often must not lose the fractions.
  int64_t more = per_second_ * passed / 1'000'000;
  if (passed > 0 && more == 0) at_ = Instant{now.us - passed};
  left_ = std::min(per_second_, left_ + more);
  return left_ > 0;
}

}  // namespace cartwheel::node
