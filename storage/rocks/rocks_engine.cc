#include "storage/rocks/rocks_engine.h"

#include <fcntl.h>
#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <rocksdb/write_buffer_manager.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

namespace cartwheel::storage {

namespace {

using Kind = WriteBatch::Kind;

// A range tombstone burdens every later read of its memtable and files, a few point tombstones do not: ranges with up
// to this many rows are erased row by row. Looking for the rows costs a seek, hence only for the first ranges of a
// batch.
constexpr size_t kErasedRowsMax = 32;
constexpr size_t kErasedRangesMax = 16;
// Who erases from the same start again and again, as a log is trimmed, leaves ever more point tombstones there. After
// stepping over this many the search gives up, and the range tombstone buries them all for the next one.
constexpr uint64_t kSkippedRowsMax = 128;
// The batch buffer is kept between writes, unless a huge batch grew it beyond this.
constexpr size_t kBatchBufferBytesMax = 4 << 20;
// A table file costs some ten milliseconds, however small it is; so many bytes of rows cost less in a batch.
constexpr size_t kLoadInBatchBytes = 512 << 10;
constexpr char kLoadPrefix[] = "load-";

rocksdb::Slice slice(std::string_view s) {
  return {s.data(), s.size()};
}
std::string_view view(const rocksdb::Slice& s) {
  return {s.data(), s.size()};
}

Status translate(const char* what, const rocksdb::Status& status) {
  if (status.ok()) return {};
  return {status.IsCorruption() ? Code::kCorruption : Code::kIo, std::string(what) + ": " + status.ToString()};
}

Status sync_directory(const std::filesystem::path& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const bool ok = fd >= 0 && ::fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (ok) return {};
  return Status::Io("sync of directory " + directory.string() + ": " + std::system_category().message(error));
}

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

rocksdb::CompressionType first_supported(std::initializer_list<rocksdb::CompressionType> wanted) {
  const std::vector<rocksdb::CompressionType> supported = rocksdb::GetSupportedCompressions();
  for (rocksdb::CompressionType type : wanted) {
    if (std::find(supported.begin(), supported.end(), type) != supported.end()) return type;
  }
  return rocksdb::kNoCompression;
}

void set_log_options(const RocksOptions& wanted, rocksdb::Options* options) {
  // write() hands a batch to the kernel once at its end, instead of RocksDB after every record.
  options->manual_wal_flush = true;
  // One writer: everything that serves several only costs.
  options->allow_concurrent_memtable_write = false;
  options->enable_pipelined_write = false;
  options->unordered_write = false;
  // Replay stops at the first record that is damaged. A power loss leaves the unsynced tail as any mix of old and new
  // pages: kAbsoluteConsistency and kTolerateCorruptedTailRecords would refuse to start after this ordinary event (and
  // exclude recycling, without which a sync costs twice as much). The price is that damage to the synced part looks the
  // same; the node notices by its dot high-water mark, takes a new epoch and gets the rest from its peers.
  options->wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  options->recycle_log_file_num = 2;
  options->max_total_wal_size = wanted.log_bytes_max;
  // Long writes reach the disk piecemeal, so that a sync finds little left to do.
  options->bytes_per_sync = 1 << 20;
  options->wal_bytes_per_sync = 1 << 20;
}

void set_table_options(std::shared_ptr<rocksdb::Cache> cache, rocksdb::Options* options) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = std::move(cache);
  table.checksum = rocksdb::kXXH3;
  // Ten bits per key: 1 % of absent keys cost a block read. Ribbon needs a third less memory for more time to build,
  // which pays on the bottom level (6) that holds nine rows out of ten.
  table.filter_policy.reset(rocksdb::NewRibbonFilterPolicy(10, 6));
  // Index and filter blocks count as cache: memory does not grow with the data.
  table.cache_index_and_filter_blocks = true;
  table.cache_index_and_filter_blocks_with_high_priority = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  options->table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options->level_compaction_dynamic_level_bytes = true;
  // On every level: on the last one ZSTD would save a third of the disk for several times the CPU of each rewrite.
  options->compression = first_supported({rocksdb::kLZ4Compression, rocksdb::kSnappyCompression});
}

void set_process_options(rocksdb::Options* options) {
  options->create_if_missing = true;
  options->paranoid_checks = true;
  options->max_background_jobs = 2;
  // A failure is final: nothing resumes behind the back of the caller.
  options->max_bgerror_resume_count = 0;
  // Readers of table files stay open within a bound, and opening does not touch each file: the start does not slow down
  // with the amount of data.
  options->max_open_files = 1024;
  options->skip_stats_update_on_db_open = true;
  // An idle node sleeps: no timers for statistics. Its messages are bounded.
  options->stats_dump_period_sec = 0;
  options->stats_persist_period_sec = 0;
  options->max_log_file_size = 4 << 20;
  options->keep_log_file_num = 4;
}

}  // namespace

