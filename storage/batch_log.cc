#include "storage/batch_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "base/codec.h"
#include "base/hash.h"
#include "base/planted.h"

namespace cartwheel::storage {

namespace {

constexpr uint64_t kMagic = 0x4357424c4f473031;       // "CWBLOG01"
constexpr uint64_t kRangeMagic = 0x4357424c4f475253;  // "CWBLOGRS"
constexpr char kRangeName[] = "/SEGMENTS";
constexpr size_t kHeaderBytes = 32;
constexpr size_t kRecordHeaderBytes = 20;
constexpr size_t kRecordBytesMax = size_t{1} << 30;  // a length is a u32, and a segment is read whole
// The buffer is kept between batches, unless a huge batch grew it beyond this.
constexpr size_t kBufferBytesMax = 4 << 20;

Status failed(const std::string& what, const std::string& path) {
  return Status::Io(what + " " + path + ": " + std::system_category().message(errno));
}

void store_u64(char* at, uint64_t v) {
  for (int i = 7; i >= 0; --i, v >>= 8) at[i] = static_cast<char>(v & 0xff);
}
void store_u32(char* at, uint32_t v) {
  for (int i = 3; i >= 0; --i, v >>= 8) at[i] = static_cast<char>(v & 0xff);
}

std::string path_of(const std::string& directory, uint64_t number) {
  char name[32];
  snprintf(name, sizeof(name), "/%012llu.seg", static_cast<unsigned long long>(number));
  return directory + name;
}

Status write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("write to", path);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Result<std::string> read_all(int fd, const std::string& path) {
  std::string bytes(static_cast<size_t>(std::max<off_t>(0, ::lseek(fd, 0, SEEK_END))), '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::pread(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("read of", path);
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

std::string checked(uint64_t magic, uint64_t a, uint64_t b) {
  std::string bytes;
  Encoder out(bytes);
  out.u64(magic);
  out.u64(a);
  out.u64(b);
  out.u64(hash64(bytes));
  return bytes;
}
std::string encode_header(uint64_t number, uint64_t sequence) {
  return checked(kMagic, number, sequence);
}

bool is_segment(const std::filesystem::path& path) {
  const std::string stem = path.stem();
  return path.extension() == ".seg" && !stem.empty() && stem.find_first_not_of("0123456789") == stem.npos;
}

Status damaged(const std::string& what, const std::string& path) {
  return Status::Corruption("the log: " + path + " " + what);
}

// False if `in` is not a whole change.
bool decode_change(Decoder& in, WriteBatch* batch) {
  const uint8_t kind = in.u8();
  std::string key(in.bytes()), value(in.bytes());
  if (!in.ok()) return false;
  switch (static_cast<WriteBatch::Kind>(kind)) {
    case WriteBatch::Kind::kPut:
      batch->put(std::move(key), std::move(value));
      return true;
    case WriteBatch::Kind::kErase:
      batch->erase(std::move(key));
      return true;
    case WriteBatch::Kind::kEraseRange:
      batch->erase_range(std::move(key), std::move(value));
      return true;
  }
  return false;
}

}  // namespace

Status sync_directory(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  Status status;
  if (fd < 0 || ::fsync(fd) != 0) status = failed("sync of directory", directory);
  if (fd >= 0) ::close(fd);
  return status;
}

struct BatchLog::Segment {
  Segment(uint64_t its_number, std::string its_path, int its_fd)
      : number(its_number), path(std::move(its_path)), fd(its_fd) {}
  ~Segment() { ::close(fd); }
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  const uint64_t number;
  const std::string path;
  const int fd;
  std::atomic<uint64_t> bytes{0};
  bool ended = false;   // with the log's mutex; nothing is appended any more
  bool synced = false;  // likewise; since it ended
};

BatchLog::BatchLog(std::string directory) : directory_(std::move(directory)) {}
BatchLog::~BatchLog() = default;

Result<std::unique_ptr<BatchLog>> BatchLog::open(const std::string& directory,
                                                 const std::function<void(WriteBatch)>& replay) {
  std::error_code error;
  std::filesystem::create_directory(directory, error);
  if (error) return Status::Io("cannot create directory " + directory + ": " + error.message());
  RETURN_IF_ERROR(sync_directory(std::filesystem::path(directory).parent_path()));
  std::unique_ptr<BatchLog> log(new BatchLog(directory));
  RETURN_IF_ERROR(log->recover(replay));
  RETURN_IF_ERROR(log->start_segment());
  return log;
}

bool BatchLog::exists(const std::string& directory) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (is_segment(entry.path()) || entry.path().filename() == kRangeName + 1) return true;
  }
  return false;
}

Result<BatchLog::Range> BatchLog::read_range() const {
  const std::string path = directory_ + kRangeName;
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return Range();  // nothing was synced yet
  if (fd < 0) return failed("open of", path);
  auto bytes = read_all(fd, path);
  ::close(fd);
  if (!bytes.ok()) return damaged("cannot be read", path);
  Decoder in(*bytes);
  in.u64();
  Range range;
  range.first = in.u64();
  range.last = in.u64();
  if (*bytes != checked(kRangeMagic, range.first, range.last)) return damaged("does not decode", path);
  return range;
}

// Has the file tell what segments there are now, of which those up to `synced` are on the disk.
Status BatchLog::write_range(uint64_t synced) {
  std::lock_guard range_lock(range_mutex_);
  Range next;
  {
    std::lock_guard lock(mutex_);
    next.first = segments_.front()->number;
  }
  next.last = std::max(range_.last, synced);
  CHECK(next.last >= next.first);
  const std::string path = directory_ + kRangeName, temporary = path + ".new";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return failed("creation of", temporary);
  Status status = write_all(fd, checked(kRangeMagic, next.first, next.last), temporary);
  if (status.ok() && ::fsync(fd) != 0) status = failed("sync of", temporary);
  ::close(fd);
  RETURN_IF_ERROR(status);
  if (std::rename(temporary.c_str(), path.c_str()) != 0) return failed("renaming of", temporary);
  RETURN_IF_ERROR(sync_directory(directory_));
  range_ = next;
  return {};
}

Status BatchLog::recover(const std::function<void(WriteBatch)>& replay) {
  auto range = read_range();
  if (!range.ok()) return range.status();
  range_ = *range;
  std::vector<std::pair<uint64_t, std::string>> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
    if (is_segment(entry.path())) found.emplace_back(std::stoull(entry.path().stem()), entry.path());
  }
  if (error) return Status::Io("cannot read directory " + directory_ + ": " + error.message());
  std::sort(found.begin(), found.end());
  bool first = true, has_last = range_.last == 0;
  std::vector<std::string> lost;  // behind a gap, or dropped before
  size_t dropped = 0;
  while (dropped < found.size() && found[dropped].first < range_.first) lost.push_back(found[dropped++].second);
  found.erase(found.begin(), found.begin() + static_cast<ptrdiff_t>(dropped));
  next_number_ = range_.last + 1;
  if (range_.first > 0 && (found.empty() || found[0].first != range_.first)) {
    return damaged("is missing", path_of(directory_, range_.first));
  }
  for (const auto& [number, path] : found) {
    next_number_ = std::max(next_number_, number + 1);
    has_last = has_last || number == range_.last;
    if (lost.size() > dropped) {
      lost.push_back(path);
      continue;
    }
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return failed("open of", path);
    auto segment = std::make_shared<Segment>(number, path, fd);
    segment->ended = true;
    auto bytes = read_all(fd, path);
    if (!bytes.ok()) return damaged("cannot be read", path);
    segment->bytes = bytes->size();
    // A segment without its header was begun just before the end and holds nothing that anybody was told of.
    Decoder header(*bytes);
    header.raw(16);
    const uint64_t sequence = header.u64();
    const bool whole = header.ok() && bytes->starts_with(encode_header(number, sequence));
    if (!whole || (!first && sequence != next_sequence_ && !planted(Bug::kLogGapIgnored))) {
      if (number <= range_.last) return damaged("does not go on where the segment before it ended", path);
      lost.push_back(path);
      continue;
    }
    if (first || planted(Bug::kLogGapIgnored)) next_sequence_ = sequence;
    first = false;
    std::string_view rest = std::string_view(*bytes).substr(kHeaderBytes);
    while (rest.size() >= kRecordHeaderBytes) {
      Decoder in(rest);
      const uint64_t checksum = in.u64();
      const uint32_t length = in.u32();
      if (in.u64() != next_sequence_ || length > rest.size() - kRecordHeaderBytes) break;
      const std::string_view checked = rest.substr(8, kRecordHeaderBytes - 8 + length);
      if (hash64(checked, number) != checksum && !planted(Bug::kLogChecksumIgnored)) break;
      WriteBatch batch;
      Decoder changes(rest.substr(kRecordHeaderBytes, length));
      bool decodes = true;
      while (decodes && changes.ok() && !changes.rest().empty()) decodes = decode_change(changes, &batch);
      if (!decodes) break;
      replay(std::move(batch));
      ++next_sequence_;
      rest.remove_prefix(kRecordHeaderBytes + length);
    }
    segments_.push_back(std::move(segment));
  }
  if (!has_last) return damaged("is missing", path_of(directory_, range_.last));
  // Gone for good, before their sequence numbers are given again.
  for (const std::string& path : lost) {
    if (::unlink(path.c_str()) != 0) return failed("removal of", path);
  }
  return lost.empty() ? Status() : sync_directory(directory_);
}

