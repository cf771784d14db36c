// A stripe's directory whose files are missing or damaged is set aside, if others have what it held, or if it is
// forced.
#include "node/runtime/stripe_directory.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <set>

#include "base/hash.h"
#include "node/core/dot_log.h"
#include "node/core/rows.h"
#include "node/runtime/stripe_mending.h"
#include "storage/memory_engine.h"
#include "storage/rocks/rocks_engine.h"
#include "tests/storage/temporary_directory.h"

namespace cartwheel::node {
namespace {

Result<std::unique_ptr<storage::Engine>> rocks(const std::string& path, bool compacts) {
  storage::RocksOptions options;
  options.compacts = compacts;
  auto opened = storage::RocksEngine::open(path, options);
  if (!opened.ok()) return opened.status();
  return std::unique_ptr<storage::Engine>(std::move(opened).value());
}

ClusterConfig config_of(uint32_t replicas) {
  ClusterConfig config;
  config.name = "test";
  config.partitions = 4;
  Keyspace keyspace;
  keyspace.name = "carts";
  keyspace.read = keyspace.write = *Level::parse("one");
  keyspace.replicas["r"] = replicas;
  for (uint32_t i = 0; i < replicas; ++i) {
    NodeInfo node;
    node.name = "r-" + std::to_string(i);
    node.region = "r";
    config.nodes.push_back(node);
  }
  config.keyspaces.push_back(keyspace);
  CHECK(finish(config).ok());
  return config;
}

class StripeDirectoryTest : public testing::Test {
 protected:
  StripeDirectoryTest() {
    auto opened = storage::RocksEngine::open(stripe().path());
    CHECK(opened.ok());
    storage::WriteBatch batch;
    batch.put(identity_row(), Identity{"test", "r-0", 7, true, "boot", 1}.encode());
    batch.put("o", "a row");
    CHECK(opened.value()->write(std::move(batch)).ok() && opened.value()->flush().ok());
  }
  StripeDirectory stripe(bool force = false) const { return {directory_ / "data", 0, force}; }
  void remove_files(const std::string& what) const {
    for (const auto& entry : std::filesystem::directory_iterator(stripe().path())) {
      const std::string name = entry.path().filename().string();
      if (name.find(what) != std::string::npos) std::filesystem::remove(entry.path());
    }
  }
  size_t set_aside() const {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory_ / "data")) {
      count += entry.path().filename().string().starts_with("stripe-0.broken-");
    }
    return count;
  }
  bool has_identity(storage::Engine& engine) const {
    std::string value;
    return *engine.get(identity_row(), &value);
  }

  storage::TemporaryDirectory directory_;
};

TEST_F(StripeDirectoryTest, WholeItIsOpened) {
  auto engine = open_stripe_directory(stripe(), config_of(2), 0, rocks);
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  EXPECT_TRUE(has_identity(**engine));
  EXPECT_EQ(set_aside(), 0u);
}

TEST_F(StripeDirectoryTest, WithoutATableAManifestOrItsCurrentFileItIsSetAsideWhereOthersHaveItAll) {
  for (const char* what : {".sst", "MANIFEST", "CURRENT"}) {
    if (std::string(what) != ".sst") {  // there is something to lose again
      auto engine = storage::RocksEngine::open(stripe().path());
      storage::WriteBatch batch;
      batch.put(identity_row(), Identity{"test", "r-0", 7, true, "boot", 1}.encode());
      ASSERT_TRUE(engine.value()->write(std::move(batch)).ok() && engine.value()->flush().ok());
    }
    const size_t before = set_aside();
    remove_files(what);
    auto engine = open_stripe_directory(stripe(), config_of(2), 0, rocks);
    ASSERT_TRUE(engine.ok()) << what << ": " << engine.status().to_string();
    EXPECT_FALSE(has_identity(**engine)) << what;
    EXPECT_EQ(set_aside(), before + 1) << what;
  }
}

