#include "node/core/xor_subset.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace cartwheel::node {
namespace {

using Indexes = std::vector<uint32_t>;

TEST(XorSubset, FindsWhichOfAFewNumbersMakeTheSum) {
  Rng rng(1);
  for (int round = 0; round < 2000; ++round) {
    std::vector<uint64_t> numbers(1 + rng.below(40));
    for (uint64_t& n : numbers) n = rng.next();
    Indexes chosen;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < numbers.size(); ++i) {
      if (!rng.chance(0.3)) continue;
      chosen.push_back(i);
      sum ^= numbers[i];
    }
    if (sum != 0) {
      ASSERT_EQ(xor_subset(numbers, sum), chosen);
    }
  }
}

TEST(XorSubset, OfManyNumbersFindsASingleOne) {
  Rng rng(2);
  std::vector<uint64_t> numbers(1000);
  for (uint64_t& n : numbers) n = rng.next();
  EXPECT_EQ(xor_subset(numbers, numbers[777]), Indexes{777});
  EXPECT_EQ(xor_subset(numbers, numbers[7] ^ numbers[8]), std::nullopt);
}

TEST(XorSubset, SaysNothingOfWhatOtherNumbersMake) {
  Rng rng(3);
  EXPECT_EQ(xor_subset({}, 1), std::nullopt);
  for (int round = 0; round < 2000; ++round) {
    std::vector<uint64_t> numbers(rng.below(30));
    for (uint64_t& n : numbers) n = rng.next();
    ASSERT_EQ(xor_subset(numbers, rng.next()), std::nullopt);
  }
}

TEST(XorSubset, DoesNotGuessAmongSeveralAnswers) {
  EXPECT_EQ(xor_subset({1, 2, 3}, 3), std::nullopt);
  EXPECT_EQ(xor_subset({5, 5}, 5), std::nullopt);
  EXPECT_EQ(xor_subset({0, 5}, 5), std::nullopt);
}

}  // namespace
}  // namespace cartwheel::node
