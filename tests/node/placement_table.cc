// Prints the tables of docs/membership.md, section Placement: what a change moves, beside the least that it could. Not
// a test (placement_test.cc holds the laws); run it by hand after a change to node/core/placement.cc.
#include <algorithm>
#include <cstdio>
#include <map>
#include <string>

#include "tests/node/placement_optimum.h"

namespace cartwheel::node {
namespace {

std::string zones_of(const Region& region) {
  std::map<std::string, size_t> sizes;
  for (const Candidate& c : region.nodes) ++sizes[c.zone];
  std::string out;
  for (auto& [zone, size] : sizes) out += (out.empty() ? "" : "+") + std::to_string(size);
  return out;
}

double ratio(uint64_t a, uint64_t b) {
  return b == 0 ? (a == 0 ? 1 : 99) : static_cast<double>(a) / static_cast<double>(b);
}

struct Row {
  uint64_t moved = 0, optimum = 0, widest = 0, by_loads = 0, displaced = 0;
  double worst = 1, burden = 1;  // moved / optimum of one change; largest load / share

  void add(const Region& region, const Owners& before, Owners& after) {
    after = place(region, before);
    const Ranges ranges = ranges_of(region);
    const uint64_t now = cartwheel::node::moved(before, after), best = least_moved(region, before, after, ranges);
    moved += now;
    optimum += best;
    widest += least_moved(region, before, after, widest_ranges_of(region));
    by_loads += least_moved_by_loads(region, before, ranges);
    displaced += leaders_displaced(before, after);
    worst = std::max(worst, ratio(now, best));
    burden = std::max(burden, max_over_mean(region, after));
  }
};

void single_changes() {
  std::puts(
      "| nodes per zone | capacities | change | moved | optimum | ratio | widest | by loads | max/mean | first owners "
      "displaced |\n|---|---|---|---:|---:|---:|---:|---:|---:|---:|");
  struct Shape {
    size_t nodes, zones;
    bool uneven, unequal;
  };
  for (Shape s :
       {Shape{5, 1, false, false}, Shape{30, 3, false, false}, Shape{100, 5, false, false}, Shape{40, 3, true, false},
        Shape{100, 5, true, false}, Shape{100, 1, false, true}, Shape{100, 4, true, true}}) {
    for (Change change :
         {Change::kJoin, Change::kLeave, Change::kReplace, Change::kMoreReplicas, Change::kFewerReplicas}) {
      Rng rng(s.nodes + s.zones);
      Region region;
      do {
        region = random_region(rng, s.nodes, s.zones, s.unequal);
      } while (region.nodes.size() != s.nodes);
      for (size_t i = 0; i < s.nodes && !s.uneven; ++i) region.nodes[i].zone[0] = static_cast<char>('a' + i % s.zones);
      const std::string zones = zones_of(region);
      Owners before = place(region), after;
      while (!apply(change, rng, s.unequal, region)) {
      }
      Row row;
      row.add(region, before, after);
      std::printf("| %s | %s | %s | %lu | %lu | %.3f | %lu | %lu | %.4f | %lu |\n", zones.c_str(),
                  s.unequal ? "0.5 to 4" : "equal", name_of(change), row.moved, row.optimum,
                  ratio(row.moved, row.optimum), row.widest, row.by_loads, row.burden, row.displaced);
    }
  }
}

void histories(uint64_t seeds, int steps) {
  std::puts(
      "\n| zones | capacities | changes | moved | optimum | ratio | worst change | / widest | / by loads | max/mean | "
      "first owners displaced per change |\n|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
  for (size_t zones = 1; zones <= 5; ++zones) {
    for (bool unequal : {false, true}) {
      Row row;
      int changes = 0;
      for (uint64_t seed = 0; seed < seeds; ++seed) {
        Rng rng(seed * 100 + zones * 2 + unequal);
        Region region = random_region(rng, 100, zones, unequal);
        Owners before = place(region), after;
        for (int step = 0; step < steps;) {
          if (!apply(static_cast<Change>(rng.below(4)), rng, unequal, region)) continue;
          ++step;
          ++changes;
          row.add(region, before, after);
          before = after;
        }
      }
      std::printf("| %lu | %s | %d | %lu | %lu | %.4f | %.4f | %.4f | %.4f | %.4f | %.1f |\n", zones,
                  unequal ? "0.5 to 4" : "equal", changes, row.moved, row.optimum, ratio(row.moved, row.optimum),
                  row.worst, ratio(row.moved, row.widest), ratio(row.moved, row.by_loads), row.burden,
                  static_cast<double>(row.displaced) / changes);
    }
  }
}

}  // namespace
}  // namespace cartwheel::node

int main() {
  cartwheel::node::single_changes();
  cartwheel::node::histories(5, 25);
}
