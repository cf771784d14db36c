// Ring planning: the pure functions by which one configuration becomes the next. They are what is proposed to the
// configuration register (docs/membership.md), so each decides by its arguments alone, and each gives its result the
// epoch behind the one it was given. On an error nothing is changed, and the message is for the operator who asked.
//
// A change of the ring is queued first; when it is the first in the queue it is planned: the owners that each arc shall
// have are computed, and arcs that need others get a Move. advance() then takes the moves from stage to stage by what
// the nodes report, ends the change when none is left, and plans the next one.
#pragma once

#include <map>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "node/core/cluster.h"
#include "node/core/stripe.h"

namespace cartwheel::node {

// --- what operators ask for

// A configuration with `first` alone, without keyspaces: the beginning of a cluster.
Result<ClusterConfig> new_cluster(std::string name, uint32_t partitions, uint32_t stripes, const NodeInfo& first);

// `node` becomes a member and gets its share of the arcs. The name must not be taken; a node with the same name and
// identity has joined already (its answer was lost), which is ok and changes nothing: then the epoch stays as well.
// *index is where it is.
Status join(ClusterConfig& config, const NodeInfo& node, NodeIndex* index);
// `node` takes the place of the member called `dead`, which is removed at once and for ever. With the same name, the
// new data directory takes the place of the old one and the position stays.
Status replace(ClusterConfig& config, std::string_view dead, const NodeInfo& node, NodeIndex* index);
// The member hands over its arcs and is removed then. With `dead` it is removed at once, and its arcs are made anew
// from the other replicas: what only it had is lost.
Status leave(ClusterConfig& config, std::string_view name, bool dead);
// A member has other addresses, zone or capacity than before.
Status update_node(ClusterConfig& config, NodeIndex index, const NodeInfo& node);
Status rebalance(ClusterConfig& config);
// Gives up the first change: arcs whose new owners are not read yet stay with the old ones, the others go on. A node
// that was joining leaves again; a node that was leaving stays.
Status cancel(ClusterConfig& config);
Status create_keyspace(ClusterConfig& config, Keyspace keyspace);
// Levels, TTL, durability and fallbacks change at once, replicas by a change of the ring.
Status alter_keyspace(ClusterConfig& config, const Keyspace& wanted);
Status drop_keyspace(ClusterConfig& config, std::string_view name);

// --- how it comes about

// What one node has last said of itself, all its stripes together.
struct NodeReport {
  uint64_t epoch = 0;  // the least of its stripes
  std::map<PartitionId, RingProgress::Step> steps;
  uint64_t leftovers = 0;
  bool departed = false;  // it leaves, knows that it owns nothing, and has sent its clients elsewhere
};
using NodeReports = std::map<NodeIndex, NodeReport>;

// Takes every step that the reports allow. False if there is none: then nothing is changed.
bool advance(ClusterConfig& config, const NodeReports& reports);

// Up to five members spread over the regions, an odd number, as many of `config.voters` among them as can be.
std::vector<NodeIndex> choose_voters(const ClusterConfig& config);

// Arcs that move now.
size_t moving_arcs(const ClusterConfig& config);

// Whether by `reports` a move could end its stage, and others could not yet.
bool ends_apart(const ClusterConfig& config, const NodeReports& reports);

// Whether `node` owns an arc or takes part in the move of one.
bool owns_anything(const ClusterConfig& config, NodeIndex node);

}  // namespace cartwheel::node
