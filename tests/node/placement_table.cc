// Prints the tables of docs/membership.md, section Placement: what a change moves, beside the least that it could. Not
// a test (placement_test.cc holds the laws); run it by hand after a change to node/core/placement.cc.
#include <algorithm>
#include <chrono>
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

void single_changes() {
  std::printf(
      "| nodes per zone | capacities | change | moved | optimum | moved / optimum | by loads alone | max/mean | other "
      "first owner | "
      "ms |\n|---|---|---|---|---|---|---|---|---|---|\n");
  struct Shape {
    size_t nodes, zones;
    bool uneven, unequal;
  };
  for (Shape s :
       {Shape{5, 1, false, false}, Shape{30, 3, false, false}, Shape{100, 5, false, false}, Shape{40, 3, true, false},
        Shape{100, 5, true, false}, Shape{30, 1, false, true}, Shape{100, 1, false, true}, Shape{100, 4, true, true}}) {
    for (Change change :
         {Change::kJoin, Change::kLeave, Change::kReplace, Change::kMoreReplicas, Change::kFewerReplicas}) {
      Rng rng(s.nodes + s.zones);
      Region region = region_of(s.nodes, s.zones);
      if (s.uneven || s.unequal) {
        do {
          region = random_region(rng, s.nodes, s.zones, s.unequal);
        } while (region.nodes.size() != s.nodes);
      }
      if (!s.uneven) {
        for (size_t i = 0; i < s.nodes; ++i) region.nodes[i].zone[0] = static_cast<char>('a' + i % s.zones);
      }
      Owners before = place(region);
      while (!apply(change, rng, s.unequal, region)) {
      }
      auto start = std::chrono::steady_clock::now();
      Owners after = place(region, before);
      auto ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
      auto ranges = ranges_of(region);
      uint64_t best = least_moved(region, before, after, ranges);
      std::printf("| %s | %s | %s | %lu | %lu | %.3f | %lu | %.4f | %lu | %.0f |\n", zones_of(region).c_str(),
                  s.unequal ? "0.5 to 4" : "equal", name_of(change), moved(before, after), best,
                  ratio(moved(before, after), best), least_moved_by_loads(region, before, ranges),
                  max_over_mean(region, after), leaders_displaced(before, after), ms);
    }
  }
}

void histories(int seeds, int steps) {
  std::printf(
      "\n| zones | capacities | changes | moved | optimum | moved / optimum | worst change | any rounding | by loads "
      "alone | worst max/mean | "
      "worst beyond whole arcs | ms |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n");
  for (size_t zones = 1; zones <= 5; ++zones) {
    for (bool unequal : {false, true}) {
      uint64_t all_moved = 0, all_best = 0, all_any = 0, all_loads = 0;
      int changes = 0;
      double worst = 1, uneven = 1, ms = 0;
      size_t partners = 1000;
      for (int seed = 0; seed < seeds; ++seed) {
        Rng rng(static_cast<uint64_t>(seed) * 100 + zones * 2 + unequal);
        Region region = random_region(rng, 80, zones, unequal);
        Owners before = place(region);
        for (int step = 0; step < steps; ++step) {
          Change change = static_cast<Change>(rng.below(6));
          if (!apply(change, rng, unequal, region)) continue;
          ++changes;
          auto start = std::chrono::steady_clock::now();
          Owners after = place(region, before);
          ms =
              std::max(ms, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
          auto ranges = ranges_of(region);
          uint64_t best = least_moved(region, before, after, ranges);
          all_moved += moved(before, after);
          all_best += best;
          all_any += least_moved(region, before, after, widest_ranges_of(region));
          all_loads += least_moved_by_loads(region, before, ranges);
          worst = std::max(worst, ratio(moved(before, after), best));
          uneven = std::max(uneven, max_over_mean(region, after));
          before = after;
        }
      }
      std::printf("| %lu | %s | %d | %lu | %lu | %.4f | %.4f | %.4f | %.4f | %.4f | %lu | %.0f |\n", zones,
                  unequal ? "0.5 to 4" : "equal", changes, all_moved, all_best, ratio(all_moved, all_best), worst,
                  ratio(all_moved, all_any), ratio(all_moved, all_loads), uneven, partners, ms);
    }
  }
}

}  // namespace
}  // namespace cartwheel::node

int main() {
  cartwheel::node::single_changes();
  cartwheel::node::histories(2, 20);
}
