// When frames to another region are due.
#include "node/runtime/batch_window.h"

#include <gtest/gtest.h>

#include "node/runtime/frame.h"

namespace cartwheel::node {
namespace {

constexpr Instant at(int64_t ms) {
  return {ms * 1000};
}

TEST(BatchWindow, IsDueWhenTheWindowSinceItsFirstFrameHasPassed) {
  BatchWindow batch({Duration::millis(5), 1000});
  EXPECT_FALSE(batch.due(at(100)));
  EXPECT_EQ(batch.deadline(), std::nullopt);
  batch.add(1, "first", false, at(100));
  batch.add(2, "second", false, at(104));
  EXPECT_EQ(batch.deadline(), at(105));
  EXPECT_FALSE(batch.due(at(104)));
  EXPECT_TRUE(batch.due(at(105)));
  EXPECT_EQ(batch.messages(), 2u);

  std::string expected;
  append_frame(expected, FrameKind::kStripeMessage, 1, "first");
  append_frame(expected, FrameKind::kStripeMessage, 2, "second");
  EXPECT_EQ(batch.bytes(), expected.size());
  EXPECT_EQ(batch.take(), expected);
  EXPECT_FALSE(batch.due(at(200)));
  EXPECT_EQ(batch.bytes(), 0u);
  EXPECT_EQ(batch.messages(), 0u);
}

TEST(BatchWindow, TheNextBatchHasAWindowOfItsOwn) {
  BatchWindow batch({Duration::millis(5), 1000});
  batch.add(0, "a", false, at(1));
  batch.take();
  batch.add(0, "b", false, at(100));
  EXPECT_EQ(batch.deadline(), at(105));
}

TEST(BatchWindow, IsDueAtOnceWhenItIsLargeEnough) {
  BatchWindow batch({Duration::millis(5), 30});
  batch.add(0, std::string(10, 'a'), false, at(1));
  EXPECT_FALSE(batch.full());
  EXPECT_FALSE(batch.due(at(2)));
  batch.add(0, std::string(10, 'b'), false, at(2));
  EXPECT_TRUE(batch.full());
  EXPECT_TRUE(batch.due(at(2)));
}

TEST(BatchWindow, IsDueAtOnceWhenARequestWaitsForIt) {
  BatchWindow batch({Duration::millis(5), 1000});
  batch.add(0, "delta", false, at(1));
  batch.add(0, "read", true, at(2));
  batch.add(0, "delta", false, at(2));
  EXPECT_TRUE(batch.due(at(2)));
  EXPECT_EQ(batch.messages(), 3u);
}

TEST(BatchWindow, WithoutAWindowItIsDueWithTheTurn) {
  BatchWindow batch({Duration::millis(0), 1000});
  batch.add(0, "delta", false, at(7));
  EXPECT_TRUE(batch.due(at(7)));
}

}  // namespace
}  // namespace cartwheel::node
