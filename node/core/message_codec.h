// What the encodings of messages share. Only for the .cc files of messages.
#pragma once

#include <string>
#include <string_view>

#include "base/msgpack.h"
#include "base/status.h"
#include "crdt/clock.h"
#include "node/core/message.h"

namespace cartwheel::node {

inline MsgWriter begin(std::string& out, MessageType type, uint32_t fields) {
  MsgWriter w(out);
  w.array(fields + 1);
  w.uint(static_cast<uint64_t>(type));
  return w;
}

// Reads the array header and the type; the reader fails if they are not as expected.
inline MsgReader open(std::string_view bytes, MessageType type, uint32_t fields) {
  MsgReader r(bytes);
  if (r.array() != fields + 1 || r.uint() != static_cast<uint64_t>(type)) r.fail();
  return r;
}

inline void write(MsgWriter& w, PartitionId id) {
  w.uint(id.keyspace);
  w.uint(id.arc);
}
inline PartitionId read_partition(MsgReader& r) {
  uint64_t keyspace = r.uint(), arc = r.uint();
  if (keyspace > 0xffff || arc > 0xffff) r.fail();
  return {static_cast<uint16_t>(keyspace), static_cast<uint32_t>(arc)};
}

inline std::string clock_bytes(const crdt::Clock& clock) {
  std::string bytes;
  Encoder out(bytes);
  clock.encode(out);
  return bytes;
}
inline crdt::Clock read_clock(MsgReader& r) {
  Decoder in(r.bytes());
  crdt::Clock clock = crdt::Clock::decode(in);
  if (!in.done()) r.fail();
  return clock;
}

// As open(), where a message may have up to `most` fields more than `fields`: how many it has.
inline MsgReader open_optional(std::string_view bytes, MessageType type, uint32_t fields, uint32_t* more,
                               uint32_t most = 1) {
  MsgReader r(bytes);
  uint32_t n = r.array();
  *more = n > fields + 1 ? n - fields - 1 : 0;
  if (n < fields + 1 || *more > most || r.uint() != static_cast<uint64_t>(type)) r.fail();
  return r;
}

template <typename T>
Result<T> finished(const MsgReader& r, T message) {
  if (!r.done()) return Status::Corruption("a message does not decode");
  return message;
}

}  // namespace cartwheel::node
