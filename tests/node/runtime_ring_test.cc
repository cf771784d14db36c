#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "node/runtime/spsc_ring.h"

namespace cartwheel::node {
namespace {

TEST(SpscRing, RefusesWhenFullAndLeavesTheValue) {
  SpscRing<std::unique_ptr<int>, 2> ring;
  EXPECT_TRUE(ring.try_push(std::make_unique<int>(1)));
  EXPECT_TRUE(ring.try_push(std::make_unique<int>(2)));
  auto third = std::make_unique<int>(3);
  EXPECT_FALSE(ring.try_push(std::move(third)));
  ASSERT_TRUE(third);  // NOLINT(bugprone-use-after-move): that it is not moved from is the point
  std::unique_ptr<int> out;
  ASSERT_TRUE(ring.try_pop(out));
  EXPECT_EQ(*out, 1);
  EXPECT_TRUE(ring.try_push(std::move(third)));
  ASSERT_TRUE(ring.try_pop(out));
  EXPECT_EQ(*out, 2);
  ASSERT_TRUE(ring.try_pop(out));
  EXPECT_EQ(*out, 3);
  EXPECT_FALSE(ring.try_pop(out));
  EXPECT_TRUE(ring.empty());
}

TEST(SpscRing, KeepsOrderBetweenTwoThreads) {
  constexpr int kCount = 200'000;
  SpscRing<std::vector<int>, 8> ring;
  std::thread producer([&] {
    for (int i = 0; i < kCount; ++i) {
      std::vector<int> value{i};
      while (!ring.try_push(std::move(value))) std::this_thread::yield();
    }
  });
  int next = 0;
  std::vector<int> value;
  while (next < kCount) {
    if (!ring.try_pop(value)) {
      std::this_thread::yield();
      continue;
    }
    ASSERT_EQ(value, std::vector<int>{next});
    ++next;
  }
  producer.join();
  EXPECT_TRUE(ring.empty());
}

}  // namespace
}  // namespace cartwheel::node
