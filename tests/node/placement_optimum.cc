#include "tests/node/placement_optimum.h"

#include <algorithm>

#include "base/check.h"

namespace cartwheel::node {

uint64_t moved(const Owners& before, const Owners& after) {
  uint64_t n = 0;
  for (size_t a = 0; a < after.size(); ++a) {
    for (NodeIndex node : after[a]) {
      n += a >= before.size() || std::count(before[a].begin(), before[a].end(), node) == 0;
    }
  }
  return n;
}

namespace {

// A graph in which edges appear and vanish: a negative cycle in it by Bellman and Ford, or nothing. `relax` calls its
// argument with (from, to, cost) for every edge.
template <typename ForAllEdges>
std::vector<size_t> negative_cycle(size_t vertices, ForAllEdges for_all_edges) {
  std::vector<int64_t> distance(vertices, 0);
  std::vector<size_t> parent(vertices, SIZE_MAX);
  for (size_t round = 0;; ++round) {
    CHECK(round <= vertices + 1);
    bool changed = false;
    for_all_edges([&](size_t from, size_t to, int64_t cost) {
      if (distance[from] + cost >= distance[to]) return;
      distance[to] = distance[from] + cost;
      parent[to] = from;
      changed = true;
    });
    if (!changed) return {};
    // The parents go round in a circle if and only if there is a negative one.
    std::vector<size_t> seen(vertices, SIZE_MAX);
    for (size_t v = 0; v < vertices; ++v) {
      size_t u = v;
      while (u != SIZE_MAX && seen[u] == SIZE_MAX) {
        seen[u] = v;
        u = parent[u];
      }
      if (u == SIZE_MAX || seen[u] != v) continue;
      std::vector<size_t> cycle{u};
      for (size_t w = parent[u]; w != u; w = parent[w]) cycle.push_back(w);
      std::reverse(cycle.begin(), cycle.end());
      return cycle;  // in the direction of its edges
    }
  }
}

}  // namespace

// The assignments are the whole circulations through arc → its part in a zone → node → hub → arc. From one of them, the
// others are reached by cycles of changes; one is best if and only if no cycle of changes makes it cheaper.
uint64_t least_moved(const Region& region, const Owners& before, const Owners& start, const Ranges& ranges) {
  const size_t arcs = region.arcs, nodes = region.nodes.size(), zones = ranges.zones.size();
  std::vector<size_t> zone_of;
  for (const Candidate& c : region.nodes) {
    zone_of.push_back(static_cast<size_t>(std::distance(ranges.zones.begin(), ranges.zones.find(c.zone))));
  }
  std::vector<ZoneRange> zone_range;
  for (auto& [name, range] : ranges.zones) zone_range.push_back(range);
  std::vector<std::vector<char>> owns(arcs, std::vector<char>(nodes)), owned = owns;
  std::vector<std::vector<uint64_t>> in_zone(arcs, std::vector<uint64_t>(zones));
  std::vector<uint64_t> load(nodes);
  for (size_t a = 0; a < arcs; ++a) {
    for (NodeIndex node : start[a]) {
      size_t n = region.find(node);
      owns[a][n] = 1;
      ++load[n];
      ++in_zone[a][zone_of[n]];
    }
    if (a >= before.size()) continue;
    for (NodeIndex node : before[a]) {
      if (size_t n = region.find(node); n < nodes) owned[a][n] = 1;
    }
  }
  const size_t hub = nodes, first_arc = hub + 1, first_part = first_arc + arcs;
  auto edges = [&](auto&& edge) {
    for (size_t n = 0; n < nodes; ++n) {
      if (load[n] < ranges.loads[n].high) edge(n, hub, 0);
      if (load[n] > ranges.loads[n].low) edge(hub, n, 0);
    }
    for (size_t a = 0; a < arcs; ++a) {
      for (size_t z = 0; z < zones; ++z) {
        size_t part = first_part + a * zones + z;
        if (in_zone[a][z] < zone_range[z].high) edge(first_arc + a, part, 0);
        if (in_zone[a][z] > zone_range[z].low) edge(part, first_arc + a, 0);
      }
      for (size_t n = 0; n < nodes; ++n) {
        size_t part = first_part + a * zones + zone_of[n];
        int64_t cost = owned[a][n] ? 0 : 1;
        if (owns[a][n])
          edge(n, part, -cost);
        else
          edge(part, n, cost);
      }
    }
  };
  for (;;) {
    std::vector<size_t> cycle = negative_cycle(first_part + arcs * zones, edges);
    if (cycle.empty()) break;
    for (size_t i = 0; i < cycle.size(); ++i) {
      size_t from = cycle[i], to = cycle[(i + 1) % cycle.size()];
      if (from < nodes && to == hub) ++load[from];
      if (from == hub && to < nodes) --load[to];
      if (from < nodes && to >= first_part) owns[(to - first_part) / zones][from] = 0;
      if (from >= first_part && to < nodes) owns[(from - first_part) / zones][to] = 1;
      if (from >= first_arc && from < first_part) ++in_zone[from - first_arc][(to - first_part) % zones];
      if (to >= first_arc && to < first_part) --in_zone[to - first_arc][(from - first_part) % zones];
    }
  }
  uint64_t n = 0;
  for (size_t a = 0; a < arcs; ++a) {
    for (size_t i = 0; i < nodes; ++i) n += owns[a][i] && !owned[a][i];
  }
  return n;
}

uint64_t least_moved_by_loads(const Region& region, const Owners& before, const Ranges& ranges) {
  auto load = loads(region, before);
  uint64_t must_get = 0, can_keep = 0;
  for (size_t i = 0; i < load.size(); ++i) {
    const LoadRange& range = ranges.loads[i];
    must_get += range.low - std::min(range.low, load[i]);
    can_keep += std::min(range.high, load[i]);
  }
  const uint64_t copies = uint64_t{region.arcs} * region.replicas;
  return std::max(must_get, copies - std::min(copies, can_keep));
}

uint64_t leaders_displaced(const Owners& before, const Owners& after) {
  uint64_t n = 0;
  for (size_t a = 0; a < std::min(before.size(), after.size()); ++a) {
    n += std::count(after[a].begin() + 1, after[a].end(), before[a][0]);
  }
  return n;
}

uint64_t least_leaders_displaced(const Region& region, const Owners& before, const Owners& after) {
  const size_t nodes = region.nodes.size(), hub = nodes;
  std::vector<std::vector<size_t>> owners(after.size());
  std::vector<size_t> first(after.size()), old(after.size(), nodes);
  for (size_t a = 0; a < after.size(); ++a) {
    for (NodeIndex n : after[a]) owners[a].push_back(region.find(n));
    first[a] = owners[a][0];
    if (a < before.size() && std::count(after[a].begin(), after[a].end(), before[a][0])) {
      old[a] = region.find(before[a][0]);
    }
  }
  auto load = loads(region, after), lead = leads(region, after);
  auto cost = [&](size_t a, size_t n) { return old[a] < nodes && old[a] != n ? 1 : 0; };
  // A leader gives an arc to another of its owners: the cheapest arc for each pair.
  std::vector<std::vector<std::pair<int64_t, size_t>>> best;
  auto edges = [&](auto&& edge) {
    for (size_t n = 0; n < nodes; ++n) {
      if (lead[n] < (load[n] + region.replicas - 1) / region.replicas) edge(n, hub, 0);
      if (lead[n] > load[n] / region.replicas) edge(hub, n, 0);
      for (size_t m = 0; m < nodes; ++m) {
        if (best[n][m].second != SIZE_MAX) edge(n, m, best[n][m].first);
      }
    }
  };
  for (;;) {
    best.assign(nodes, std::vector<std::pair<int64_t, size_t>>(nodes, {2, SIZE_MAX}));
    for (size_t a = 0; a < owners.size(); ++a) {
      for (size_t n : owners[a]) {
        if (n == first[a]) continue;
        std::pair<int64_t, size_t> gain{cost(a, n) - cost(a, first[a]), a};
        best[first[a]][n] = std::min(best[first[a]][n], gain);
      }
    }
    std::vector<size_t> cycle = negative_cycle(nodes + 1, edges);
    if (cycle.empty()) break;
    for (size_t i = 0; i < cycle.size(); ++i) {
      size_t from = cycle[i], to = cycle[(i + 1) % cycle.size()];
      if (from == hub) --lead[to];
      if (to == hub) ++lead[from];
      if (from != hub && to != hub) first[best[from][to].second] = to;
    }
  }
  uint64_t n = 0;
  for (size_t a = 0; a < first.size(); ++a) n += cost(a, first[a]);
  return n;
}

}  // namespace cartwheel::node