Status BatchLog::start_segment() {
  const std::string path = path_of(directory_, next_number_);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return failed("creation of", path);
  auto segment = std::make_shared<Segment>(next_number_, path, fd);
  RETURN_IF_ERROR(write_all(fd, encode_header(next_number_, next_sequence_), path));
  segment->bytes = position_ = kHeaderBytes;
  ++next_number_;
  present_ = segment;
  std::lock_guard lock(mutex_);
  if (!segments_.empty()) segments_.back()->ended = true;
  segments_.push_back(std::move(segment));
  return {};
}

Result<uint64_t> BatchLog::begin_segment() {
  RETURN_IF_ERROR(start_segment());
  return next_number_ - 2;
}

Status BatchLog::append(const WriteBatch& batch) {
  buffer_.clear();
  buffer_.reserve(kRecordHeaderBytes + batch.bytes() + batch.changes().size() * 8);
  buffer_.resize(kRecordHeaderBytes);
  Encoder out(buffer_);
  for (const WriteBatch::Change& change : batch.changes()) {
    out.u8(static_cast<uint8_t>(change.kind));
    out.bytes(change.key);
    out.bytes(change.value);
  }
  if (buffer_.size() > kRecordBytesMax) return Status(Code::kTooLarge, "a batch is too large for the log");
  Segment& segment = *present_;
  store_u32(buffer_.data() + 8, static_cast<uint32_t>(buffer_.size() - kRecordHeaderBytes));
  store_u64(buffer_.data() + 12, next_sequence_);
  store_u64(buffer_.data(), hash64(std::string_view(buffer_).substr(8), segment.number));
  RETURN_IF_ERROR(write_all(segment.fd, buffer_, segment.path));
  ++next_sequence_;
  position_ += buffer_.size();
  segment.bytes.store(position_, std::memory_order_relaxed);
  if (buffer_.capacity() > kBufferBytesMax) buffer_ = std::string();
  return {};
}