struct RocksMemory::Impl {
  std::shared_ptr<rocksdb::Cache> cache;
  std::shared_ptr<rocksdb::WriteBufferManager> memtables;
  std::atomic<uint64_t> engines{0};  // who share it: each reports its share of the cache
};

RocksMemory::RocksMemory() : impl_(std::make_unique<Impl>()) {}
RocksMemory::~RocksMemory() = default;

std::shared_ptr<RocksMemory> RocksMemory::create(uint64_t cache_bytes, uint64_t memtable_bytes) {
  std::shared_ptr<RocksMemory> memory(new RocksMemory);
  rocksdb::LRUCacheOptions options;
  options.capacity = cache_bytes;
  options.num_shard_bits = 2;  // few threads read: more shards would only split a small budget
  memory->impl_->cache = rocksdb::NewLRUCache(options);
  memory->impl_->memtables = std::make_shared<rocksdb::WriteBufferManager>(memtable_bytes);
  return memory;
}

struct RocksEngine::Impl {
  std::shared_ptr<RocksMemory> memory;
  std::unique_ptr<rocksdb::DB> db;
  rocksdb::WriteBatch scratch;  // kept for its memory
  std::string directory;
  rocksdb::Options options;

  struct Load {
    WriteBatch rows;                                 // while they are few
    std::unique_ptr<rocksdb::SstFileWriter> writer;  // once they are many
    std::string path;
    ~Load() {
      std::error_code ignored;
      if (!path.empty()) std::filesystem::remove(path, ignored);
    }
  };
  std::map<uint64_t, Load> loads;
  Status spill(uint64_t id, Load& load);

  // The first failure, for good. `failed` and `unreadable` are set after `failure` and never cleared.
  std::mutex failure_mutex;
  Status failure;
  std::atomic<bool> failed{false};
  std::atomic<bool> unreadable{false};

  Status first_failure() {
    std::lock_guard lock(failure_mutex);
    return failure;
  }
  Status fail(Status status, bool reads_too) {
    std::lock_guard lock(failure_mutex);
    if (failure.ok()) failure = status;
    failed = true;
    if (reads_too) unreadable = true;
    return status;
  }

  rocksdb::Status encode(const WriteBatch& batch);
  bool erase_rows(const WriteBatch& batch, size_t range);
};

namespace {

class Walk final : public Iterator {
 public:
  // Fails after stepping over more than `skipped_rows_max` dead rows at once; 0 never does.
  Walk(rocksdb::DB* db, std::string_view begin, std::string_view end, uint64_t skipped_rows_max = 0)
      : end_(end), end_slice_(end_) {
    rocksdb::ReadOptions options;
    options.max_skippable_internal_keys = skipped_rows_max;
    if (!end_.empty()) options.iterate_upper_bound = &end_slice_;  // must live as long as the iterator
    // Files that died under a long walk are removed by a background thread, not by the stripe's.
    options.background_purge_on_iterator_cleanup = true;
    iterator_.reset(db->NewIterator(options));
    // RocksDB does not promise anything for bounds in the wrong order; here it is an empty range.
    if (end_.empty() || begin < end_) iterator_->Seek(slice(begin));
  }
  bool valid() const override { return iterator_->Valid(); }
  void next() override { iterator_->Next(); }
  std::string_view key() const override { return view(iterator_->key()); }
  std::string_view value() const override { return view(iterator_->value()); }
  Status status() const override { return translate("scan", iterator_->status()); }

 private:
  const std::string end_;
  const rocksdb::Slice end_slice_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

// What scan() returns when it cannot read.
class FailedWalk final : public Iterator {
 public:
  explicit FailedWalk(Status status) : status_(std::move(status)) {}
  bool valid() const override { return false; }
  void next() override {}
  std::string_view key() const override { return {}; }
  std::string_view value() const override { return {}; }
  Status status() const override { return status_; }

