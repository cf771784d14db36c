// BatchLog: what comes back after deaths of all kinds. A loss of power is played by copying the directory and damaging
// what was not synced: any segment may lose its end, keep its length with other bytes in it, or not be there at all.
#include "storage/batch_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/planted.h"
#include "base/rng.h"
#include "tests/storage/engine_reading.h"
#include "tests/storage/temporary_directory.h"

namespace cartwheel::storage {
namespace {

namespace fs = std::filesystem;

// Batch `number` says so in its first change.
WriteBatch batch_of(uint64_t number) {
  WriteBatch batch;
  batch.put("number", std::to_string(number));
  batch.put("value", std::string(number * 37 % 300, static_cast<char>('a' + number % 26)));
  if (number % 3 == 0) batch.erase("gone");
  if (number % 5 == 0) batch.erase_range("from", "to");
  return batch;
}

struct Opened {
  std::unique_ptr<BatchLog> log;
  std::vector<WriteBatch> batches;
};

Opened open(const std::string& directory) {
  Opened opened;
  auto log = BatchLog::open(directory, [&](WriteBatch batch) { opened.batches.push_back(std::move(batch)); });
  EXPECT_TRUE(log.ok()) << log.status().to_string();
  if (log.ok()) opened.log = std::move(log).value();
  return opened;
}

bool same(const WriteBatch& a, const WriteBatch& b) {
  return std::equal(
      a.changes().begin(), a.changes().end(), b.changes().begin(), b.changes().end(),
      [](const auto& x, const auto& y) { return x.kind == y.kind && x.key == y.key && x.value == y.value; });
}

// Whether `batches` are those with the numbers first, first + 1 …, unchanged.
bool are_from(const std::vector<WriteBatch>& batches, uint64_t first) {
  for (const WriteBatch& batch : batches) {
    if (!same(batch, batch_of(first++))) return false;
  }
  return true;
}

TEST(BatchLog, ComesBackWholeAcrossSegmentsAndLives) {
  TemporaryDirectory directory;
  uint64_t next = 0;
  for (int life = 0; life < 5; ++life) {
    Opened opened = open(directory / "log");
    ASSERT_EQ(opened.batches.size(), next);
    ASSERT_TRUE(are_from(opened.batches, 0));
    for (int i = 0; i < 20; ++i) {
      ASSERT_OK(opened.log->append(batch_of(next++)));
      if (i % 7 != 0) continue;
      ASSERT_TRUE(opened.log->begin_segment().ok());
    }
  }
}

TEST(BatchLog, DroppedSegmentsDoNotComeBack) {
  TemporaryDirectory directory;
  {
    Opened opened = open(directory / "log");
    for (uint64_t number = 0; number < 10; ++number) ASSERT_OK(opened.log->append(batch_of(number)));
    const uint64_t before = opened.log->bytes();
    auto ended = opened.log->begin_segment();
    ASSERT_TRUE(ended.ok());
    for (uint64_t number = 10; number < 20; ++number) ASSERT_OK(opened.log->append(batch_of(number)));
    ASSERT_OK(opened.log->sync());
    ASSERT_OK(opened.log->drop_through(*ended));
    EXPECT_LT(opened.log->bytes(), 2 * before);
  }
  Opened opened = open(directory / "log");
  ASSERT_EQ(opened.batches.size(), 10u);
  EXPECT_TRUE(are_from(opened.batches, 10));
}

TEST(BatchLog, ForeignFilesAreLeftAlone) {
  TemporaryDirectory directory;
  { ASSERT_OK(open(directory / "log").log->append(batch_of(0))); }
  std::ofstream(directory / "log/notes.txt") << "not a segment";
  EXPECT_EQ(open(directory / "log").batches.size(), 1u);
  EXPECT_TRUE(fs::exists(directory / "log/notes.txt"));
}

// What opening a copy of `directory` says, after `damage` to its log.
template <typename Damage>
Code reopened(const std::string& directory, const std::string& copy, Damage damage) {
  fs::remove_all(copy);
  fs::copy(directory, copy);
  damage(copy);
  return BatchLog::open(copy, [](WriteBatch) {}).status().code();
}

std::string segment(const std::string& directory, size_t number) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == ".seg") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  return paths.at(number);
}

TEST(BatchLog, SyncedSegmentsThatAreMissingOrDamagedAreFoundOut) {
  TemporaryDirectory directory;
  {
    Opened opened = open(directory / "log");
    uint64_t next = 0;
    auto fill = [&] {
      for (int i = 0; i < 10; ++i) ASSERT_OK(opened.log->append(batch_of(next++)));
    };
    fill();
    auto dropped = opened.log->begin_segment();
    fill();
    ASSERT_TRUE(opened.log->begin_segment().ok());
    fill();
    ASSERT_OK(opened.log->sync());
    ASSERT_OK(opened.log->drop_through(*dropped));
    ASSERT_TRUE(opened.log->begin_segment().ok());
    fill();
    ASSERT_OK(opened.log->sync());
    ASSERT_TRUE(opened.log->begin_segment().ok());
    fill();  // never synced
  }
  const auto reopen = [&](auto damage) { return reopened(directory / "log", directory / "copy", damage); };
  EXPECT_EQ(reopen([](const std::string&) {}), Code::kOk);
  for (size_t n : {0, 1, 2}) {  // the first one, one in the middle, the last one that was synced
    EXPECT_EQ(reopen([&](const std::string& log) { fs::remove(segment(log, n)); }), Code::kCorruption) << n;
    EXPECT_EQ(reopen([&](const std::string& log) { fs::resize_file(segment(log, n), 20); }), Code::kCorruption) << n;
  }
  for (size_t n : {0, 1}) {
    EXPECT_EQ(reopen([&](const std::string& log) {
                std::fstream file(segment(log, n), std::ios::in | std::ios::out | std::ios::binary);
                file.seekp(static_cast<std::streamoff>(fs::file_size(segment(log, n)) / 2));
                file.put('\x7f').put('\x7f').put('\x7f');
              }),
              Code::kCorruption)
        << n;
  }
  EXPECT_EQ(reopen([](const std::string& log) {
              for (size_t n = 4; n-- > 0;) fs::remove(segment(log, n));
            }),
            Code::kCorruption);
  EXPECT_EQ(reopen([](const std::string& log) { fs::resize_file(fs::path(log) / "SEGMENTS", 7); }), Code::kCorruption);
  // As a loss of power may.
  EXPECT_EQ(reopen([](const std::string& log) { fs::remove(segment(log, 3)); }), Code::kOk);
  EXPECT_EQ(reopen([](const std::string& log) { fs::resize_file(segment(log, 3), 100); }), Code::kOk);
}

