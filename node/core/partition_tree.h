// PartitionTree: a hash tree over what one replica holds of a partition, so that two replicas find what differs between
// millions of equal keys by comparing a few hashes.
//
// A key belongs to one of kBuckets buckets by the bits of its hash that follow those of the arc, so a bucket's keys are
// one range of rows. A bucket's hash is the XOR of the digests of its visible leaves (crdt/leaf.h: path, sorted dots,
// times and values; never the layout of rows, never what is remembered invisibly). A dot belongs to one key and one
// path, so equal digests of different leaves do not occur by themselves. XOR makes an update O(1): out with the old
// leaf, in with the new one. The hashes find errors of disks and programs, not an adversary.
//
// What leaves remember invisibly, the resets of counters, has a XOR of its own per bucket, which is compared with
// nobody's: it tells in which buckets there is some.
//
// The root and the groups are the XOR of the buckets below them. Below the buckets nothing is kept in memory: it is
// read from the rows when two buckets differ.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace cartwheel::node {

class PartitionTree {
 public:
  static constexpr uint32_t kFanOut = 32, kBuckets = kFanOut * kFanOut;
  using Buckets = std::bitset<kBuckets>;

  // The bucket of a key with this hash. REQUIRES: partitions is a power of two.
  static uint32_t bucket_of(uint64_t hash, uint32_t partitions);
  // The least hash of a key of `bucket` in `arc`.
  static uint64_t first_hash(uint32_t bucket, uint32_t arc, uint32_t partitions);

  // A leaf came, went or changed: `by` is the XOR of its digest before and after, `resets_by` that of the hash of what
  // it remembers (Leaf::resets_hash).
  void change(uint32_t bucket, uint64_t by, uint64_t resets_by = 0);
  void merge(const PartitionTree& other);  // as if the leaves of both were in one
  void clear();

  uint64_t root() const { return root_; }
  uint64_t group(uint32_t group) const { return groups_[group]; }
  uint64_t bucket(uint32_t bucket) const { return buckets_.empty() ? 0 : buckets_[bucket]; }

  Buckets remembering() const;                            // buckets with leaves that remember resets
  Buckets differences(const PartitionTree& other) const;  // buckets whose hashes differ

  // tree = format:u8=2 [ { bucket:u64 } [ { resets:u64 } ] ], each of all buckets; left out when all are 0
  std::string encode() const;
  static Result<PartitionTree> decode(std::string_view bytes);
  // shown = { bucket:u16 hash:u64 }, ascending, of the buckets whose hash is not 0: what another replica needs
  std::string encode_shown() const;
  static Result<PartitionTree> decode_shown(std::string_view bytes);
  friend bool operator==(const PartitionTree& a, const PartitionTree& b);

 private:
  uint64_t root_ = 0;
  std::array<uint64_t, kFanOut> groups_{};
  std::vector<uint64_t> buckets_;  // empty as long as nothing came
  std::vector<uint64_t> resets_;   // likewise
};

}  // namespace cartwheel::node
