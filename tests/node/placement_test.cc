// One placement is judged by laws: distinct owners, spread zones, even loads and positions, as
// tests/node/placement_checker.h finds them independently. placement_change_test.cc has the laws of changes.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "node/core/balance.h"
#include "tests/node/placement_checker.h"

namespace cartwheel::node {
namespace {

// Equal capacities, and zones that allow it: everybody owns the mean, rounded down or up.
void expect_even(const Region& region, const Owners& owners) {
  const uint64_t copies = uint64_t{region.arcs} * region.replicas, nodes = region.nodes.size();
  for (uint64_t load : loads(region, owners)) {
    EXPECT_GE(load, copies / nodes);
    EXPECT_LE(load, (copies + nodes - 1) / nodes);
  }
}

TEST(Balance, BoundsAreTheSharesOfBisection) {
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    Region region = random_region(rng, 7 + rng.below(94), 1 + rng.below(7), rng.chance(0.7));
    region.replicas = 1 + static_cast<uint32_t>(rng.below(std::min<size_t>(6, region.nodes.size())));
    region.arcs = 1u << rng.below(12);
    if (rng.chance(0.2)) region.nodes[0].capacity = 50;  // more than it can use
    std::vector<Weighted> nodes;
    for (const Candidate& c : region.nodes) {
      nodes.push_back({static_cast<uint32_t>(c.zone[0] - 'a'), static_cast<uint64_t>(std::llround(c.capacity * 1000))});
    }
    Balance balance = balance_of(nodes, region.arcs, region.replicas);
    Ranges ranges = ranges_of(region);
    ASSERT_EQ(balance.zone_copies.size(), ranges.zones.size());
    for (auto& [zone, range] : ranges.zones) {
      const Bounds& copies = balance.zone_copies[static_cast<size_t>(zone[0] - 'a')];
      EXPECT_EQ(copies.low, range.low) << "zone " << zone;
      EXPECT_EQ(copies.high, range.high) << "zone " << zone;
    }
    for (size_t i = 0; i < nodes.size(); ++i) {
      EXPECT_EQ(balance.node_arcs[i].low, ranges.loads[i].low) << "share " << ranges.loads[i].share;
      EXPECT_EQ(balance.node_arcs[i].high, ranges.loads[i].high) << "share " << ranges.loads[i].share;
    }
  }
}

// ---- loads and zones

TEST(Placement, EveryShapeIsDistinctSpreadAndEven) {
  for (size_t nodes : {1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 20, 31, 50, 99, 100}) {
    for (uint32_t replicas = 1; replicas <= std::min<size_t>(5, nodes); ++replicas) {
      for (size_t zones = 1; zones <= std::min<size_t>(7, nodes); ++zones) {
        SCOPED_TRACE(std::to_string(nodes) + " nodes, " + std::to_string(replicas) + " replicas, " +
                     std::to_string(zones) + " zones");
        Region region = region_of(nodes, zones, 64, replicas);
        Owners owners = place(region);
        ASSERT_EQ(check(region, owners), "");
        if (nodes % zones == 0) expect_even(region, owners);
      }
    }
  }
}

TEST(Placement, EveryNodeInAZoneOfItsOwnIsAsIfThereWereNoZones) {
  Region region = region_of(20, 20, 256, 3);
  for (size_t i = 0; i < 20; ++i) region.nodes[i].zone = "zone-" + std::to_string(i);
  Owners owners = place(region);
  ASSERT_EQ(check(region, owners), "");
  expect_even(region, owners);
}

TEST(Placement, HundredNodesAreWithinOnePercentOfTheMeanAndFastToPlace) {
  Region region = region_of(100, 5);
  auto start = std::chrono::steady_clock::now();
  Owners owners = place(region);
  // Not a bound on speed (that would fail on a busy machine): a cubic mistake would take minutes.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
  ASSERT_EQ(check(region, owners), "");
  for (uint64_t load : loads(region, owners)) EXPECT_LE(static_cast<double>(load), 1.01 * 1024 * 3 / 100);
}

// A count of arcs is a whole number, so the bound of 1.01 of the mean is the mean rounded up where that is more.
TEST(Placement, EverySizeUpToAHundredIsWithinTheBound) {
  for (size_t nodes = 3; nodes <= 100; ++nodes) {
    SCOPED_TRACE(nodes);
    Region region = region_of(nodes, 1);
    Owners owners = place(region);
    expect_even(region, owners);
    const double mean = 3072.0 / static_cast<double>(nodes);
    EXPECT_LE(max_over_mean(region, owners), std::max(1.01, std::ceil(mean) / mean) + 1e-9);
  }
}

// Capacities of 0.5 to 4: within 1 % of the mean, or else as near as whole numbers allow: if every node owned less per
// capacity than the most burdened one, the copies would not all fit.
TEST(Placement, UnequalCapacitiesGetTheirShare) {
  int beyond = 0;
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    Region region = random_region(rng, 100, 1, true);
    Owners owners = place(region);
    ASSERT_EQ(check(region, owners), "");
    double capacity = 0, largest = 0, most = 0;
    for (const Candidate& c : region.nodes) {
      capacity += c.capacity;
      largest = std::max(largest, c.capacity);
    }
    const double mean = 3072 / capacity;
    if (largest * mean > 1024) continue;  // a node is full, and the others own more
    auto load = loads(region, owners);
    for (size_t i = 0; i < load.size(); ++i) {
      EXPECT_GT(static_cast<double>(load[i]), mean * region.nodes[i].capacity - 1);
      most = std::max(most, static_cast<double>(load[i]) / region.nodes[i].capacity);
    }
    if (most <= 1.01 * mean + 1e-9) continue;
    ++beyond;
    double room = 0;
    for (const Candidate& c : region.nodes) room += std::ceil(most * c.capacity - 1e-9) - 1;
    EXPECT_LT(room, 3072);
  }
  EXPECT_GT(beyond, 5);
}

