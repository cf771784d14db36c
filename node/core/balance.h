// What an even placement is: how many arcs each node of a region owns, and how many copies of an arc each zone holds.
#pragma once

#include <cstdint>
#include <vector>

namespace cartwheel::node {

// A node as balance sees it. Weights are whole numbers, so that every machine finds the same bounds.
struct Weighted {
  uint32_t zone;    // 0, 1, ... without gaps
  uint64_t weight;  // its capacity in thousandths
};

struct Bounds {
  uint32_t low, high;
};

struct Balance {
  std::vector<Bounds> node_arcs;    // by node: how many arcs it owns
  std::vector<Bounds> zone_copies;  // by zone: how many owners of each arc are in it
};

// The *share* of a node is the part of all copies that its capacity is of all capacities, except that
//   - no node owns an arc twice: a share is at most `arcs`;
//   - the spread over zones comes first. With no more replicas than zones, no arc has two owners in a zone, so a zone
//     holds at most one copy of every arc; with more, every arc has one in each, so a zone holds at least that. Where
//     the shares of a zone's nodes would be more or less, all of them are scaled alike.
// What this takes from some or gives to some is divided among the others by capacity again. (Water-filling: there is
// one level λ such that each zone holds λ times its capacity, as near as its limits allow.)
//
// Bounds are shares in whole numbers:
//   - zone_copies: the zone's share of one arc, rounded down and up. So an arc spans min(replicas, zones) zones, and
//   the
//     copies beyond one per zone are spread as the zones' capacities are: of 5 replicas in 3 equal zones no zone has 3.
//   - node_arcs: low is the node's share rounded down. High is such that the largest load / share is the least that
//   whole
//     numbers allow, or 1.01 if that is more: it is μ times the weight, rounded down, for the smallest μ with which all
//     copies fit; but at least the share rounded up where that is within 1 % of the share.
// A node that leaves makes no bound smaller and one that joins makes none larger, as long as the zones' limits stay out
// of it. So what the one owned goes to others, what the other gets comes from others, and nothing else has to move.
//
// There is a placement within these bounds: take loads within them that add up, and let each arc give each node the
// same part of its load. That is a placement in fractions of copies within all of them; and as they bound nested sums
// (nodes, zones, all), one in whole copies is within them too.
//
// REQUIRES: 0 < replicas <= nodes.size(), weights from 1 to 10^9, arcs from 1 to 2^16, at most 2^16 nodes.
Balance balance_of(const std::vector<Weighted>& nodes, uint32_t arcs, uint32_t replicas);

}  // namespace cartwheel::node
