// What must hold at the end of a run. Each returns what is wrong, or nothing.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "tests/gossip/sim/world.h"

namespace cartwheel::gossip::sim {

using Failure = std::optional<std::string>;

// Every running member is seen alive and reachable by every other one, at its own incarnation.
Failure check_live_seen(const World& world);
// A crashed member of a region in which another one runs counts as dead everywhere, one that left as left.
Failure check_gone_seen(const World& world);
// All running members of a region that others are in pick the same gateways for it.
Failure check_gateways(const World& world);
// Once it is quiet no news is queued and no suspicion runs.
Failure check_quiet(const World& world);
// All running members have the same facts of each other.
Failure check_facts(const World& world);

// During a run: no node learns anything about somebody that it knows to be removed. Install with World::set_watcher.
class RemovedWatcher {
 public:
  void removed(MemberId id, int64_t everybody_knows_at) { removed_[id] = everybody_knows_at; }
  void see(MemberId observer, const Event& event, int64_t now);
  const Failure& failure() const { return failure_; }

 private:
  std::map<MemberId, int64_t> removed_;
  Failure failure_;
};

}  // namespace cartwheel::gossip::sim
