// Hash trees: nothing but a disk that spoils rows may make them differ at equal clocks, so in runs without such a fault
// they never repair anything, and in the end they prove that all owners hold the same.
#include "tests/sim/checkers.h"

namespace cartwheel::sim {

Verdict check_trees(const SimWorld& world) {
  if (uint64_t n = world.total(&node::StripeStats::tree_keys_repaired); n > 0) {
    return "trees repaired " + std::to_string(n) + " keys that no disk had spoiled";
  }
  if (uint64_t n = world.total(&node::StripeStats::rotten_partitions); n > 0) {
    return "the rows of " + std::to_string(n) + " partitions were not what their trees say";
  }
  if (uint64_t n = world.total(&node::StripeStats::unreadable_scans); n > 0 && !world.ever_spoiled()) {
    return std::to_string(n) + " looks through the rows ended with an error";
  }
  return {};
}

void compare_trees(SimWorld& world) {
  for (node::NodeIndex n = 0; n < world.config().nodes.size(); ++n) {
    if (world.config().nodes[n].removed()) continue;
    for (uint32_t s = 0; s < world.config().stripes; ++s) {
      world.stripe(n, s).post([](node::Stripe& stripe, Now now) { stripe.repair_now(now); });
    }
  }
}

Verdict trees_compared(SimWorld& world) {
  for (node::NodeIndex n = 0; n < world.config().nodes.size(); ++n) {
    if (world.config().nodes[n].removed() || !world.is_up(n)) continue;
    for (uint32_t s = 0; s < world.config().stripes; ++s) {
      const node::TreeProgress progress = world.stripe(n, s).stripe().tree_progress();
      if (progress.equal == progress.pairs && progress.trees_to_build == 0) continue;
      return "node " + std::to_string(n) + " found " + std::to_string(progress.equal) + " of " +
             std::to_string(progress.pairs) + " pairs equal and has " + std::to_string(progress.trees_to_build) +
             " trees to build";
    }
  }
  return {};
}

}  // namespace cartwheel::sim
