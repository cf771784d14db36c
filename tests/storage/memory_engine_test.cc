// What MemoryEngine adds to the contract: deaths and faults on request.
#include "storage/memory_engine.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/storage/engine_reading.h"

namespace cartwheel::storage {
namespace {

using Model = std::map<std::string, std::string>;

WriteBatch random_batch(Rng& rng) {
  WriteBatch batch;
  const auto key = [&] { return "k" + std::to_string(rng.below(30)); };
  for (uint64_t i = rng.below(6); i > 0; --i) {
    switch (rng.below(4)) {
      case 0:
        batch.erase(key());
        break;
      case 1:
        batch.erase_range(key(), key());
        break;
      default:
        batch.put(key(), std::to_string(rng.next()));
    }
  }
  return batch;
}

// After a crash the rows are those of some prefix of the batches that holds everything synced.
TEST(MemoryEngine, CrashLeavesAPrefixOfWholeBatchesThatHoldsTheSyncedOnes) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    MemoryEngine engine;
    Model synced, written;
    std::vector<Model> since_sync;
    for (int i = 0; i < 60; ++i) {
      if (rng.chance(0.1)) {
        ASSERT_OK(engine.sync());
        since_sync.clear();
        synced = written;
      } else if (rng.chance(0.1)) {
        ASSERT_EQ(engine.unsynced_batches(), since_sync.size());
        const size_t lost = engine.crash(rng);
        ASSERT_LE(lost, since_sync.size());
        const size_t kept = since_sync.size() - lost;
        synced = written = kept == 0 ? synced : since_sync[kept - 1];
        since_sync.clear();
        ASSERT_EQ(read(engine), rows(written));
        ASSERT_EQ(engine.unsynced_batches(), 0u);
      } else {
        const WriteBatch batch = random_batch(rng);
        ASSERT_OK(engine.write(batch));
        apply_to_model(batch, &written);
        if (!batch.empty()) since_sync.push_back(written);
      }
    }
    ASSERT_EQ(read(engine), rows(written));
  }
}

TEST(MemoryEngine, EveryOutcomeOfACrashHappens) {
  std::set<size_t> outcomes;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    Rng rng(seed);
    MemoryEngine engine;
    for (int i = 0; i < 4; ++i) ASSERT_OK(engine.write(put("k" + std::to_string(i), "v")));
    outcomes.insert(engine.crash(rng));
  }
  EXPECT_EQ(outcomes, (std::set<size_t>{0, 1, 2, 3, 4}));
}

TEST(MemoryEngine, TailIsLostAsAskedAndTheRestIsDurable) {
  MemoryEngine engine;
  ASSERT_OK(engine.write(put("synced", "v")));
  ASSERT_OK(engine.sync());
  for (const char* key : {"a", "b", "c"}) ASSERT_OK(engine.write(put(key, "v")));
  EXPECT_EQ(engine.lose_unsynced_tail(1), 2u);
  EXPECT_EQ(read(engine), (Rows{{"a", "v"}, {"synced", "v"}}));
  EXPECT_EQ(engine.lose_unsynced_tail(0), 0u);
  EXPECT_EQ(read(engine), (Rows{{"a", "v"}, {"synced", "v"}}));
}

TEST(MemoryEngine, DeathOfTheProcessLosesNothing) {
  MemoryEngine engine;
  ASSERT_OK(engine.write(put("a", "v")));
  engine.restart();
  EXPECT_EQ(get(engine, "a"), "v");
  EXPECT_EQ(engine.unsynced_batches(), 1u) << "the kernel has it, the disk does not";
}

TEST(MemoryEngine, NthWriteFailsWithoutATraceThenAllDoUntilTheProcessRestarts) {
  MemoryEngine engine;
  engine.fail_write(2);
  ASSERT_OK(engine.write(put("a", "v")));
  WriteBatch batch = put("b", "v");
  batch.erase("a");
  EXPECT_EQ(engine.write(batch).code(), Code::kIo);
  EXPECT_EQ(read(engine), (Rows{{"a", "v"}}));
  EXPECT_EQ(engine.write(put("c", "v")).code(), Code::kIo);
  EXPECT_EQ(engine.sync().code(), Code::kIo);
  EXPECT_EQ(get(engine, "a"), "v");
  engine.heal();
  EXPECT_EQ(engine.write(put("c", "v")).code(), Code::kIo) << "a failure is final";
  engine.restart();
  ASSERT_OK(engine.write(put("c", "v")));
  EXPECT_EQ(read(engine), (Rows{{"a", "v"}, {"c", "v"}}));
}

