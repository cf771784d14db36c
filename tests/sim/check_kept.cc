#include <algorithm>

#include "tests/sim/checkers.h"

namespace cartwheel::sim {

// Stricter than what was acknowledged: a write whose outcome the client does not know may have been read.
Verdict check_kept(const SimWorld& world) {
  const History& history = world.history();
  for (const auto& [partition, indexes] : history.events_of_partitions()) {
    bool lost = std::any_of(history.losses().begin(), history.losses().end(),
                            [&partition = partition](const Loss& loss) { return loss.held.contains(partition); });
    if (lost) continue;
    for (size_t index : indexes) {
      const Event& event = history.events()[index];
      if (!event.written || !event.logged) continue;  // of what is in no record only the effects need to be there
      for (node::NodeIndex n : world.owners(partition)) {
        if (world.stripe_of(n, partition).clock(partition).contains(event.change.dot)) continue;
        return "no disk lost anything, but dot " + to_string(event.change.dot) + " of '" + event.key + "' is not at " +
               world.config().nodes[n].name;
      }
    }
  }
  return {};
}

}  // namespace cartwheel::sim
