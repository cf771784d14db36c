// A stripe with a table that cannot be read through cannot go on as it is: RocksDB stops compacting, and then writing,
// and no call of it takes one bad table out without bringing back what that table had hidden. So at the next start all
// rows that can be read are copied to a new engine, and what may be missing is marked, so that the life that begins
// there believes nothing beside it:
//
//   object rows in a hole       the partition is quarantined ('q'): it keeps its clock, its other rows and its log
//                               until a replica has all that it has (node/core/quarantine.cc)
//   a partition row in a hole   gets a row that does not decode, as if it had been found like that
//   records of the dot log      likewise: a record that does not decode makes every clock doubtful that may lack it
//   stages, quarantine rows     which partitions they were of, nobody can say: all are quarantined
//   others                      the identity: the life begins as on an empty disk; kept fallbacks are lost;
//                               trees are built
#pragma once

#include <string>

#include "base/status.h"
#include "node/core/cluster.h"
#include "storage/engine.h"

namespace cartwheel::node {

struct Mending {
  uint64_t rows = 0, holes = 0, quarantined = 0;
};

// Copies `from`, the engine of `stripe` at node `self`, to `to`, which is empty, and syncs it. Errors are those of
// `to`.
Result<Mending> mend_stripe(const storage::Engine& from, storage::Engine& to, const ClusterConfig& config,
                            NodeIndex self, uint32_t stripe);

}  // namespace cartwheel::node
