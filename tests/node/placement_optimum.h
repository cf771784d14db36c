// The least that a change has to move, found by cancelling cycles (Klein), where placement augments paths. Only the
// start is its own, and the optimum does not depend on it.
#pragma once

#include <cstdint>

#include "tests/node/placement_checker.h"

namespace cartwheel::node {

// Owners of an arc that did not own it before.
uint64_t moved(const Owners& before, const Owners& after);

// The least that any assignment within `ranges` moves from `before`. `start` is one.
uint64_t least_moved(const Region& region, const Owners& before, const Owners& start, const Ranges& ranges);
// The same without looking at arcs, so less or equal: only how much each node had and must have.
uint64_t least_moved_by_loads(const Region& region, const Owners& before, const Ranges& ranges);

// Arcs whose first owner of `before` is an owner in `after` but not the first; and the least that there can be when
// each node comes first in its part of the arcs that `after` gives it, rounded down or up.
uint64_t leaders_displaced(const Owners& before, const Owners& after);
uint64_t least_leaders_displaced(const Region& region, const Owners& before, const Owners& after);

}  // namespace cartwheel::node
