#include "tests/node/placement_checker.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace cartwheel::node {
namespace {

constexpr double kTiny = 1e-7;  // shares are exact to about 1e-10; a fraction below this is none

double sum_at(const std::vector<double>& weights, double level, double arcs) {
  double sum = 0;
  for (double w : weights) sum += std::min(arcs, level * w);
  return sum;
}

// The smallest argument in [0, top] for which the growing function `f` reaches `goal`.
template <typename F>
double bisect(double top, double goal, F f) {
  double low = 0, high = top;
  for (int i = 0; i < 100; ++i) {
    double middle = (low + high) / 2;
    (f(middle) < goal ? low : high) = middle;
  }
  return high;
}

// How many owners of one arc may be in a zone of `size` nodes, for the arc to span all the zones that it can.
ZoneRange zone_limits(const Region& region, size_t size) {
  const size_t zones = region.zone_sizes().size();
  if (region.replicas < zones) return {0, 1};
  return {1, std::min<size_t>(size, region.replicas - zones + 1)};
}

// The shares of the nodes of a zone that holds `held` copies, rounded down, into `out`.
void share_within(const Region& region, const std::string& zone, double held, std::vector<LoadRange>& out) {
  const double arcs = region.arcs;
  std::vector<double> weights;
  for (const Candidate& c : region.nodes) {
    if (c.zone == zone) weights.push_back(c.capacity);
  }
  const double top = held / *std::min_element(weights.begin(), weights.end());
  const double level = bisect(top, held - kTiny / 1000, [&](double l) { return sum_at(weights, l, arcs); });
  for (size_t i = 0; i < region.nodes.size(); ++i) {
    if (region.nodes[i].zone != zone) continue;
    const double share = std::min(arcs, level * region.nodes[i].capacity);
    out[i].share = share;
    out[i].low = out[i].high = static_cast<uint64_t>(share + kTiny);
  }
}

// The upper bounds of the nodes in `zones`, which share one level: capacity times μ, for the smallest μ with which all
// `held` copies fit.
void bound_above(const Region& region, const std::set<std::string>& zones, double held, Ranges& ranges) {
  auto most = [&](size_t i, double mu) {
    return std::min<double>(region.arcs, std::floor(mu * region.nodes[i].capacity + kTiny / 100));
  };
  double top = 0;
  for (const Candidate& c : region.nodes) top = std::max(top, (region.arcs + 1) / c.capacity);
  const double mu = bisect(top, 1, [&](double m) {
    std::map<std::string, double> room;
    for (size_t i = 0; i < region.nodes.size(); ++i) {
      if (zones.contains(region.nodes[i].zone)) room[region.nodes[i].zone] += most(i, m);
    }
    double sum = 0;
    for (auto [zone, copies] : room) {
      if (copies < static_cast<double>(ranges.zones[zone].low * region.arcs)) return 0;
      sum += std::min(copies, static_cast<double>(ranges.zones[zone].high * region.arcs));
    }
    return sum > held - kTiny ? 1 : 0;
  });
  for (size_t i = 0; i < region.nodes.size(); ++i) {
    if (!zones.contains(region.nodes[i].zone)) continue;
    LoadRange& range = ranges.loads[i];
    if (range.share > region.arcs - kTiny) continue;
    range.high = std::max(range.low, static_cast<uint64_t>(most(i, mu + kTiny)));
    double up = std::ceil(range.share - kTiny);
    if (up <= 1.01 * range.share + kTiny / 100) range.high = std::max(range.high, static_cast<uint64_t>(up));
  }
}

Ranges find_ranges(const Region& region, bool widest) {
  const double arcs = region.arcs, copies = arcs * region.replicas;
  const auto sizes = region.zone_sizes();
  std::map<std::string, std::vector<double>> weights;
  double lightest = 1e9;
  for (const Candidate& c : region.nodes) {
    weights[c.zone].push_back(c.capacity);
    lightest = std::min(lightest, c.capacity);
  }
  auto held = [&](const std::string& zone, double level) {
    auto [least, most] = zone_limits(region, sizes.at(zone));
    return std::clamp(sum_at(weights.at(zone), level, arcs), static_cast<double>(least) * arcs,
                      static_cast<double>(most) * arcs);
  };
  const double common = bisect(copies / lightest, copies - kTiny / 1000, [&](double level) {
    double sum = 0;
    for (auto& [zone, w] : weights) sum += held(zone, level);
    return sum;
  });
  Ranges out;
  out.loads.resize(region.nodes.size());
  std::set<std::string> at_common_level;
  double held_at_common_level = 0;
  for (auto& [zone, w] : weights) {
    const double copies_of_zone = held(zone, common);
    share_within(region, zone, copies_of_zone, out.loads);
    out.zones[zone] = {static_cast<uint64_t>(std::floor(copies_of_zone / arcs + kTiny)),
                       static_cast<uint64_t>(std::ceil(copies_of_zone / arcs - kTiny))};
    if (std::abs(sum_at(w, common, arcs) - copies_of_zone) > kTiny) {
      bound_above(region, {zone}, copies_of_zone, out);
    } else {
      at_common_level.insert(zone);
      held_at_common_level += copies_of_zone;
    }
  }
  if (!at_common_level.empty()) bound_above(region, at_common_level, held_at_common_level, out);
  if (!widest) return out;
  for (LoadRange& range : out.loads) {
    range.high = std::max(range.high, static_cast<uint64_t>(std::ceil(range.share - kTiny)));
  }
  for (auto& [zone, range] : out.zones) range = zone_limits(region, sizes.at(zone));
  return out;
}

}  // namespace

