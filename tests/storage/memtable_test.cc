// Memtable against a std::map per version: what get(), cursors old and new, and for_each() show.
#include "storage/memtable.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "tests/storage/engine_reading.h"

namespace cartwheel::storage {
namespace {

// What a memtable says of a key: nothing, or that it is erased (none), or its value.
using Model = std::map<std::string, std::optional<std::string>>;

void apply_to(Model* model, const WriteBatch& batch) {
  for (const WriteBatch::Change& change : batch.changes()) {
    if (change.kind == WriteBatch::Kind::kPut) (*model)[change.key] = change.value;
    if (change.kind == WriteBatch::Kind::kErase) (*model)[change.key] = std::nullopt;
    if (change.kind != WriteBatch::Kind::kEraseRange || change.key >= change.value) continue;
    for (auto at = model->lower_bound(change.key); at != model->end() && at->first < change.value; ++at) {
      at->second = std::nullopt;
    }
  }
}

using Entries = std::vector<std::pair<std::string, std::optional<std::string>>>;

Entries drain(Memtable::Cursor& cursor) {
  Entries entries;
  for (; cursor.valid(); cursor.next()) {
    entries.emplace_back(cursor.key(), cursor.erased() ? std::nullopt : std::optional(std::string(cursor.value())));
  }
  return entries;
}

Entries from(const Model& model, const std::string& begin) {
  return {model.lower_bound(begin), model.end()};
}

// Keys that share their first bytes, end in zeros, or are longer than what a place in order holds of them.
std::string key_of(Rng& rng, uint64_t keys) {
  const uint64_t n = rng.below(keys);
  switch (n % 4) {
    case 0:
      return std::string(n % 9, '\0');
    case 1:
      return "o" + std::string(40, 'p') + std::to_string(n);
    case 2:
      return std::to_string(n) + std::string(n % 3, '\0');
    default:
      return std::string(n % 50, '\xff') + std::to_string(n);
  }
}

TEST(Memtable, AgreesWithAMapInEveryVersion) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    const uint64_t keys = 1 + rng.below(seed % 4 == 0 ? 20'000 : 200);
    auto table = std::make_shared<Memtable>(rng.below(100));
    Model model;
    struct Look {
      std::unique_ptr<Memtable::Cursor> cursor;
      Entries expected;
    };
    std::vector<Look> looks;
    for (int step = 0; step < (seed % 4 == 0 ? 600 : 150); ++step) {
      WriteBatch batch;
      for (size_t n = rng.below(seed % 4 == 0 ? 40 : 6); n > 0; --n) {
        const uint64_t dice = rng.below(20);
        if (dice < 15) {
          batch.put(key_of(rng, keys), std::string(rng.below(60), static_cast<char>('a' + step % 26)));
        } else if (dice < 19 || seed % 3 == 0) {
          batch.erase(key_of(rng, keys));
        } else {
          batch.erase_range(key_of(rng, keys), key_of(rng, keys));
        }
      }
      apply_to(&model, batch);
      table->apply(std::move(batch));
      if (rng.chance(0.1) && looks.size() < 5) {
        table->order();
        const std::string begin = rng.chance(0.5) ? "" : key_of(rng, keys);
        looks.push_back({std::make_unique<Memtable::Cursor>(table, begin), from(model, begin)});
      }
      if (rng.chance(0.1) && !looks.empty()) {
        Look look = std::move(looks[rng.below(looks.size())]);
        std::erase_if(looks, [](const Look& each) { return each.cursor == nullptr; });
        ASSERT_EQ(drain(*look.cursor), look.expected);
      }
      const std::string key = key_of(rng, keys);
      std::string value;
      const Memtable::Found found = table->get(key, &value);
      if (auto row = model.find(key); row == model.end()) {
        ASSERT_NE(found, Memtable::Found::kRow);  // unknown, or hidden by a range
      } else {
        ASSERT_EQ(found, row->second ? Memtable::Found::kRow : Memtable::Found::kErased);
        ASSERT_EQ(row->second.value_or(""), row->second ? value : "");
      }
    }
    for (Look& look : looks) ASSERT_EQ(drain(*look.cursor), look.expected);
    looks.clear();
    table->order();
    Entries all;
    table->for_each([&](std::string_view key, const std::string* value) {
      all.emplace_back(key, value == nullptr ? std::nullopt : std::optional(*value));
    });
    ASSERT_EQ(all, from(model, ""));
    ASSERT_EQ(table->rows(), model.size());
  }
}

TEST(Memtable, ErasedRangeHidesWhatIsBelowButNotFromOlderCursors) {
  auto table = std::make_shared<Memtable>();
  table->order();
  Memtable::Cursor before(table, "");
  WriteBatch batch;
  batch.erase_range("b", "d");
  batch.put("c", "new");
  table->apply(std::move(batch));
  table->order();
  Memtable::Cursor after(table, "");
  std::string value;
  EXPECT_EQ(table->get("b", &value), Memtable::Found::kErased);
  EXPECT_EQ(table->get("c", &value), Memtable::Found::kRow);
  EXPECT_EQ(table->get("d", &value), Memtable::Found::kUnknown);
  EXPECT_FALSE(before.hides("b"));
  EXPECT_TRUE(after.hides("b"));
  EXPECT_FALSE(after.hides("d"));
}

// A row that is written for ever takes the memory of one, also if somebody looked in between.
TEST(Memtable, OldVersionsGoWhenNobodyLooks) {
  auto table = std::make_shared<Memtable>();
  for (int i = 0; i < 1000; ++i) {
    std::unique_ptr<Memtable::Cursor> look;
    if (i % 10 == 5) {
      table->order();
      look = std::make_unique<Memtable::Cursor>(table, "");
    }
    table->apply(put("hot", std::string(1000, 'v')));
  }
  table->apply(put("hot", std::string(1000, 'v')));
  EXPECT_LT(table->bytes(), 2000u);
}

}  // namespace
}  // namespace cartwheel::storage
