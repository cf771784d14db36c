// What a node says about itself and the cluster, once for both doors: as JSON over HTTP, as MessagePack over RPC.
// The members are listed in docs/rpc.md, "status" and "topology"; later versions may add members.
#pragma once

#include <string>

#include "node/core/cluster.h"
#include "node/runtime/metrics.h"

namespace cartwheel::node {

// "ready", "not_ready" (running, but writes would not find their replicas) or "draining".
const char* state_name(const Metrics& metrics);

std::string status_json(const Metrics& metrics);     // indented, ends with a line break
std::string status_msgpack(const Metrics& metrics);  // one map

// Who owns what, so that a client can send a request to a replica of its key.
std::string topology_msgpack(const ClusterConfig& config);

}  // namespace cartwheel::node
