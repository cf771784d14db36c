// Counts RESP2 and RESP3 replies in a stream of bytes without building them.
//
// Nested aggregates need no stack: an aggregate of n elements leaves n more elements to see before its reply is whole,
// so one counter does for every depth. Strings are skipped by length, never looked at or stored (unless captured).
// Attributes (|) and pushes (>) belong to no request and are passed over.
//
// Memory: bounded by the bytes received, never by a length that the peer claims.
#pragma once

#include "client/bench/protocol.h"

namespace cartwheel::bench {

class RespReader final : public ReplyReader {
 public:
  explicit RespReader(bool capture_strings) : capture_strings_(capture_strings) {}
  bool feed(std::string_view bytes, ReplySink& sink) override;

 private:
  // kLine:  a header line (type, then text or number), up to LF
  // kBody:  the bytes of a string, then CR LF
  enum class State : uint8_t { kLine, kBody };

  bool on_line(std::string_view line, ReplySink& sink);
  bool open_aggregate(char type, int64_t count, ReplySink& sink);
  void on_element_end(ReplySink& sink);

  const bool capture_strings_;
  State state_ = State::kLine;
  std::string line_;            // the part of a header line that earlier reads brought
  uint64_t body_left_ = 0;      // bytes of the string and its CR LF still to come
  uint64_t elements_left_ = 0;  // of the reply being read; 0: the next byte begins a reply
  bool at_head_ = false;        // the element that names the kind of the reply is still to come
  bool capturing_ = false;      // the string being read is a whole reply
  bool counts_ = true;          // false inside a push
  ReplyKind kind_ = ReplyKind::kValue;
  std::string text_;
};

}  // namespace cartwheel::bench
