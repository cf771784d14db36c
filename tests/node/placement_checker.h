// What an even placement is, found independently of node/core/balance.h: shares by bisection in floating point.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/node/placement_region.h"

namespace cartwheel::node {

struct LoadRange {
  double share;
  uint64_t low, high;
};

struct ZoneRange {
  uint64_t low, high;
};

// What loads and zones of a placement may be; `loads` is by position of the node, `zones` by name.
struct Ranges {
  std::vector<LoadRange> loads;
  std::map<std::string, ZoneRange> zones;  // owners of one arc
};

// Shares, and the whole numbers that they may be rounded to (node/core/balance.h).
Ranges ranges_of(const Region& region);
// The widest sense of even: shares rounded up or down anywhere, an arc spans min(replicas, zones) zones somehow.
Ranges widest_ranges_of(const Region& region);

// "" or what is wrong: an owner that is no node, twice in an arc, too few owners, fewer zones than possible, more or
// fewer owners in a zone than its range says.
std::string check_spread(const Region& region, const Ranges& ranges, const Owners& owners);
// "" or which node's load is outside its range.
std::string check_loads(const Region& region, const Ranges& ranges, const Owners& owners);
// The largest load / share.
double max_over_mean(const Region& region, const Owners& owners);

// "" or at which position which node stands more or less often than its part of the arcs, rounded down or up.
std::string check_positions(const Region& region, const Owners& owners);

// All three, within ranges_of(region): "" or the first that is wrong.
std::string check(const Region& region, const Owners& owners);

}  // namespace cartwheel::node
