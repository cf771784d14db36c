// One seed of the gossip simulation: a random cluster, random faults, everything heals, and then a bounded time after
// which every node must see every other one as it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace cartwheel::gossip::sim {

struct SeedResult {
  uint64_t seed = 0;
  std::optional<std::string> failure;
  std::string shape;
  uint64_t events = 0, trace = 0;
  int64_t virtual_us = 0;
};
SeedResult run_seed(uint64_t seed, bool verbose = false);

}  // namespace cartwheel::gossip::sim
