#include "tests/node/placement_region.h"

#include <algorithm>

#include "base/check.h"

namespace cartwheel::node {

std::map<std::string, size_t> Region::zone_sizes() const {
  std::map<std::string, size_t> sizes;
  for (const Candidate& c : nodes) ++sizes[c.zone];
  return sizes;
}

size_t Region::find(NodeIndex node) const {
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].node == node) return i;
  }
  return nodes.size();
}

Region region_of(size_t nodes, size_t zones, uint32_t arcs, uint32_t replicas) {
  Region region{{}, arcs, replicas, static_cast<NodeIndex>(nodes)};
  for (size_t i = 0; i < nodes; ++i) {
    region.nodes.push_back({static_cast<NodeIndex>(i), std::string(1, static_cast<char>('a' + i % zones)), 1.0});
  }
  return region;
}

Region random_region(Rng& rng, size_t most, size_t zones, bool unequal) {
  const size_t fewest = std::max<size_t>(zones, 3);
  CHECK(fewest <= most);
  Region region = region_of(fewest + rng.below(most - fewest + 1), zones);
  for (size_t i = 0; i < region.nodes.size(); ++i) {
    // The lower of two draws: early zones are the large ones. The first nodes stay, so that no zone is empty.
    if (i >= zones) region.nodes[i].zone[0] = static_cast<char>('a' + std::min(rng.below(zones), rng.below(zones)));
    if (unequal) region.nodes[i].capacity = 0.5 + static_cast<double>(rng.below(36)) / 10;
  }
  return region;
}

const char* name_of(Change change) {
  switch (change) {
    case Change::kJoin:
      return "join";
    case Change::kLeave:
      return "leave";
    case Change::kReplace:
      return "replace";
    case Change::kReweigh:
      return "reweigh";
    case Change::kMoreReplicas:
      return "replicas + 1";
    case Change::kFewerReplicas:
      return "replicas - 1";
  }
  return "";
}

bool apply(Change change, Rng& rng, bool unequal, Region& region) {
  auto capacity = [&] { return unequal ? 0.5 + static_cast<double>(rng.below(36)) / 10 : 1.0; };
  auto& nodes = region.nodes;
  const size_t i = rng.below(nodes.size());
  switch (change) {
    case Change::kJoin:
      nodes.push_back({region.next++, nodes[i].zone, capacity()});
      return true;
    case Change::kLeave:
      if (nodes.size() <= region.replicas) return false;
      if (std::count_if(nodes.begin(), nodes.end(), [&](auto& n) { return n.zone == nodes[i].zone; }) == 1)
        return false;
      nodes.erase(nodes.begin() + static_cast<std::ptrdiff_t>(i));
      return true;
    case Change::kReplace:
      nodes[i].node = region.next++;
      return true;
    case Change::kReweigh:
      nodes[i].capacity = capacity();
      return unequal;
    case Change::kMoreReplicas:
      if (region.replicas >= std::min<size_t>(5, nodes.size())) return false;
      ++region.replicas;
      return true;
    case Change::kFewerReplicas:
      if (region.replicas <= 2) return false;
      --region.replicas;
      return true;
  }
  return false;
}

Owners place(const Region& region, const Owners& before) {
  auto result = assign_region(region.nodes, region.arcs, region.replicas, before);
  CHECK(result.ok());
  return *result;
}

std::vector<uint64_t> loads(const Region& region, const Owners& owners) {
  std::map<NodeIndex, uint64_t> count;
  for (const auto& arc : owners) {
    for (NodeIndex n : arc) ++count[n];
  }
  std::vector<uint64_t> out;
  for (const Candidate& c : region.nodes) out.push_back(count[c.node]);
  return out;
}

std::vector<uint64_t> leads(const Region& region, const Owners& owners) {
  Owners first;
  for (const auto& arc : owners) first.push_back({arc[0]});
  return loads(region, first);
}

}  // namespace cartwheel::node
