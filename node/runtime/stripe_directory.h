// The directory of one stripe's engine at a start: opened, or, if what it holds cannot be trusted, set aside.
//
// A table or a manifest that is missing or damaged may have held rows of any partition of the stripe, and no clock
// tells of which. So the stripe is quarantined as a whole: its directory is renamed to stripe-N.broken-TIME, never
// deleted, and the stripe begins empty, as after a wiped disk: with a new epoch, and without a vote before it has what
// the other replicas have. Only if every partition of it that this node has has another owner, or the operator forces
// it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "node/core/cluster.h"
#include "storage/engine.h"

namespace cartwheel::node {

using OpenEngine = std::function<Result<std::unique_ptr<storage::Engine>>(const std::string& directory)>;

struct StripeDirectory {
  std::string data_dir;
  uint32_t stripe = 0;
  bool force = false;  // --set-aside-broken-data
  std::string path() const { return data_dir + "/stripe-" + std::to_string(stripe); }
};

// The engine of the stripe, by `open`. What is set aside is logged. Errors: those of `open`; kCorruption, saying what
// is broken and what the operator can do, if it may not be set aside.
Result<std::unique_ptr<storage::Engine>> open_stripe_directory(const StripeDirectory& directory,
                                                               const ClusterConfig& config, NodeIndex self,
                                                               const OpenEngine& open);

}  // namespace cartwheel::node