 private:
  const Status status_;
};

}  // namespace

RocksEngine::RocksEngine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
  ++impl_->memory->impl_->engines;
}
RocksEngine::~RocksEngine() {
  --impl_->memory->impl_->engines;
}

Result<std::unique_ptr<RocksEngine>> RocksEngine::open(const std::string& directory, const RocksOptions& wanted) {
  RETURN_IF_ERROR(make_directory(directory));
  auto impl = std::make_unique<Impl>();
  impl->memory = wanted.memory ? wanted.memory : RocksMemory::create();

  rocksdb::Options options;
  options.write_buffer_size = wanted.write_buffer_bytes;
  options.max_write_buffer_number = wanted.write_buffers_max;
  options.write_buffer_manager = impl->memory->impl_->memtables;
  set_log_options(wanted, &options);
  set_table_options(impl->memory->impl_->cache, &options);
  set_process_options(&options);

  // What a process that died left of its loads.
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.path().filename().string().starts_with(kLoadPrefix)) std::filesystem::remove(entry.path(), error);
  }
  impl->directory = directory;
  impl->options = options;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status opened = rocksdb::DB::Open(options, directory, &db);
  impl->db.reset(db);
  if (!opened.ok()) {
    const std::string text = opened.ToString();
    if (text.find("While lock file") != std::string::npos || text.find("lock hold by") != std::string::npos) {
      return Status::Io(directory + " is in use, its lock " + directory + "/LOCK is held: " + text);
    }
    return translate(("open of " + directory).c_str(), opened);
  }
  return std::unique_ptr<RocksEngine>(new RocksEngine(std::move(impl)));
}

Result<bool> RocksEngine::get(std::string_view key, std::string* value) const {
  if (impl_->unreadable) return impl_->first_failure();
  const rocksdb::Status status = impl_->db->Get(rocksdb::ReadOptions(), slice(key), value);
  if (status.ok()) return true;
  if (status.IsNotFound()) return false;
  return translate("get", status);
}

std::unique_ptr<Iterator> RocksEngine::scan(std::string_view begin, std::string_view end) const {
  if (impl_->unreadable) return std::make_unique<FailedWalk>(impl_->first_failure());
  return std::make_unique<Walk>(impl_->db.get(), begin, end);
}

Status RocksEngine::write(const WriteBatch& batch) {
  if (impl_->failed) return impl_->first_failure();
  if (batch.empty()) return {};
  rocksdb::Status status = impl_->encode(batch);
  if (status.ok()) status = impl_->db->Write(rocksdb::WriteOptions(), &impl_->scratch);
  if (status.ok()) status = impl_->db->FlushWAL(/*sync=*/false);
  if (impl_->scratch.GetDataSize() > kBatchBufferBytesMax) impl_->scratch = rocksdb::WriteBatch();
  if (status.ok()) return {};
  return impl_->fail(translate("write", status), /*reads_too=*/true);
}

Status RocksEngine::sync() {
  if (impl_->failed) return impl_->first_failure();
  // Not FlushWAL(true): the buffer holds nothing but a batch that write() is about to hand over itself.
  const rocksdb::Status status = impl_->db->SyncWAL();
  if (status.ok()) return {};
  return impl_->fail(translate("sync", status), /*reads_too=*/false);
}

// The rows so far go to a table file, and those that come go there, too.
Status RocksEngine::Impl::spill(uint64_t id, Load& load) {
  load.path = directory + "/" + kLoadPrefix + std::to_string(id) + ".sst";
  load.writer = std::make_unique<rocksdb::SstFileWriter>(rocksdb::EnvOptions(), options);
  rocksdb::Status status = load.writer->Open(load.path);
  for (const WriteBatch::Change& row : load.rows.changes()) {
    if (status.ok()) status = load.writer->Put(row.key, row.value);
  }
  load.rows.clear();
  return translate("load", status);
}

Status RocksEngine::add_to_load(uint64_t id, const Rows& rows) {
  if (impl_->failed) return impl_->first_failure();
  Impl::Load& load = impl_->loads[id];
  rocksdb::Status status;
  for (const auto& [key, value] : rows) {
    if (load.writer) {
      if (status.ok()) status = load.writer->Put(key, value);
    } else {
      load.rows.put(key, value);
    }
  }
  Status failed = translate("load", status);
  if (failed.ok() && !load.writer && load.rows.bytes() > kLoadInBatchBytes) failed = impl_->spill(id, load);
  return failed.ok() ? failed : impl_->fail(std::move(failed), /*reads_too=*/false);
}

