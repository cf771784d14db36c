// The messages of the tree exchange (tree_exchange.cc): one replica looks at another one's hash tree, step by step from
// the top, and at the leaves where trees differ. Like all messages they may be lost, doubled and reordered; decode
// functions validate everything, and views point into the message.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "node/core/rows.h"

namespace cartwheel::node {

// The values are part of the protocol: append only.
enum class TreeStep : uint8_t {
  kSummary = 0,  // of all partitions that both own: numbers = [one hash]           → [] if equal, else a hash of each
  kGroups = 1,  // numbers = [root]                                                → [] if equal, else the hashes of all
                // groups
  kBuckets = 2,  // numbers = groups                                                → the hashes of their buckets
  kKeys = 3,  // numbers = {bucket, XOR of its hashes on both sides or 0}           → rows of the keys that the asker
              //           lacks of the buckets whose indexes are in `wanted`; key hash and digest of each key in the
              //           other ones; `done` buckets were looked at
  kLeaves = 4,  // slices                   → indexes of slices that differ, rows that the asker lacks, digests of
                //                            leaves that the asked one lacks; `done` slices were looked at
  kPush = 5,    // rows that the asked one lacks                                   → nothing
};

struct TreeRow {
  std::string_view key, path, leaf;
};

// Leaves of the keys with one hash whose path's first step hashes to [from, to]. Either all digests of them, or the
// XOR.
struct TreeSlice {
  uint64_t hash = 0, from = 0, to = UINT64_MAX;
  bool listed = false;
  uint64_t combined = 0;
  std::vector<uint64_t> digests;
};

// [type, id, keyspace, arc, step, epoch, clock, numbers:bin, [hash, from, to, combined, digests:bin | nil, …],
//  [key, path, leaf, …]]. `clock` is a hash of the sender's partition clock: what is compared at unequal clocks means
// nothing.
struct TreeMessage {
  uint64_t id = 0;
  PartitionId partition;
  TreeStep step = TreeStep::kSummary;
  uint64_t epoch = 0;
  uint64_t clock = 0;
  std::vector<uint64_t> numbers;
  std::vector<TreeSlice> slices;
  std::vector<TreeRow> rows;
  std::string encode() const;
  static Result<TreeMessage> decode(std::string_view bytes);
};

// [type, id, keyspace, arc, step, outcome, clock, numbers:bin, wanted:bin, [key, path, leaf, …], done]
struct TreeReplyMessage {
  enum class Outcome : uint8_t {
    kOk = 0,
    kMoved = 1,  // the clocks are not equal now, or the configurations
    kBusy = 2,   // no tree to compare with: it is being built, or the partition repaired
  };
  uint64_t id = 0;
  PartitionId partition;
  TreeStep step = TreeStep::kSummary;
  Outcome outcome = Outcome::kOk;
  uint64_t clock = 0;
  std::vector<uint64_t> numbers, wanted;
  std::vector<TreeRow> rows;
  uint64_t done = 0;
  std::string encode() const;
  static Result<TreeReplyMessage> decode(std::string_view bytes);
};

}  // namespace cartwheel::node
