// Rows: the keys and values that a stripe keeps in its engine, as a grammar. docs/formats.md quotes it.
//
//   identity  'm' "identity"                          → format:u8=1 cluster:bytes node:bytes epoch:u64 clean:u8
//                                                       boot:bytes next-record:u64
//   partition 'p' keyspace:u16 arc:u16                → format:u8=2 record:u64 keys:varint alone:u8 causal
//   record    'r' number:u64                          → format:u8=1 { keyspace:u16 arc:u16 keys:varint count:varint
//                                                       { delta:bytes } }
//   object    'o' keyspace:u16 arc:u16 hash:u64 key:bytes 0x00
//                                                     → format:u8=1 object                       (packed)
//                                                     | format:u8=2 header                       (a row per leaf)
//   leaf      'o' keyspace:u16 arc:u16 hash:u64 key:bytes 0x01 step-hash:u64 path
//                                                     → leaf
//   tree      'h' keyspace:u16 arc:u16                → tree (partition_tree.h)
//   fallback  'f' keyspace:u16 arc:u16 number:u64     → format:u8=1 at:u64 delta    (at: the wall clock's milliseconds)
//   stage     'x' keyspace:u16 arc:u16 step:u64       → exchange reply (message.h) of that step; 2^64-1: the join has
//                                                       begun; 2^64-2: the clock when a tree was shown
//   quarantine 'q' keyspace:u16 arc:u16               → nothing: the partition is quarantined (quarantine.cc)
//
// All numbers big-endian: a partition, and an object, are each one contiguous range. Leaves of a large object are
// ordered by the hash of their first step, so that a scan's cursor is a number, and a map field's subtree is
// contiguous.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "crdt/causal.h"

namespace cartwheel::node {

struct PartitionId {
  uint16_t keyspace = 0;
  uint32_t arc = 0;
  friend auto operator<=>(const PartitionId&, const PartitionId&) = default;
};

PartitionId decode_partition_id(Decoder& in);  // as it stands behind the first byte of a row's key

std::string identity_row();
std::string partition_row(PartitionId id);
std::string record_row(uint64_t number);
std::string tree_row(PartitionId id);                       // of its hash tree, from a clean stop to the next start
std::string fallback_row(PartitionId id, uint64_t number);  // of a delta that is kept for an owner (fallback.cc)
std::string quarantine_row(PartitionId id);
std::string stage_prefix(PartitionId id);  // of what a full exchange has brought and is not joined yet
std::string stage_row(PartitionId id, uint64_t step);
std::string object_prefix(PartitionId id);                   // of all objects and leaves of the partition
std::string object_position(PartitionId id, uint64_t hash);  // of those whose key hashes to `hash` or above
std::string object_base(PartitionId id, uint64_t hash, std::string_view key);  // of one object's rows
std::string header_row(std::string base);
std::string leaf_row(std::string_view base, std::string_view path);
std::string leaf_position(std::string_view base, uint64_t step_hash);
// The key behind all keys that start with `prefix`.
std::string prefix_end(std::string_view prefix);
uint64_t step_hash(std::string_view path);  // of the first step of `path`

// An object or leaf row's key, taken apart. Views into `row`.
struct ObjectRow {
  uint64_t hash;
  std::string_view key;
  bool is_leaf;
  std::string_view path;  // of a leaf
};
// kCorruption when `row` is not one of the two kinds.
Result<ObjectRow> parse_object_row(std::string_view row);

struct Identity {
  std::string cluster, node;
  uint64_t epoch = 0;
  bool clean = false;
  std::string boot_id;
  uint64_t next_record = 0;
  std::string encode() const;
  static Result<Identity> decode(std::string_view bytes);
};

struct PartitionRow {
  uint64_t record = 0;  // records below this number are contained
  uint64_t keys = 0;
  bool alone = false;  // without other replicas no record tells what came since: the leaves may be ahead of this row
  crdt::Causal causal;
  std::string encode() const;
  static Result<PartitionRow> decode(std::string_view bytes);
};

}  // namespace cartwheel::node