Status BatchLog::sync() {
  struct Due {
    std::shared_ptr<Segment> segment;
    bool ended;
  };
  std::vector<Due> due;
  uint64_t newest = 0;
  bool entry_due = false;
  {
    std::lock_guard lock(mutex_);
    for (const auto& segment : segments_) {
      if (!segment->synced) due.push_back({segment, segment->ended});
    }
    newest = segments_.back()->number;
    entry_due = entry_synced_ < newest;
  }
  for (const Due& each : due) {
    if (::fdatasync(each.segment->fd) != 0) return failed("sync of", each.segment->path);
  }
  if (entry_due) {
    RETURN_IF_ERROR(sync_directory(directory_));
    RETURN_IF_ERROR(write_range(newest));
  }
  std::lock_guard lock(mutex_);
  for (const Due& each : due) each.segment->synced = each.ended;
  entry_synced_ = std::max(entry_synced_, newest);
  return {};
}

Status BatchLog::drop_through(uint64_t number) {
  std::vector<std::shared_ptr<Segment>> gone;
  {
    std::lock_guard lock(mutex_);
    while (!segments_.empty() && segments_.front()->number <= number) {
      CHECK(segments_.front()->ended);
      gone.push_back(std::move(segments_.front()));
      segments_.pop_front();
    }
  }
  if (gone.empty()) return {};
  bool is_known = false;  // the segment that is now the first one, to the file
  {
    std::lock_guard lock(mutex_);
    is_known = entry_synced_ >= segments_.front()->number;
  }
  RETURN_IF_ERROR(is_known ? write_range(0) : sync());
  // Oldest first: should this end half-way, what is left still has no gap.
  for (const auto& segment : gone) {
    if (::unlink(segment->path.c_str()) != 0) return failed("removal of", segment->path);
  }
  return sync_directory(directory_);
}

uint64_t BatchLog::bytes() const {
  std::lock_guard lock(mutex_);
  uint64_t sum = 0;
  for (const auto& segment : segments_) sum += segment->bytes.load(std::memory_order_relaxed);
  return sum;
}

}  // namespace cartwheel::storage