TEST_F(StripeDirectoryTest, TheOnlyCopyIsKeptUnlessItIsForced) {
  remove_files(".sst");
  auto refused = open_stripe_directory(stripe(), config_of(1), 0, rocks);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("--set-aside-broken-data"), std::string::npos);
  EXPECT_EQ(set_aside(), 0u);
  auto forced = open_stripe_directory(stripe(true), config_of(1), 0, rocks);
  ASSERT_TRUE(forced.ok()) << forced.status().to_string();
  EXPECT_EQ(set_aside(), 1u);
}

TEST_F(StripeDirectoryTest, WithoutItsLogItIsSetAside) {
  std::filesystem::remove_all(stripe().path() + "/log");
  auto engine = open_stripe_directory(stripe(), config_of(2), 0, rocks);
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  EXPECT_FALSE(has_identity(**engine));
  EXPECT_EQ(set_aside(), 1u);
}

TEST_F(StripeDirectoryTest, WithoutASegmentOfItsLogItIsSetAside) {
  for (const auto& entry : std::filesystem::directory_iterator(stripe().path() + "/log")) {
    if (entry.path().extension() == ".seg") std::filesystem::remove(entry.path());
  }
  auto engine = open_stripe_directory(stripe(), config_of(2), 0, rocks);
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  EXPECT_FALSE(has_identity(**engine));
  EXPECT_EQ(set_aside(), 1u);
}

// A stripe of four partitions with a row of each kind, all in one table, of which a block is damaged.
class DamagedStripeTest : public StripeDirectoryTest {
 protected:
  static constexpr int kKeys = 4000;
  static std::string key(int i) { return "key-" + std::to_string(i); }
  static PartitionId partition_of(const std::string& key) { return {0, arc_of_hash(hash64(key), 4)}; }
  static std::string row_of(int i) {
    const std::string k = key(i);
    return header_row(object_base(partition_of(k), hash64(k), k));
  }
  void fill() const {
    auto engine = storage::RocksEngine::open(stripe().path());
    storage::WriteBatch batch;
    for (int i = 0; i < kKeys; ++i) batch.put(row_of(i), std::string(100, static_cast<char>('a' + i % 26)));
    for (uint32_t arc = 0; arc < 4; ++arc) batch.put(partition_row({0, arc}), PartitionRow{7, 1, false, {}}.encode());
    batch.put(record_row(9), "a record");
    CHECK(engine.value()->write(std::move(batch)).ok() && engine.value()->flush().ok());
  }
  // Of the largest table, at a part of its length.
  std::string flip_bytes(double part) const {
    std::string table;
    uint64_t most = 0;
    for (const auto& entry : std::filesystem::directory_iterator(stripe().path())) {
      if (entry.path().extension() != ".sst" || entry.file_size() < most) continue;
      most = entry.file_size();
      table = entry.path();
    }
    std::fstream file(table, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(static_cast<double>(most) * part));
    file << "flipped";
    return table;
  }
  static std::set<uint32_t> quarantined(const storage::Engine& engine) {
    std::set<uint32_t> arcs;
    std::string value;
    for (uint32_t arc = 0; arc < 4; ++arc) {
      if (*engine.get(quarantine_row({0, arc}), &value)) arcs.insert(arc);
    }
    return arcs;
  }
};

TEST_F(DamagedStripeTest, ACompactionThatMeetsADamagedTableSaysWhichOne) {
  fill();
  const std::string table = flip_bytes(0.4);
  std::promise<std::string> told;
  std::atomic<bool> once{false};
  storage::RocksOptions options;
  options.on_damage = [&](const std::string& reason) {
    if (!once.exchange(true)) told.set_value(reason);
  };
  auto engine = storage::RocksEngine::open(stripe().path(), options);
  ASSERT_TRUE(engine.ok());
  auto reason = told.get_future();
  for (int round = 0; round < 40 && !once; ++round) {
    storage::WriteBatch batch;
    for (int i = 0; i < kKeys; i += 100) batch.put(row_of(i), std::to_string(round));
    if (!engine.value()->write(std::move(batch)).ok() || !engine.value()->flush().ok()) break;
  }
  ASSERT_EQ(reason.wait_for(std::chrono::seconds(30)), std::future_status::ready);
  const std::string text = reason.get();
  EXPECT_NE(text.find(std::filesystem::path(table).filename().string()), std::string::npos) << text;
}

