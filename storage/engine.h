// Engine: an ordered map of byte strings with atomic batches, one per stripe. The port between the protocol cores and a
// disk: RocksEngine keeps it in RocksDB, MemoryEngine in memory with the faults of a disk on request. One conformance
// suite (tests/storage/engine_conformance_test.cc) holds both to this contract.
//
// Threads: get, scan and write are called by one thread, the stripe's. sync() alone may run on another thread at the
// same time; it covers what was written before it was called.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace cartwheel::storage {

// Changes that become visible and durable together or not at all, applied in the order in which they were added.
class WriteBatch {
 public:
  enum class Kind : uint8_t { kPut = 0, kErase = 1, kEraseRange = 2 };  // these numbers are on disk
  struct Change {
    Kind kind;
    std::string key;    // of a range: its first key
    std::string value;  // of a put: the value; of a range: the first key behind it
  };

  void put(std::string key, std::string value) { add(Kind::kPut, std::move(key), std::move(value)); }
  void erase(std::string key) { add(Kind::kErase, std::move(key), {}); }
  // Removes every key in [begin, end).
  void erase_range(std::string begin, std::string end) { add(Kind::kEraseRange, std::move(begin), std::move(end)); }

  void reserve(size_t more) { changes_.reserve(changes_.size() + more); }

  const std::vector<Change>& changes() const { return changes_; }
  std::vector<Change> take_changes() {
    bytes_ = 0;
    return std::exchange(changes_, {});
  }
  bool empty() const { return changes_.empty(); }
  size_t bytes() const { return bytes_; }  // of all keys and values
  void clear() {
    changes_.clear();
    bytes_ = 0;
  }

 private:
  void add(Kind kind, std::string key, std::string value) {
    bytes_ += key.size() + value.size();
    changes_.push_back({kind, std::move(key), std::move(value)});
  }
  std::vector<Change> changes_;
  size_t bytes_ = 0;
};

// Walks keys upwards. Sees the engine as it was when the iterator was made.
class Iterator {
 public:
  virtual ~Iterator() = default;
  virtual bool valid() const = 0;              // false behind the last key, and after an error: ask status()
  virtual void next() = 0;                     // REQUIRES: valid()
  virtual void seek(std::string_view to) = 0;  // to the first key that is `to` or above; REQUIRES: valid(), key() < to
  virtual std::string_view key() const = 0;    // REQUIRES: valid(); until the next call of next()
  virtual std::string_view value() const = 0;  // likewise
  virtual Status status() const = 0;           // not ok: the walk ended early, what was not seen may exist
};

class Engine {
 public:
  virtual ~Engine() = default;

  // True and *value set if `key` exists, false if it does not. A read that fails is an error, never "not found".
  virtual Result<bool> get(std::string_view key, std::string* value) const = 0;

  // The keys in [begin, end), an empty `end` meaning no bound.
  virtual std::unique_ptr<Iterator> scan(std::string_view begin, std::string_view end) const = 0;

  // Applies `batch`. On ok it is visible to reads and survives the death of the process; it survives the loss of power
  // only after sync(). On failure nothing of it is visible, and every later write fails too: the caller must stop.
  virtual Status write(WriteBatch batch) = 0;

  // Makes every batch written before this call durable. A failure is final (the kernel may have dropped the pages):
  // never retried, every later write and sync fails too.
  virtual Status sync() = 0;

  // Bulk loading, for many rows that belong together (a partition that moves here). add_to_load() collects rows for
  // load `id` (which begins with its first rows), in ascending order of keys over all calls, in a range in which the
  // engine has no keys; nothing of it is visible. commit_load() makes all of them visible together, and as durable as
  // what was written before it. abort_load() forgets them. Loads do not outlive the engine. A failure is final like
  // that of write(). Committing or aborting an id without rows does nothing.
  using Rows = std::vector<std::pair<std::string, std::string>>;
  virtual Status add_to_load(uint64_t id, const Rows& rows) = 0;
  virtual Status commit_load(uint64_t id) = 0;
  virtual void abort_load(uint64_t id) = 0;

  // About how many bytes the rows in [begin, end) take.
  virtual uint64_t approximate_bytes(std::string_view begin, std::string_view end) const = 0;

  struct Usage {
    uint64_t memory_bytes = 0;  // what the engine holds in memory, caches included
    uint64_t disk_bytes = 0;    // what its files take, about
  };
  virtual Usage usage() const = 0;
};

}  // namespace cartwheel::storage
