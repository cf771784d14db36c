#include "storage/rocks/rocks_engine.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/planted.h"
#include "storage/batch_log.h"
#include "storage/memtable.h"
#include "storage/rocks/table_store.h"

namespace cartwheel::storage {

namespace {

// Every look-up below a memtable compares with each of its erased ranges.
constexpr size_t kRangesMax = 64;
// A table costs some ten milliseconds, however small it is; a load of up to so many bytes costs less as a batch.
constexpr size_t kLoadInBatchBytes = 512 << 10;
// A memtable smaller than this is not frozen for the shared budget: many small tables cost more than they free.
constexpr size_t kFrozenBytesMin = 1 << 20;

// Makes `directory` and its parents. RocksDB syncs the entries inside of its directory, but nobody else would sync the
// entry of the directory itself: without it a power loss takes the whole stripe, synced batches included.
Status make_directory(const std::filesystem::path& directory) {
  std::error_code error;
  if (std::filesystem::is_directory(directory, error)) return {};
  const std::filesystem::path parent = directory.has_parent_path() ? directory.parent_path() : ".";
  if (parent != directory) RETURN_IF_ERROR(make_directory(parent));
  // An empty last component, as in "data/", is its parent.
  if (!directory.has_filename()) return {};
  std::filesystem::create_directory(directory, error);
  if (error) return Status::Io("cannot create directory " + directory.string() + ": " + error.message());
  return sync_directory(parent);
}

}  // namespace

struct RocksShared::Impl {
  explicit Impl(uint64_t cache_bytes, uint64_t budget)
      : cache(std::make_shared<BlockCache>(cache_bytes)), memtable_budget(budget), thread([this] { run(); }) {}
  ~Impl() {
    {
      std::lock_guard lock(mutex);
      stopping = true;
    }
    changed.notify_one();
    thread.join();
  }

  void post(std::function<void()> task) {
    {
      std::lock_guard lock(mutex);
      tasks.push_back(std::move(task));
    }
    changed.notify_one();
  }
  void run() {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [this] { return stopping || !tasks.empty(); });
      if (tasks.empty()) return;
      auto task = std::move(tasks.front());
      tasks.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
  }

  const std::shared_ptr<BlockCache> cache;
  const uint64_t memtable_budget;
  std::atomic<uint64_t> memtable_bytes{0};
  std::atomic<uint64_t> engines{0};  // who share it: each reports its share of the cache

  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> tasks;
  bool stopping = false;
  std::thread thread;  // the last one: it uses the others
};

RocksShared::RocksShared() = default;
RocksShared::~RocksShared() = default;

std::shared_ptr<RocksShared> RocksShared::create(uint64_t cache_bytes, uint64_t memtable_bytes) {
  std::shared_ptr<RocksShared> shared(new RocksShared);
  shared->impl_ = std::make_unique<Impl>(cache_bytes, memtable_bytes);
  return shared;
}

struct RocksEngine::Impl {
  struct Frozen {
    std::shared_ptr<const Memtable> rows;
    uint64_t segment;  // of the log, the last one with batches of it
  };

  std::shared_ptr<RocksShared> shared;
  RocksOptions options;
  std::unique_ptr<TableStore> tables;
  std::unique_ptr<BatchLog> log;

  struct Load {
    WriteBatch rows;                          // while they are few
    std::unique_ptr<TableStore::Load> table;  // once they are many
    std::string first, last;                  // keys
  };

  // The stripe's thread only.
  std::map<uint64_t, Load> loads;
  std::shared_ptr<Memtable> active;
  uint64_t counted_bytes = 0;  // of it, in shared->memtable_bytes

  mutable std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  std::deque<Frozen> frozen;  // oldest first
  bool busy = false;          // the background has a task of this engine
  Status failure;             // the first one, for good
  // Set while the mutex is held, for a look without it.
  std::atomic<size_t> frozen_count{0};
  std::atomic<bool> failed{false};
  std::atomic<uint64_t> memtable_bytes{0};

