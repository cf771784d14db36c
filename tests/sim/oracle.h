// Oracle: what the surviving events of a partition say that its replicas must show. Works on the coordinated changes
// alone, with sets of dots; it knows nothing of joins, voids, chains' bases or rows.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "crdt/clock.h"
#include "tests/sim/history.h"

namespace cartwheel::sim {

struct ExpectedLeaf {
  std::map<crdt::Dot, const Event*> puts;  // that show
  bool has_count = false;                  // whether a counter shows
  int64_t count = 0;
};

using ExpectedObject = std::map<std::string, ExpectedLeaf>;  // by path; leaves that show something

// By key; keys that show something.
std::map<std::string, ExpectedObject> expected_objects(const History& history, Partition partition,
                                                       const crdt::Clock& alive);

// The expiry that an object's leaves show: milliseconds, or nothing.
std::optional<int64_t> expiry_of(const ExpectedObject& object);

}  // namespace cartwheel::sim