TEST(BatchLog, SegmentsWhoseRemovalACrashInterruptedAreNotReplayed) {
  TemporaryDirectory directory;
  std::string first;
  {
    Opened opened = open(directory / "log");
    ASSERT_OK(opened.log->append(batch_of(0)));
    first = segment(directory / "log", 0);
    fs::copy_file(first, directory / "kept");
    auto ended = opened.log->begin_segment();
    ASSERT_OK(opened.log->append(batch_of(1)));
    ASSERT_OK(opened.log->sync());
    ASSERT_OK(opened.log->drop_through(*ended));
  }
  fs::copy_file(directory / "kept", first);
  const Opened opened = open(directory / "log");
  ASSERT_EQ(opened.batches.size(), 1u);
  EXPECT_TRUE(are_from(opened.batches, 1));
  EXPECT_FALSE(fs::exists(first));
}

// What a segment had on the disk for sure.
using Synced = std::map<std::string, uint64_t>;

Synced sizes(const std::string& directory) {
  Synced sizes;
  for (const auto& entry : fs::directory_iterator(directory)) sizes[entry.path().filename()] = entry.file_size();
  return sizes;
}

// The disk after a loss of power.
void lose_power(Rng& rng, const std::string& directory, const std::string& copy, const Synced& synced) {
  fs::remove_all(copy);
  fs::copy(directory, copy);
  for (const auto& entry : fs::directory_iterator(copy)) {
    const auto known = synced.find(entry.path().filename());
    const uint64_t safe = known == synced.end() ? 0 : known->second, size = entry.file_size();
    if (known == synced.end() && rng.chance(0.2)) {
      fs::remove(entry.path());
      continue;
    }
    if (safe == size || rng.chance(0.3)) continue;
    const uint64_t from = safe + rng.below(size - safe);
    if (rng.chance(0.5)) {
      fs::resize_file(entry.path(), from);
      continue;
    }
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(from));
    for (uint64_t n = 1 + rng.below(std::min<uint64_t>(64, size - from)); n > 0; --n) {
      file.put(static_cast<char>(rng.next()));
    }
  }
}

// The state of a seed, or what is wrong with it.
std::string run_seed(uint64_t seed) {
  Rng rng(seed);
  TemporaryDirectory directory;
  std::string present = directory / "a", other = directory / "b";
  uint64_t first = 0, next = 0, safe = 0;            // [first, safe) must be there, up to `next` may
  std::vector<std::pair<uint64_t, uint64_t>> ended;  // segments, and the batch behind each
  Synced synced;
  for (int life = 0; life < 6; ++life) {
    Opened opened = open(present);
    if (!opened.log) return "does not open";
    if (!are_from(opened.batches, first)) return "batches came back that were not written like that";
    const uint64_t back = first + opened.batches.size();
    if (back < safe) return "a synced batch is lost: " + std::to_string(back) + " < " + std::to_string(safe);
    if (back > next) return "more batches than were written";
    next = back;
    // What came back is kept from now on only when it is synced again.
    ended.clear();
    for (size_t n = rng.below(60); n > 0; --n) {
      const uint64_t dice = rng.below(20);
      if (dice < 14) {
        if (!opened.log->append(batch_of(next)).ok()) return "append failed";
        ++next;
      } else if (dice < 16) {
        auto number = opened.log->begin_segment();
        if (!number.ok()) return "no new segment";
        ended.emplace_back(*number, next);
      } else if (dice < 18) {
        if (!opened.log->sync().ok()) return "sync failed";
        synced = sizes(present);
        safe = next;
      } else if (!ended.empty() && ended.front().second <= safe) {
        if (!opened.log->drop_through(ended.front().first).ok()) return "drop failed";
        first = ended.front().second;
        ended.erase(ended.begin());
      }
    }
    opened.log.reset();
    if (rng.chance(0.3)) continue;  // only the process died
    lose_power(rng, present, other, synced);
    std::swap(present, other);
    // What the disk has now, it has for good.
    synced = sizes(present);
  }
  return "";
}

TEST(BatchLog, LossOfPowerLeavesAllBatchesUpToSomePoint) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    ASSERT_EQ(run_seed(seed), "") << "seed " << seed << ", run_seed() of tests/storage/batch_log_test.cc replays it";
  }
}

#ifdef CARTWHEEL_PLANTED_BUGS
TEST(BatchLog, PlantedDefectsAreFound) {
  for (const Bug bug : {Bug::kLogGapIgnored, Bug::kLogChecksumIgnored}) {
    g_planted_bug = bug;
    bool found = false;
    for (uint64_t seed = 1; seed <= 40 && !found; ++seed) found = !run_seed(seed).empty();
    g_planted_bug = Bug::kNone;
    EXPECT_TRUE(found) << static_cast<int>(bug);
  }
}
#endif

}  // namespace
}  // namespace cartwheel::storage
