// run_seed: one random run from one number: a cluster of a random shape, faults under load, then everything heals, the
// replicas must agree within a bounded time, and all checkers look. The same seed is the same run, message for message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace cartwheel::sim {

struct SeedResult {
  uint64_t seed = 0;
  std::optional<std::string> failure;  // what is wrong first
  std::string shape;                   // of the cluster and its faults, for people
  uint64_t trace_hash = 0;
  uint64_t events = 0, operations = 0, acknowledged = 0;
  uint64_t folds = 0, folds_amid_faults = 0;  // of lives out of clocks, counted once per partition
  uint64_t full_exchanges = 0, by_trees = 0;  // that the last lives of the nodes began, and got only what differed
  int64_t virtual_us = 0;                     // leaps not counted
};

// What a random run has beside what every one has. A seed runs alike only with the same ones.
struct RunKind {
  bool ring = false;       // nodes join, leave and are replaced, and replicas change
  bool fallbacks = false;  // keyspaces with fallbacks, in regions with more nodes than copies
  bool spoil = false;      // disks spoil rows
  bool stops = false;      // three copies in a region, and nothing goes wrong but short stops of one node at a time
};

SeedResult run_seed(uint64_t seed, bool verbose = false, RunKind kind = {});

}  // namespace cartwheel::sim