TEST(MemoryEngine, FailedSyncIsFinalAndMakesNothingDurable) {
  MemoryEngine engine;
  engine.fail_sync();
  ASSERT_OK(engine.write(put("a", "v")));
  EXPECT_EQ(engine.sync().code(), Code::kIo);
  EXPECT_EQ(engine.sync().code(), Code::kIo);
  EXPECT_EQ(engine.write(put("b", "v")).code(), Code::kIo);
  EXPECT_EQ(get(engine, "a"), "v");
  EXPECT_EQ(engine.lose_unsynced_tail(0), 1u);
  EXPECT_EQ(read(engine), Rows{});
  ASSERT_OK(engine.write(put("b", "v")));
  ASSERT_OK(engine.sync());
}

TEST(MemoryEngine, FullDiskRefusesTheBatchThatDoesNotFit) {
  MemoryEngine engine;
  engine.set_capacity(100);
  ASSERT_OK(engine.write(put("a", std::string(90, 'x'))));
  WriteBatch batch = put("b", "1");
  batch.put("c", std::string(20, 'x'));
  const Status full = engine.write(batch);
  EXPECT_EQ(full, Status::Io("disk full"));
  EXPECT_EQ(read(engine).size(), 1u);
  EXPECT_EQ(engine.write(put("d", "")), full) << "a failure is final";
  engine.set_capacity(200);
  engine.restart();
  ASSERT_OK(engine.write(batch));
}

TEST(MemoryEngine, UsageFollowsTheRows) {
  MemoryEngine engine;
  ASSERT_OK(engine.write(put("key", "value")));
  EXPECT_EQ(engine.usage().disk_bytes, 8u);
  ASSERT_OK(engine.write(put("key", "v")));
  EXPECT_EQ(engine.usage().disk_bytes, 4u);
  EXPECT_EQ(engine.lose_unsynced_tail(1), 1u);
  EXPECT_EQ(engine.usage().disk_bytes, 8u);
  WriteBatch batch;
  batch.erase_range("a", "z");
  ASSERT_OK(engine.write(batch));
  EXPECT_EQ(engine.usage().disk_bytes, 0u);
}

TEST(MemoryEngine, UnreadableRangeIsAnErrorAndNeverAbsence) {
  MemoryEngine engine;
  for (const char* key : {"a", "b", "c", "d"}) ASSERT_OK(engine.write(put(key, "v")));
  engine.fail_reads("b", "c");
  std::string value;
  EXPECT_EQ(engine.get("b", &value).status().code(), Code::kIo);
  EXPECT_EQ(engine.get("b0", &value).status().code(), Code::kIo) << "a key that does not exist";
  EXPECT_EQ(get(engine, "a"), "v");
  EXPECT_EQ(get(engine, "c"), "v");

  auto scan = engine.scan("", "");
  ASSERT_TRUE(scan->valid());
  EXPECT_EQ(scan->key(), "a");
  scan->next();
  EXPECT_FALSE(scan->valid());
  EXPECT_EQ(scan->status().code(), Code::kIo);
  EXPECT_EQ(read(engine, "", "b"), (Rows{{"a", "v"}}));
  EXPECT_EQ(read(engine, "c", ""), (Rows{{"c", "v"}, {"d", "v"}}));

  ASSERT_OK(engine.write(put("b", "v2")));
  engine.heal();
  EXPECT_EQ(get(engine, "b"), "v2");
}

TEST(MemoryEngine, ScanOverAnUnreadableRangeWithoutKeysFailsToo) {
  MemoryEngine engine;
  ASSERT_OK(engine.write(put("a", "v")));
  ASSERT_OK(engine.write(put("z", "v")));
  engine.fail_reads("m", "n", Status::Corruption("checksum"));
  auto over = engine.scan("b", "");
  EXPECT_FALSE(over->valid());
  EXPECT_EQ(over->status().code(), Code::kCorruption);
  auto up_to = engine.scan("b", "n");
  EXPECT_EQ(up_to->status().code(), Code::kCorruption);
  EXPECT_EQ(read(engine, "b", "m"), Rows{});
  EXPECT_EQ(read(engine, "n", ""), (Rows{{"z", "v"}}));
}

TEST(MemoryEngine, JournalIsBoundedWithoutSync) {
  MemoryEngine engine;
  const std::string value(1 << 20, 'x');
  for (int i = 0; i < 100; ++i) ASSERT_OK(engine.write(put("k", value)));
  EXPECT_LE(engine.usage().memory_bytes, MemoryEngine::kUnsyncedBytesMax + 2 * value.size());
  EXPECT_GT(engine.unsynced_batches(), 0u);
  engine.lose_unsynced_tail(0);
  EXPECT_EQ(get(engine, "k"), value) << "the oldest batches became durable by themselves";
}

}  // namespace
}  // namespace cartwheel::storage
