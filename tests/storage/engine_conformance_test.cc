// The contract of storage/engine.h, held against every engine. "rocks_small" is RocksDB with memtables so small that
// the data lives in table files and is compacted while the tests run.
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "storage/memory_engine.h"
#include "storage/rocks/rocks_engine.h"
#include "tests/storage/engine_reading.h"
#include "tests/storage/temporary_directory.h"

namespace cartwheel::storage {
namespace {

using namespace std::string_literals;

// An engine and what it lives on.
class Disk {
 public:
  virtual ~Disk() = default;
  virtual Engine& engine() = 0;
  virtual void reopen() = 0;  // the process ends and starts again
};

class MemoryDisk final : public Disk {
 public:
  Engine& engine() override { return engine_; }
  void reopen() override { engine_.restart(); }

 private:
  MemoryEngine engine_;
};

class RocksDisk final : public Disk {
 public:
  explicit RocksDisk(const RocksOptions& options) : options_(options) { open(); }
  Engine& engine() override { return *engine_; }
  void reopen() override {
    engine_.reset();
    open();
  }

 private:
  void open() {
    auto opened = RocksEngine::open(directory_ / "stripe", options_);
    CHECK(opened.ok());
    engine_ = std::move(opened).value();
  }

  const RocksOptions options_;
  TemporaryDirectory directory_;
  std::unique_ptr<RocksEngine> engine_;
};

struct Candidate {
  const char* name;
  std::function<std::unique_ptr<Disk>()> make;
};

void PrintTo(const Candidate& candidate, std::ostream* out) {
  *out << candidate.name;
}

class EngineConformance : public testing::TestWithParam<Candidate> {
 protected:
  std::unique_ptr<Disk> disk_ = GetParam().make();
  Engine& engine() { return disk_->engine(); }
  void write(const WriteBatch& batch) { ASSERT_OK(engine().write(batch)); }
};

INSTANTIATE_TEST_SUITE_P(Engines, EngineConformance,
                         testing::Values(Candidate{"memory", [] { return std::make_unique<MemoryDisk>(); }},
                                         Candidate{"rocks", [] { return std::make_unique<RocksDisk>(RocksOptions{}); }},
                                         Candidate{"rocks_small",
                                                   [] {
                                                     return std::make_unique<RocksDisk>(
                                                         RocksOptions{.write_buffer_bytes = 64 << 10});
                                                   }}),
                         [](const auto& candidate) { return candidate.param.name; });

TEST_P(EngineConformance, StartsEmpty) {
  EXPECT_EQ(get(engine(), "a"), std::nullopt);
  EXPECT_EQ(read(engine()), Rows{});
}

TEST_P(EngineConformance, ReturnsWhatWasPutLast) {
  write(put("a", "1"));
  write(put("a", "2"));
  EXPECT_EQ(get(engine(), "a"), "2");
  EXPECT_EQ(get(engine(), ""), std::nullopt);
  EXPECT_EQ(get(engine(), "a\0"s), std::nullopt);
}

TEST_P(EngineConformance, ErasedKeyIsNotFoundAndErasingAnAbsentOneIsFine) {
  write(put("a", "1"));
  WriteBatch batch;
  batch.erase("a");
  batch.erase("b");
  write(batch);
  EXPECT_EQ(get(engine(), "a"), std::nullopt);
  EXPECT_EQ(read(engine()), Rows{});
}

TEST_P(EngineConformance, EmptyValueIsAValue) {
  write(put("a", ""));
  EXPECT_EQ(get(engine(), "a"), "");
  EXPECT_EQ(read(engine()), (Rows{{"a", ""}}));
}

TEST_P(EngineConformance, EmptyBatchChangesNothing) {
  write(put("a", "1"));
  write({});
  EXPECT_EQ(read(engine()), (Rows{{"a", "1"}}));
}

TEST_P(EngineConformance, EraseRangeTakesItsBeginAndLeavesItsEnd) {
  for (const char* key : {"a", "b", "b\x01", "c", "d"}) write(put(key, "v"));
  WriteBatch batch;
  batch.erase_range("b", "d");
  write(batch);
  EXPECT_EQ(read(engine()), (Rows{{"a", "v"}, {"d", "v"}}));
}

TEST_P(EngineConformance, EraseRangeThatHoldsNoKeyChangesNothing) {
  write(put("b", "v"));
  WriteBatch batch;
  batch.erase_range("b", "b");
  batch.erase_range("c", "a");
  batch.erase_range("a", "");
  batch.erase_range("c", "d");
  write(batch);
  EXPECT_EQ(read(engine()), (Rows{{"b", "v"}}));
}

// Few rows and many are erased in different ways by an engine that minds its tombstones.
TEST_P(EngineConformance, EraseRangeOfAnySize) {
  for (int size : {1, 31, 32, 33, 1000}) {
    WriteBatch fill;
    for (int i = 0; i < size; ++i) fill.put("k" + std::to_string(10000 + i), "v");
    fill.put("l", "stays");
    write(fill);
    WriteBatch batch;
    batch.erase_range("k", "l");
    write(batch);
    EXPECT_EQ(read(engine()), (Rows{{"l", "stays"}})) << size;
    EXPECT_EQ(get(engine(), "k10000"), std::nullopt) << size;
  }
}

TEST_P(EngineConformance, TrimmingALogFromTheSameStartAgainAndAgain) {
  std::map<std::string, std::string> model;
  for (int i = 0; i < 400; ++i) {
    WriteBatch batch;
    batch.put("log/" + std::to_string(10000 + i), "entry");
    batch.erase_range("log/", "log/" + std::to_string(10000 + i - 3));
    apply_to_model(batch, &model);
    write(batch);
  }
  EXPECT_EQ(read(engine()), rows(model));
  EXPECT_EQ(model.size(), 4u);
}

TEST_P(EngineConformance, ChangesOfABatchApplyInTheirOrder) {
  write(put("old", "v"));
  WriteBatch batch;
  batch.put("a", "1");
  batch.erase("a");
  batch.put("b", "1");
  batch.put("b", "2");
  batch.put("m1", "before the range");
  batch.erase_range("m", "p");
  batch.put("m2", "behind the range");
  batch.erase("old");
  batch.put("old", "again");
  write(batch);
  EXPECT_EQ(read(engine()), (Rows{{"b", "2"}, {"m2", "behind the range"}, {"old", "again"}}));
}

TEST_P(EngineConformance, LaterRangeOfABatchErasesAKeyPutByIt) {
  WriteBatch batch;
  for (int i = 0; i < 40; ++i) {  // more ranges in a batch than anybody would look at one by one
    batch.put("a" + std::to_string(i), "v");
    batch.erase_range("a", "b");
  }
  batch.put("a", "last");
  write(batch);
  EXPECT_EQ(read(engine()), (Rows{{"a", "last"}}));
}

TEST_P(EngineConformance, ScanHonoursItsBounds) {
  for (const char* key : {"a", "b", "c", "d"}) write(put(key, key));
  EXPECT_EQ(read(engine(), "b", "d"), (Rows{{"b", "b"}, {"c", "c"}}));
  EXPECT_EQ(read(engine(), "b\x01", ""), (Rows{{"c", "c"}, {"d", "d"}}));
  EXPECT_EQ(read(engine(), "", "b"), (Rows{{"a", "a"}}));
  EXPECT_EQ(read(engine(), "b", "b"), Rows{});
  EXPECT_EQ(read(engine(), "d", "a"), Rows{});
  EXPECT_EQ(read(engine(), "e", ""), Rows{});
}

TEST_P(EngineConformance, SeekSkipsWhatLiesBeforeItAndSeesTheEngineAsItWas) {
  for (char c = 'a'; c <= 'h'; ++c) write(put(std::string(1, c), std::string(1, c)));
  auto iterator = engine().scan("b", "g");
  WriteBatch batch;
  batch.erase_range("d", "f");
  batch.put("e", "new");
  batch.put("cc", "new");
  write(batch);
  ASSERT_TRUE(iterator->valid());
  iterator->seek("cc");  // which came too late to be seen
  ASSERT_TRUE(iterator->valid());
  EXPECT_EQ(iterator->key(), "d");
  EXPECT_EQ(iterator->value(), "d");
  iterator->seek("e");
  ASSERT_TRUE(iterator->valid());
  EXPECT_EQ(iterator->value(), "e");
  iterator->next();
  ASSERT_TRUE(iterator->valid());
  EXPECT_EQ(iterator->key(), "f");
  iterator->seek("g");  // the end, though the engine has it
  EXPECT_FALSE(iterator->valid());
  EXPECT_TRUE(iterator->status().ok());
  auto beyond = engine().scan("", "g");
  ASSERT_TRUE(beyond->valid());
  beyond->seek("z");
  EXPECT_FALSE(beyond->valid());
  EXPECT_TRUE(beyond->status().ok());
}

TEST_P(EngineConformance, KeysAreUnsignedBytesOfAnyKind) {
  const std::vector<std::string> keys = {""s,     "\0"s,   "\0\0"s, "\0\xff"s, "\x01"s,
                                         "\x7f"s, "\x80"s, "\xff"s, "\xff\0"s, "\xff\xff"s};
  Rows expected;
  for (auto key = keys.rbegin(); key != keys.rend(); ++key) write(put(*key, "v" + *key));
  for (const std::string& key : keys) {
    expected.emplace_back(key, "v" + key);
    EXPECT_EQ(get(engine(), key), "v" + key);
  }
  EXPECT_EQ(read(engine()), expected);
  EXPECT_EQ(read(engine(), "\0"s, "\0\xff"s), (Rows{expected[1], expected[2]}));
  EXPECT_EQ(read(engine(), "\xff", ""), (Rows{expected[7], expected[8], expected[9]}));
  WriteBatch batch;
  batch.erase_range("\0"s, "\xff"s);
  write(batch);
  EXPECT_EQ(read(engine()), (Rows{expected[0], expected[7], expected[8], expected[9]}));
}

TEST_P(EngineConformance, ValueOfEightMebibytes) {
  std::string value(8 << 20, 'x');
  for (size_t i = 0; i < value.size(); i += 997) value[i] = static_cast<char>(i);
  write(put("large", value));
  write(put("small", "v"));
  disk_->reopen();
  EXPECT_TRUE(get(engine(), "large") == value);
  auto iterator = engine().scan("", "");
  ASSERT_TRUE(iterator->valid());
  EXPECT_TRUE(iterator->value() == value);
}

TEST_P(EngineConformance, IteratorSeesTheEngineAsItWas) {
  Rows before;
  for (int i = 100; i < 200; ++i) {
    before.emplace_back("k" + std::to_string(i), "old");
    write(put(before.back().first, "old"));
  }
  auto at_start = engine().scan("", "");
  auto midway = engine().scan("", "");
  for (int i = 0; i < 50; ++i) midway->next();
  const std::string_view key = midway->key(), value = midway->value();

  WriteBatch batch;
  batch.put("a", "new");
  batch.put("k150", "new");   // where midway stands
  batch.put("k151", "new");   // the next one
  batch.put("k151x", "new");  // between two
  batch.erase("k152");
  batch.erase_range("k160", "k170");
  batch.put("k165", "new");  // erased, then put again
  batch.put("z", "new");
  write(batch);
  batch.clear();
  batch.put("k152", "newer");
  batch.erase("k151x");
  batch.erase_range("", "k120");
  write(batch);

  EXPECT_EQ(key, "k150");
  EXPECT_EQ(value, "old");
  EXPECT_EQ(drain(*midway), Rows(before.begin() + 50, before.end()));
  EXPECT_EQ(drain(*at_start), before);
  EXPECT_EQ(get(engine(), "k165"), "new");
}

// An engine that merges sources has looked ahead in some of them when the iterator stands elsewhere.
TEST_P(EngineConformance, IteratorSeesTheEngineAsItWasAlsoAcrossItsLayers) {
  Rows before;
  for (int i = 0; i < 200; ++i) {
    const std::string key = "k" + std::to_string(1000 + i);
    before.emplace_back(key, std::string(1000, 'o'));
    write(put(key, before.back().second));
    if (i == 100) disk_->reopen();
  }
  write(put("k1150", std::string(1000, 'o')));
  auto iterator = engine().scan("", "");
  WriteBatch batch;
  batch.put("k1150", "new");
  batch.erase("k1000");
  batch.put("k1001", "new");
  write(batch);
  EXPECT_EQ(drain(*iterator), before);
}

TEST_P(EngineConformance, BatchIsVisibleToAnIteratorMadeAfterItAndAsAWhole) {
  for (int round = 0; round < 20; ++round) {
    WriteBatch batch;
    for (int i = 0; i < 20; ++i) batch.put("k" + std::to_string(i), std::to_string(round));
    auto before = engine().scan("", "");
    write(batch);
    auto after = engine().scan("", "");
    for (const auto& [key, value] : drain(*before)) EXPECT_EQ(value, std::to_string(round - 1)) << key;
    const Rows rows = drain(*after);
    EXPECT_EQ(rows.size(), 20u);
    for (const auto& [key, value] : rows) EXPECT_EQ(value, std::to_string(round)) << key;
  }
}

// A load in several parts, small and so large that an engine may treat it in another way, into a range that was full
// before and has just been erased.
TEST_P(EngineConformance, LoadBecomesVisibleAsAWholeWhenItIsCommitted) {
  for (const size_t value_bytes : {size_t{10}, size_t{20'000}}) {
    for (int i = 0; i < 100; ++i) write(put("l" + std::to_string(100 + i * 3), "old"));
    write(put("k", "before"));
    write(put("m", "behind"));
    WriteBatch erased;
    erased.erase_range("l", "m");
    for (int i = 0; i < 100; ++i) erased.erase("l" + std::to_string(i));
    write(erased);
    Rows expected = {{"k", "before"}};
    for (int part = 0; part < 4; ++part) {
      Engine::Rows rows;
      for (int i = 0; i < 25; ++i) {
        rows.emplace_back("l" + std::to_string(100 + part * 25 + i),
                          std::string(value_bytes, static_cast<char>('a' + i)));
      }
      expected.insert(expected.end(), rows.begin(), rows.end());
      ASSERT_OK(engine().add_to_load(7, rows));
      EXPECT_EQ(read(engine()), (Rows{{"k", "before"}, {"m", "behind"}}));
    }
    expected.emplace_back("m", "behind");
    auto before = engine().scan("", "");
    ASSERT_OK(engine().commit_load(7));
    EXPECT_EQ(drain(*before), (Rows{{"k", "before"}, {"m", "behind"}}));
    before.reset();
    EXPECT_TRUE(read(engine()) == expected) << value_bytes;
    EXPECT_EQ(get(engine(), "l150"), expected[51].second);
    EXPECT_GT(engine().approximate_bytes("l", "m"), 1000u);  // tables are compressed
    write(put("l150", "newer"));
    disk_->reopen();
    expected[51].second = "newer";
    EXPECT_TRUE(read(engine()) == expected) << value_bytes;
    WriteBatch gone;
    gone.erase_range("l", "m");
    write(gone);
  }
}

TEST_P(EngineConformance, LoadThatIsAbortedOrOutlivedIsForgotten) {
  ASSERT_OK(engine().add_to_load(1, {{"a", std::string(1 << 20, 'v')}}));
  ASSERT_OK(engine().add_to_load(2, {{"b", "v"}}));
  ASSERT_OK(engine().add_to_load(3, {{"c", std::string(1 << 20, 'v')}}));
  engine().abort_load(1);
  ASSERT_OK(engine().commit_load(1));
  ASSERT_OK(engine().commit_load(4));
  disk_->reopen();
  ASSERT_OK(engine().commit_load(2));
  ASSERT_OK(engine().commit_load(3));
  EXPECT_EQ(read(engine()), Rows{});
}

TEST_P(EngineConformance, DataSurvivesTheEndOfTheProcess) {
  std::map<std::string, std::string> model;
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 200; ++i) {
      WriteBatch batch;
      batch.put("k" + std::to_string(i * 7 % 100), std::to_string(round * 1000 + i));
      batch.erase("k" + std::to_string(i % 50));
      if (i % 20 == 0) batch.erase_range("k3", "k" + std::to_string(30 + i % 10));
      apply_to_model(batch, &model);
      write(batch);
    }
    if (round == 2) ASSERT_OK(engine().sync());
    disk_->reopen();
    EXPECT_EQ(read(engine()), rows(model)) << "round " << round;
  }
}

TEST_P(EngineConformance, SyncRunsBesideWrites) {
  std::atomic<bool> done = false;
  std::atomic<int> failures = 0;
  std::thread syncing([&] {
    while (!done) failures += !engine().sync().ok();
  });
  for (int i = 0; i < 2000; ++i) {
    const Status status = engine().write(put("k" + std::to_string(i % 100), std::string(100, 'v') + std::to_string(i)));
    EXPECT_TRUE(status.ok()) << status.to_string();
  }
  done = true;
  syncing.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(read(engine()).size(), 100u);
  EXPECT_EQ(get(engine(), "k99"), std::string(100, 'v') + "1999");
}

TEST_P(EngineConformance, UsageGrowsWithTheData) {
  const Engine::Usage before = engine().usage();
  for (int i = 0; i < 100; ++i) write(put("k" + std::to_string(i), std::string(10'000, static_cast<char>(i))));
  const Engine::Usage after = engine().usage();
  EXPECT_GT(after.memory_bytes + after.disk_bytes, before.memory_bytes + before.disk_bytes);
  EXPECT_GT(after.disk_bytes, before.disk_bytes);
}

// The model: a std::map, and of every open iterator the rows that it still has to return.
struct OpenScan {
  std::unique_ptr<Iterator> iterator;
  Rows expected;
  size_t position = 0;
};

Rows slice_of(const std::map<std::string, std::string>& model, const std::string& begin, const std::string& end) {
  Rows found;
  for (const auto& [key, value] : model) {
    if (key >= begin && (end.empty() || key < end)) found.emplace_back(key, value);
  }
  return found;
}

void step(OpenScan* scan) {
  RC_ASSERT(scan->iterator->status().ok());
  RC_ASSERT(scan->iterator->valid() == (scan->position < scan->expected.size()));
  if (!scan->iterator->valid()) return;
  RC_ASSERT(scan->iterator->key() == scan->expected[scan->position].first);
  RC_ASSERT(scan->iterator->value() == scan->expected[scan->position].second);
  scan->iterator->next();
  ++scan->position;
}

// Keys of up to three bytes out of four: they collide often, and hold 0x00 and 0xff.
std::string pick_key() {
  return *rc::gen::resize(3, rc::gen::container<std::string>(rc::gen::elementOf("\0\x01m\xff"s)));
}

void seek(OpenScan* scan, const std::string& to) {
  if (!scan->iterator->valid() || scan->iterator->key() >= to) return;
  scan->iterator->seek(to);
  while (scan->position < scan->expected.size() && scan->expected[scan->position].first < to) ++scan->position;
}

WriteBatch pick_batch() {
  WriteBatch batch;
  const int changes = *rc::gen::inRange(0, 8);
  for (int i = 0; i < changes; ++i) {
    const int kind = *rc::gen::inRange(0, 8);
    if (kind < 5) {
      batch.put(pick_key(),
                std::string(*rc::gen::inRange<size_t>(0, 300), static_cast<char>(*rc::gen::inRange(0, 255))));
    } else if (kind < 7) {
      batch.erase(pick_key());
    } else {
      batch.erase_range(pick_key(), pick_key());
    }
  }
  return batch;
}

TEST_P(EngineConformance, AgreesWithAMap) {
  const bool holds = rc::check("engine = map", [&] {
    const std::unique_ptr<Disk> disk = GetParam().make();
    std::map<std::string, std::string> model;
    std::vector<OpenScan> scans;
    const int steps = *rc::gen::inRange(1, 120);
    for (int i = 0; i < steps; ++i) {
      Engine& engine = disk->engine();
      const int action = *rc::gen::inRange(0, 20);
      if (action < 8) {
        const WriteBatch batch = pick_batch();
        RC_ASSERT(engine.write(batch).ok());
        apply_to_model(batch, &model);
      } else if (action < 12) {
        const std::string key = pick_key();
        const auto row = model.find(key);
        RC_ASSERT(get(engine, key) == (row == model.end() ? std::nullopt : std::optional(row->second)));
      } else if (action < 14 && scans.size() < 4) {
        const std::string begin = pick_key(), end = pick_key();
        scans.push_back({engine.scan(begin, end), slice_of(model, begin, end)});
      } else if (action < 17) {
        for (OpenScan& scan : scans) step(&scan);
      } else if (action < 18) {
        for (OpenScan& scan : scans) seek(&scan, pick_key());
      } else if (action < 19) {
        RC_ASSERT(engine.sync().ok());
      } else {
        scans.clear();
        disk->reopen();
      }
    }
    for (OpenScan& scan : scans) {
      while (scan.position < scan.expected.size()) step(&scan);
      step(&scan);
    }
    RC_ASSERT(read(disk->engine()) == rows(model));
  });
  EXPECT_TRUE(holds);
}

}  // namespace
}  // namespace cartwheel::storage
