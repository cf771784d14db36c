// The directory of one stripe's engine at a start: opened, or, if what it holds cannot be trusted, set aside.
//
// A table or a manifest that is missing or damaged may have held rows of any partition of the stripe, and no clock
// tells of which. So the stripe is quarantined as a whole: its directory is renamed to stripe-N.broken-TIME, never
// deleted, and the stripe begins empty, as after a wiped disk: with a new epoch, and without a vote before it has what
// the other replicas have. Only if every partition of it that this node has has another owner, or the operator forces
// it.
//
// A table that was found damaged while the stripe ran leaves a mark (mark_damaged), and the process ends. With the
// mark, what can be read is copied to a new directory at the next start, and what cannot is quarantined
// (stripe_mending.h); the old directory is kept like one that is set aside. Where this node has the only copy of some
// partition, that would turn rows that cannot be read into rows that do not exist: then the stripe is opened without
// compaction, until the operator forces it.
//
//   stripe-N.mending   a copy that may be incomplete; begun anew
//   stripe-N.mended    one that is complete; takes the place of stripe-N, also after a crash in between
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "node/core/cluster.h"
#include "storage/engine.h"

namespace cartwheel::node {

// `compacts` false: tables are read as they are, and never compacted.
using OpenEngine = std::function<Result<std::unique_ptr<storage::Engine>>(const std::string& directory, bool compacts)>;

struct StripeDirectory {
  std::string data_dir;
  uint32_t stripe = 0;
  bool force = false;  // --set-aside-broken-data
  std::string path() const { return data_dir + "/stripe-" + std::to_string(stripe); }
};

// Has the next start mend the directory. Durable when it returns.
Status mark_damaged(const StripeDirectory& directory, const std::string& reason);

// The engine of the stripe, by `open`. What is set aside is logged. Errors: those of `open`; kCorruption, saying what
// is broken and what the operator can do, if it may not be set aside.
Result<std::unique_ptr<storage::Engine>> open_stripe_directory(const StripeDirectory& directory,
                                                               const ClusterConfig& config, NodeIndex self,
                                                               const OpenEngine& open);

}  // namespace cartwheel::node
