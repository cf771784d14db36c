// ClusterConfig: who is in the cluster and who owns what, under a monotone epoch. In this version it comes from a file
// that every node reads (node/runtime/cluster_file.h); membership that changes at run time will use the same type.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/status.h"
#include "node/core/level.h"

namespace cartwheel::node {

using NodeIndex = uint16_t;  // position in ClusterConfig::nodes; nodes are sorted by name, so all nodes agree on it
inline constexpr NodeIndex kNoNode = 0xffff;

struct Address {
  std::string host;
  uint16_t port = 0;
  std::string to_string() const { return host + ":" + std::to_string(port); }
  friend bool operator==(const Address&, const Address&) = default;
};

struct NodeInfo {
  std::string
      name;  // unique in the cluster; the node's identity in every dot, so it is never given to another machine's data
  std::string region;
  std::string zone;
  double capacity = 1.0;  // its share of the arcs of its region, relative to the others
  Address rpc, resp, http;
};

struct Keyspace {
  std::string name;
  int select = 0;                            // the RESP database number
  std::string kind = "eventual";             // "strong" is refused for now
  std::map<std::string, uint32_t> replicas;  // region → copies; a region that is not named holds nothing
  Level read, write;                         // defaults of requests
  int64_t default_ttl_ms = 0;                // 0: none
  enum class Durability : uint8_t {
    kOs,
    kAlways
  } durability = Durability::kOs;  // what an ack means: in the kernel, or fsynced
};

// The preference lists of one keyspace: owners[arc] is the list of all regions' replicas, region by region in the order
// of region names, within a region in order of preference.
struct Assignment {
  std::vector<std::vector<NodeIndex>> owners;
};

struct ClusterConfig {
  std::string name;
  uint64_t epoch = 1;
  uint32_t partitions = 1024;           // arcs of each keyspace's ring, a power of two
  uint32_t stripes = 1;                 // storage instances of each node; arc a belongs to stripe a % stripes
  std::vector<NodeInfo> nodes;          // sorted by name
  std::vector<Keyspace> keyspaces;      // in the order of the file
  std::vector<std::string> regions;     // sorted names, derived from nodes
  std::vector<Assignment> assignments;  // one per keyspace, derived by assign()

  // Index of the node called `name`, or kNoNode.
  NodeIndex node(std::string_view name) const;
  // Index of `region` in `regions`; REQUIRES: it is there.
  size_t region(std::string_view region_name) const;
  // Index of the keyspace with RESP number `select`, or -1.
  int keyspace_of_select(int64_t select) const;
};

// The arc of a key in a ring of `partitions` arcs: the top bits of XXH3, so that arcs are ranges of the hash space.
inline uint32_t arc_of_hash(uint64_t hash, uint32_t partitions) {
  return partitions == 1 ? 0 : static_cast<uint32_t>(hash >> (64 - __builtin_ctz(partitions)));
}
inline uint32_t arc_of(std::string_view key, uint32_t partitions) {
  return arc_of_hash(hash64(key), partitions);
}

inline constexpr double kMinCapacity = 0.001, kMaxCapacity = 1'000'000;  // placement counts in thousandths

// Who may own arcs of one keyspace in one region.
struct Candidate {
  NodeIndex node;
  std::string zone;
  double capacity;
};

// The arcs times the candidates of one placement, at most: what it holds in memory is about 50 bytes for each.
inline constexpr uint64_t kMaxPlacementChoices = 1 << 24;

// Assigns `replicas` owners to each of `arcs` arcs, in order of preference. `before` are the preference lists so far;
// they may be empty, have more or fewer replicas, or name nodes that are no candidates any more.
//   1. The owners of an arc are distinct and span as many zones as they can: min(replicas, zones).
//   2. As far as (1) permits, each node owns arcs in proportion to its capacity, and each zone holds copies of each arc
//   in
//      proportion to its own, rounded down or up: within balance_of() of node/core/balance.h.
//   3. Among all assignments with (1) and (2) it is one that moves the least data: that has the fewest owners of an arc
//      that did not own it before.
//   4. Each position is spread evenly too: a node comes first in a part of its arcs that is 1 / replicas rounded down
//   or
//      up, second in its part of the others, and so on. The fewest arcs change who comes first for it, given the
//      owners.
// The result depends on the arguments alone, not on their order. docs/membership.md has the figures.
// Errors: kInvalidArgument when replicas > candidates, a candidate is named twice or has a capacity out of range, or
// the region is larger than kMaxPlacementChoices.
Result<std::vector<std::vector<NodeIndex>>> assign_region(const std::vector<Candidate>& candidates, uint32_t arcs,
                                                          uint32_t replicas,
                                                          const std::vector<std::vector<NodeIndex>>& before);

// What is wrong with a configuration and where, so that the reader of a file can name the line.
struct Problem {
  enum class Part : uint8_t { kCluster, kNode, kKeyspace };
  Status status;  // ok: nothing is wrong, and the rest means nothing
  Part part = Part::kCluster;
  size_t index = 0;  // in nodes or keyspaces
  std::string key;   // as the cluster file calls it ("replicas"); empty: the part as a whole
};
// The first problem of `config`; nodes may be in any order and nothing needs to be derived yet.
Problem check(const ClusterConfig& config);

// Validates `config`, sorts nodes, fills regions and assignments. Errors name what is wrong and where, in the words of
// the cluster file ("keyspace 'carts': 4 replicas in region 'eu', which has 3 nodes").
Status finish(ClusterConfig& config);

}  // namespace cartwheel::node
