#include "node/core/balance.h"

#include <algorithm>

#include "base/check.h"

namespace cartwheel::node {
namespace {

using Wide = unsigned __int128;  // products of arcs (2^16), copies (2^32) and weights (2^46) fit

// The level λ = copies / weight: a node's share is λ · its weight, at most `arcs`. weight == 0 stands for a level above
// all bounds.
struct Level {
  Wide copies, weight;
};

// A share times the level's weight, which makes it a whole number.
Wide scaled_share(Level level, uint64_t weight, uint32_t arcs) {
  return std::min(Wide{arcs} * level.weight, level.copies * weight);
}

// The level at which the shares of nodes with these weights add up to `copies`. REQUIRES: copies <= arcs · weights.
Level level_of(std::vector<uint64_t> weights, uint64_t copies, uint32_t arcs) {
  for (;;) {
    Level level{copies, 0};
    for (uint64_t w : weights) level.weight += w;
    // Whoever is full at this level stays full, as the others can only get more of what he leaves.
    size_t full = std::erase_if(weights, [&](uint64_t w) { return level.copies * w >= arcs * level.weight; });
    if (full == 0 || weights.empty()) return {level.copies, weights.empty() ? 0 : level.weight};
    copies -= std::min<uint64_t>(copies, full * uint64_t{arcs});
  }
}

struct Zone {
  std::vector<uint32_t> nodes;
  std::vector<uint64_t> weights;
  uint64_t least, most;  // copies that the spread lets it hold
  bool settled = false;  // its level is not the common one, as it is at one of its limits
  Level level;
};

std::vector<Zone> zones_of(const std::vector<Weighted>& nodes, uint32_t arcs, uint32_t replicas) {
  std::vector<Zone> zones;
  for (uint32_t n = 0; n < nodes.size(); ++n) {
    if (nodes[n].zone >= zones.size()) zones.resize(nodes[n].zone + 1);
    zones[nodes[n].zone].nodes.push_back(n);
    zones[nodes[n].zone].weights.push_back(nodes[n].weight);
  }
  for (Zone& z : zones) {
    z.least = replicas >= zones.size() ? arcs : 0;
    z.most = replicas > zones.size() ? arcs * std::min<uint64_t>(z.nodes.size(), replicas - zones.size() + 1) : arcs;
  }
  return zones;
}

// Gives every zone its level. Zones that would be outside their limits at the common level are settled at them: those
// above when the common level can only rise by it, those below when it can only fall.
void find_levels(std::vector<Zone>& zones, uint32_t arcs, uint64_t copies) {
  for (;;) {
    std::vector<uint64_t> weights;
    for (const Zone& z : zones) {
      if (!z.settled) weights.insert(weights.end(), z.weights.begin(), z.weights.end());
    }
    if (weights.empty()) return;
    const Level common = level_of(weights, copies, arcs);
    Wide above = 0, below = 0;
    auto held = [&](const Zone& z) {
      Wide sum = 0;
      for (uint64_t w : z.weights) sum += scaled_share(common, w, arcs);
      return sum;
    };
    for (const Zone& z : zones) {
      if (z.settled) continue;
      above += std::max(held(z), z.most * common.weight) - z.most * common.weight;
      below += z.least * common.weight - std::min(held(z), z.least * common.weight);
    }
    for (Zone& z : zones) {
      if (z.settled) continue;
      z.level = common;
      uint64_t limit;
      if (above >= below && held(z) > z.most * common.weight) {
        limit = z.most;
      } else if (below >= above && held(z) < z.least * common.weight) {
        limit = z.least;
      } else {
        continue;
      }
      z.settled = true;
      z.level = level_of(z.weights, limit, arcs);
      copies -= limit;
    }
    if (above == 0 && below == 0) return;
  }
}

// The bounds of the nodes of one zone.
void bound_nodes(const Zone& zone, const std::vector<Weighted>& nodes, uint32_t arcs, std::vector<Bounds>& bounds) {
  const Level level = zone.level;
  std::vector<uint32_t> rounded;  // nodes whose share is not a whole number
  Wide fractions = 0;             // what rounding them down leaves over
  for (uint32_t n : zone.nodes) {
    if (level.copies * nodes[n].weight >= arcs * level.weight) {
      bounds[n] = {arcs, arcs};
      continue;
    }
    const Wide share = scaled_share(level, nodes[n].weight, arcs);
    const uint32_t low = static_cast<uint32_t>(share / level.weight);
    bounds[n] = {low, low};
    if (share % level.weight == 0) continue;
    fractions += share % level.weight;
    rounded.push_back(n);
  }
  if (rounded.empty()) return;
  // Rounded up, a node bears (low + 1) / weight.
  auto less_burdened = [&](uint32_t a, uint32_t b) {
    return Wide{bounds[a].low + 1} * nodes[b].weight < Wide{bounds[b].low + 1} * nodes[a].weight;
  };
  std::sort(rounded.begin(), rounded.end(),
            [&](uint32_t a, uint32_t b) { return less_burdened(a, b) || (!less_burdened(b, a) && a < b); });
  const uint32_t last_needed = rounded[static_cast<size_t>((fractions + level.weight - 1) / level.weight) - 1];
  for (uint32_t n : rounded) {
    bool within = Wide{bounds[n].low + 1} * 100 * level.weight <= level.copies * nodes[n].weight * 101;
    if (within || !less_burdened(last_needed, n)) bounds[n].high = bounds[n].low + 1;
  }
}

Bounds bound_copies(const Zone& zone, uint32_t arcs) {
  if (zone.level.weight == 0)
    return {static_cast<uint32_t>(zone.nodes.size()), static_cast<uint32_t>(zone.nodes.size())};
  Wide held = 0;
  for (uint64_t w : zone.weights) held += scaled_share(zone.level, w, arcs);
  const Wide arc = arcs * zone.level.weight;
  return {static_cast<uint32_t>(held / arc), static_cast<uint32_t>((held + arc - 1) / arc)};
}

}  // namespace

Balance balance_of(const std::vector<Weighted>& nodes, uint32_t arcs, uint32_t replicas) {
  CHECK(replicas > 0 && replicas <= nodes.size());
  std::vector<Zone> zones = zones_of(nodes, arcs, replicas);
  find_levels(zones, arcs, uint64_t{arcs} * replicas);
  Balance balance;
  balance.node_arcs.resize(nodes.size());
  for (const Zone& z : zones) {
    bound_nodes(z, nodes, arcs, balance.node_arcs);
    balance.zone_copies.push_back(bound_copies(z, arcs));
  }
  return balance;
}

}  // namespace cartwheel::node
