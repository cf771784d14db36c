// A rolling restart: every node is stopped cleanly and started again, one after the other, while clients ask the
// others.
#pragma once

#include <cstdint>

#include "tests/sim/checkers.h"

namespace cartwheel::sim {

// The first request that failed, or nothing. The network loses nothing, so none may.
Verdict rolling_restart(uint64_t seed);

}  // namespace cartwheel::sim
