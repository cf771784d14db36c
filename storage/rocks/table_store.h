// TableStore: the rows of an engine that have left its log and its memtables: sorted tables, kept and compacted by
// RocksDB. RocksDB's own log and memtables stay empty: a table comes into being from a whole Memtable at once.
//
// Threads: get(), scan() and approximate_bytes() by any, add() by one at a time, loads by one at a time.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "storage/engine.h"
#include "storage/memtable.h"

namespace cartwheel::storage {

// The blocks of tables that were read, for all stores of a process.
class BlockCache {
 public:
  explicit BlockCache(uint64_t bytes);
  ~BlockCache();
  uint64_t bytes() const;  // that it holds

 private:
  friend class TableStore;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class TableStore {
 public:
  using OnDamage = std::function<void(const std::string& reason)>;
  // Opens the store in `directory`, which exists or whose parent does. `compacts` and `on_damage` as RocksOptions.
  // Errors as RocksEngine::open().
  static Result<std::unique_ptr<TableStore>> open(const std::string& directory, std::shared_ptr<BlockCache> cache,
                                                  bool compacts = true, OnDamage on_damage = {});
  ~TableStore();  // REQUIRES: every iterator is gone
  TableStore(const TableStore&) = delete;
  TableStore& operator=(const TableStore&) = delete;

  // As Engine::get() and Engine::scan().
  Result<bool> get(std::string_view key, std::string* value) const;
  std::unique_ptr<Iterator> scan(std::string_view begin, std::string_view end) const;

  // Puts all rows of `rows` above those that are here, durably and at once: after a crash all of them are here or none.
  // Waits while compaction is far behind.
  Status add(const Memtable& rows);

  // A table that is written row by row and is not part of the store before it is committed. Gone with its object, or
  // with the process.
  class Load {
   public:
    ~Load();
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;
    Status add(std::string_view key, std::string_view value);  // in ascending order

   private:
    friend class TableStore;
    Load();
    struct Impl;
    std::unique_ptr<Impl> impl_;
  };
  Result<std::unique_ptr<Load>> begin_load(uint64_t id) const;  // REQUIRES: no other one with this id
  // Puts its rows above those that are here, durably and at once. REQUIRES: it has rows.
  Status commit(Load& load);

  // About how many bytes the rows in [begin, end) take.
  uint64_t approximate_bytes(std::string_view begin, std::string_view end) const;

  uint64_t memory_bytes() const;  // without the block cache
  uint64_t disk_bytes() const;

 private:
  struct Impl;
  explicit TableStore(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace cartwheel::storage
