// Actor and Dot: the names of writers and of writes.
//
// An actor is one life of one node: (node, epoch). It numbers its leaf-writes in a partition 1, 2, 3 …; a dot is
// (actor, number) and names one write for ever. A dot is never used twice (DESIGN: partition clocks), which is why an
// epoch is taken anew whenever a node may have lost the end of its log.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "base/codec.h"

namespace cartwheel::crdt {

struct Actor {
  uint32_t node = 0;   // hash of the node's name in its cluster
  uint64_t epoch = 0;  // wall-clock milliseconds << 16 with random low bits; grows from life to life
  friend auto operator<=>(const Actor&, const Actor&) = default;
};

struct Dot {
  Actor actor;
  uint64_t seq = 0;  // from 1 to kMaxSeq
  friend auto operator<=>(const Dot&, const Dot&) = default;
};

// Far from the end of 64 bits, so that sums of numbers stay numbers; nobody counts so far, and more does not decode.
inline constexpr uint64_t kMaxSeq = uint64_t{1} << 62;

// actor = node:u32 epoch:u64; dot = actor seq:varint
inline void encode(Encoder& out, const Actor& a) {
  out.u32(a.node);
  out.u64(a.epoch);
}
inline Actor decode_actor(Decoder& in) {
  uint32_t node = in.u32();
  return {node, in.u64()};
}
inline void encode(Encoder& out, const Dot& d) {
  encode(out, d.actor);
  out.varint(d.seq);
}
inline Dot decode_dot(Decoder& in) {
  Actor actor = decode_actor(in);
  Dot dot{actor, in.varint()};
  if (dot.seq == 0 || dot.seq > kMaxSeq) in.fail();
  return dot;
}

// "node.epoch:seq", for logs and failure messages.
std::string to_string(const Dot& dot);

}  // namespace cartwheel::crdt
