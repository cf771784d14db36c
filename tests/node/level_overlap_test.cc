// Which read levels see which write levels, by enumeration of all sets of replicas that can satisfy a level; and the
// tables of docs/consistency.md, which must say the same in every cell.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <fstream>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "node/core/level.h"

namespace cartwheel::node {
namespace {

using Layout = std::vector<uint32_t>;  // replicas per region
using Cells = std::vector<std::string>;

const char* const kNamed[] = {"quorum", "all", "local_one", "local_quorum", "each_quorum"};
const std::vector<Layout> kShapes = {{3}, {3, 3}, {3, 3, 3}};

uint32_t size_of(const Layout& layout) {
  return std::accumulate(layout.begin(), layout.end(), 0u);
}

// All levels that the replicas can meet: every number and every word.
std::vector<Level> levels_of(const Layout& layout) {
  std::vector<Level> out;
  for (uint32_t n = 1; n <= size_of(layout); ++n) out.push_back({Level::Kind::kCount, n});
  for (const char* name : kNamed) out.push_back(Level::parse(name).value());
  return out;
}

Layout count_per_region(const Layout& layout, uint32_t set) {
  Layout out;
  for (uint32_t replicas : layout) {
    out.push_back(static_cast<uint32_t>(std::popcount(set & ((1u << replicas) - 1))));
    set >>= replicas;
  }
  return out;
}

// The sets of replicas (bit i is replica i, regions one after another) after whose answers a coordinator in region
// `local` may answer. It is a replica itself and counts itself, so one of its region is always among them.
std::vector<uint32_t> satisfying(const Layout& layout, const Level& level, size_t local) {
  Need need = need_of(level, layout, local).value();
  std::vector<uint32_t> out;
  for (uint32_t set = 0; set < 1u << size_of(layout); ++set) {
    Layout acked = count_per_region(layout, set);
    if (acked[local] > 0 && met(need, acked)) out.push_back(set);
  }
  return out;
}

// Overlap by definition: every set that a write can have counted shares a replica with every set that a read can count.
class Overlap {
 public:
  explicit Overlap(const Layout& layout) : levels_(levels_of(layout)) {
    for (const Level& level : levels_) {
      for (size_t local = 0; local < layout.size(); ++local) {
        if (layout[local] > 0) sets_[{level.to_string(), local}] = satisfying(layout, level, local);
      }
    }
  }
  const std::vector<Level>& levels() const { return levels_; }
  bool operator()(const Level& write, size_t write_region, const Level& read, size_t read_region) const {
    const auto& writes = sets_.at({write.to_string(), write_region});
    const auto& reads = sets_.at({read.to_string(), read_region});
    return std::all_of(writes.begin(), writes.end(), [&](uint32_t w) {
      return std::all_of(reads.begin(), reads.end(), [&](uint32_t r) { return (w & r) != 0; });
    });
  }

