#include "storage/memory_engine.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace cartwheel::storage {

namespace {

constexpr size_t kRowOverheadBytes = 96;  // a tree node and two strings, about

// Counts down to a fault; true when it is due now.
bool due(uint64_t* countdown) {
  return *countdown > 0 && --*countdown == 0;
}

}  // namespace

// The walk merges two ordered sources: the engine's rows, and `kept_`, the rows ahead of it as they were before
// somebody changed them. kept_ wins, an entry without value hides a row that is younger than the walk. Key and value
// are copies, because the row that they came from may change while the caller looks at them.
class MemoryEngine::Walk final : public Iterator {
 public:
  Walk(const MemoryEngine& engine, std::string_view begin, std::string_view end)
      : engine_(engine), end_(end), key_(begin), live_(engine.rows_.lower_bound(begin)), shape_(engine.shape_) {
    engine_.walks_.push_back(this);
    if (end_.empty() || begin < end_) advance();
  }
  ~Walk() override { std::erase(engine_.walks_, this); }
  Walk(const Walk&) = delete;
  Walk& operator=(const Walk&) = delete;

  bool valid() const override { return valid_; }
  void next() override {
    CHECK(valid_);
    if (shape_ != engine_.shape_) {
      live_ = engine_.rows_.upper_bound(key_);
      shape_ = engine_.shape_;
    }
    advance();
  }
  void seek(std::string_view to) override {
    CHECK(valid_ && key_ < to);
    live_ = engine_.rows_.lower_bound(to);
    shape_ = engine_.shape_;
    key_ = to;  // what lies before it was not looked at
    kept_.erase(kept_.begin(), kept_.lower_bound(key_));
    if (end_.empty() || key_ < end_) return advance();
    valid_ = false;
    kept_.clear();
  }
  std::string_view key() const override { return key_; }
  std::string_view value() const override { return value_; }
  Status status() const override { return status_; }

  // `key` is about to change from `old`, null if it did not exist.
  void keep(const std::string& key, const std::string* old) {
    if (!valid_ || key <= key_ || !in_bounds(key) || kept_.contains(key)) return;
    kept_.emplace(key, old ? std::optional<std::string>(*old) : std::nullopt);
  }

 private:
  bool in_bounds(const std::string& key) const { return end_.empty() || key < end_; }

  // Moves to the first row at or behind live_ and kept_, which are both behind the current key.
  void advance() {
    from_.swap(key_);
    valid_ = find();
    status_ = valid_ ? engine_.read_fault(from_, key_, true) : engine_.read_fault(from_, end_, false);
    if (!status_.ok()) valid_ = false;
    if (!valid_) kept_.clear();
  }

  bool find() {
    for (;;) {
      const bool live = live_ != engine_.rows_.end() && in_bounds(live_->first);
      if (kept_.empty() || (live && live_->first < kept_.begin()->first)) {
        if (!live) return false;
        key_ = live_->first;
        value_ = live_->second;
        ++live_;
        return true;
      }
      auto kept = kept_.extract(kept_.begin());
      if (live && live_->first == kept.key()) ++live_;
      if (!kept.mapped()) continue;
      key_ = std::move(kept.key());
      value_ = std::move(*kept.mapped());
      return true;
    }
  }

  const MemoryEngine& engine_;
  const std::string end_;
  std::string key_, value_;
  std::string from_;            // the key before, its memory used again at every step
  Table::const_iterator live_;  // the next row to look at, while shape_ is the engine's
  uint64_t shape_;
  std::map<std::string, std::optional<std::string>> kept_;
  bool valid_ = false;
  Status status_;
};

MemoryEngine::MemoryEngine() = default;
MemoryEngine::~MemoryEngine() {
  CHECK(walks_.empty());
}

Result<bool> MemoryEngine::get(std::string_view key, std::string* value) const {
  if (Status fault = read_fault(key, key, true); !fault.ok()) return fault;
  const auto row = rows_.find(key);
  if (row == rows_.end()) return false;
  *value = row->second;
  return true;
}

std::unique_ptr<Iterator> MemoryEngine::scan(std::string_view begin, std::string_view end) const {
  return std::make_unique<Walk>(*this, begin, end);
}

Status MemoryEngine::write(WriteBatch batch) {
  std::lock_guard lock(mutex_);
  RETURN_IF_ERROR(reject_or_admit(batch));
  if (batch.empty()) return {};
  unsynced_.push_back({.changes = 0, .bytes = sizeof(UnsyncedBatch)});
  undo_bytes_ += sizeof(UnsyncedBatch);
  for (const WriteBatch::Change& change : batch.changes()) apply(change);
  write_back_oldest();
  return {};
}

Status MemoryEngine::sync() {
  std::deque<Undo> durable;  // freed without the lock, which the stripe's thread may be waiting for
  std::lock_guard lock(mutex_);
  if (!failure_.ok()) return failure_;
  if (due(&sync_fault_in_)) return failure_ = Status::Io("sync failed");
  durable.swap(undo_);
  unsynced_.clear();
  undo_bytes_ = 0;
  return {};
}

Status MemoryEngine::add_to_load(uint64_t id, const Rows& rows) {
  WriteBatch& load = loads_[id];
  for (const auto& [key, value] : rows) {
    CHECK(load.empty() || load.changes().back().key < key);
    load.put(key, value);
  }
  return {};
}

Status MemoryEngine::commit_load(uint64_t id) {
  auto load = loads_.extract(id);
  return load.empty() ? Status() : write(std::move(load.mapped()));
}

