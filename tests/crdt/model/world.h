// World: one seeded run of the model of partition clocks: several replicas, random writes of every type, a wire that
// loses, repeats, reorders and splits deltas, catch-up by dot log, full exchanges, truncation of the logs, forgetting
// of resets in two rounds, crashes that lose the unsynced tail, wiped disks; then quiescence. Every replica is compared
// with the naive model as it goes along and at the end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace cartwheel::crdt::model {

// Nothing, or what went wrong, with the seed.
std::optional<std::string> run_seed(uint64_t seed);

}  // namespace cartwheel::crdt::model
