// ClusterConfig: who is in the cluster and who owns what, under a monotone epoch. It begins as a cluster file that
// every node reads (node/runtime/cluster_file.h) or as one node that starts a cluster, and is changed from then on as
// one linearizable register (docs/membership.md). A configuration is a value: it never changes, a later one replaces
// it.
//
// Positions are names: that of a node, of a keyspace and of a region stays the same in every later configuration, and
// none is given to another one. What is gone keeps its place (State::kRemoved, `dropped`).
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/status.h"
#include "node/core/level.h"

namespace cartwheel::node {

using NodeIndex = uint16_t;  // position in ClusterConfig::nodes
inline constexpr NodeIndex kNoNode = 0xffff;
inline bool contains(const std::vector<NodeIndex>& nodes, NodeIndex node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

struct Address {
  std::string host;
  uint16_t port = 0;
  std::string to_string() const { return host + ":" + std::to_string(port); }
  friend bool operator==(const Address&, const Address&) = default;
};

struct NodeInfo {
  enum class State : uint8_t {
    kMember = 0,   // may own arcs
    kLeaving = 1,  // gets no more arcs, and hands over those it has
    kRemoved = 2,  // refused for ever
  };
  std::string name;  // unique among those that are not removed
  std::string region;
  std::string zone;
  double capacity = 1.0;  // its share of the arcs of its region, relative to the others
  Address rpc, resp, http;
  uint64_t identity = 0;  // of its data directory, chosen at random; 0: not known, as in a cluster file
  uint32_t lives = 0;     // how many data directories have been known in this position; 0: none yet
  State state = State::kMember;
  bool removed() const { return state == State::kRemoved; }
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
  // While an owner cannot be reached, another node of its region keeps what is written for it, and counts for levels
  // (node/core/fallback.cc).
  bool fallbacks = false;
  bool dropped = false;  // its data is gone, or going
};

// How far an arc is on its way from its old owners to its new ones (docs/membership.md). Between two stages lies a
// barrier; a node that has not heard of a stage yet is fenced by those that have.
enum class Stage : uint8_t {
  kLoad = 1,       // the old ones serve; the new ones get a snapshot each
  kWriteBoth = 2,  // writes need their level among the old and among the new ones; the old ones coordinate and are read
  kReadNew = 3,    // writes as before; the new ones coordinate and are read
  kDrain = 4,      // the new ones alone are written and read; the old ones keep what they have until those have it all
};
std::string_view to_string(Stage stage);

// An arc that moves. Its Assignment::owners are those who coordinate and are read: the old ones up to kWriteBoth, the
// new ones from kReadNew on.
struct Move {
  Stage stage = Stage::kLoad;
  uint64_t since = 0;  // the epoch of the configuration with which the stage began
  // Up to kWriteBoth the new owners, in kReadNew the old ones, in kDrain whoever has it and is no owner.
  std::vector<NodeIndex> others;
  friend bool operator==(const Move&, const Move&) = default;
};

// The preference lists of one keyspace: owners[arc] is the list of all regions' replicas, region by region in the order
// of ClusterConfig::regions, within a region in order of preference.
struct Assignment {
  std::vector<std::vector<NodeIndex>> owners;
  std::map<uint32_t, Move> moves;       // by arc
  std::map<uint32_t, uint64_t> fences;  // by arc: the epoch since which its owners are read, 0 if it never moved

  const Move* move(uint32_t arc) const {
    auto it = moves.empty() ? moves.end() : moves.find(arc);
    return it == moves.end() ? nullptr : &it->second;
  }
  uint64_t fence(uint32_t arc) const {
    auto it = fences.empty() ? fences.end() : fences.find(arc);
    return it == fences.end() ? 0 : it->second;
  }
  friend bool operator==(const Assignment&, const Assignment&) = default;
};

// A change of the ring, asked for by an operator: the first one of the queue runs, the others wait.
struct RingChange {
  enum class Kind : uint8_t {
    kJoin = 1,       // `node` gets its share of the arcs
    kLeave = 2,      // `node` hands over its arcs and is removed
    kReplace = 3,    // `node` takes the place of `other`, which is dead and removed
    kRebalance = 4,  // arcs go to where they belong
    kReplicas = 5,   // `keyspace` gets `replicas`
  };
  uint64_t id = 0;  // of the epoch with which it was queued; unique
  Kind kind = Kind::kRebalance;
  NodeIndex node = kNoNode, other = kNoNode;
  uint16_t keyspace = 0;
  std::map<std::string, uint32_t> replicas = {};
  uint32_t arcs = 0;     // that it moves in all, once it runs
  bool planned = false;  // it runs: its moves are in the assignments
  friend bool operator==(const RingChange&, const RingChange&) = default;
};
std::string_view to_string(RingChange::Kind kind);

struct ClusterConfig {
  std::string name;
  uint64_t epoch = 1;
  uint32_t partitions = 1024;           // arcs of each keyspace's ring, a power of two
  uint32_t stripes = 1;                 // storage instances of each node; arc a belongs to stripe a % stripes
  std::vector<NodeInfo> nodes;          // those of a file sorted by name, later ones behind them
  std::vector<Keyspace> keyspaces;      // in the order of the file, later ones behind them
  std::vector<std::string> regions;     // those of a file sorted by name, later ones behind them
  std::vector<Assignment> assignments;  // one per keyspace
  std::vector<NodeIndex> voters;        // who decides about the next configuration
  std::vector<NodeIndex> next_voters;   // not empty: majorities of both are needed
  std::vector<RingChange> changes;      // of the ring

  // Index of the node called `name` that is not removed, or kNoNode.
  NodeIndex node(std::string_view name) const;
  // Index of `region` in `regions`; REQUIRES: it is there.
  size_t region(std::string_view region_name) const;
  // Index of the keyspace called `name` that is not dropped, or -1.
  int keyspace_named(std::string_view keyspace_name) const;
  // Index of the keyspace with RESP number `select`, or -1.
  int keyspace_of_select(int64_t select) const;
};

// The number of `node` in dots: a hash of its name, which all agree on.
uint32_t actor_node_id(const ClusterConfig& config, NodeIndex node);

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
// The first problem of `config`; nodes may be in any order and nothing needs to be derived yet. Only one that is not
// from a file may be without keyspaces. What is removed or dropped is not looked at.
Problem check(const ClusterConfig& config, bool from_file = true);

// Validates `config`, sorts nodes, fills regions and assignments. Errors name what is wrong and where, in the words of
// the cluster file ("keyspace 'carts': 4 replicas in region 'eu', which has 3 nodes").
Status finish(ClusterConfig& config);

}  // namespace cartwheel::node
