// Frames of the RPC port, and the hello that opens each connection. Sans-IO: no socket, no libuv.
//
//   frame = length:u32be kind:u8 stripe:u8 payload        length counts what follows it, so it is at least 2
//   kind  = 0 hello            payload: MessagePack array, see Hello; the first frame of either side
//         | 1 stripe message   payload: one message to that stripe of the receiver, see docs/rpc.md
//         | 2 client request   stripe is 0
//         | 3 client reply     stripe is 0
//         | 4 batch            messages between regions, compressed, see batch_codec.h; stripe is 0
//
// A length above the limit and an unknown kind are errors as soon as their bytes are there; memory follows the bytes
// that have arrived, never the length that a peer claims.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "base/status.h"

namespace cartwheel::node {

enum class FrameKind : uint8_t { kHello = 0, kStripeMessage = 1, kRequest = 2, kReply = 3, kBatch = 4 };

inline constexpr size_t kFrameHeaderBytes = 6;
inline constexpr size_t kHelloFrameBytes = 64 * 1024;  // before the hello nobody has a reason to send more

struct Frame {
  FrameKind kind = FrameKind::kHello;
  uint8_t stripe = 0;
  std::string_view payload;  // valid until the decoder's next call
};

// Appends one frame. REQUIRES: payload.size() + 2 <= limits::kFrameBytes.
void append_frame(std::string& out, FrameKind kind, uint8_t stripe, std::string_view payload);

// Cuts a stream of bytes into frames, wherever it was fragmented. Use: feed(bytes), next() until it is not kFrame,
// park(). Between feed() and park() the bytes must stay valid. An error is final: the stream is out of step.
class FrameDecoder {
 public:
  enum class Outcome : uint8_t { kFrame, kNeedMore, kError };

  // `limit` bounds length + 4, the size of a whole frame.
  explicit FrameDecoder(size_t limit = kHelloFrameBytes) : limit_(limit) {}
  // From the next frame on.
  void set_limit(size_t limit) { limit_ = limit; }

  // Adds input: borrowed until park() when nothing is left from before, else appended to what is left.
  void feed(std::string_view bytes);
  Outcome next(Frame& frame);
  // Copies what is left of borrowed input, so that its bytes may be reused.
  void park();

  const std::string& error() const { return error_; }
  // What was fed and not given out, for handing the stream to another decoder.
  std::string_view rest() const { return data_.substr(start_); }
  size_t buffered() const { return data_.size() - start_; }

 private:
  Outcome fail(std::string message);

  size_t limit_;
  std::string_view data_;  // of borrowed input or of buffer_
  size_t start_ = 0;       // of the frame that next() looks at
  bool borrowed_ = false;
  std::string buffer_;
  std::string error_;
};

// What each side says first. As MessagePack: [version, cluster, node, shard, process, epoch, rpc host, rpc port,
// refusal, offers]; those from `epoch` on may be missing.
struct Hello {
  static constexpr uint64_t kVersion = 1;
  uint64_t version = kVersion;
  std::string cluster;   // a client may leave it empty: it takes what it finds
  std::string node;      // name of the sender; empty: a client, no node
  uint32_t shard = 0;    // the sender's shard, a hint at which shard of the receiver should have the connection
  uint64_t process = 0;  // chosen at random when the sender's process started
  uint64_t epoch = 0;    // of the sender's configuration
  std::string rpc_host;  // where the sender listens
  uint16_t rpc_port = 0;
  std::string refusal;  // why the sender does not go on with this connection; empty: it does
  // What the sender can do beyond what every node of this version can; bits that nobody knows yet are ignored.
  static constexpr uint64_t kReadsBatches = 1;  // frames of kind kBatch may be sent to it
  uint64_t offers = 0;
};
std::string encode(const Hello& hello);
// kCorruption, naming what is wrong. More elements than this version knows are ignored.
Result<Hello> decode_hello(std::string_view payload);

}  // namespace cartwheel::node