  ~Impl() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return !busy; });
    shared->impl_->memtable_bytes -= memtable_bytes;
  }

  Status first_failure() const {
    std::lock_guard lock(mutex);
    return failure;
  }
  Status fail(Status status) {
    std::lock_guard lock(mutex);
    if (failure.ok()) failure = status;
    failed = true;
    return status;
  }
  void count(uint64_t more, uint64_t less) {
    memtable_bytes += more - less;
    shared->impl_->memtable_bytes += more - less;
  }
  void count_active() {
    const uint64_t bytes = active->bytes();
    count(bytes, counted_bytes);
    counted_bytes = bytes;
  }

  bool is_full() const {
    return active->bytes() >= options.write_buffer_bytes || log->segment_bytes() >= options.segment_bytes ||
           active->ranges().size() > kRangesMax ||
           (active->bytes() >= kFrozenBytesMin && shared->impl_->memtable_bytes > shared->impl_->memtable_budget);
  }
  bool memtables_know_of(std::string_view first, std::string_view last) const;
  Status freeze();
  void make_tables();
  Status make_table(const Frozen& oldest);
};

// Merges the sources of an engine, newest first. The value is a copy: the row that it came from may change while the
// caller looks at it.
class RocksEngine::Merge final : public Iterator {
 public:
  Merge(const Impl& impl, std::string_view begin, std::string_view end) : end_(end) {
    impl.active->order();
    cursors_.push_back(std::make_unique<Memtable::Cursor>(impl.active, begin));
    {
      std::lock_guard lock(impl.mutex);
      for (auto frozen = impl.frozen.rbegin(); frozen != impl.frozen.rend(); ++frozen) {
        cursors_.push_back(std::make_unique<Memtable::Cursor>(frozen->rows, begin));
      }
    }
    // After that: a memtable that has become a table meanwhile is seen twice, and never not at all.
    // What is erased as a whole is not read: a row of it may be unreadable, and be erased for that.
    const std::string from = behind_erased(begin);
    tables_ = impl.tables->scan(from.empty() ? begin : from, end);
    ended_ = !end_.empty() && begin >= end_;
    find();
  }

  bool valid() const override { return valid_; }
  void next() override {
    CHECK(valid_);
    step_over(key_);
    find();
  }
  void seek(std::string_view to) override {
    CHECK(valid_ && key_ < to);
    for (auto& cursor : cursors_) {
      if (has(*cursor) && cursor->key() < to) cursor->seek(to);
    }
    if (tables_->valid() && tables_->key() < to) {
      const std::string from = behind_erased(to);
      tables_->seek(from.empty() ? to : from);
    }
    find();
  }
  std::string_view key() const override { return key_; }
  std::string_view value() const override { return value_; }
  Status status() const override { return tables_->status(); }

 private:
  bool has(const Memtable::Cursor& cursor) const { return cursor.valid() && (end_.empty() || cursor.key() < end_); }
  void step_over(std::string_view key) {
    for (auto& cursor : cursors_) {
      if (has(*cursor) && cursor->key() == key) cursor->next();
    }
    if (tables_->valid() && tables_->key() == key) tables_->next();
  }

  // The key behind all erased ranges of memtables that `key` is in, one after the other; "" if it is in none.
  std::string behind_erased(std::string_view key) const {
    std::string to;
    for (bool moved = true; moved;) {
      moved = false;
      for (const auto& cursor : cursors_) {
        const std::string_view until = cursor->hidden_until(to.empty() ? key : std::string_view(to));
        if (until.empty()) continue;
        to = until;
        moved = true;
      }
    }
    return to;
  }

  // Finds the least key of all sources whose newest row is one.
  void find() {
    valid_ = false;
    while (!ended_) {
      size_t source = cursors_.size();
      std::string_view least;
      bool any = false;
      // What the tables hold behind an error is not known, so nothing behind it can be told.
      if (!tables_->status().ok()) return;
      if (tables_->valid()) {
        if (const std::string to = behind_erased(tables_->key()); !to.empty()) {
          tables_->seek(to);
          continue;
        }
        least = tables_->key();
        any = true;
      }
      for (size_t i = cursors_.size(); i-- > 0;) {  // oldest first: of equal keys the newest is kept
        if (!has(*cursors_[i]) || (any && cursors_[i]->key() > least)) continue;
        least = cursors_[i]->key();
        source = i;
        any = true;
      }
      if (!any) return;
      bool hidden = source < cursors_.size() && cursors_[source]->erased();
      for (size_t i = 0; i < source && !hidden; ++i) hidden = cursors_[i]->hides(least);
      key_ = least;
      if (!hidden) {
        value_ = source < cursors_.size() ? cursors_[source]->value() : tables_->value();
        valid_ = true;
        return;
      }
      step_over(key_);
    }
  }

