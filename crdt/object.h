// Object: the leaves of one key by path, as a value. The node holds small objects like this and large ones as a row per
// leaf; the functions of crdt/types.h work on the leaves, whatever holds them.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crdt/leaf.h"
#include "crdt/path.h"

namespace cartwheel::crdt {

class Object {
 public:
  using Row = std::pair<std::string, Leaf>;

  const Leaf* find(std::string_view path) const;
  Leaf& at(std::string_view path);             // makes an empty one if there is none
  void set(std::string_view path, Leaf leaf);  // an empty leaf removes the row
  void erase(std::string_view path);
  const std::vector<Row>& rows() const { return rows_; }  // ascending paths
  std::vector<Row>& rows() { return rows_; }
  bool empty() const { return rows_.empty(); }
  // The rows whose path starts with `prefix`, as a range of indexes [first, second).
  std::pair<size_t, size_t> range(std::string_view prefix) const;

  // XOR of the digests of all visible leaves: maintained leaf by leaf, independent of how the object is stored.
  uint64_t digest() const;

  // object = count:varint { path:bytes leaf }
  void encode(Encoder& out) const;
  static Object decode(Decoder& in);
  size_t size_hint() const;  // as Leaf::size_hint()
  friend bool operator==(const Object&, const Object&) = default;

 private:
  std::vector<Row> rows_;
};

}  // namespace cartwheel::crdt
