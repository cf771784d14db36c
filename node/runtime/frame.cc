#include "node/runtime/frame.h"

#include "base/msgpack.h"

namespace cartwheel::node {

namespace {

uint32_t big_endian32(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

}  // namespace

void append_frame(std::string& out, FrameKind kind, uint8_t stripe, std::string_view payload) {
  CHECK(payload.size() + 2 <= limits::kFrameBytes);
  const auto length = static_cast<uint32_t>(payload.size() + 2);
  const char header[kFrameHeaderBytes] = {static_cast<char>(length >> 24), static_cast<char>(length >> 16),
                                          static_cast<char>(length >> 8),  static_cast<char>(length),
                                          static_cast<char>(kind),         static_cast<char>(stripe)};
  out.append(header, sizeof header);
  out.append(payload);
}

void FrameDecoder::feed(std::string_view bytes) {
  if (bytes.empty()) return;
  if (buffered() == 0) {
    data_ = bytes;
    start_ = 0;
    borrowed_ = true;
    return;
  }
  park();
  buffer_.append(bytes);
  data_ = buffer_;
}

FrameDecoder::Outcome FrameDecoder::next(Frame& frame) {
  if (!error_.empty()) return Outcome::kError;
  const std::string_view left = rest();
  if (left.size() < 4) return Outcome::kNeedMore;
  const uint32_t length = big_endian32(left);
  if (length < 2) return fail("a frame of length " + std::to_string(length) + ", the least is 2");
  if (uint64_t{length} + 4 > limit_) {
    return fail("a frame of " + std::to_string(uint64_t{length} + 4) + " bytes, the limit here is " +
                std::to_string(limit_));
  }
  if (left.size() < 5) return Outcome::kNeedMore;
  const auto kind = static_cast<uint8_t>(left[4]);
  if (kind > static_cast<uint8_t>(FrameKind::kBatch)) return fail("unknown frame kind " + std::to_string(kind));
  if (left.size() - 4 < length) return Outcome::kNeedMore;
  frame.kind = static_cast<FrameKind>(kind);
  frame.stripe = static_cast<uint8_t>(left[5]);
  frame.payload = left.substr(kFrameHeaderBytes, length - 2);
  start_ += 4 + size_t{length};
  return Outcome::kFrame;
}

void FrameDecoder::park() {
  if (borrowed_) {
    buffer_.assign(rest());
    borrowed_ = false;
  } else if (start_ > 0) {
    buffer_.erase(0, start_);
  }
  // A large frame is gone: do not keep its memory for a connection that may stay idle for days.
  if (buffer_.empty() && buffer_.capacity() > kHelloFrameBytes) std::string().swap(buffer_);
  data_ = buffer_;
  start_ = 0;
}

FrameDecoder::Outcome FrameDecoder::fail(std::string message) {
  error_ = std::move(message);
  return Outcome::kError;
}

std::string encode(const Hello& hello) {
  std::string out;
  MsgWriter writer(out);
  writer.array(10);
  writer.uint(hello.version);
  writer.str(hello.cluster);
  writer.str(hello.node);
  writer.uint(hello.shard);
  writer.uint(hello.process);
  writer.uint(hello.epoch);
  writer.str(hello.rpc_host);
  writer.uint(hello.rpc_port);
  writer.str(hello.refusal);
  writer.uint(hello.offers);
  return out;
}

Result<Hello> decode_hello(std::string_view payload) {
  MsgReader reader(payload);
  const uint32_t elements = reader.array();
  if (!reader.ok() || elements < 1) return Status::Corruption("the hello is not a MessagePack array");
  Hello hello;
  hello.version = reader.uint();
  // Only the first element means the same in every version, so it is looked at before the others.
  if (reader.ok() && hello.version != Hello::kVersion) {
    return Status::Corruption("protocol version " + std::to_string(hello.version) + ", this node speaks " +
                              std::to_string(Hello::kVersion));
  }
  if (elements < 5) return Status::Corruption("the hello has " + std::to_string(elements) + " elements, not 5");
  hello.cluster = reader.bytes();
  hello.node = reader.bytes();
  const uint64_t shard = reader.uint();
  hello.process = reader.uint();
  uint32_t read = 5;
  auto more = [&] { return read < elements && ++read > 0; };
  if (more()) hello.epoch = reader.uint();
  if (more()) hello.rpc_host = reader.bytes();
  if (more()) hello.rpc_port = static_cast<uint16_t>(reader.uint() & 0xffff);
  if (more()) hello.refusal = reader.bytes();
  if (more()) hello.offers = reader.uint();
  for (; read < elements && reader.ok(); ++read) reader.skip();
  if (!reader.done()) return Status::Corruption("the hello is malformed");
  hello.shard = static_cast<uint32_t>(shard & 0xffff);
  return hello;
}

}  // namespace cartwheel::node
