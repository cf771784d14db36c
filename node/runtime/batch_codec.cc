#include "node/runtime/batch_codec.h"

#include <zstd.h>

#include <algorithm>

#include "base/codec.h"
#include "base/limits.h"

namespace cartwheel::node {

namespace {

constexpr int kLevel = 3;

void check(size_t result) {
  CHECK(!ZSTD_isError(result));
}

}  // namespace

struct BatchWriter::Stream {
  Stream() : context(ZSTD_createCCtx()) {
    CHECK(context != nullptr);
    check(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, kLevel));
    check(ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, kBatchWindowLog));
    check(ZSTD_CCtx_setParameter(context, ZSTD_c_hashLog, 15));
    check(ZSTD_CCtx_setParameter(context, ZSTD_c_chainLog, 15));
  }
  ~Stream() { ZSTD_freeCCtx(context); }
  ZSTD_CCtx* const context;
};

BatchWriter::BatchWriter() = default;
BatchWriter::~BatchWriter() = default;

void BatchWriter::append(std::string& out, std::string_view frames) {
  if (rest_ > 0) {
    rest_ -= std::min(rest_, frames.size());
    out.append(frames);
    return;
  }
  const size_t before = out.size();
  for (size_t at = 0; at < frames.size(); at += kBatchBytes) append_batch(out, frames.substr(at, kBatchBytes));
  tried_ += frames.size();
  cost_ += out.size() - before;
  if (tried_ < kTrialBytes) return;
  if (cost_ >= tried_) rest_ = kRestBytes;
  tried_ = cost_ = 0;
}

void BatchWriter::append_batch(std::string& out, std::string_view raw) {
  if (!stream_) stream_ = std::make_unique<Stream>();
  std::string batch;
  Encoder(batch).varint(raw.size());
  ZSTD_inBuffer in{raw.data(), raw.size(), 0};
  for (size_t left = 1; left > 0;) {
    const size_t end = batch.size();
    batch.resize(end + std::max<size_t>(ZSTD_compressBound(raw.size() - in.pos), left));
    ZSTD_outBuffer piece{batch.data() + end, batch.size() - end, 0};
    left = ZSTD_compressStream2(stream_->context, &piece, &in, ZSTD_e_flush);
    check(left);
    batch.resize(end + piece.pos);
  }
  append_frame(out, FrameKind::kBatch, 0, batch);
}

struct BatchReader::Stream {
  Stream() : context(ZSTD_createDCtx()) {
    CHECK(context != nullptr);
    check(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, kBatchWindowLog));
  }
  ~Stream() { ZSTD_freeDCtx(context); }
  ZSTD_DCtx* const context;
};

BatchReader::BatchReader() : frames_(limits::kFrameBytes + 4) {}
BatchReader::~BatchReader() = default;

Status BatchReader::read(std::string_view batch, const std::function<void(const Frame&)>& take) {
  Decoder in(batch);
  const uint64_t raw_bytes = in.varint();
  if (!in.ok()) return Status::Corruption("a batch without its size");
  if (raw_bytes > kBatchBytes) {
    return Status::Corruption("a batch of " + std::to_string(raw_bytes) + " bytes, the limit is " +
                              std::to_string(kBatchBytes));
  }
  RETURN_IF_ERROR(decompress(in.rest(), static_cast<size_t>(raw_bytes)));
  frames_.feed(raw_);
  Frame frame;
  FrameDecoder::Outcome outcome = FrameDecoder::Outcome::kNeedMore;
  while ((outcome = frames_.next(frame)) == FrameDecoder::Outcome::kFrame) {
    if (frame.kind != FrameKind::kStripeMessage) return Status::Corruption("a batch of what is no message");
    take(frame);
  }
  if (outcome == FrameDecoder::Outcome::kError) return Status::Corruption("in a batch: " + frames_.error());
  frames_.park();
  if (raw_.capacity() > 64 * 1024) std::string().swap(raw_);  // as FrameDecoder: the link may stay idle for days
  return {};
}

// Leaves exactly `raw_bytes` in raw_.
Status BatchReader::decompress(std::string_view zstd, size_t raw_bytes) {
  if (!stream_) stream_ = std::make_unique<Stream>();
  raw_.resize(raw_bytes + 1);  // one more, so that a batch with more than it claims shows
  ZSTD_inBuffer in{zstd.data(), zstd.size(), 0};
  ZSTD_outBuffer out{raw_.data(), raw_.size(), 0};
  // While there is room in `out`, a call that consumed all of `in` has given out all that it had, too.
  while (in.pos < in.size && out.pos < out.size) {
    const size_t in_before = in.pos, out_before = out.pos;
    const size_t result = ZSTD_decompressStream(stream_->context, &out, &in);
    if (ZSTD_isError(result)) {
      return Status::Corruption(std::string("a batch that does not decompress: ") + ZSTD_getErrorName(result));
    }
    if (in.pos == in_before && out.pos == out_before) break;
  }
  if (in.pos < in.size || out.pos != raw_bytes) return Status::Corruption("a batch of another size than it claims");
  raw_.resize(raw_bytes);
  return {};
}

}  // namespace cartwheel::node
