#include "storage/rocks/table_store.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace cartwheel::storage {

namespace {

// Tables that wait for compaction beyond which no further ones are added; RocksDB would slow its own writers here too.
constexpr uint64_t kWaitingTablesMax = 20;
constexpr std::chrono::milliseconds kCompactionCheck{10};
// Files that are not part of the store yet.
constexpr char kNewPrefix[] = "new-";

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

rocksdb::CompressionType first_supported(std::initializer_list<rocksdb::CompressionType> wanted) {
  const std::vector<rocksdb::CompressionType> supported = rocksdb::GetSupportedCompressions();
  for (rocksdb::CompressionType type : wanted) {
    if (std::find(supported.begin(), supported.end(), type) != supported.end()) return type;
  }
  return rocksdb::kNoCompression;
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
  // Long writes reach the disk piecemeal, so that a sync finds little left to do.
  options->bytes_per_sync = 1 << 20;
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

// A compaction that fails ends all compactions, and soon all writes. Either a table that it reads is damaged, or it
// could not write; the tables themselves tell which.
class DamageWatch final : public rocksdb::EventListener {
 public:
  explicit DamageWatch(TableStore::OnDamage on_damage) : on_damage_(std::move(on_damage)) {}
  void OnCompactionCompleted(rocksdb::DB*, const rocksdb::CompactionJobInfo& job) override {
    if (job.status.ok() || job.status.IsShutdownInProgress()) return;
    for (const std::string& file : job.input_files) {
      rocksdb::SstFileReader reader{rocksdb::Options()};
      rocksdb::Status status = reader.Open(file);
      if (status.ok()) status = reader.VerifyChecksum();
      if (!status.ok()) return on_damage_(file + ": " + status.ToString());
    }
    if (job.status.IsCorruption()) on_damage_(job.status.ToString());
  }

 private:
  const TableStore::OnDamage on_damage_;
};

class Walk final : public Iterator {
 public:
  Walk(rocksdb::DB* db, std::string_view begin, std::string_view end) : end_(end), end_slice_(end_) {
    rocksdb::ReadOptions options;
    if (!end_.empty()) options.iterate_upper_bound = &end_slice_;  // must live as long as the iterator
    // Files that died under a long walk are removed by a background thread, not by the stripe's.
    options.background_purge_on_iterator_cleanup = true;
    iterator_.reset(db->NewIterator(options));
    // RocksDB does not promise anything for bounds in the wrong order; here it is an empty range.
    if (end_.empty() || begin < end_) iterator_->Seek(slice(begin));
  }
  bool valid() const override { return iterator_->Valid(); }
  void next() override { iterator_->Next(); }
  void seek(std::string_view to) override { iterator_->Seek(slice(to)); }
  std::string_view key() const override { return view(iterator_->key()); }
  std::string_view value() const override { return view(iterator_->value()); }
  Status status() const override { return translate("scan", iterator_->status()); }

 private:
  const std::string end_;
  const rocksdb::Slice end_slice_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

}  // namespace

struct BlockCache::Impl {
  std::shared_ptr<rocksdb::Cache> cache;
};

BlockCache::BlockCache(uint64_t bytes) : impl_(std::make_unique<Impl>()) {
  rocksdb::LRUCacheOptions options;
  options.capacity = bytes;
  options.num_shard_bits = 2;  // few threads read: more shards would only split a small budget
  impl_->cache = rocksdb::NewLRUCache(options);
}
BlockCache::~BlockCache() = default;
uint64_t BlockCache::bytes() const {
  return impl_->cache->GetUsage();
}

struct TableStore::Impl {
  std::shared_ptr<BlockCache> cache;
  std::string directory;
  rocksdb::Options options;
  std::unique_ptr<rocksdb::DB> db;

  uint64_t property(const std::string& name) const {
    uint64_t value = 0;
    db->GetIntProperty(name, &value);
    return value;
  }
  uint64_t waiting_tables() const {
    std::string value;
    return db->GetProperty(rocksdb::DB::Properties::kNumFilesAtLevelPrefix + "0", &value) ? std::stoull(value) : 0;
  }
  bool has_rows(const Memtable::Range& range) const {
    Walk walk(db.get(), range.begin, range.end);
    return walk.valid() || !walk.status().ok();  // what cannot be read may exist
  }
  rocksdb::Status write_table(const Memtable& rows, const std::string& path, bool* empty) const;
};

TableStore::TableStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TableStore::~TableStore() = default;

Result<std::unique_ptr<TableStore>> TableStore::open(const std::string& directory, std::shared_ptr<BlockCache> cache,
                                                     bool compacts, OnDamage on_damage) {
  auto impl = std::make_unique<Impl>();
  impl->cache = std::move(cache);
  impl->directory = directory;
  set_table_options(impl->cache->impl_->cache, &impl->options);
  set_process_options(&impl->options);
  impl->options.disable_auto_compactions = !compacts;
  if (on_damage) impl->options.listeners.push_back(std::make_shared<DamageWatch>(std::move(on_damage)));
  // What a process that died has left half done.
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (entry.path().filename().string().starts_with(kNewPrefix)) std::filesystem::remove(entry.path(), error);
  }
  rocksdb::DB* db = nullptr;
  const rocksdb::Status opened = rocksdb::DB::Open(impl->options, directory, &db);
  impl->db.reset(db);
  if (!opened.ok()) {
    const std::string text = opened.ToString();
    if (text.find("While lock file") != std::string::npos || text.find("lock hold by") != std::string::npos) {
      return Status::Io(directory + " is in use, its lock " + directory + "/LOCK is held: " + text);
    }
    // A file that the manifest names, or the manifest itself, that is not there is damage, too.
    const bool lost = opened.IsPathNotFound() || text.find("No such file") != std::string::npos;
    if (lost) return Status::Corruption("open of " + directory + ": " + text);
    return translate(("open of " + directory).c_str(), opened);
  }
  return std::unique_ptr<TableStore>(new TableStore(std::move(impl)));
}

Result<bool> TableStore::get(std::string_view key, std::string* value) const {
  const rocksdb::Status status = impl_->db->Get(rocksdb::ReadOptions(), slice(key), value);
  if (status.ok()) return true;
  if (status.IsNotFound()) return false;
  return translate("get", status);
}

std::unique_ptr<Iterator> TableStore::scan(std::string_view begin, std::string_view end) const {
  return std::make_unique<Walk>(impl_->db.get(), begin, end);
}

rocksdb::Status TableStore::Impl::write_table(const Memtable& rows, const std::string& path, bool* empty) const {
  rocksdb::Options table = options;
  table.compression = rocksdb::kNoCompression;  // it is compacted soon
  rocksdb::SstFileWriter writer(rocksdb::EnvOptions(options), table, nullptr, /*invalidate_page_cache=*/false);
  rocksdb::Status status = writer.Open(path);
  *empty = true;
  rows.for_each([&](std::string_view key, const std::string* value) {
    if (!status.ok()) return;
    if (value != nullptr) {
      status = writer.Put(slice(key), slice(*value));
      *empty = false;
      return;
    }
    // Most rows that were erased soon after they were put never got here. The mark is left out for them.
    std::string ignored;
    if (!db->KeyMayExist(rocksdb::ReadOptions(), slice(key), &ignored)) return;
    status = writer.Delete(slice(key));
    *empty = false;
  });
  for (const Memtable::Range& range : rows.ranges()) {
    if (!status.ok() || !has_rows(range)) continue;
    status = writer.DeleteRange(slice(range.begin), slice(range.end));
    *empty = false;
  }
  return status.ok() && !*empty ? writer.Finish() : status;  // which syncs it
}

Status TableStore::add(const Memtable& rows) {
  while (!impl_->options.disable_auto_compactions && impl_->waiting_tables() >= kWaitingTablesMax) {
    std::this_thread::sleep_for(kCompactionCheck);
  }
  const std::string path = impl_->directory + "/" + kNewPrefix + "table";
  bool empty = true;
  RETURN_IF_ERROR(translate("new table", impl_->write_table(rows, path, &empty)));
  if (empty) return {};
  rocksdb::IngestExternalFileOptions options;
  options.move_files = true;
  return translate("new table", impl_->db->IngestExternalFile({path}, options));
}

struct TableStore::Load::Impl {
  Impl(const rocksdb::Options& options, std::string its_path)
      : path(std::move(its_path)), writer(rocksdb::EnvOptions(options), options) {}
  ~Impl() {
    std::error_code ignored;  // a table that was committed has moved away
    std::filesystem::remove(path, ignored);
  }
  const std::string path;
  rocksdb::SstFileWriter writer;
};

TableStore::Load::Load() = default;
TableStore::Load::~Load() = default;

Status TableStore::Load::add(std::string_view key, std::string_view value) {
  return translate("load", impl_->writer.Put(slice(key), slice(value)));
}

Result<std::unique_ptr<TableStore::Load>> TableStore::begin_load(uint64_t id) const {
  std::unique_ptr<Load> load(new Load);
  load->impl_ =
      std::make_unique<Load::Impl>(impl_->options, impl_->directory + "/" + kNewPrefix + "load-" + std::to_string(id));
  if (Status s = translate("load", load->impl_->writer.Open(load->impl_->path)); !s.ok()) return s;
  return load;
}

Status TableStore::commit(Load& load) {
  rocksdb::IngestExternalFileOptions options;
  options.move_files = true;
  rocksdb::Status status = load.impl_->writer.Finish();
  if (status.ok()) status = impl_->db->IngestExternalFile({load.impl_->path}, options);
  return translate("load", status);
}

uint64_t TableStore::approximate_bytes(std::string_view begin, std::string_view end) const {
  rocksdb::SizeApproximationOptions what;
  what.include_memtables = false;
  what.include_files = true;
  rocksdb::Range range(slice(begin), slice(end));
  uint64_t bytes = 0;
  impl_->db->GetApproximateSizes(what, impl_->db->DefaultColumnFamily(), &range, 1, &bytes);
  return bytes;
}

uint64_t TableStore::memory_bytes() const {
  return impl_->property(rocksdb::DB::Properties::kEstimateTableReadersMem);
}
uint64_t TableStore::disk_bytes() const {
  return impl_->property(rocksdb::DB::Properties::kTotalSstFilesSize);
}

}  // namespace cartwheel::storage
