// The arithmetic of levels against a second implementation that works on sets of replicas, and the published table of
// which read and write levels see each other, by enumeration.
#include "node/core/level.h"

#include <gtest/gtest.h>

#include <bit>

namespace cartwheel::node {
namespace {

using Layout = std::vector<uint32_t>;

Level level(const char* text) {
  return Level::parse(text).value();
}

// Whether the replicas in `set` (bit i is replica i, regions one after another) satisfy a level: said in the words of
// the documentation, for one set.
bool satisfies(const Level& l, const Layout& layout, size_t local, uint32_t set) {
  uint32_t total = 0, answered = 0, first = 0;
  bool every_region = true, local_one = false, local_majority = false;
  for (size_t region = 0; region < layout.size(); ++region) {
    uint32_t n = 0;
    for (uint32_t i = first; i < first + layout[region]; ++i) n += set >> i & 1;
    first += layout[region];
    total += layout[region];
    answered += n;
    bool majority = n * 2 > layout[region];
    if (layout[region] > 0 && !majority) every_region = false;
    if (region == local) local_one = n > 0, local_majority = majority;
  }
  switch (l.kind) {
    case Level::Kind::kCount:
      return answered >= l.count;
    case Level::Kind::kQuorum:
      return answered * 2 > total;
    case Level::Kind::kAll:
      return answered == total;
    case Level::Kind::kLocalOne:
      return local_one;
    case Level::Kind::kLocalQuorum:
      return local_majority;
    case Level::Kind::kEachQuorum:
      return every_region;
  }
  return false;
}

uint32_t size_of(const Layout& layout) {
  uint32_t n = 0;
  for (uint32_t r : layout) n += r;
  return n;
}

Layout count_per_region(const Layout& layout, uint32_t set) {
  Layout out;
  for (uint32_t replicas : layout) {
    out.push_back(static_cast<uint32_t>(std::popcount(set & ((1u << replicas) - 1))));
    set >>= replicas;
  }
  return out;
}

const char* const kLevels[] = {"one", "two", "three", "4", "quorum", "all", "local_one", "local_quorum", "each_quorum"};

TEST(Level, AgreesWithSetsInEverySmallLayout) {
  int refused = 0, compared = 0;
  for (uint32_t code = 0; code < 4 * 4 * 4; ++code) {
    for (size_t regions = 1; regions <= 3; ++regions) {
      Layout layout{code & 3, code >> 2 & 3, code >> 4};
      layout.resize(regions);
      uint32_t n = size_of(layout);
      if (n == 0) continue;
      for (size_t local = 0; local < regions; ++local) {
        for (const char* name : kLevels) {
          Level l = level(name);
          auto need = need_of(l, layout, local);
          SCOPED_TRACE(std::string(name) + " local " + std::to_string(local) + " layout " + std::to_string(code));
          ASSERT_EQ(need.ok(), satisfies(l, layout, local, (1u << n) - 1)) << "possible when all are up";
          if (!need.ok()) {
            EXPECT_EQ(need.status().code(), Code::kInvalidArgument);
            ++refused;
            continue;
          }
          for (uint32_t set = 0; set < 1u << n; ++set) {
            ASSERT_EQ(met(*need, count_per_region(layout, set)), satisfies(l, layout, local, set)) << set;
            ++compared;
          }
        }
      }
    }
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(compared, 10'000);
}

// Whether every set that satisfies the write shares a replica with every set that satisfies the read.
bool always_overlap(const Layout& layout, const char* write, size_t write_region, const char* read,
                    size_t read_region) {
  Need w = need_of(level(write), layout, write_region).value(), r = need_of(level(read), layout, read_region).value();
  uint32_t all = 1u << size_of(layout);
  for (uint32_t ws = 0; ws < all; ++ws) {
    if (!met(w, count_per_region(layout, ws))) continue;
    // The read that sees least of it asks only replicas outside; if those satisfy it, the pair may miss.
    if (met(r, count_per_region(layout, (all - 1) & ~ws))) return false;
  }
  return true;
}

TEST(Level, OverlapTable) {
  struct Row {
    const char *write, *read;
    bool same_region, other_region;
  };
  // Of 2 regions with 3 replicas each, and of 3 with 3 each: the same answers but where it says so below.
  const Row rows[] = {
      {"local_quorum", "local_quorum", true, false},
      {"each_quorum", "local_quorum", true, true},
      {"local_quorum", "each_quorum", true, true},
      {"each_quorum", "each_quorum", true, true},
      {"quorum", "quorum", true, true},
      {"quorum", "local_quorum", false, false},
      {"local_quorum", "quorum", false, false},
      {"all", "one", true, true},
      {"one", "all", true, true},
      {"all", "local_one", true, true},
      {"local_one", "all", true, true},
      {"local_one", "local_quorum", false, false},
      {"local_quorum", "local_one", false, false},
      {"one", "quorum", false, false},
      {"quorum", "one", false, false},
      {"each_quorum", "one", false, false},
  };
  for (const Layout& layout : {Layout{3, 3}, Layout{3, 3, 3}}) {
    for (const Row& row : rows) {
      SCOPED_TRACE(std::string(row.write) + " then " + row.read + ", regions: " + std::to_string(layout.size()));
      EXPECT_EQ(always_overlap(layout, row.write, 0, row.read, 0), row.same_region);
      EXPECT_EQ(always_overlap(layout, row.write, 0, row.read, 1), row.other_region);
    }
  }
  // 4 of 6 and 2 + 2 always meet, 5 of 9 (3 + 2 + 0) and 2 + 2 + 2 as well: a majority of replicas leaves some region
  // without a majority outside of it.
  EXPECT_TRUE(always_overlap({3, 3}, "each_quorum", 0, "quorum", 1));
  EXPECT_TRUE(always_overlap({3, 3, 3}, "each_quorum", 0, "quorum", 1));
  // Numbers: W + R > N and not otherwise.
  EXPECT_TRUE(always_overlap({3, 3}, "4", 0, "three", 1));
  EXPECT_FALSE(always_overlap({3, 3}, "three", 0, "three", 1));
}

TEST(Level, TextsRoundTrip) {
  for (const char* name : kLevels) {
    EXPECT_EQ(level(name).to_string(), name);
    EXPECT_EQ(level(level(name).to_string().c_str()), level(name));
  }
  EXPECT_EQ(level("1"), level("one"));
  EXPECT_EQ(level("1000").count, 1000u);
}

TEST(Level, WhatIsNoLevelIsRefusedByName) {
  for (const char* text : {"", "0", "-1", "1001", "99999999999", "One", "local", "2x", " 2", "quorum "}) {
    auto l = Level::parse(text);
    ASSERT_FALSE(l.ok()) << text;
    EXPECT_NE(l.status().message().find("'" + std::string(text) + "' is not a level"), std::string::npos);
  }
}

}  // namespace
}  // namespace cartwheel::node