TEST_F(DamagedStripeTest, WithoutCompactionItIsServedHoweverManyTablesThereAre) {
  fill();
  flip_bytes(0.4);
  storage::RocksOptions options;
  options.compacts = false;
  options.on_damage = [](const std::string& reason) { FAIL() << reason; };
  auto engine = storage::RocksEngine::open(stripe().path(), options);
  for (int round = 0; round < 30; ++round) {
    storage::WriteBatch batch;
    batch.put("o", std::to_string(round));
    ASSERT_TRUE(engine.value()->write(std::move(batch)).ok() && engine.value()->flush().ok()) << round;
  }
}

TEST_F(DamagedStripeTest, APartitionThatIsErasedAndWrittenAnewCanBeReadAlthoughTheBlockIsStillThere) {
  fill();
  flip_bytes(0.4);
  storage::RocksOptions options;
  options.compacts = false;
  auto engine = storage::RocksEngine::open(stripe().path(), options);
  const auto read_all = [&](uint32_t arc, size_t* rows) {
    *rows = 0;
    const std::string prefix = object_prefix({0, arc});
    auto walk = engine.value()->scan(prefix, prefix_end(prefix));
    for (; walk->valid(); walk->next()) ++*rows;
    return walk->status();
  };
  size_t rows = 0, damaged = 0;
  for (uint32_t arc = 0; arc < 4; ++arc) {
    if (read_all(arc, &rows).ok()) continue;
    ++damaged;
    storage::WriteBatch batch;
    const std::string prefix = object_prefix({0, arc});
    batch.erase_range(prefix, prefix_end(prefix));
    for (int i = 0; i < kKeys; ++i) {
      if (partition_of(key(i)).arc == arc) batch.put(row_of(i), "new");
    }
    const size_t written = batch.changes().size() - 1;
    ASSERT_TRUE(engine.value()->write(std::move(batch)).ok());
    EXPECT_TRUE(read_all(arc, &rows).ok());
    EXPECT_EQ(rows, written);
    ASSERT_TRUE(engine.value()->flush().ok());  // the same in tables
    const Status status = read_all(arc, &rows);
    EXPECT_TRUE(status.ok()) << status.to_string();
    EXPECT_EQ(rows, written);
  }
  EXPECT_GE(damaged, 1u);
}

TEST_F(DamagedStripeTest, WithTheMarkWhatCanBeReadIsCopiedAndTheRestQuarantined) {
  fill();
  flip_bytes(0.4);
  ASSERT_TRUE(mark_damaged(stripe(), "000009.sst: Corruption").ok());
  auto engine = open_stripe_directory(stripe(), config_of(2), 0, rocks);
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  EXPECT_EQ(set_aside(), 1u);
  EXPECT_TRUE(has_identity(**engine));
  const std::set<uint32_t> arcs = quarantined(**engine);
  EXPECT_GE(arcs.size(), 1u);
  EXPECT_LE(arcs.size(), 2u);
  int missing = 0;
  std::string value;
  for (int i = 0; i < kKeys; ++i) {
    auto found = (*engine)->get(row_of(i), &value);
    ASSERT_TRUE(found.ok()) << found.status().to_string();
    if (*found) {
      EXPECT_EQ(value, std::string(100, static_cast<char>('a' + i % 26)));
      continue;
    }
    ++missing;
    EXPECT_TRUE(arcs.contains(partition_of(key(i)).arc)) << i;
  }
  EXPECT_GE(missing, 1);
  EXPECT_LT(missing, 200);  // a block
  for (uint32_t arc = 0; arc < 4; ++arc) EXPECT_TRUE(*(*engine)->get(partition_row({0, arc}), &value));
  EXPECT_TRUE(*(*engine)->get(record_row(9), &value));
  // And it is mended: all of it can be read, again and again.
  engine->reset();
  engine = open_stripe_directory(stripe(), config_of(2), 0, rocks);
  ASSERT_TRUE(engine.ok());
  EXPECT_EQ(set_aside(), 1u);
  auto rows = (*engine)->scan("", "");
  while (rows->valid()) rows->next();
  EXPECT_TRUE(rows->status().ok());
}

