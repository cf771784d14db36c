// RocksEngine: an Engine in one directory, which is one stripe. What write() acknowledged is in the kernel and survives
// kill -9; what sync() acknowledged survives the loss of power.
//
//   write → log (storage/batch_log.h) and memtable (storage/memtable.h), one append and some pointers
//         → when one of the two is full: a new segment and a new memtable, and in the background the frozen memtable
//           becomes a table of RocksDB (storage/rocks/table_store.h), then its segment is dropped
//   read  → memtable, frozen memtables, tables; the first that knows the key decides. A walk leaps over what a range in
//           a memtable has erased: a block below it that cannot be read harms nobody
//
// A row that is written often is written to tables once per memtable, and one that is soon erased, such as a record of
// the dot log, mostly never.
//
// Crashes, with what makes each harmless:
//   in an append                  the record's checksum fails: the batch is not there
//   between two segments          an empty segment, dropped at the next start
//   before a table is added       the segments still hold all of its rows
//   between it and the drop       the same batches are replayed over it, all of them: the segment was synced before
//   in the loss of power          see BatchLog: all batches up to some point, and no table holds what is behind it
//
// Threads: those of Engine; usage() may be called by any.
//
// Failures: after one every later write and sync fails; reads still work and show nothing of the batch that failed. The
// caller closes the engine; at the next open that batch is there as a whole or not at all.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "storage/engine.h"

namespace cartwheel::storage {

// What the engines of a process share: a block cache, a budget for memtables, so that a busy stripe can use what an
// idle one does not and the process has one number to configure, and the thread that makes tables of them.
class RocksShared {
 public:
  // `cache_bytes` of blocks read, `memtable_bytes` of rows not yet in tables; beyond it a stripe that writes also
  // freezes.
  static std::shared_ptr<RocksShared> create(uint64_t cache_bytes = 64 << 20, uint64_t memtable_bytes = 192 << 20);
  ~RocksShared();
  RocksShared(const RocksShared&) = delete;
  RocksShared& operator=(const RocksShared&) = delete;

 private:
  friend class RocksEngine;
  RocksShared();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// How far the background has come with making a table of a memtable.
enum class TableStep : uint8_t { kLogSynced, kTableAdded, kSegmentDropped };

struct RocksOptions {
  std::shared_ptr<RocksShared> shared = {};      // null: the engine's own, of the default size
  uint64_t write_buffer_bytes = 128 << 20;       // a memtable is frozen at this size
  uint64_t segment_bytes = uint64_t{256} << 20;  // or when its segment of the log has this size
  int frozen_max = 2;                            // memtables, before writes wait for the background
  // False: tables are not compacted, so that one that cannot be read through harms only who asks for its rows. Reads
  // become slower with every table.
  bool compacts = true;
  // Called by a background thread when a compaction has met a table that cannot be read, or is not what was written.
  // Soon every write fails: the caller should close the engine, and not open it again as it is.
  std::function<void(const std::string& reason)> on_damage = {};
  // Called by the background after each step, for tests that look at what a crash would leave there.
  std::function<void(TableStep)> on_step = {};
};

class RocksEngine final : public Engine {
 public:
  // Opens the stripe in `directory`, made durably with its parents if it does not exist. Errors: kIo if it cannot be
  // made, or is open already (the message names the lock); kCorruption if what it holds cannot be trusted.
  static Result<std::unique_ptr<RocksEngine>> open(const std::string& directory, const RocksOptions& options = {});
  ~RocksEngine() override;  // REQUIRES: every iterator is gone
  RocksEngine(const RocksEngine&) = delete;
  RocksEngine& operator=(const RocksEngine&) = delete;

  Result<bool> get(std::string_view key, std::string* value) const override;
  std::unique_ptr<Iterator> scan(std::string_view begin, std::string_view end) const override;
  Status write(WriteBatch batch) override;
  Status sync() override;
  // A small load is written like a batch. A large one becomes a table of its own, which commit_load() makes durable and
  // part of the store without writing its rows again; it waits for memtables that know of the range to become tables.
  Status add_to_load(uint64_t id, const Rows& rows) override;
  Status commit_load(uint64_t id) override;
  void abort_load(uint64_t id) override;
  uint64_t approximate_bytes(std::string_view begin, std::string_view end) const override;
  Usage usage() const override;

  // Makes tables of all rows in memtables and waits for it. Called by the thread that writes.
  Status flush();

 private:
  class Merge;
  struct Impl;
  explicit RocksEngine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cartwheel::storage
