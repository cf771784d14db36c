// Folding: once everything has been well for long enough, no clock names a life that has ended.
#include <algorithm>

#include "tests/sim/checkers.h"

namespace cartwheel::sim {

namespace {

// Of one node there may be one fold, and what its present life has written.
bool is_folded(const std::vector<crdt::DotSet::Row>& rows, uint32_t node, std::optional<uint64_t> live) {
  return std::all_of(rows.begin(), rows.end(), [&](const crdt::DotSet::Row& row) {
    return row.actor.node != node || row.fold != 0 || (live && row.actor.epoch == *live);
  });
}

}  // namespace

Verdict check_folded(const SimWorld& world) {
  const node::ClusterConfig& config = world.config();
  for (Partition partition : world.partitions()) {
    if (config.keyspaces[partition.keyspace].dropped) continue;
    for (node::NodeIndex n : world.owners(partition)) {
      const SimStripe& holder = world.stripe_of(n, partition);
      if (!holder.running()) return config.nodes[n].name + " is not up";
      const auto& rows = holder.stripe().clock(partition.keyspace, partition.arc).rows();
      for (node::NodeIndex writer = 0; writer < config.nodes.size(); ++writer) {
        std::optional<uint64_t> live;
        const SimStripe& of_writer = world.stripe_of(writer, partition);
        if (!config.nodes[writer].removed() && of_writer.running()) live = of_writer.stripe().epoch();
        if (is_folded(rows, node::actor_node_id(config, writer), live)) continue;
        std::string text = "keyspace " + std::to_string(partition.keyspace) + " arc " + std::to_string(partition.arc) +
                           " at " + config.nodes[n].name + " still has lives of " + config.nodes[writer].name + ":";
        for (const auto& row : rows) {
          if (row.actor.node != node::actor_node_id(config, writer)) continue;
          text += " " + std::to_string(row.actor.epoch) + (row.fold != 0 ? " folded" : "");
        }
        return text + (live ? ", it is in " + std::to_string(*live) : ", it was removed");
      }
    }
  }
  return {};
}

int64_t latest_epoch_ms(const SimWorld& world) {
  int64_t latest = 0;
  for (node::NodeIndex n = 0; n < world.config().nodes.size(); ++n) {
    for (Partition partition : world.partitions()) {
      const SimStripe& holder = world.stripe_of(n, partition);
      if (!holder.running()) continue;
      for (const auto& row : holder.stripe().clock(partition.keyspace, partition.arc).rows())
        latest = std::max(latest, static_cast<int64_t>(row.actor.epoch >> 16));
    }
  }
  return latest;
}

}  // namespace cartwheel::sim
