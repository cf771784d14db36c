// MemoryEngine: an Engine in a std::map that dies like a disk does. It knows which batches were synced: a crash takes a
// suffix of the others, whole batches only. Faults happen on request, never by themselves, and all randomness comes
// from the caller, so that a simulation replays exactly.
//
// How: rows hold what readers see; a journal holds the old values of what unsynced batches changed. sync() empties the
// journal, a crash plays a part of it backwards. An iterator keeps the old value of every row that changes ahead of it,
// so a scan costs nothing until somebody writes, and then only what was written.
//
// Threads: those of Engine; everything below the line in the class belongs to the stripe's thread, like write.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "base/status.h"
#include "storage/engine.h"

namespace cartwheel::storage {

class MemoryEngine final : public Engine {
 public:
  // Old values that the journal may hold. Beyond it the oldest batches become durable without a sync(), as a kernel
  // writes dirty pages back: a node that never syncs must not grow without bound.
  static constexpr size_t kUnsyncedBytesMax = 16 << 20;

  MemoryEngine();
  ~MemoryEngine() override;  // REQUIRES: every iterator is gone
  MemoryEngine(const MemoryEngine&) = delete;
  MemoryEngine& operator=(const MemoryEngine&) = delete;

  Result<bool> get(std::string_view key, std::string* value) const override;
  std::unique_ptr<Iterator> scan(std::string_view begin, std::string_view end) const override;
  Status write(WriteBatch batch) override;
  Status sync() override;
  Status add_to_load(uint64_t id, const Rows& rows) override;
  Status commit_load(uint64_t id) override;
  void abort_load(uint64_t id) override { loads_.erase(id); }
  uint64_t approximate_bytes(std::string_view begin, std::string_view end) const override;
  Usage usage() const override;

  // ---- Deaths. Each also forgets the failure that made writes fail: the next process opens the disk anew.

  // The process dies, the machine lives: nothing is lost.
  void restart();
  // The machine loses power: a third of the time all unsynced batches are lost, else a random suffix of them. What is
  // left is durable. Returns how many batches were lost.
  size_t crash(Rng& rng);
  // The same with a given outcome: the oldest `keep_batches` unsynced batches survive.
  size_t lose_unsynced_tail(size_t keep_batches);
  size_t unsynced_batches() const;

  // ---- Faults. They stay armed through deaths, until they happened (fail_*) or heal().

  // The `nth` write from now fails, 1 being the next one; then all fail until a death. Likewise for syncs.
  void fail_write(uint64_t nth = 1);
  void fail_sync(uint64_t nth = 1);
  // A write that would bring the keys and values beyond `bytes` fails with "disk full", then every write.
  void set_capacity(uint64_t bytes);
  // Reads that touch [begin, end), an empty `end` meaning no bound, answer `status`; a scan stops at the range even if
  // it holds no key, because what an unreadable block holds is not known. Writes still work.
  void fail_reads(std::string begin, std::string end, Status status = Status::Io("unreadable block"));
  // Disarms every fault. A failure that happened stays until a death.
  void heal();

 private:
  class Walk;
  using Table = std::map<std::string, std::string, std::less<>>;

  struct Undo {
    std::string key;
    std::optional<std::string> old;  // none: the key did not exist
  };
  struct UnsyncedBatch {
    size_t changes = 0;  // how many entries of undo_ are its own
    size_t bytes = 0;
  };
  struct Unreadable {
    std::string begin, end;
    Status status;
  };

  std::optional<std::string> store(const std::string& key, std::string value);
  Undo remove(Table::iterator row);
  void apply(const WriteBatch::Change& change);
  void record(Undo undo);
  Status reject_or_admit(const WriteBatch& batch);
  void write_back_oldest();
  // The fault of a read that looked at everything in [from, to], or [from, to) if not `inclusive`; ok if none.
  Status read_fault(std::string_view from, std::string_view to, bool inclusive) const;

  Table rows_;
  uint64_t row_bytes_ = 0;  // of all keys and values
  uint64_t shape_ = 0;      // counts inserted and removed rows: an iterator's position in rows_ holds while it is equal
  mutable std::vector<Walk*> walks_;  // the live iterators
  std::vector<Unreadable> unreadable_;
  uint64_t capacity_ = UINT64_MAX;
  std::map<uint64_t, WriteBatch> loads_;

  mutable std::mutex mutex_;  // guards what sync() touches from another thread: everything below
  std::deque<Undo> undo_;     // oldest first
  std::deque<UnsyncedBatch> unsynced_;
  size_t undo_bytes_ = 0;
  Status failure_;               // not ok: what every write and sync answers
  uint64_t write_fault_in_ = 0;  // 0: none; 1: the next one
  uint64_t sync_fault_in_ = 0;
};

}  // namespace cartwheel::storage
