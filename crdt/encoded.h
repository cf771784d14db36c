// Leaves and objects as they are encoded, looked at without being decoded: for who wants to know of many rows what
// their digests are, or to pass them on as they are. What is refused, and every digest, is exactly as with
// Leaf::decode() and Object::decode(), which tests and fuzz targets hold them to.
#pragma once

#include <string_view>

#include "base/codec.h"
#include "crdt/leaf.h"

namespace cartwheel::crdt {

// Reads a leaf and gives its parts to `sink`: entry(dot, time, value), chain(actor, chain), end_of_content(),
// reset(dot) and seen(chain) of the reset before. Fails `in` where the bytes are not what Leaf::encode() writes.
template <typename Sink>
void read_leaf(Decoder& in, Sink& sink) {
  Dot last_dot{};
  bool first = true;
  for (size_t n = in.count(15); n > 0 && in.ok(); --n, first = false) {
    const Dot dot = decode_dot(in);
    Hlc time;
    time.value = in.varint();
    const std::string_view value = in.bytes();
    if (!first && !(last_dot < dot)) in.fail();
    last_dot = dot;
    sink.entry(dot, time, value);
  }
  Actor last_actor{};
  first = true;
  for (size_t n = in.count(16); n > 0 && in.ok(); --n, first = false) {
    const Actor actor = decode_actor(in);
    const Chain chain = decode_chain(in);
    if (!first && !(last_actor < actor)) in.fail();
    last_actor = actor;
    sink.chain(actor, chain);
  }
  sink.end_of_content();
  first = true;
  for (size_t n = in.count(14); n > 0 && in.ok(); --n, first = false) {
    const Dot dot = decode_dot(in);
    if (!first && !(last_dot < dot)) in.fail();
    last_dot = dot;
    sink.reset(dot);
    for (size_t k = in.count(15); k > 0 && in.ok(); --k) sink.seen(decode_observed(in));
  }
}

// Views into what was read.
struct EncodedLeaf {
  bool visible = false;
  std::string_view content;  // what digests cover: all but the resets
  std::string_view bytes;    // all of it

  // Of nothing, and in.ok() is false, where Leaf::decode() would refuse.
  static EncodedLeaf read(Decoder& in);
  uint64_t digest(std::string_view path) const;
  bool remembers() const;        // whether it has resets
  uint64_t resets_hash() const;  // as Leaf::resets_hash()
};

// The leaves of an object one after the other:
//   EncodedObject rows(in);
//   while (rows.next()) …
//   if (!in.ok()) …       (what was seen before means nothing then)
class EncodedObject {
 public:
  explicit EncodedObject(Decoder& in);
  bool next();
  std::string_view path() const { return path_; }
  const EncodedLeaf& leaf() const { return leaf_; }
  uint64_t digest() const;  // of the leaf at its path, whether it is visible or not

 private:
  Decoder& in_;
  size_t left_;
  bool first_ = true;
  std::string_view path_;
  EncodedLeaf leaf_;
  std::string_view digested_;  // path and content: they lie beside each other
};

}  // namespace cartwheel::crdt
