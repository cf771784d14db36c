// Memtable: the newest rows of an engine, in memory, above the tables that hold the older ones. An erased row stays as
// a mark that hides what lies below; so does an erased range.
//
// How: a hash index finds a row, so that writing a row again and again costs one look-up. The order is kept apart, in
// sorted runs that are merged as they grow (each at least twice as long as the next): putting a new row in order costs
// a few sequential moves, where a tree or a skip list would miss the cache at every level.
//
// Versions: each batch is one version. A cursor sees the version that was newest when it was made: as long as one
// looks, changed rows keep what it sees. Without cursors nothing old is kept.
//
// Threads: one, the stripe's. Once no batch is applied any more, for_each() and get() may also be called by others.
#pragma once

#include <tsl/robin_set.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/engine.h"

namespace cartwheel::storage {

class Memtable {
 public:
  // With room for `rows_expected` rows, so that the index does not have to grow to them in steps.
  explicit Memtable(size_t rows_expected = 0);
  ~Memtable();  // REQUIRES: every cursor is gone
  Memtable(const Memtable&) = delete;
  Memtable& operator=(const Memtable&) = delete;

  void apply(WriteBatch batch);
  // Brings all rows in order. A cursor can be made, and for_each() be called, until the next apply().
  void order();

  enum class Found : uint8_t {
    kUnknown,  // says nothing of the key: what lies below decides
    kErased,
    kRow,
  };
  Found get(std::string_view key, std::string* value) const;

  // A range whose rows below are hidden. Rows of this memtable are not: they are marked themselves.
  struct Range {
    std::string begin, end;
    uint64_t version;
  };
  const std::vector<Range>& ranges() const { return ranges_; }

  // Whether anything is said of a key in [first, last].
  bool knows_of(std::string_view first, std::string_view last) const;
  // About how many bytes the rows in [begin, end) take.
  uint64_t approximate_bytes(std::string_view begin, std::string_view end) const;

  // Calls `visit` with all rows in the order of their keys; `value` is null for an erased one.
  template <typename Visit>
  void for_each(Visit visit) const {
    for (Walk walk(runs_, {}); walk.row() != nullptr; walk.next()) {
      visit(walk.row()->key, walk.row()->erased ? nullptr : &walk.row()->value);
    }
  }

  size_t bytes() const { return bytes_; }  // of memory, about
  size_t rows() const { return index_.size(); }
  bool empty() const { return index_.empty() && ranges_.empty(); }

  class Cursor;

 private:
  struct Row {
    std::string_view key;  // in keys_
    uint64_t hash = 0;
    uint64_t version = 0;
    bool erased = false;
    std::string value;
    std::unique_ptr<Row> older;  // what a cursor may still have to see
  };
  // A row in order. The first bytes of its key are here as numbers, where nearly every comparison ends: what follows
  // them in our keys is behind a hash.
  struct Place {
    uint64_t head[4];
    Row* row;
  };
  using Run = std::vector<Place>;
  using Runs = std::vector<std::shared_ptr<const Run>>;
  static bool before(const Place& a, const Place& b);
  // The first place in `run` whose key is `key` or above.
  static const Place* lower_bound(const Run& run, std::string_view key);

  // Merges runs, from the first key at or behind `begin`. The runs must live as long as it.
  class Walk {
   public:
    Walk(const Runs& runs, std::string_view begin);
    Row* row() const { return least_ == nullptr ? nullptr : least_->at->row; }  // null behind the last one
    void next();

   private:
    struct Source {
      const Place* at;
      const Place* end;
    };
    void find_least();
    std::vector<Source> sources_;
    Source* least_ = nullptr;
  };

  struct Hash {
    size_t operator()(const Row* row) const { return row->hash; }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const Row* a, const Row* b) const { return a == b; }
    bool operator()(std::string_view key, const Row* row) const { return key == row->key; }
    bool operator()(const Row* row, std::string_view key) const { return key == row->key; }
  };

  void set(std::string_view key, bool erased, std::string value);
  void change(Row& row, bool erased, std::string value);
  void erase_range(std::string begin, std::string end);
  Row* new_row(std::string_view key);

  // With the hashes stored, so that neither growing nor a wrong candidate touches a row.
  tsl::robin_set<Row*, Hash, Equal, std::allocator<Row*>, true> index_;
  std::vector<std::unique_ptr<Row[]>> rows_;   // in blocks
  size_t rows_left_ = 0;                       // in the last block
  std::vector<std::unique_ptr<char[]>> keys_;  // likewise
  char* next_key_ = nullptr;
  size_t key_bytes_left_ = 0;
  Runs runs_;  // longest first
  Run fresh_;  // not in order yet
  std::vector<Range> ranges_;
  uint64_t version_ = 0;
  size_t bytes_ = 0;
  mutable std::vector<uint64_t> seen_;  // the versions that cursors see, ascending
};

// Walks the rows from `begin` upwards, as they were when it was made. Writes meanwhile are fine.
class Memtable::Cursor {
 public:
  Cursor(std::shared_ptr<const Memtable> table, std::string_view begin);  // REQUIRES: the table is in order
  ~Cursor();
  Cursor(const Cursor&) = delete;
  Cursor& operator=(const Cursor&) = delete;

  bool valid() const { return walk_.row() != nullptr; }
  void next();                                               // REQUIRES: valid(); likewise below
  void seek(std::string_view to);                            // to the first key that is `to` or above
  std::string_view key() const { return walk_.row()->key; }  // as long as the table
  bool erased() const { return seen()->erased; }
  std::string_view value() const { return seen()->value; }  // until a batch is applied
  // Whether a row with this key below the memtable is hidden by a range.
  bool hides(std::string_view key) const;
  // The end of a range that hides it; "" if none does.
  std::string_view hidden_until(std::string_view key) const;

 private:
  // The version of the row that is seen; null if the row is younger. Asked for anew each time: the row may have changed
  // since the cursor came to it.
  const Row* seen() const;
  void find_seen();

  const std::shared_ptr<const Memtable> table_;
  const uint64_t version_;
  const Runs runs_;  // as they are now: later rows would not be seen anyway
  Walk walk_;
};

}  // namespace cartwheel::storage
