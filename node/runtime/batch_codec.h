// BatchWriter and BatchReader: the frames of a link between regions, compressed. Sans-IO, zstd.
//
//   batch = raw_bytes:varint zstd        the payload of a frame of kind kBatch
//
// The batches of a connection are one zstd stream, flushed at the end of each batch: what was said lately is the
// dictionary for what comes next, and an edit of a cart becomes little more than what is new in it. A new connection
// begins a new stream. The decompressed batches, one after the other, are frames of kind kStripeMessage; a frame may go
// on in the next batch. Frames that are not in batches may come between two of them.
//
// Memory: a writer takes about 1 MB and a reader 0.6 MB from the first batch on. The window of the stream bounds what
// either remembers, and the reader refuses a stream with a larger one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "node/runtime/frame.h"

namespace cartwheel::node {

inline constexpr size_t kBatchBytes = 256 * 1024;  // of one batch when it is decompressed
inline constexpr int kBatchWindowLog = 17;         // of the stream: 128 KiB

class BatchWriter {
 public:
  BatchWriter();
  ~BatchWriter();
  BatchWriter(const BatchWriter&) = delete;
  BatchWriter& operator=(const BatchWriter&) = delete;

  // Appends `frames`, which are whole, to `out`: as batches, or as they are while compressing does not make them
  // smaller. That is judged over kTrialBytes, after which kRestBytes go as they are; a batch that turned out no smaller
  // is sent nevertheless, since the reader needs it to follow the stream. It is larger by less than 1 % and 16 bytes.
  void append(std::string& out, std::string_view frames);

  static constexpr size_t kTrialBytes = 64 * 1024;
  static constexpr size_t kRestBytes = 1024 * 1024;

 private:
  struct Stream;
  void append_batch(std::string& out, std::string_view raw);

  std::unique_ptr<Stream> stream_;  // from the first batch on
  size_t tried_ = 0, cost_ = 0;     // bytes of this trial before and after
  size_t rest_ = 0;                 // bytes that still go as they are
};

class BatchReader {
 public:
  BatchReader();
  ~BatchReader();
  BatchReader(const BatchReader&) = delete;
  BatchReader& operator=(const BatchReader&) = delete;

  // Calls `take` for each message that the batch completes; the frame is valid during the call. kCorruption when it is
  // no batch, claims or has more than kBatchBytes, has another size than it claims, or holds anything but messages:
  // checked before memory is taken. An error is final: the stream is out of step.
  Status read(std::string_view batch, const std::function<void(const Frame&)>& take);

 private:
  struct Stream;
  Status decompress(std::string_view zstd, size_t raw_bytes);

  std::unique_ptr<Stream> stream_;  // from the first batch on
  std::string raw_;
  FrameDecoder frames_;
};

}  // namespace cartwheel::node
