// How long a peer takes to answer, and how many requests more than necessary may be sent because of that. Pure values;
// time comes in. Who uses them: read_phase.cc and hedge.cc.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>

#include "base/limits.h"
#include "base/time.h"

namespace cartwheel::node {

// AnswerTimes: what one peer's answers took, as this stripe sees it.
//
// Two figures, because they answer different questions. expected() tells whether the peer is slow NOW: the mean of the
// last few answers, or the age of what it has not answered yet, so that a peer that stands still is known after as
// long as an answer usually takes, and not after a timeout. quantile() tells what is usual: of the last few hundred
// answers, which a short stop hardly moves.
class AnswerTimes {
 public:
  // `id` was sent to the peer, which will answer it. Beyond limits::kAwaitedAnswers, it is not followed.
  void sent(uint64_t id, Instant at);
  // The peer has answered `id`. What was sent before it is not awaited any more: the peer takes messages in order, so
  // it was lost or has no answer. How long it took; nothing, and nothing is changed, if `id` is not awaited.
  std::optional<Duration> answered(uint64_t id, Instant at);
  // An answer took so long; of an answer of the kind that the figures are about.
  void add(Duration took);
  // Nothing that was sent will be answered any more.
  void forget_awaited() { awaited_.clear(); }

  // How long a request that is sent now may take; 0 if nothing is known.
  Duration expected(Instant now) const;
  // `part` of 100 answers took no longer than this, which may be a fifth too much; nothing before a few have come.
  std::optional<Duration> quantile(uint32_t part) const;

 private:
  static constexpr size_t kBuckets = 96;  // five to a power of two, from 16 us to 10 s
  static size_t bucket_of(int64_t us);

  struct Awaited {
    uint64_t id;
    Instant sent;
  };
  std::deque<Awaited> awaited_;  // in the order of sending
  int64_t mean_us_ = 0;          // of the last answers, the later the heavier
  std::array<uint16_t, kBuckets> counts_{};
  uint32_t total_ = 0;
};

// SentBudget: how many requests more than necessary may be sent: a share of the necessary ones, and a burst.
class SentBudget {
 public:
  // `percent` of the requests, up to `burst` at once.
  SentBudget(uint32_t percent, uint32_t burst) : percent_(percent), most_(100ull * burst), left_(most_) {}
  // A request that is necessary was made.
  void earn() { left_ = left_ + percent_ < most_ ? left_ + percent_ : most_; }
  // Whether one more may be sent; it is counted then. `spare`: only if more than half of the burst is there.
  bool take(bool spare = false);

 private:
  uint64_t percent_, most_, left_;  // in hundredths of a request
};

// ByteBudget: so many bytes a second, and as many at once. What is taken may exceed it, and is then paid back first:
// how large an answer is turns out when it is there.
class ByteBudget {
 public:
  explicit ByteBudget(uint64_t per_second) : per_second_(static_cast<int64_t>(per_second)), left_(per_second_) {}
  bool may_take(Instant now);
  // After may_take() was false: how long it will be. REQUIRES: per_second > 0.
  Duration paid_back_in() const { return {(1 - left_) * 1'000'000 / per_second_ + 1}; }
  void take(uint64_t bytes) { left_ -= static_cast<int64_t>(bytes); }

 private:
  int64_t per_second_, left_;
  std::optional<Instant> at_;
};

}  // namespace cartwheel::node