uint64_t MemoryEngine::approximate_bytes(std::string_view begin, std::string_view end) const {
  uint64_t bytes = 0;
  for (auto row = rows_.lower_bound(begin); row != rows_.end() && (end.empty() || row->first < end); ++row) {
    bytes += row->first.size() + row->second.size();
  }
  return bytes;
}

Engine::Usage MemoryEngine::usage() const {
  std::lock_guard lock(mutex_);
  return {.memory_bytes = row_bytes_ + rows_.size() * kRowOverheadBytes + undo_bytes_, .disk_bytes = row_bytes_};
}

void MemoryEngine::restart() {
  std::lock_guard lock(mutex_);
  failure_ = {};
  loads_.clear();
}

size_t MemoryEngine::crash(Rng& rng) {
  const size_t unsynced = unsynced_batches();
  return lose_unsynced_tail(rng.below(3) == 0 ? 0 : rng.below(unsynced + 1));
}

size_t MemoryEngine::lose_unsynced_tail(size_t keep_batches) {
  std::lock_guard lock(mutex_);
  size_t lost = 0;
  for (; unsynced_.size() > keep_batches; ++lost) {
    for (size_t i = 0; i < unsynced_.back().changes; ++i) {
      Undo undo = std::move(undo_.back());
      undo_.pop_back();
      if (undo.old) {
        store(undo.key, std::move(*undo.old));
      } else if (auto row = rows_.find(undo.key); row != rows_.end()) {
        remove(row);
      }
    }
    unsynced_.pop_back();
  }
  // The survivors were read back from the disk: they are on it.
  undo_.clear();
  unsynced_.clear();
  undo_bytes_ = 0;
  failure_ = {};
  loads_.clear();
  return lost;
}

size_t MemoryEngine::unsynced_batches() const {
  std::lock_guard lock(mutex_);
  return unsynced_.size();
}

void MemoryEngine::fail_write(uint64_t nth) {
  std::lock_guard lock(mutex_);
  write_fault_in_ = nth;
}

void MemoryEngine::fail_sync(uint64_t nth) {
  std::lock_guard lock(mutex_);
  sync_fault_in_ = nth;
}

void MemoryEngine::set_capacity(uint64_t bytes) {
  capacity_ = bytes;
}

void MemoryEngine::fail_reads(std::string begin, std::string end, Status status) {
  CHECK(!status.ok());
  unreadable_.push_back({std::move(begin), std::move(end), std::move(status)});
}

void MemoryEngine::heal() {
  std::lock_guard lock(mutex_);
  write_fault_in_ = sync_fault_in_ = 0;
  capacity_ = UINT64_MAX;
  unreadable_.clear();
}

// Sets `key` and returns what it was.
std::optional<std::string> MemoryEngine::store(const std::string& key, std::string value) {
  const auto row = rows_.lower_bound(key);
  const bool exists = row != rows_.end() && row->first == key;
  for (Walk* walk : walks_) walk->keep(key, exists ? &row->second : nullptr);
  row_bytes_ += value.size();
  if (exists) {
    row_bytes_ -= row->second.size();
    return std::exchange(row->second, std::move(value));
  }
  row_bytes_ += key.size();
  rows_.emplace_hint(row, key, std::move(value));
  ++shape_;
  return std::nullopt;
}

MemoryEngine::Undo MemoryEngine::remove(Table::iterator row) {
  for (Walk* walk : walks_) walk->keep(row->first, &row->second);
  row_bytes_ -= row->first.size() + row->second.size();
  ++shape_;
  auto node = rows_.extract(row);
  return {std::move(node.key()), std::move(node.mapped())};
}

void MemoryEngine::apply(const WriteBatch::Change& change) {
  switch (change.kind) {
    case WriteBatch::Kind::kPut:
      record({change.key, store(change.key, change.value)});
      return;
    case WriteBatch::Kind::kErase:
      if (auto row = rows_.find(change.key); row != rows_.end()) record(remove(row));
      return;
    case WriteBatch::Kind::kEraseRange:
      for (auto row = rows_.lower_bound(change.key); row != rows_.end() && row->first < change.value;) {
        record(remove(row++));
      }
      return;
  }
}

// Remembers how to take back a change of the newest batch.
void MemoryEngine::record(Undo undo) {
  const size_t bytes = sizeof(Undo) + undo.key.size() + (undo.old ? undo.old->size() : 0);
  undo_bytes_ += bytes;
  unsynced_.back().bytes += bytes;
  ++unsynced_.back().changes;
  undo_.push_back(std::move(undo));
}

// Like a log on a real disk, a batch needs room for all of it, even one that only removes.
Status MemoryEngine::reject_or_admit(const WriteBatch& batch) {
  if (!failure_.ok()) return failure_;
  if (due(&write_fault_in_)) return failure_ = Status::Io("write failed");
  if (row_bytes_ + batch.bytes() > capacity_) return failure_ = Status::Io("disk full");
  return {};
}

void MemoryEngine::write_back_oldest() {
  while (undo_bytes_ > kUnsyncedBytesMax) {
    for (size_t i = 0; i < unsynced_.front().changes; ++i) undo_.pop_front();
    undo_bytes_ -= unsynced_.front().bytes;
    unsynced_.pop_front();
  }
}

Status MemoryEngine::read_fault(std::string_view from, std::string_view to, bool inclusive) const {
  for (const Unreadable& range : unreadable_) {
    const bool starts_in_time = inclusive ? range.begin <= to : to.empty() || range.begin < to;
    if (starts_in_time && (range.end.empty() || from < range.end)) return range.status;
  }
  return {};
}

}  // namespace cartwheel::storage
