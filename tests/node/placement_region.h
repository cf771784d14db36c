// The regions that the tests of placement place keyspaces in, and the changes that happen to them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/rng.h"
#include "node/core/cluster.h"

namespace cartwheel::node {

using Owners = std::vector<std::vector<NodeIndex>>;

// A region, what is to be placed in it, and the positions of its nodes: loads and shares are by position.
struct Region {
  std::vector<Candidate> nodes;
  uint32_t arcs = 1024;
  uint32_t replicas = 3;
  NodeIndex next = 0;  // of the next node that joins

  std::map<std::string, size_t> zone_sizes() const;
  // Position of `node` in `nodes`, or nodes.size().
  size_t find(NodeIndex node) const;
};

// `nodes` nodes of capacity 1, zone by zone in turn.
Region region_of(size_t nodes, size_t zones, uint32_t arcs = 1024, uint32_t replicas = 3);
// 3 to `most` nodes (at least one per zone) over zones of random, unequal sizes; with capacities of 0.5 to 4 when
// `unequal`.
Region random_region(Rng& rng, size_t most, size_t zones, bool unequal);

enum class Change { kJoin, kLeave, kReplace, kReweigh, kMoreReplicas, kFewerReplicas };
const char* name_of(Change change);
// Changes `region`: a new node of a random zone (and capacity, if `unequal`) joins, one leaves, ... False, without a
// change, when that is not possible. Zones never vanish (their last node does not leave) and replicas stay from 2 to 5.
bool apply(Change change, Rng& rng, bool unequal, Region& region);

// assign_region(), which must succeed.
Owners place(const Region& region, const Owners& before = {});

std::vector<uint64_t> loads(const Region& region, const Owners& owners);
// How often each node comes first.
std::vector<uint64_t> leads(const Region& region, const Owners& owners);

}  // namespace cartwheel::node
