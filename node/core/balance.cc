#include "node/core/balance.h"

#include <algorithm>
#include <map>
#include <queue>

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

Bounds copies_of(const Zone& zone, uint32_t arcs) {
  const uint32_t all = static_cast<uint32_t>(zone.nodes.size());
  if (zone.level.weight == 0) return {all, all};
  Wide held = 0;
  for (uint64_t w : zone.weights) held += scaled_share(zone.level, w, arcs);
  const Wide arc = arcs * zone.level.weight;
  return {static_cast<uint32_t>(held / arc), static_cast<uint32_t>((held + arc - 1) / arc)};
}

// Upper bounds of the nodes of `zones`, which are at one level: raised from the lower bounds, the node that it burdens
// least first, until all copies that the zones hold fit. Nodes that it burdens equally are raised alike.
void raise_upper_bounds(const std::vector<const Zone*>& zones, const std::vector<Weighted>& nodes, uint32_t arcs,
                        Balance& balance) {
  auto more_burdened = [&](uint32_t a, uint32_t b) {  // by one arc more
    Wide x = Wide{balance.node_arcs[a].high + 1} * nodes[b].weight;
    Wide y = Wide{balance.node_arcs[b].high + 1} * nodes[a].weight;
    return x != y ? x > y : a > b;
  };
  std::priority_queue<uint32_t, std::vector<uint32_t>, decltype(more_burdened)> queue(more_burdened);
  std::map<uint32_t, uint64_t> room;  // by zone
  Wide held = 0;                      // times the level's weight
  for (const Zone* z : zones) {
    for (uint32_t n : z->nodes) {
      held += scaled_share(z->level, nodes[n].weight, arcs);
      room[nodes[n].zone] += balance.node_arcs[n].high;
      if (balance.node_arcs[n].high < arcs) queue.push(n);
    }
  }
  auto all_fit = [&] {
    uint64_t sum = 0;
    for (auto [zone, most] : room) {
      const Bounds& copies = balance.zone_copies[zone];
      if (most < uint64_t{copies.low} * arcs) return false;
      sum += std::min(most, uint64_t{copies.high} * arcs);
    }
    return sum * zones[0]->level.weight >= held;
  };
  Wide last_arcs = 0, last_weight = 1;  // what the last raised node bears
  for (bool fit = all_fit(); !queue.empty(); fit = fit || all_fit()) {
    const uint32_t n = queue.top();
    uint32_t& high = balance.node_arcs[n].high;
    if (fit && Wide{high + 1} * last_weight > last_arcs * nodes[n].weight) return;
    queue.pop();
    last_arcs = ++high;
    last_weight = nodes[n].weight;
    ++room[nodes[n].zone];
    if (high < arcs) queue.push(n);
  }
  CHECK(all_fit());
}

}  // namespace

Balance balance_of(const std::vector<Weighted>& nodes, uint32_t arcs, uint32_t replicas) {
  CHECK(replicas > 0 && replicas <= nodes.size());
  std::vector<Zone> zones = zones_of(nodes, arcs, replicas);
  find_levels(zones, arcs, uint64_t{arcs} * replicas);
  Balance balance;
  balance.node_arcs.resize(nodes.size());
  std::vector<std::vector<const Zone*>> levels(1);  // zones at the common level, then each that has one of its own
  for (const Zone& z : zones) {
    balance.zone_copies.push_back(copies_of(z, arcs));
    if (z.settled) {
      levels.push_back({&z});
    } else {
      levels[0].push_back(&z);
    }
    for (uint32_t n : z.nodes) {
      const uint32_t low = z.level.weight == 0
                               ? arcs
                               : static_cast<uint32_t>(scaled_share(z.level, nodes[n].weight, arcs) / z.level.weight);
      balance.node_arcs[n] = {low, low};
    }
  }
  for (const auto& level : levels) {
    if (!level.empty() && level[0]->level.weight > 0) raise_upper_bounds(level, nodes, arcs, balance);
  }
  for (const Zone& z : zones) {
    for (uint32_t n : z.nodes) {
      auto& [low, high] = balance.node_arcs[n];
      const Wide share = scaled_share(z.level, nodes[n].weight, arcs);
      const bool whole = low * z.level.weight == share;
      if (!whole && Wide{low + 1} * 100 * z.level.weight <= share * 101) high = std::max(high, low + 1);
    }
  }
  return balance;
}

}  // namespace cartwheel::node