Ranges ranges_of(const Region& region) {
  return find_ranges(region, false);
}
Ranges widest_ranges_of(const Region& region) {
  return find_ranges(region, true);
}

std::string check_spread(const Region& region, const Ranges& ranges, const Owners& owners) {
  std::map<NodeIndex, std::string> zone;
  for (const Candidate& c : region.nodes) zone[c.node] = c.zone;
  const size_t zones = std::min<size_t>(region.replicas, region.zone_sizes().size());
  if (owners.size() != region.arcs) return "not all arcs";
  for (size_t a = 0; a < owners.size(); ++a) {
    std::set<NodeIndex> nodes;
    std::map<std::string, uint64_t> spanned;
    for (NodeIndex n : owners[a]) {
      if (!zone.contains(n)) return "arc " + std::to_string(a) + " has an owner that is no node of the region";
      if (!nodes.insert(n).second) return "arc " + std::to_string(a) + " has an owner twice";
      ++spanned[zone[n]];
    }
    if (owners[a].size() != region.replicas) return "arc " + std::to_string(a) + " has the wrong number of owners";
    if (spanned.size() != zones) return "arc " + std::to_string(a) + " spans too few zones";
    for (auto [name, range] : ranges.zones) {
      if (spanned[name] >= range.low && spanned[name] <= range.high) continue;
      return "arc " + std::to_string(a) + " has " + std::to_string(spanned[name]) + " owners in zone " + name;
    }
  }
  return "";
}

std::string check_loads(const Region& region, const Ranges& ranges, const Owners& owners) {
  auto load = loads(region, owners);
  for (size_t i = 0; i < load.size(); ++i) {
    if (load[i] >= ranges.loads[i].low && load[i] <= ranges.loads[i].high) continue;
    return "node " + std::to_string(region.nodes[i].node) + " owns " + std::to_string(load[i]) +
           " arcs, its share is " + std::to_string(ranges.loads[i].share) + ", at most " +
           std::to_string(ranges.loads[i].high);
  }
  return "";
}

double max_over_mean(const Region& region, const Owners& owners) {
  auto load = loads(region, owners);
  auto ranges = ranges_of(region).loads;
  double max = 0;
  for (size_t i = 0; i < load.size(); ++i) max = std::max(max, static_cast<double>(load[i]) / ranges[i].share);
  return max;
}

std::string check_positions(const Region& region, const Owners& owners) {
  for (uint32_t p = 0; p < region.replicas; ++p) {
    std::map<NodeIndex, uint64_t> stands, could;
    for (const auto& arc : owners) {
      ++stands[arc[p]];
      for (uint32_t i = p; i < region.replicas; ++i) ++could[arc[i]];
    }
    const uint64_t left = region.replicas - p;
    for (const Candidate& c : region.nodes) {
      if (stands[c.node] >= could[c.node] / left && stands[c.node] <= (could[c.node] + left - 1) / left) continue;
      return "node " + std::to_string(c.node) + " stands at position " + std::to_string(p) + " in " +
             std::to_string(stands[c.node]) + " of " + std::to_string(could[c.node]) + " arcs";
    }
  }
  return "";
}

std::string check(const Region& region, const Owners& owners) {
  const Ranges ranges = ranges_of(region);
  if (std::string wrong = check_spread(region, ranges, owners); wrong != "") return wrong;
  if (std::string wrong = check_loads(region, ranges, owners); wrong != "") return wrong;
  return check_positions(region, owners);
}

}  // namespace cartwheel::node