  const std::string end_;
  std::vector<std::unique_ptr<Memtable::Cursor>> cursors_;  // newest first
  std::unique_ptr<Iterator> tables_;
  bool ended_ = false, valid_ = false;
  std::string key_, value_;
};

RocksEngine::RocksEngine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
  ++impl_->shared->impl_->engines;
}
RocksEngine::~RocksEngine() {
  --impl_->shared->impl_->engines;
}

Result<std::unique_ptr<RocksEngine>> RocksEngine::open(const std::string& directory, const RocksOptions& options) {
  RETURN_IF_ERROR(make_directory(directory));
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  impl->shared = options.shared ? options.shared : RocksShared::create();
  // Its lock also guards the log.
  auto tables = TableStore::open(directory, impl->shared->impl_->cache, options.compacts, options.on_damage);
  if (!tables.ok()) return tables.status();
  impl->tables = std::move(tables).value();
  impl->active = std::make_shared<Memtable>();
  const std::string log_directory = std::filesystem::path(directory) / "log";
  if (!BatchLog::exists(log_directory) && impl->tables->disk_bytes() > 0) {
    return Status::Corruption("there are tables in " + directory + ", and no log");
  }
  auto log = BatchLog::open(log_directory, [&](WriteBatch batch) { impl->active->apply(std::move(batch)); });
  if (!log.ok()) return log.status();
  impl->log = std::move(log).value();
  impl->count_active();
  std::unique_ptr<RocksEngine> engine(new RocksEngine(std::move(impl)));
  if (engine->impl_->is_full()) RETURN_IF_ERROR(engine->impl_->freeze());
  return engine;
}

Result<bool> RocksEngine::get(std::string_view key, std::string* value) const {
  Memtable::Found found = impl_->active->get(key, value);
  if (found == Memtable::Found::kUnknown && impl_->frozen_count > 0) {
    std::lock_guard lock(impl_->mutex);
    for (auto frozen = impl_->frozen.rbegin(); frozen != impl_->frozen.rend(); ++frozen) {
      found = frozen->rows->get(key, value);
      if (found != Memtable::Found::kUnknown) break;
    }
  }
  if (found == Memtable::Found::kUnknown) return impl_->tables->get(key, value);
  return found == Memtable::Found::kRow;
}

std::unique_ptr<Iterator> RocksEngine::scan(std::string_view begin, std::string_view end) const {
  return std::make_unique<Merge>(*impl_, begin, end);
}

Status RocksEngine::write(WriteBatch batch) {
  if (impl_->failed) return impl_->first_failure();
  if (batch.empty()) return {};
  if (Status appended = impl_->log->append(batch); !appended.ok()) return impl_->fail(std::move(appended));
  impl_->active->apply(std::move(batch));
  impl_->count_active();
  // The batch is written whatever comes of this; a failure is told to the next one.
  if (impl_->is_full()) (void)impl_->freeze();
  return {};
}

Status RocksEngine::sync() {
  if (impl_->failed) return impl_->first_failure();
  if (Status synced = impl_->log->sync(); !synced.ok()) return impl_->fail(std::move(synced));
  return {};
}

Status RocksEngine::add_to_load(uint64_t id, const Rows& rows) {
  if (impl_->failed) return impl_->first_failure();
  if (rows.empty()) return {};
  Impl::Load& load = impl_->loads[id];
  if (load.rows.empty() && !load.table) load.first = rows.front().first;
  load.last = rows.back().first;
  Status status;
  for (const auto& [key, value] : rows) {
    if (!load.table) {
      load.rows.put(key, value);
    } else if (status.ok()) {
      status = load.table->add(key, value);
    }
  }
  if (!load.table && load.rows.bytes() > kLoadInBatchBytes) {
    auto table = impl_->tables->begin_load(id);
    status = table.status();
    if (status.ok()) load.table = std::move(table).value();
    for (const WriteBatch::Change& row : load.rows.take_changes()) {
      if (status.ok()) status = load.table->add(row.key, row.value);
    }
  }
  return status.ok() ? status : impl_->fail(std::move(status));
}