TEST_F(DamagedStripeTest, ACrashBetweenTheRenamesIsMadeGood) {
  fill();
  flip_bytes(0.4);
  ASSERT_TRUE(mark_damaged(stripe(), "000009.sst: Corruption").ok());
  ASSERT_TRUE(open_stripe_directory(stripe(), config_of(2), 0, rocks).ok());
  std::filesystem::rename(stripe().path(), stripe().path() + ".mended");
  auto engine = open_stripe_directory(stripe(), config_of(2), 0, rocks);
  ASSERT_TRUE(engine.ok());
  EXPECT_TRUE(has_identity(**engine));
  EXPECT_GE(quarantined(**engine).size(), 1u);
}

TEST_F(DamagedStripeTest, TheOnlyCopyIsServedAsItIsUntilItIsForced) {
  fill();
  flip_bytes(0.4);
  ASSERT_TRUE(mark_damaged(stripe(), "000009.sst: Corruption").ok());
  bool compacted = true;
  const auto open = [&](const std::string& path, bool compacts) {
    compacted = compacts;
    return rocks(path, compacts);
  };
  {
    auto engine = open_stripe_directory(stripe(), config_of(1), 0, open);
    ASSERT_TRUE(engine.ok()) << engine.status().to_string();
    EXPECT_FALSE(compacted);
    int unreadable = 0;
    std::string value;
    for (int i = 0; i < kKeys; ++i) unreadable += !(*engine)->get(row_of(i), &value).ok();
    EXPECT_GE(unreadable, 1);
    EXPECT_EQ(set_aside(), 0u);
  }
  auto forced = open_stripe_directory(stripe(true), config_of(1), 0, open);
  ASSERT_TRUE(forced.ok());
  EXPECT_TRUE(compacted);
  EXPECT_EQ(set_aside(), 1u);
}

// What mending marks, by where the hole is.
TEST(StripeMending, WhatMayBeMissingIsMarked) {
  struct Case {
    std::string begin, end;
    size_t quarantined;
    bool clocks, records;  // are marked
  };
  const std::string o = object_prefix({0, 1});
  for (const Case& c : {Case{o + "x", prefix_end(o), 1, false, false}, Case{"o", "p", 4, false, false},
                        Case{partition_row({0, 2}), partition_row({0, 2}) + "a", 1, true, false},
                        Case{record_row(3), record_row(5), 0, false, true}, Case{"x", "y", 4, false, false},
                        Case{"m", "n", 0, false, false}}) {
    storage::MemoryEngine from, to;
    storage::WriteBatch batch;
    batch.put(identity_row(), "identity");
    for (uint32_t arc = 0; arc < 4; ++arc) {
      batch.put(partition_row({0, arc}), PartitionRow{arc == 1 ? 20u : 7u, 1, false, {}}.encode());
      for (const char* end : {"a", "xx", "zz"}) batch.put(object_prefix({0, arc}) + end, "object");
    }
    for (uint64_t n = 1; n < 9; ++n) batch.put(record_row(n), "record");
    batch.put(stage_row({0, 1}, 0), "stage");
    ASSERT_TRUE(from.write(std::move(batch)).ok());
    from.fail_reads(c.begin, c.end);
    auto mended = mend_stripe(from, to, config_of(2), 0, 0);
    ASSERT_TRUE(mended.ok());
    SCOPED_TRACE(c.begin);
    EXPECT_GE(mended->holes, 1u);
    EXPECT_EQ(mended->quarantined, c.quarantined);
    size_t rows = 0;
    for (auto walk = to.scan("q", "r"); walk->valid(); walk->next()) ++rows;
    EXPECT_EQ(rows, c.quarantined);
    std::string value;
    ASSERT_TRUE(*to.get(partition_row({0, 2}), &value));
    EXPECT_EQ(!PartitionRow::decode(value).ok(), c.clocks);
    // Above what any partition row contains, so that no clock is believed.
    EXPECT_EQ(*to.get(record_row(21), &value), c.records);
    if (c.records) {
      EXPECT_FALSE(TurnRecord::decode(value).ok());
    }
  }
}

}  // namespace
}  // namespace cartwheel::node
