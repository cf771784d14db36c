#include "client/bench/workload.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "client/bench/process_cpu.h"
#include "client/bench/schedule.h"

namespace cartwheel::bench {
namespace {

constexpr uint64_t kSeed = 20240607;

TEST(Zipf, DrawsRanksWithTheirProbabilities) {
  constexpr int kDraws = 200'000;
  constexpr uint64_t kRanks = 1000;
  for (const double theta : {0.5, 0.99, 1.0, 1.5}) {
    Rng rng(kSeed);
    const Zipf zipf(kRanks, theta);
    std::map<uint64_t, int> seen;
    for (int i = 0; i < kDraws; ++i) ++seen[zipf.next(rng)];
    EXPECT_GE(seen.begin()->first, 1u);
    EXPECT_LE(seen.rbegin()->first, kRanks);
    double total = 0;
    for (uint64_t r = 1; r <= kRanks; ++r) total += std::pow(static_cast<double>(r), -theta);
    for (const uint64_t rank : {1, 2, 3, 10, 100}) {
      const double expected = kDraws * std::pow(static_cast<double>(rank), -theta) / total;
      EXPECT_NEAR(seen[rank], expected, 5 * std::sqrt(expected) + 1) << "rank " << rank << " theta " << theta;
    }
  }
}

TEST(Keys, SequentialLanesVisitEveryKeyOnce) {
  Rng rng(kSeed);
  std::set<uint64_t> seen;
  for (uint64_t lane = 0; lane < 3; ++lane) {
    KeyChooser keys({.kind = Distribution::Kind::kSequential}, 30, lane, 3);
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(seen.insert(keys.next(rng)).second);
  }
  EXPECT_EQ(seen.size(), 30u);
}

TEST(Keys, DistributionsStayInsideTheKeySpaceEvenOfOneKey) {
  for (const char* text : {"uniform", "zipf", "zipf:1.2", "sequential"}) {
    for (const uint64_t n : {1, 2, 7}) {
      Rng rng(kSeed);
      KeyChooser keys(*parse_distribution(text), n, 5, 9);
      for (int i = 0; i < 1000; ++i) EXPECT_LT(keys.next(rng), n) << text;
    }
  }
}

TEST(Keys, RefusesUnknownDistributions) {
  for (const char* text : {"", "zipf:", "zipf:0", "zipf:-1", "zipf:x", "zipf:1x", "normal"}) {
    EXPECT_FALSE(parse_distribution(text).ok()) << text;
  }
}

TEST(Mix, NamesThePartThatIsWrong) {
  for (const char* text :
       {"", "get,", "get=", "get=0", "get=-1", "get=nan", "get=0.5;set=0.5", "fill-set", "rename=1"}) {
    EXPECT_FALSE(parse_mix(text).ok()) << text;
  }
  EXPECT_NE(parse_mix("get=0.6,rename=0.4").status().message().find("rename"), std::string::npos);
}

TEST(Workload, DrawsOperationsByTheirWeights) {
  constexpr int kDraws = 100'000;
  Workload workload(*parse_mix("get=0.6,set=0.35,del=0.05"), {}, kSeed, 0, 1);
  std::map<OpKind, double> seen;
  for (int i = 0; i < kDraws; ++i) seen[workload.next().kind] += 1.0 / kDraws;
  EXPECT_NEAR(seen[OpKind::kGet], 0.6, 0.01);
  EXPECT_NEAR(seen[OpKind::kSet], 0.35, 0.01);
  EXPECT_NEAR(seen[OpKind::kDel], 0.05, 0.01);
}

TEST(Workload, TheSameSeedMakesTheSameLoadAndAnotherLaneAnother) {
  const Mix mix = *parse_mix("session");
  Workload a(mix, {}, kSeed, 0, 2);
  Workload b(mix, {}, kSeed, 0, 2);
  Workload c(mix, {}, kSeed, 1, 2);
  int different = 0;
  for (int i = 0; i < 100; ++i) {
    const Operation x = a.next();
    const Operation y = b.next();
    EXPECT_EQ(x.key, y.key);
    EXPECT_EQ(x.size, y.size);
    different += c.next().key != x.key ? 1 : 0;
  }
  EXPECT_GT(different, 90);
}

TEST(Workload, PrefillOfTwoLanesCreatesEverySetWithAllItsMembers) {
  const Workload::Shape shape{.keys = 5, .distribution = {}, .value_size = 0, .set_size = 250};
  std::set<std::pair<uint64_t, uint64_t>> members;
  for (uint64_t lane = 0; lane < 2; ++lane) {
    Workload workload(*parse_mix("sadd"), shape, kSeed, lane, 2);
    for (Operation op; workload.next_prefill(op);) {
      for (uint64_t m = 0; m < op.size; ++m) EXPECT_TRUE(members.insert({op.key, op.detail + m}).second);
    }
  }
  EXPECT_EQ(members.size(), 5u * 250u);
}

TEST(Workload, CartLinesAreThoseOfThePrefill) {
  const CartSizes sizes;
  Workload workload(*parse_mix("hset"), {.keys = 50, .distribution = {}}, kSeed, 0, 1);
  for (int i = 0; i < 1000; ++i) {
    const Operation op = workload.next();
    EXPECT_LT(op.detail, sizes.lines_of(op.key));
  }
}

TEST(CartSizes, HaveMedianThreeAndALongTail) {
  const CartSizes sizes;
  std::vector<uint32_t> all;
  for (uint64_t key = 0; key < 20'000; ++key) all.push_back(sizes.lines_of(key));
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all[all.size() / 2], 3u);
  EXPECT_NEAR(all[all.size() * 99 / 100], 40, 8);
}

TEST(Values, AnyLengthIsRebuiltFromTheKey) {
  const Values values;
  for (const uint32_t size : {0u, 1u, 15u, 16u, 17u, 1024u, 70'000u, 200'000u}) {
    std::string value;
    values.append(7, size, value);
    ASSERT_EQ(value.size(), size);
    EXPECT_TRUE(values.matches(7, value));
    if (size == 0) continue;
    for (const size_t at : {size_t{0}, value.size() / 2, value.size() - 1}) {
      std::string wrong = value;
      wrong[at] = static_cast<char>(wrong[at] ^ 1);
      EXPECT_FALSE(values.matches(7, wrong)) << size << " at " << at;
    }
  }
  std::string other;
  values.append(8, 100, other);
  EXPECT_FALSE(values.matches(7, other));
}

TEST(Schedule, KeepsItsRateWhateverHappens) {
  for (const bool poisson : {false, true}) {
    Schedule schedule(1000, poisson, kSeed);
    uint64_t before = 0;
    for (int i = 0; i < 100'000; ++i) {
      EXPECT_GE(schedule.due_ns(), before);
      before = schedule.due_ns();
      schedule.advance();
    }
    EXPECT_NEAR(static_cast<double>(before) / 1e9, 100, poisson ? 2 : 0.01);
  }
}

TEST(ProcessCpu, ReadsTheTimesBehindANameWithSpacesAndParentheses) {
  const Result<uint64_t> ticks =
      parse_stat_ticks("77 (a (b) c) S 1 77 77 0 -1 4194560 10 0 0 0 1234 66 0 0 20 0 4 0 100 1000 10 1844\n");
  ASSERT_TRUE(ticks.ok());
  EXPECT_EQ(*ticks, 1300u);
  EXPECT_FALSE(parse_stat_ticks("77 (short) S 1 2").ok());
  EXPECT_FALSE(parse_stat_ticks("").ok());
}

}  // namespace
}  // namespace cartwheel::bench