Status RocksEngine::commit_load(uint64_t id) {
  if (impl_->failed) return impl_->first_failure();
  auto found = impl_->loads.find(id);
  if (found == impl_->loads.end()) return {};
  auto node = impl_->loads.extract(found);
  Impl::Load& load = node.mapped();
  if (!load.writer) return write(load.rows);
  // The file becomes durable at once; what the log says about this range before it must not be lost behind it.
  RETURN_IF_ERROR(sync());
  rocksdb::IngestExternalFileOptions how;
  how.move_files = true;
  rocksdb::Status status = load.writer->Finish();
  if (status.ok()) status = impl_->db->IngestExternalFile({load.path}, how);
  return status.ok() ? Status() : impl_->fail(translate("load", status), /*reads_too=*/true);
}

void RocksEngine::abort_load(uint64_t id) {
  impl_->loads.erase(id);
}

uint64_t RocksEngine::approximate_bytes(std::string_view begin, std::string_view end) const {
  rocksdb::SizeApproximationOptions what;
  what.include_memtables = true;
  what.include_files = true;
  rocksdb::Range range(slice(begin), slice(end));
  uint64_t bytes = 0;
  impl_->db->GetApproximateSizes(what, impl_->db->DefaultColumnFamily(), &range, 1, &bytes);
  return bytes;
}

Status RocksEngine::flush() {
  if (impl_->failed) return impl_->first_failure();
  const rocksdb::Status status = impl_->db->Flush(rocksdb::FlushOptions());
  if (status.ok()) return {};
  return impl_->fail(translate("flush", status), /*reads_too=*/false);
}

Engine::Usage RocksEngine::usage() const {
  const auto property = [&](const std::string& name) {
    uint64_t value = 0;
    impl_->db->GetIntProperty(name, &value);
    return value;
  };
  const uint64_t memtables = property(rocksdb::DB::Properties::kSizeAllMemTables);
  const RocksMemory::Impl& shared = *impl_->memory->impl_;
  // The log is about as long as the memtables, because it holds the same rows.
  return {.memory_bytes = memtables + property(rocksdb::DB::Properties::kEstimateTableReadersMem) +
                          shared.cache->GetUsage() / std::max<uint64_t>(1, shared.engines),
          .disk_bytes = memtables + property(rocksdb::DB::Properties::kTotalSstFilesSize)};
}

rocksdb::Status RocksEngine::Impl::encode(const WriteBatch& batch) {
  scratch.Clear();
  rocksdb::Status status;
  size_t ranges = 0;
  for (size_t i = 0; i < batch.changes().size() && status.ok(); ++i) {
    const WriteBatch::Change& change = batch.changes()[i];
    switch (change.kind) {
      case Kind::kPut:
        status = scratch.Put(change.key, change.value);
        break;
      case Kind::kErase:
        status = scratch.Delete(change.key);
        break;
      case Kind::kEraseRange:
        if (change.key >= change.value) break;  // empty; RocksDB would refuse the batch
        if (++ranges <= kErasedRangesMax && erase_rows(batch, i)) break;
        status = scratch.DeleteRange(change.key, change.value);
        break;
    }
  }
  return status;
}

// Erases the rows of `batch`'s change number `range` one by one; false, with nothing done, if they are too many to. The
// rows are those of the database and those that the batch itself put before: the order within a batch counts.
bool RocksEngine::Impl::erase_rows(const WriteBatch& batch, size_t range) {
  const std::string& begin = batch.changes()[range].key;
  const std::string& end = batch.changes()[range].value;
  std::vector<std::string> rows;
  Walk walk(db.get(), begin, end, kSkippedRowsMax);
  for (; walk.valid() && rows.size() <= kErasedRowsMax; walk.next()) rows.emplace_back(walk.key());
  // What cannot be read may exist: the tombstone covers it without looking.
  if (!walk.status().ok()) return false;
  for (size_t i = 0; i < range && rows.size() <= kErasedRowsMax; ++i) {
    const WriteBatch::Change& change = batch.changes()[i];
    if (change.kind == Kind::kPut && change.key >= begin && change.key < end) rows.push_back(change.key);
  }
  if (rows.size() > kErasedRowsMax) return false;
  for (const std::string& row : rows) scratch.Delete(row);
  return true;
}

}  // namespace cartwheel::storage