 private:
  std::vector<Level> levels_;
  std::map<std::pair<std::string, size_t>, std::vector<uint32_t>> sets_;
};

// --- the page --------------------------------------------------------------------------------------------------------

struct Table {
  std::string heading;  // the last one above it
  Cells columns;        // without that of the rows' names
  std::vector<std::pair<std::string, Cells>> rows;
};

std::string trimmed(std::string text) {
  std::erase(text, '`');
  text.erase(0, text.find_first_not_of(' '));
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

Cells split(const std::string& text, char separator) {
  Cells out;
  for (size_t from = 0;;) {
    size_t to = text.find(separator, from);
    out.push_back(trimmed(text.substr(from, to - from)));
    if (to == std::string::npos) return out;
    from = to + 1;
  }
}

std::vector<Table> tables_of_page() {
  std::ifstream in(CARTWHEEL_SOURCE_DIR "/docs/consistency.md");
  std::vector<Table> out;
  std::string line, heading;
  bool inside = false;
  while (std::getline(in, line)) {
    if (line.starts_with("#")) heading = line.substr(line.find_first_not_of("# "));
    if (!line.starts_with("|")) {
      inside = false;
      continue;
    }
    if (line.starts_with("|---")) continue;
    Cells cells = split(line.substr(1, line.rfind('|') - 1), '|');
    std::string first = cells[0];
    cells.erase(cells.begin());
    if (!inside)
      out.push_back({heading, std::move(cells), {}});
    else
      out.back().rows.emplace_back(first, std::move(cells));
    inside = true;
  }
  return out;
}

// "3+3 replicas in two regions" and "of 3+3" are {3, 3}; nothing for a text without a number.
std::optional<Layout> layout_of(const std::string& text) {
  size_t from = text.find_first_of("0123456789");
  if (from == std::string::npos) return {};
  Layout out;
  for (const std::string& number : split(text.substr(from, text.find(' ', from) - from), '+')) {
    out.push_back(static_cast<uint32_t>(std::stoul(number)));
  }
  return out;
}

// A row or column may be for several levels at once: "4, quorum".
std::vector<Level> levels_in(const std::string& cell) {
  std::vector<Level> out;
  for (const std::string& name : split(cell, ',')) {
    auto level = Level::parse(name);
    EXPECT_TRUE(level.ok()) << level.status().message();
    if (level.ok()) out.push_back(*level);
  }
  return out;
}

// What the cell has to say.
std::string cell_of(const Layout& layout, const Overlap& overlap, const Level& write, const Level& read) {
  std::set<bool> same, different;
  for (size_t w = 0; w < layout.size(); ++w) {
    for (size_t r = 0; r < layout.size(); ++r) (w == r ? same : different).insert(overlap(write, w, read, r));
  }
  bool one_answer = same.size() == 1 && different.size() <= 1;
  bool anywhere = !different.contains(false);
  if (!one_answer || (anywhere && !same.contains(true) && !different.empty())) return "no word for this";
  return same.contains(false) ? "no" : anywhere ? "yes" : "same";
}

TEST(LevelOverlap, TablesOfThePageAreTheEnumeration) {
  std::vector<Layout> shapes;
  for (const Table& table : tables_of_page()) {
    if (table.heading.find(" replicas in ") == std::string::npos) continue;
    Layout layout = layout_of(table.heading).value();
    shapes.push_back(layout);
    Overlap overlap(layout);
    std::set<std::pair<std::string, std::string>> seen;
    for (const auto& [row, cells] : table.rows) {
      ASSERT_EQ(cells.size(), table.columns.size()) << table.heading << ", row " << row;
      for (size_t i = 0; i < cells.size(); ++i) {
        for (const Level& write : levels_in(row)) {
          for (const Level& read : levels_in(table.columns[i])) {
            std::string where = table.heading + ", write " + write.to_string() + ", read " + read.to_string();
            ASSERT_LE(write.count, size_of(layout)) << where;
            ASSERT_LE(read.count, size_of(layout)) << where;
            EXPECT_EQ(cells[i], cell_of(layout, overlap, write, read)) << where;
            EXPECT_TRUE(seen.emplace(write.to_string(), read.to_string()).second) << "twice: " << where;
          }
        }
      }
    }
    EXPECT_EQ(seen.size(), overlap.levels().size() * overlap.levels().size())
        << table.heading << ": a level that these replicas can meet has no row or no column";
  }
  EXPECT_EQ(shapes, kShapes);
}

// "4" asks for 4 owners of any regions, "2 local" for 2 in the coordinator's, "2 each" for 2 in each region.
Need need_in(const std::string& cell, const Layout& layout, size_t local) {
  Cells words = split(cell, ' ');
  auto n = static_cast<uint32_t>(std::stoul(words[0]));
  Need need{n, std::vector<uint32_t>(layout.size(), 0)};
  if (words.size() == 1) return need;
  EXPECT_TRUE(words[1] == "local" || words[1] == "each") << cell;
  for (size_t i = 0; i < layout.size(); ++i) need.per_region[i] = words[1] == "each" || i == local ? n : 0;
  need.total = size_of(need.per_region);
  return need;
}

TEST(LevelOverlap, TableOfLevelsIsWhatTheyAskFor) {
  std::vector<std::string> levels;
  std::set<Layout> shapes;
  for (const Table& table : tables_of_page()) {
    if (table.heading != "Levels") continue;
    for (const auto& [name, cells] : table.rows) {
      levels.push_back(name);
      ASSERT_EQ(cells.size(), table.columns.size()) << name;
      for (size_t i = 0; i < cells.size(); ++i) {
        auto layout = layout_of(table.columns[i]);
        if (!layout) continue;
        shapes.insert(*layout);
        for (size_t local = 0; local < layout->size(); ++local) {
          Need said = need_in(cells[i], *layout, local);
          Need need = need_of(Level::parse(name).value(), *layout, local).value();
          EXPECT_EQ(said.total, need.total) << name << ", " << table.columns[i];
          EXPECT_EQ(said.per_region, need.per_region) << name << ", " << table.columns[i];
        }
      }
    }
  }
  std::vector<std::string> expected = {"one", "two", "three"};
  expected.insert(expected.end(), std::begin(kNamed), std::end(kNamed));
  EXPECT_EQ(levels, expected);
  EXPECT_EQ(shapes, std::set<Layout>(kShapes.begin(), kShapes.end()));
}

// --- the rule of the page, in its words ------------------------------------------------------------------------------

template <typename F>
void for_each_small_layout(F&& f) {
  for (size_t regions = 1; regions <= 3; ++regions) {
    for (uint32_t code = 0; code < 1u << 2 * regions; ++code) {
      Layout layout;
      for (size_t i = 0; i < regions; ++i) layout.push_back(code >> 2 * i & 3);
      if (size_of(layout) > 0) f(layout);
    }
  }
}

struct Pair {
  Level write, read;
  size_t write_region, read_region;
};

template <typename F>
void for_each_pair(const Layout& layout, const std::vector<Level>& levels, F&& f) {
  for (size_t w = 0; w < layout.size(); ++w) {
    for (size_t r = 0; r < layout.size(); ++r) {
      if (layout[w] == 0 || layout[r] == 0) continue;  // nobody coordinates there
      for (const Level& write : levels) {
        for (const Level& read : levels) f(Pair{write, read, w, r});
      }
    }
  }
}

std::string to_string(const Layout& layout, const Pair& pair) {
  std::string out = "replicas";
  for (uint32_t n : layout) out += " " + std::to_string(n);
  return out + ", write " + pair.write.to_string() + " in region " + std::to_string(pair.write_region) + ", read " +
         pair.read.to_string() + " in region " + std::to_string(pair.read_region);
}

// For how many owners of each region a level asks when it is coordinated in `local`, and of all.
struct Asked {
  uint32_t all;
  std::vector<uint32_t> per_region;
};
Asked asked(const Level& level, const Layout& layout, size_t local) {
  auto majority = [](uint32_t n) { return n == 0 ? 0 : n / 2 + 1; };
  Asked out{level.count, std::vector<uint32_t>(layout.size(), 0)};
  if (level.kind == Level::Kind::kQuorum) out.all = majority(size_of(layout));
  if (level.kind == Level::Kind::kAll) out.all = size_of(layout);
  for (size_t i = 0; i < layout.size(); ++i) {
    bool here = level.kind == Level::Kind::kEachQuorum || (level.kind == Level::Kind::kLocalQuorum && i == local);
    if (here) out.per_region[i] = majority(layout[i]);
  }
  out.per_region[local] = std::max(out.per_region[local], 1u);  // the coordinator
  out.all = std::max(out.all, size_of(out.per_region));
  return out;
}

TEST(LevelOverlap, TheRuleIsExactForAllLevels) {
  int overlapping = 0, not_overlapping = 0;
  for_each_small_layout([&](const Layout& layout) {
    Overlap overlap(layout);
    for_each_pair(layout, overlap.levels(), [&](const Pair& pair) {
      Asked w = asked(pair.write, layout, pair.write_region), r = asked(pair.read, layout, pair.read_region);
      bool rule = w.all + r.all > size_of(layout);
      for (size_t i = 0; i < layout.size(); ++i) rule |= w.per_region[i] + r.per_region[i] > layout[i];
      ASSERT_EQ(overlap(pair.write, pair.write_region, pair.read, pair.read_region), rule) << to_string(layout, pair);
      ++(rule ? overlapping : not_overlapping);
    });
  });
  EXPECT_GT(overlapping, 1000);
  EXPECT_GT(not_overlapping, 1000);
}

TEST(LevelOverlap, NumbersOverlapIfTheirSumExceedsTheReplicas) {
  for_each_small_layout([&](const Layout& layout) {
    Overlap overlap(layout);
    std::vector<Level> numbers = overlap.levels();
    std::erase_if(numbers, [](const Level& level) { return level.kind != Level::Kind::kCount; });
    ASSERT_EQ(numbers.size(), size_of(layout));
    for_each_pair(layout, numbers, [&](const Pair& pair) {
      // The only replica of a region takes part in all that is coordinated there.
      bool same_coordinator = pair.write_region == pair.read_region && layout[pair.read_region] == 1;
      bool expected = pair.write.count + pair.read.count > size_of(layout) || same_coordinator;
      ASSERT_EQ(overlap(pair.write, pair.write_region, pair.read, pair.read_region), expected)
          << to_string(layout, pair);
    });
  });
}

TEST(LevelOverlap, TheCoordinatorsOwnAnswerChangesNothingWithThreeReplicasPerRegion) {
  for (const Layout& layout : kShapes) {
    Overlap overlap(layout);
    for_each_pair(layout, overlap.levels(), [&](const Pair& pair) {
      Need w = need_of(pair.write, layout, pair.write_region).value();
      Need r = need_of(pair.read, layout, pair.read_region).value();
      bool without = w.total + r.total > size_of(layout);
      for (size_t i = 0; i < layout.size(); ++i) without |= w.per_region[i] + r.per_region[i] > layout[i];
      ASSERT_EQ(overlap(pair.write, pair.write_region, pair.read, pair.read_region), without)
          << to_string(layout, pair);
    });
  }
}

}  // namespace
}  // namespace cartwheel::node
