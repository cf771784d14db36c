// What a stripe believes of its peers' speed, and what it may send more than necessary.
#include "node/core/latency.h"

#include <gtest/gtest.h>

namespace cartwheel::node {
namespace {

Instant at_ms(int64_t ms) {
  return {ms * 1000};
}

TEST(AnswerTimes, KnowsNothingAtFirst) {
  AnswerTimes times;
  EXPECT_EQ(times.expected(at_ms(5)).us, 0);
  EXPECT_FALSE(times.quantile(50).has_value());
}

TEST(AnswerTimes, QuantilesAreThoseOfTheAnswersUpToAFifth) {
  AnswerTimes times;
  for (int i = 1; i <= 400; ++i) times.add(Duration{10 * i});
  for (uint32_t part : {50u, 75u, 97u, 99u}) {
    const double exact = 40.0 * part, found = static_cast<double>(times.quantile(part)->us);
    EXPECT_GE(found, exact) << part;
    EXPECT_LE(found, exact * 1.2 + 10) << part;
  }
}

TEST(AnswerTimes, ExtremesHaveABucket) {
  AnswerTimes times;
  for (int i = 0; i < 100; ++i) times.add(Duration{i % 2 == 0 ? -5 : 3'600'000'000});
  EXPECT_LE(times.quantile(50)->us, 32);
  EXPECT_GT(times.quantile(99)->us, 5'000'000);
}

// The mean follows quickly, what is usual does not: ten slow answers of several hundred are not the usual.
TEST(AnswerTimes, AShortStopMovesWhatIsExpectedButNotWhatIsUsual) {
  AnswerTimes times;
  for (int i = 0; i < 400; ++i) times.add(Duration{300});
  for (int i = 0; i < 4; ++i) times.add(Duration::millis(80));
  EXPECT_GT(times.expected(at_ms(0)).us, 20'000);
  EXPECT_LT(times.quantile(97)->us, 400);
  for (int i = 0; i < 25; ++i) times.add(Duration{300});
  EXPECT_LT(times.expected(at_ms(0)).us, 1000) << "recovered after a few answers";
}

TEST(AnswerTimes, WhatIsUsualIsForgotten) {
  AnswerTimes times;
  for (int i = 0; i < 2000; ++i) times.add(Duration{300});
  for (int i = 0; i < 2000; ++i) times.add(Duration::millis(5));
  EXPECT_GT(times.quantile(10)->us, 4000);
}

TEST(AnswerTimes, TheOldestUnansweredRequestCounts) {
  AnswerTimes times;
  times.add(Duration{200});
  times.sent(1, at_ms(10));
  times.sent(2, at_ms(12));
  EXPECT_EQ(times.expected(at_ms(13)).us, 3000);
  EXPECT_EQ(times.answered(1, at_ms(14))->us, 4000);
  EXPECT_EQ(times.expected(at_ms(14)).us, 2000);
  times.forget_awaited();
  EXPECT_EQ(times.expected(at_ms(99)).us, 200);
}

// Request 1 was lost: it must not make the peer look slow for ever.
TEST(AnswerTimes, AnAnswerEndsTheWaitForWhatWasSentBefore) {
  AnswerTimes times;
  times.sent(1, at_ms(10));
  times.sent(7, at_ms(11));
  times.sent(3, at_ms(12));
  EXPECT_EQ(times.answered(7, at_ms(13))->us, 2000);
  EXPECT_FALSE(times.answered(1, at_ms(13)).has_value());
  EXPECT_EQ(times.expected(at_ms(14)).us, 2000) << "3 is still awaited";
}

TEST(AnswerTimes, FollowsNoMoreThanItsLimit) {
  AnswerTimes times;
  for (uint64_t id = 1; id <= limits::kAwaitedAnswers + 1; ++id) times.sent(id, at_ms(1));
  EXPECT_FALSE(times.answered(limits::kAwaitedAnswers + 1, at_ms(2)).has_value());
  EXPECT_TRUE(times.answered(limits::kAwaitedAnswers, at_ms(2)).has_value());
}

TEST(SentBudget, IsAShareAndABurst) {
  SentBudget budget(5, 3);
  int extra = 0;
  for (int i = 0; i < 10'000; ++i) {
    budget.earn();
    extra += budget.take() ? 1 : 0;
  }
  EXPECT_EQ(extra, 502) << "what comes while all is there is not saved";
}

TEST(SentBudget, DoesNotSaveMoreThanTheBurst) {
  SentBudget budget(5, 3);
  for (int i = 0; i < 10'000; ++i) budget.earn();
  EXPECT_TRUE(budget.take(true));
  EXPECT_FALSE(budget.take(true)) << "what is left is kept for what is urgent";
  EXPECT_TRUE(budget.take());
  EXPECT_TRUE(budget.take());
  EXPECT_FALSE(budget.take());
}

TEST(ByteBudget, PaysBackWhatWasTakenTooMuch) {
  ByteBudget budget(1000);
  EXPECT_TRUE(budget.may_take(at_ms(0)));
  budget.take(3000);
  EXPECT_FALSE(budget.may_take(at_ms(1000)));
  EXPECT_FALSE(budget.may_take(at_ms(2000)));
  EXPECT_TRUE(budget.may_take(at_ms(2001)));
}

TEST(ByteBudget, LosesNoFractionsAndSavesNoMoreThanASecond) {
  ByteBudget budget(10);
  EXPECT_TRUE(budget.may_take(at_ms(0)));
  budget.take(10);
  for (int ms = 1; ms < 100; ++ms) EXPECT_FALSE(budget.may_take(at_ms(ms))) << ms;
  EXPECT_TRUE(budget.may_take(at_ms(100)));
  EXPECT_TRUE(budget.may_take(at_ms(900'000)));
  budget.take(11);
  EXPECT_FALSE(budget.may_take(at_ms(900'000)));
}

}  // namespace
}  // namespace cartwheel::node
