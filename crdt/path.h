// Path: where a leaf is inside its object, as a byte string of steps.
//
//   path = step+      step = tag:u8 [ name: length:varint bytes ]
//
// Only set elements and map fields have names. A step is self-delimiting, so the leaves under a subtree are exactly
// those whose path starts with the bytes of the subtree's path. The first step tells the type that a key shows at its
// root; a map field continues with the type of its value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/codec.h"

namespace cartwheel::crdt {

// Part of the disk and wire format: append only. When replicas concurrently make one key (or one field) of several
// types, all of them are kept and the one with the highest tag shows (docs/semantics in docs/formats.md).
enum class Tag : uint8_t {
  kExpiry = 1,  // when the object expires: one per object, at the root
  kString = 2,  // a register with a counter: what Redis calls a string
  kFlagEnableWins = 3,
  kFlagDisableWins = 4,
  kElement = 5,  // of a set
  kField = 6,    // of a map
};

inline bool has_name(Tag tag) {
  return tag == Tag::kElement || tag == Tag::kField;
}

inline std::string path_step(Tag tag, std::string_view name = {}) {
  std::string path(1, static_cast<char>(tag));
  if (has_name(tag)) Encoder(path).bytes(name);
  return path;
}
inline std::string field_path(std::string_view field, Tag value_tag = Tag::kString) {
  return path_step(Tag::kField, field) + static_cast<char>(value_tag);
}

struct Step {
  Tag tag;
  std::string_view name;
};
// The first step of `path`, cut off its front; nothing if it is malformed or empty.
std::optional<Step> take_step(std::string_view& path);

// Whether `path` is one or more whole steps within limits::kPathDepth, expiry only at the root, nothing below a leaf.
bool valid_leaf_path(std::string_view path);
// As above, or empty, or ending at a map field, or at the tag alone of elements or fields (all of them): what a range
// removal may name.
bool valid_prefix(std::string_view prefix);

}  // namespace cartwheel::crdt
