#include "storage/memtable.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/hash.h"

namespace cartwheel::storage {

namespace {

// A row, its place in a run, its share of the index, the heap's rounding.
constexpr size_t kRowOverheadBytes = 180;
constexpr size_t kRangeOverheadBytes = 100;
constexpr size_t kRowsPerBlock = 128;
constexpr size_t kKeyBlockBytes = 16 << 10;
constexpr size_t kRunRows = 1024;  // that are put in order at once

void load_head(std::string_view key, uint64_t (&head)[4]) {
  unsigned char bytes[sizeof(head)] = {};
  if (!key.empty()) std::memcpy(bytes, key.data(), std::min(key.size(), sizeof(bytes)));
  std::memcpy(head, bytes, sizeof(bytes));
  for (uint64_t& word : head) word = __builtin_bswap64(word);
}

}  // namespace

bool Memtable::before(const Place& a, const Place& b) {
  for (size_t i = 0; i < std::size(a.head); ++i) {
    if (a.head[i] != b.head[i]) return a.head[i] < b.head[i];
  }
  return a.row->key < b.row->key;
}

const Memtable::Place* Memtable::lower_bound(const Run& run, std::string_view key) {
  Row probe;
  probe.key = key;
  Place place{{}, &probe};
  load_head(key, place.head);
  return std::lower_bound(run.data(), run.data() + run.size(), place, before);
}

Memtable::Walk::Walk(const Runs& runs, std::string_view begin) {
  for (const auto& run : runs) {
    sources_.push_back({begin.empty() ? run->data() : lower_bound(*run, begin), run->data() + run->size()});
  }
  find_least();
}

void Memtable::Walk::next() {
  ++least_->at;
  find_least();
}

void Memtable::Walk::find_least() {
  least_ = nullptr;
  for (Source& source : sources_) {
    if (source.at != source.end && (least_ == nullptr || before(*source.at, *least_->at))) least_ = &source;
  }
}

Memtable::Memtable(size_t rows_expected) : index_(rows_expected) {}

Memtable::~Memtable() {
  CHECK(seen_.empty());
}

void Memtable::apply(WriteBatch batch) {
  ++version_;
  for (WriteBatch::Change& change : batch.take_changes()) {
    switch (change.kind) {
      case WriteBatch::Kind::kPut:
        set(change.key, false, std::move(change.value));
        break;
      case WriteBatch::Kind::kErase:
        set(change.key, true, {});
        break;
      case WriteBatch::Kind::kEraseRange:
        if (change.key < change.value) erase_range(std::move(change.key), std::move(change.value));
        break;
    }
  }
}

void Memtable::order() {
  if (fresh_.empty()) return;
  std::sort(fresh_.begin(), fresh_.end(), before);
  auto run = std::make_shared<const Run>(std::exchange(fresh_, {}));
  while (!runs_.empty() && runs_.back()->size() < 2 * run->size()) {
    Run merged;
    merged.reserve(runs_.back()->size() + run->size());
    std::merge(runs_.back()->begin(), runs_.back()->end(), run->begin(), run->end(), std::back_inserter(merged),
               before);
    runs_.pop_back();
    run = std::make_shared<const Run>(std::move(merged));
  }
  runs_.push_back(std::move(run));
}

Memtable::Row* Memtable::new_row(std::string_view key) {
  if (rows_left_ == 0) {
    rows_.push_back(std::make_unique<Row[]>(kRowsPerBlock));
    rows_left_ = kRowsPerBlock;
  }
  if (keys_.empty() || key_bytes_left_ < key.size()) {
    // A block of its own for a key longer than a block; the room that was left in the block before is given up.
    key_bytes_left_ = std::max(key.size(), kKeyBlockBytes);
    keys_.push_back(std::make_unique_for_overwrite<char[]>(key_bytes_left_));
    next_key_ = keys_.back().get();
  }
  char* bytes = next_key_;
  if (!key.empty()) std::memcpy(bytes, key.data(), key.size());
  next_key_ += key.size();
  key_bytes_left_ -= key.size();
  Row* row = &rows_.back()[kRowsPerBlock - rows_left_--];
  row->key = {bytes, key.size()};
  return row;
}

void Memtable::set(std::string_view key, bool erased, std::string value) {
  const uint64_t hash = hash64(key);
  if (auto found = index_.find(key, hash); found != index_.end()) return change(**found, erased, std::move(value));
  bytes_ += kRowOverheadBytes + key.size() + value.size();
  Row* row = new_row(key);
  row->hash = hash;
  row->version = version_;
  row->erased = erased;
  row->value = std::move(value);
  index_.insert(row);
  Place& place = fresh_.emplace_back();
  place.row = row;
  load_head(row->key, place.head);
  if (fresh_.size() >= kRunRows) order();
}

void Memtable::change(Row& row, bool erased, std::string value) {
  bytes_ += value.size();
  if (!seen_.empty() && seen_.back() >= row.version) {
    bytes_ += kRowOverheadBytes;
    auto older = std::make_unique<Row>();
    older->version = row.version;
    older->erased = row.erased;
    older->value = std::move(row.value);
    older->older = std::move(row.older);
    row.older = std::move(older);
  } else {
    bytes_ -= row.value.size();
    // What only cursors that are gone have seen.
    while (seen_.empty() && row.older) {
      bytes_ -= kRowOverheadBytes + row.older->value.size();
      row.older = std::move(row.older->older);
    }
  }
  row.version = version_;
  row.erased = erased;
  row.value = std::move(value);
}

void Memtable::erase_range(std::string begin, std::string end) {
  order();
  for (Walk walk(runs_, begin); walk.row() != nullptr && walk.row()->key < end; walk.next()) {
    if (!walk.row()->erased) change(*walk.row(), true, {});
  }
  // Who trims from the same start again and again leaves one range, not many.
  if (seen_.empty()) {
    std::erase_if(ranges_, [&](Range& range) {
      if (range.end < begin || range.begin > end) return false;
      bytes_ -= kRangeOverheadBytes + range.begin.size() + range.end.size();
      if (range.begin < begin) begin = std::move(range.begin);
      if (range.end > end) end = std::move(range.end);
      return true;
    });
  }
  bytes_ += kRangeOverheadBytes + begin.size() + end.size();
  ranges_.push_back({std::move(begin), std::move(end), version_});
}

Memtable::Found Memtable::get(std::string_view key, std::string* value) const {
  if (auto found = index_.find(key, hash64(key)); found != index_.end()) {
    if ((*found)->erased) return Found::kErased;
    *value = (*found)->value;
    return Found::kRow;
  }
  for (const Range& range : ranges_) {
    if (range.begin <= key && key < range.end) return Found::kErased;
  }
  return Found::kUnknown;
}

bool Memtable::knows_of(std::string_view first, std::string_view last) const {
  for (const auto& run : runs_) {
    const Place* at = lower_bound(*run, first);
    if (at != run->data() + run->size() && at->row->key <= last) return true;
  }
  for (const Place& place : fresh_) {
    if (first <= place.row->key && place.row->key <= last) return true;
  }
  return std::any_of(ranges_.begin(), ranges_.end(),
                     [&](const Range& range) { return range.begin <= last && first < range.end; });
}

uint64_t Memtable::approximate_bytes(std::string_view begin, std::string_view end) const {
  if (rows() == 0 || (!end.empty() && begin >= end)) return 0;
  uint64_t count = 0;
  for (const auto& run : runs_) {
    const Place* last = end.empty() ? run->data() + run->size() : lower_bound(*run, end);
    count += static_cast<uint64_t>(last - lower_bound(*run, begin));
  }
  for (const Place& place : fresh_) count += begin <= place.row->key && (end.empty() || place.row->key < end);
  return count * bytes_ / rows();
}

Memtable::Cursor::Cursor(std::shared_ptr<const Memtable> table, std::string_view begin)
    : table_(std::move(table)), version_(table_->version_), runs_(table_->runs_), walk_(runs_, begin) {
  CHECK(table_->fresh_.empty());
  table_->seen_.push_back(version_);
  find_seen();
}

Memtable::Cursor::~Cursor() {
  table_->seen_.erase(std::find(table_->seen_.begin(), table_->seen_.end(), version_));
}

void Memtable::Cursor::next() {
  walk_.next();
  find_seen();
}

void Memtable::Cursor::seek(std::string_view to) {
  walk_ = Walk(runs_, to);
  find_seen();
}

const Memtable::Row* Memtable::Cursor::seen() const {
  const Row* row = walk_.row();
  while (row != nullptr && row->version > version_) row = row->older.get();
  return row;
}

void Memtable::Cursor::find_seen() {
  while (walk_.row() != nullptr && seen() == nullptr) walk_.next();
}

bool Memtable::Cursor::hides(std::string_view key) const {
  return !hidden_until(key).empty();
}

std::string_view Memtable::Cursor::hidden_until(std::string_view key) const {
  for (const Range& range : table_->ranges_) {
    if (range.version <= version_ && range.begin <= key && key < range.end) return range.end;
  }
  return {};
}

}  // namespace cartwheel::storage