Status RocksEngine::commit_load(uint64_t id) {
  if (impl_->failed) return impl_->first_failure();
  auto found = impl_->loads.extract(id);
  if (found.empty()) return {};
  Impl::Load load = std::move(found.mapped());
  if (!load.table) return write(std::move(load.rows));
  // Marks of rows that were erased from the range must not come to lie above the table.
  if (impl_->memtables_know_of(load.first, load.last)) RETURN_IF_ERROR(flush());
  // The table is durable at once: no batch before it may be lost any more.
  RETURN_IF_ERROR(sync());
  Status status = impl_->tables->commit(*load.table);
  return status.ok() ? status : impl_->fail(std::move(status));
}

void RocksEngine::abort_load(uint64_t id) {
  impl_->loads.erase(id);
}

uint64_t RocksEngine::approximate_bytes(std::string_view begin, std::string_view end) const {
  uint64_t bytes = impl_->tables->approximate_bytes(begin, end) + impl_->active->approximate_bytes(begin, end);
  std::lock_guard lock(impl_->mutex);
  for (const Impl::Frozen& frozen : impl_->frozen) bytes += frozen.rows->approximate_bytes(begin, end);
  return bytes;
}

Status RocksEngine::flush() {
  if (impl_->failed) return impl_->first_failure();
  if (!impl_->active->empty()) RETURN_IF_ERROR(impl_->freeze());
  std::unique_lock lock(impl_->mutex);
  impl_->changed.wait(lock, [this] { return !impl_->busy; });
  return impl_->failure;
}

Engine::Usage RocksEngine::usage() const {
  const RocksShared::Impl& shared = *impl_->shared->impl_;
  return {.memory_bytes = impl_->memtable_bytes + impl_->tables->memory_bytes() +
                          shared.cache->bytes() / std::max<uint64_t>(1, shared.engines),
          .disk_bytes = impl_->log->bytes() + impl_->tables->disk_bytes()};
}

bool RocksEngine::Impl::memtables_know_of(std::string_view first, std::string_view last) const {
  if (active->knows_of(first, last)) return true;
  std::lock_guard lock(mutex);
  return std::any_of(frozen.begin(), frozen.end(),
                     [&](const Frozen& each) { return each.rows->knows_of(first, last); });
}

// Begins a new memtable and segment, and has a table made of the old one. Waits while too many are on their way.
Status RocksEngine::Impl::freeze() {
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return failed || frozen.size() < static_cast<size_t>(options.frozen_max); });
    if (failed) return failure;
  }
  auto ended = log->begin_segment();
  if (!ended.ok()) return fail(ended.status());
  active->order();
  auto next = std::make_shared<Memtable>(active->rows());
  bool start = false;
  {
    std::lock_guard lock(mutex);
    frozen.push_back({std::exchange(active, std::move(next)), *ended});
    frozen_count = frozen.size();
    start = !std::exchange(busy, true);
  }
  counted_bytes = 0;
  if (start) shared->impl_->post([this] { make_tables(); });
  return {};
}

// In the background, while there are frozen memtables.
void RocksEngine::Impl::make_tables() {
  std::unique_lock lock(mutex);
  while (!frozen.empty() && !failed) {
    Frozen oldest = frozen.front();
    lock.unlock();
    const Status made = make_table(oldest);
    lock.lock();
    if (!made.ok()) {
      if (failure.ok()) failure = made;
      failed = true;
      break;
    }
    frozen.pop_front();
    frozen_count = frozen.size();
    changed.notify_all();
    lock.unlock();
    count(0, oldest.rows->bytes());
    oldest.rows.reset();  // here: to free that many rows takes a while
    lock.lock();
  }
  busy = false;
  changed.notify_all();
}

Status RocksEngine::Impl::make_table(const Frozen& oldest) {
  const auto done = [&](TableStep step) {
    if (options.on_step) options.on_step(step);
  };
  const auto drop_segment = [&]() -> Status {
    RETURN_IF_ERROR(log->drop_through(oldest.segment));
    done(TableStep::kSegmentDropped);
    return {};
  };
  // Were the segment not whole on the disk, a loss of power could leave a part of it, to be replayed over the table.
  if (!planted(Bug::kTablesAheadOfLog)) {
    RETURN_IF_ERROR(log->sync());
    done(TableStep::kLogSynced);
  }
  if (planted(Bug::kLogDroppedTooEarly)) RETURN_IF_ERROR(drop_segment());
  RETURN_IF_ERROR(tables->add(*oldest.rows));
  done(TableStep::kTableAdded);
  return drop_segment();
}

}  // namespace cartwheel::storage