TEST(Placement, DoubleCapacityOwnsTwiceAsMuch) {
  Region region = region_of(7, 1, 1024, 2);
  region.nodes[3].capacity = 2;
  EXPECT_EQ(loads(region, place(region)), (std::vector<uint64_t>{256, 256, 256, 512, 256, 256, 256}));
}

TEST(Placement, NoNodeOwnsMoreThanEveryArcHoweverLarge) {
  Region region = region_of(4, 1, 100, 3);
  region.nodes[0].capacity = 1000;
  region.nodes[1].capacity = 2;
  EXPECT_EQ(loads(region, place(region)), (std::vector<uint64_t>{100, 100, 50, 50}));
}

TEST(Placement, SpreadOverZonesWinsOverEvenLoad) {
  // One node alone in its zone, nine in another: with two replicas the one owns every arc.
  Region region = region_of(10, 1, 90, 2);
  for (size_t i = 1; i < 10; ++i) region.nodes[i].zone = "b";
  auto expect_loads = [&](uint64_t alone, uint64_t others) {
    Owners owners = place(region);
    EXPECT_EQ(check(region, owners), "");
    for (size_t i = 0; i < 10; ++i) EXPECT_EQ(loads(region, owners)[i], i == 0 ? alone : others);
  };
  expect_loads(90, 10);
  // Within what the spread leaves open the load is even again: 3 replicas over 1 + 9 nodes.
  region.replicas = 3;
  expect_loads(90, 20);
}

TEST(Placement, CopiesBeyondOnePerZoneAreSpreadEvenlyToo) {
  // So that no zone of three equal ones takes the majority of five copies with it.
  Region region = region_of(9, 3, 256, 5);
  for (const auto& arc : place(region)) {
    std::map<size_t, int> in_zone;
    for (NodeIndex n : arc) ++in_zone[n % 3];
    for (auto [zone, copies] : in_zone) EXPECT_LE(copies, 2);
  }
}

TEST(Placement, NodesShareTheirArcsWithManyOthers) {
  for (size_t zones : {1, 3, 5}) {
    Owners owners = place(region_of(30, zones));
    std::map<NodeIndex, std::map<NodeIndex, int>> shared;
    for (const auto& arc : owners) {
      for (NodeIndex a : arc) {
        for (NodeIndex b : arc) shared[a][b] += a != b;
      }
    }
    // So that the work of a node that is down falls on most of the nodes in other zones instead of on two.
    const size_t possible = zones == 1 ? 29 : 30 - 30 / zones;
    for (auto& [node, with] : shared) {
      size_t partners = 0;
      for (auto [other, arcs] : with) {
        partners += arcs > 0;
        EXPECT_LE(arcs, 204 / 4) << "nodes " << node << " and " << other << ", " << zones << " zones";
      }
      EXPECT_GE(partners, possible * 8 / 10) << "node " << node << ", " << zones << " zones";
    }
  }
}

