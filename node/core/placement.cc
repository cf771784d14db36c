// Placement of one keyspace in one region: two applications of a flow of least cost, all in whole numbers so that every
// machine finds the same answer.
//
// 1. Owners. Every arc sends its copies through its parts in the zones to nodes. Parts and nodes take what their bounds
// say
//    (node/core/balance.h), a node takes one copy of an arc, and a copy that is not on its node yet costs one. So the
//    flow of least cost *is* the placement that moves least among all that are distinct, spread and even, and there is
//    one.
//
//      source ---> arc ---high-low---> part of the arc in a zone ---> node ---low---> sink
//         \                           /                                \            /
//          \----------low------------/                                  high-low--> spare
//
//    Everything that leaves the source arrives, so lower bounds need no more than an edge of their own, as long as the
//    others (source to arc, spare to sink) have just the room for the rest.
//
// 2. Order. Position by position of the preference lists, every arc picks who stands there among the owners that are
//    left; a node stands there in its part of the arcs where it could, rounded down or up, and one that did not stand
//    there before costs one. Order moves no data.
#include <algorithm>
#include <cmath>
#include <map>

#include "node/core/balance.h"
#include "node/core/cluster.h"
#include "node/core/min_cost_flow.h"

namespace cartwheel::node {
namespace {

// The owners of each arc, as positions in the candidates.
using Slots = std::vector<uint32_t>;

constexpr uint32_t kGone = UINT32_MAX;  // in the place of a former owner that is no candidate

// A fixed scramble: what comes first in a network is scattered, so that a node shares its arcs with many partners.
uint64_t mix(uint64_t a, uint64_t b) {
  uint64_t z = (a << 32 ^ a >> 32 ^ b) + 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

bool contains(const Slots& slots, uint32_t node) {
  return std::find(slots.begin(), slots.end(), node) != slots.end();
}

// 0 to count - 1, scattered.
std::vector<uint32_t> scattered(uint32_t count, uint64_t salt) {
  std::vector<std::pair<uint64_t, uint32_t>> keys(count);
  for (uint32_t i = 0; i < count; ++i) keys[i] = {mix(salt, i), i};
  std::sort(keys.begin(), keys.end());
  std::vector<uint32_t> out(count);
  for (uint32_t i = 0; i < count; ++i) out[i] = keys[i].second;
  return out;
}

// Lets through `node` (a vertex) what its bounds say, and nothing but the rest of `total` through `spare`.
class BoundedSinks {
 public:
  BoundedSinks(MinCostFlow& flow, uint32_t spare, uint32_t sink) : flow_(flow), spare_(spare), sink_(sink) {}
  void add(uint32_t node, Bounds bounds) {
    flow_.add(node, sink_, bounds.low);
    if (bounds.high > bounds.low) flow_.add(node, spare_, bounds.high - bounds.low);
    lows_ += bounds.low;
  }
  void finish(uint32_t total) { flow_.add(spare_, sink_, total - lows_); }

 private:
  MinCostFlow& flow_;
  uint32_t spare_, sink_, lows_ = 0;
};

std::vector<Slots> choose_owners(const std::vector<Weighted>& nodes, uint32_t arcs, uint32_t replicas,
                                 const std::vector<Slots>& before, uint64_t salt) {
  const Balance balance = balance_of(nodes, arcs, replicas);
  const uint32_t zones = static_cast<uint32_t>(balance.zone_copies.size());
  std::vector<Slots> members(zones);
  for (uint32_t n = 0; n < nodes.size(); ++n) members[nodes[n].zone].push_back(n);
  uint32_t unbound = replicas;  // copies of each arc that may go to one zone or another
  for (const Bounds& copies : balance.zone_copies) unbound -= copies.low;

  const uint32_t source = 0, sink = 1, spare = 2, first_node = 3;
  const uint32_t first_arc = first_node + static_cast<uint32_t>(nodes.size()), first_part = first_arc + arcs;
  MinCostFlow flow(first_part + arcs * zones);
  BoundedSinks sinks(flow, spare, sink);
  for (uint32_t n = 0; n < nodes.size(); ++n) sinks.add(first_node + n, balance.node_arcs[n]);
  sinks.finish(arcs * replicas);

  struct Choice {
    MinCostFlow::Edge edge;
    uint32_t arc, node;
  };
  std::vector<Choice> choices;
  choices.reserve(size_t{arcs} * nodes.size());
  for (uint32_t a : scattered(arcs, salt)) {
    if (unbound > 0) flow.add(source, first_arc + a, unbound);
    for (uint32_t z : scattered(zones, mix(salt, a))) {
      const uint32_t part = first_part + a * zones + z;
      const Bounds copies = balance.zone_copies[z];
      if (copies.low > 0) flow.add(source, part, copies.low);
      if (copies.high > copies.low) flow.add(first_arc + a, part, copies.high - copies.low);
      for (uint32_t i : scattered(static_cast<uint32_t>(members[z].size()), mix(mix(salt, a), z))) {
        const uint32_t n = members[z][i];
        choices.push_back({flow.add(part, first_node + n, 1, contains(before[a], n) ? 0 : 1), a, n});
      }
    }
  }
  const uint64_t sent = flow.run(source, sink);
  CHECK(sent == uint64_t{arcs} * replicas);

  std::vector<Slots> owners(arcs);
  for (const Choice& c : choices) {
    if (flow.flow(c.edge) > 0) owners[c.arc].push_back(c.node);
  }
  return owners;
}

// Brings who stands at `position` there, in every arc.
void choose_position(uint32_t position, uint32_t nodes, std::vector<Slots>& owners, const std::vector<Slots>& before) {
  const uint32_t arcs = static_cast<uint32_t>(owners.size());
  const uint32_t source = 0, sink = 1, spare = 2, first_node = 3, first_arc = first_node + nodes;
  MinCostFlow flow(first_arc + arcs);

  std::vector<uint32_t> eligible(nodes);
  uint32_t left = 0;  // owners without a position, in every arc
  for (const Slots& s : owners) {
    left = static_cast<uint32_t>(s.size()) - position;
    for (uint32_t i = position; i < s.size(); ++i) ++eligible[s[i]];
  }
  BoundedSinks sinks(flow, spare, sink);
  for (uint32_t n = 0; n < nodes; ++n) {
    sinks.add(first_node + n, {eligible[n] / left, (eligible[n] + left - 1) / left});
  }
  sinks.finish(arcs);

  std::vector<MinCostFlow::Edge> first_choice(arcs);
  for (uint32_t a = 0; a < arcs; ++a) {
    flow.add(source, first_arc + a, 1);
    auto rest = owners[a].begin() + position;
    const uint32_t stood = position < before[a].size() ? before[a][position] : kGone;
    const bool stays = std::find(rest, owners[a].end(), stood) != owners[a].end();
    for (auto n = rest; n != owners[a].end(); ++n) {
      auto edge = flow.add(first_arc + a, first_node + *n, 1, stays && *n != stood ? 1 : 0);
      if (n == rest) first_choice[a] = edge;
    }
  }
  CHECK(flow.run(source, sink) == arcs);
  for (uint32_t a = 0; a < arcs; ++a) {
    uint32_t chosen = 0;
    while (flow.flow(first_choice[a] + chosen) == 0) ++chosen;
    std::swap(owners[a][position], owners[a][position + chosen]);
  }
}

void order_owners(uint32_t nodes, std::vector<Slots>& owners, const std::vector<Slots>& before, uint64_t salt) {
  for (uint32_t a = 0; a < owners.size(); ++a) {  // as it was before, newcomers last
    auto rank = [&](uint32_t n) {
      return std::pair(std::find(before[a].begin(), before[a].end(), n) - before[a].begin(), mix(salt + a, n));
    };
    std::sort(owners[a].begin(), owners[a].end(), [&](uint32_t x, uint32_t y) { return rank(x) < rank(y); });
  }
  for (uint32_t p = 0; p + 1 < owners[0].size(); ++p) choose_position(p, nodes, owners, before);
}

}  // namespace

Result<std::vector<std::vector<NodeIndex>>> assign_region(const std::vector<Candidate>& candidates, uint32_t arcs,
                                                          uint32_t replicas,
                                                          const std::vector<std::vector<NodeIndex>>& before) {
  if (replicas > candidates.size()) {
    return Status::InvalidArgument(std::to_string(replicas) + " replicas, but only " +
                                   std::to_string(candidates.size()) + " nodes to hold them");
  }
  // The result must not depend on the order of the candidates.
  std::vector<Candidate> sorted = candidates;
  std::sort(sorted.begin(), sorted.end(), [](const Candidate& a, const Candidate& b) { return a.node < b.node; });
  std::map<NodeIndex, uint32_t> position;
  std::map<std::string_view, uint32_t> zones;
  for (uint32_t i = 0; i < sorted.size(); ++i) {
    if (!(sorted[i].capacity >= kMinCapacity && sorted[i].capacity <= kMaxCapacity)) {
      return Status::InvalidArgument("capacity must be from 0.001 to 1000000");
    }
    if (!position.emplace(sorted[i].node, i).second) return Status::InvalidArgument("a node is a candidate twice");
    zones.emplace(sorted[i].zone, 0);
  }
  if (arcs * uint64_t{sorted.size()} > kMaxPlacementChoices) {
    return Status::InvalidArgument(std::to_string(arcs) + " partitions are too many for " +
                                   std::to_string(sorted.size()) + " nodes in one region");
  }
  if (replicas == 0 || arcs == 0) return std::vector<std::vector<NodeIndex>>(arcs);
  uint32_t zone_count = 0;
  for (auto& [name, id] : zones) id = zone_count++;
  std::vector<Weighted> nodes;
  // So that it is not the same arcs that every change touches first. Numbers of nodes do not matter, only their order:
  // a region is placed alike whatever comes before it in the cluster.
  uint64_t salt = 0;
  for (const Candidate& c : sorted) {
    nodes.push_back({zones[c.zone], static_cast<uint64_t>(std::llround(c.capacity * 1000))});
    salt = mix(mix(salt, nodes.back().zone), nodes.back().weight);
  }
  std::vector<Slots> known(arcs);
  for (size_t a = 0; a < std::min<size_t>(arcs, before.size()); ++a) {
    for (NodeIndex n : before[a]) {
      auto it = position.find(n);
      uint32_t slot = it == position.end() || contains(known[a], it->second) ? kGone : it->second;
      known[a].push_back(slot);
    }
  }
  std::vector<Slots> owners = choose_owners(nodes, arcs, replicas, known, salt);
  order_owners(static_cast<uint32_t>(nodes.size()), owners, known, salt);
  std::vector<std::vector<NodeIndex>> result(arcs);
  for (uint32_t a = 0; a < arcs; ++a) {
    for (uint32_t n : owners[a]) result[a].push_back(sorted[n].node);
  }
  return result;
}

}  // namespace cartwheel::node
