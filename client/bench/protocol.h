// The seam between the load loop and a wire protocol: turn an operation into bytes, turn bytes into counted replies.
// Everything else (schedule, keys, connections, statistics) is the same for every protocol.
//
// Threads: a Protocol is immutable after construction and shared by all loops; a ReplyReader belongs to one connection.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "client/bench/workload.h"

namespace cartwheel::bench {

enum class ReplyKind : uint8_t {
  kValue,
  kNil,    // the server holds nothing there
  kError,  // `text` is what the server said
};

struct Reply {
  static constexpr uint64_t kOldest = UINT64_MAX;

  ReplyKind kind = ReplyKind::kValue;
  // A status, number or error: its first 256 bytes. A string: its bytes, if the reader was made to capture them.
  // Valid during on_reply only.
  std::string_view text;
  // The sequence number that encode() was given, for protocols that answer out of order; kOldest: it belongs to the
  // oldest request that still waits.
  uint64_t sequence = kOldest;
};

class ReplySink {
 public:
  virtual ~ReplySink() = default;
  virtual void on_reply(const Reply& reply) = 0;
};

class ReplyReader {
 public:
  virtual ~ReplyReader() = default;
  // Takes the next bytes of the connection, cut anywhere, and reports every reply that they complete. False: the bytes
  // are not this protocol; the connection is of no further use.
  virtual bool feed(std::string_view bytes, ReplySink& sink) = 0;
};

class Protocol {
 public:
  virtual ~Protocol() = default;
  // Appends what a new connection sends first; returns how many replies that brings (0: nothing was appended).
  virtual unsigned greet(std::string& out) const = 0;
  // Appends the request(s) of one operation; returns how many replies complete it (at least 1).
  virtual unsigned encode(const Operation& operation, uint64_t sequence, std::string& out) const = 0;
  virtual std::unique_ptr<ReplyReader> new_reader(bool capture_strings) const = 0;
};

}  // namespace cartwheel::bench