// ---- order

TEST(Placement, EveryPositionIsSpreadEvenly) {
  for (size_t nodes : {3, 4, 7, 12, 100}) {
    Region region = region_of(nodes, 3);
    Owners owners = place(region);
    EXPECT_EQ(check_positions(region, owners), "");
    auto load = loads(region, owners), first = leads(region, owners);
    for (size_t i = 0; i < nodes; ++i) {
      EXPECT_GE(first[i], load[i] / 3) << nodes << " nodes, node " << i;
      EXPECT_LE(first[i], (load[i] + 2) / 3) << nodes << " nodes, node " << i;
    }
  }
}

// ---- arguments

TEST(Placement, DependsOnArgumentsAloneNotOnTheirOrder) {
  Region region = region_of(11, 3, 128, 3);
  Owners owners = place(region), later = place(region_of(12, 3, 128, 3), owners);
  std::reverse(region.nodes.begin(), region.nodes.end());
  EXPECT_EQ(place(region), owners);
  EXPECT_EQ(place(region), place(region));
  Region more = region_of(12, 3, 128, 3);
  std::reverse(more.nodes.begin(), more.nodes.end());
  EXPECT_EQ(place(more, owners), later);
}

TEST(Placement, DependsOnTheOrderOfNodesNotOnTheirNumbers) {
  Region region = region_of(11, 3, 128, 3);
  Owners owners = place(region);
  for (Candidate& c : region.nodes) c.node = static_cast<NodeIndex>(c.node + 40);
  for (auto& arc : owners) {
    for (NodeIndex& n : arc) n = static_cast<NodeIndex>(n + 40);
  }
  EXPECT_EQ(place(region), owners);
}

TEST(Placement, GarbageBeforeIsIgnored) {
  Region region = region_of(4, 2, 8, 2);
  Owners before(9, std::vector<NodeIndex>{2, 2, 77, 2, kNoNode, 0, 1, 3});
  Owners owners = place(region, before);
  ASSERT_EQ(check(region, owners), "");
  expect_even(region, owners);
}

TEST(Placement, CapacitiesMayDifferByAllThatIsAllowed) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    Region region = random_region(rng, 12, 1 + rng.below(3), false);
    region.arcs = 64;
    for (Candidate& c : region.nodes) {
      c.capacity = rng.chance(0.3)   ? kMinCapacity
                   : rng.chance(0.5) ? kMaxCapacity
                                     : 1 + static_cast<double>(rng.below(9));
    }
    // Floating point cannot check these loads; that there is an answer at all says that the bounds fit together.
    for (const auto& arc : place(region)) EXPECT_EQ(std::set<NodeIndex>(arc.begin(), arc.end()).size(), 3u);
  }
}

TEST(Placement, NoReplicasAndNoArcsAreNoOwners) {
  EXPECT_EQ(place(region_of(3, 1, 4, 0)), Owners(4));
  EXPECT_EQ(place(region_of(3, 1, 0, 2)), Owners());
}

TEST(Placement, RefusesWhatCannotBe) {
  auto code = [](const std::vector<Candidate>& nodes, uint32_t arcs, uint32_t replicas) {
    return assign_region(nodes, arcs, replicas, {}).status().code();
  };
  const auto two = region_of(2, 1).nodes;
  EXPECT_EQ(code(two, 4, 3), Code::kInvalidArgument);
  auto twice = two;
  twice[1].node = 0;
  EXPECT_EQ(code(twice, 4, 1), Code::kInvalidArgument);
  for (double capacity : {0.0, -1.0, 1e9, std::numeric_limits<double>::quiet_NaN()}) {
    auto c = two;
    c[0].capacity = capacity;
    EXPECT_EQ(code(c, 4, 1), Code::kInvalidArgument) << capacity;
  }
  EXPECT_EQ(code(region_of(257, 1).nodes, 65536, 3), Code::kInvalidArgument);
}

}  // namespace
}  // namespace cartwheel::node
