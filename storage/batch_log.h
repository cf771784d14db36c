// BatchLog: the write-ahead log of an engine, in segment files of its own directory. A batch that was appended is in
// the kernel; one that was appended before a sync() is on the disk. A log comes back as all of its batches up to some
// point: all that were synced, and never one behind a batch that is missing or damaged.
//
//   segment = magic:u64 number:u64 sequence:u64 checksum:u64   of its first batch; checksum of these three
//             record*
//   record  = checksum:u64 length:u32 sequence:u64 change*     XXH3-64 of what follows it, seeded with the number
//   change  = kind:u8 key:bytes value:bytes
//
// Sequence numbers have no gaps: that is how a segment whose end was lost is told from one that simply ends, also when
// later segments have survived. Segments are begun anew at each start and never written again.
//
// A loss of power takes what was not synced, and nothing else. So that a segment that is gone, or damaged, can be told
// from that, a file beside the segments says which there are:
//
//   SEGMENTS = magic:u64 first:u64 last:u64 checksum:u64       of these three; replaced as a whole, and synced
//
// `first` is written before older segments are removed; `last` by the first sync of a segment, before that sync is
// acknowledged: then all segments before it are whole on the disk. So at an open each of them must be there as a whole,
// and `last` must be there. Only what the last synced segment and those behind it have lost looks like a crash.
//
// Threads: append() and begin_segment() by one thread, sync(), drop_through() and bytes() by any at the same time.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "base/status.h"
#include "storage/engine.h"

namespace cartwheel::storage {

class BatchLog {
 public:
  // Opens the log in `directory`, which is made if it does not exist. Hands all batches that came back to `replay`, in
  // order; what lies behind a loss is removed for good. Then begins a segment. Errors: kCorruption if synced segments
  // are missing, damaged or cannot be read; what the file system says. Damage behind the synced part is not an error,
  // because the loss of power leaves any bytes there.
  static Result<std::unique_ptr<BatchLog>> open(const std::string& directory,
                                                const std::function<void(WriteBatch)>& replay);
  // Whether `directory` holds a log.
  static bool exists(const std::string& directory);
  ~BatchLog();
  BatchLog(const BatchLog&) = delete;
  BatchLog& operator=(const BatchLog&) = delete;

  // After a failure nothing may be appended any more: the segment may end in the middle of a record.
  Status append(const WriteBatch& batch);
  // Ends the present segment and begins another. Returns the number of the one that ended.
  Result<uint64_t> begin_segment();
  // Bytes in the present segment.
  uint64_t segment_bytes() const { return position_; }

  // Makes everything that was appended before the call durable.
  Status sync();
  // Removes, durably, all segments up to `number`. REQUIRES: they have ended, were synced after that, and what their
  // batches changed is durable elsewhere.
  Status drop_through(uint64_t number);
  // Of all segments.
  uint64_t bytes() const;

 private:
  struct Segment;

  explicit BatchLog(std::string directory);
  Status recover(const std::function<void(WriteBatch)>& replay);
  Status start_segment();
  struct Range {
    uint64_t first = 0, last = 0;  // 0: none
  };
  Result<Range> read_range() const;
  Status write_range(uint64_t synced);

  const std::string directory_;
  uint64_t next_sequence_ = 1;  // of the next batch
  uint64_t next_number_ = 1;    // of the next segment
  uint64_t position_ = 0;       // in the present segment
  std::string buffer_;          // kept for its memory
  std::shared_ptr<Segment> present_;

  mutable std::mutex mutex_;                       // guards what follows
  std::deque<std::shared_ptr<Segment>> segments_;  // by number; the last one is the present one
  uint64_t entry_synced_ = 0;                      // the directory's entries of segments up to this number are durable

  std::mutex range_mutex_;  // guards range_ and its file; taken before mutex_
  Range range_;             // as the file says
};

// Makes the directory's entries durable.
Status sync_directory(const std::string& directory);

}  // namespace cartwheel::storage
