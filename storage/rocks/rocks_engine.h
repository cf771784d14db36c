// RocksEngine: an Engine in one RocksDB instance, which is one stripe. What write() acknowledged is in the kernel and
// survives kill -9; what sync() acknowledged survives the loss of power.
//
// Threads: those of Engine; flush() and usage() may be called by any. RocksDB's own threads (two for all stripes) flush
// and compact in the background.
//
// Failures: after a write that failed the reads fail as well, because how far RocksDB applied it is not known: nothing
// of it must be seen. After a sync that failed reads still work. Either way the caller closes the engine; at the next
// open the failed batch is there as a whole or not at all.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "storage/engine.h"

namespace cartwheel::storage {

// What the stripes of a process share: one block cache and one budget for memtables, so that a busy stripe can use what
// an idle one does not, and the process has one number to configure.
class RocksMemory {
 public:
  // `cache_bytes` of blocks read, `memtable_bytes` of rows not yet flushed; beyond it a stripe that writes also
  // flushes.
  static std::shared_ptr<RocksMemory> create(uint64_t cache_bytes = 64 << 20, uint64_t memtable_bytes = 192 << 20);
  ~RocksMemory();
  RocksMemory(const RocksMemory&) = delete;
  RocksMemory& operator=(const RocksMemory&) = delete;

 private:
  friend class RocksEngine;
  RocksMemory();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct RocksOptions {
  std::shared_ptr<RocksMemory> memory = {};  // null: the engine's own, of the default size
  uint64_t write_buffer_bytes = 64 << 20;    // one memtable; it is allocated as it fills
  int write_buffers_max = 3;                 // memtables, before writes wait for the flush
  uint64_t log_bytes_max = uint64_t{128} << 20;
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
  Status write(const WriteBatch& batch) override;
  Status sync() override;
  // A small load is written like a batch. A large one goes to a table file of its own, which commit_load() makes
  // durable and part of the database without writing its rows again.
  Status add_to_load(uint64_t id, const Rows& rows) override;
  Status commit_load(uint64_t id) override;
  void abort_load(uint64_t id) override;
  uint64_t approximate_bytes(std::string_view begin, std::string_view end) const override;
  Usage usage() const override;

  // Moves what is in memtables into table files and waits for it. A failure is final like that of sync().
  Status flush();

 private:
  struct Impl;
  explicit RocksEngine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cartwheel::storage
