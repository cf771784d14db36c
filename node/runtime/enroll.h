// Enrolment: what a process settles before its node starts: which member of which cluster it is, and by which
// configuration it begins. The answer comes from the data directory if that belongs to a member already, else from a
// cluster file, from nobody (the first node of a new cluster), or from a member that is asked.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "node/core/cluster.h"
#include "node/runtime/node_state.h"

namespace cartwheel::node {

struct Enrollment {
  ClusterConfig config;
  NodeIndex self = kNoNode;
  NodeState state;                             // `starts` counts this start, which is not durable yet
  NodeInfo wanted;                             // what the configuration shall say of this node
  std::vector<Address> file_addresses, seeds;  // see NodeContext
};

// Node `name` of the cluster file `file`. What the cluster has decided since supersedes the file, but for addresses.
// kInvalidArgument when the directory belongs to somebody else.
Result<Enrollment> enroll_from_file(const ClusterConfig& file, const std::string& name, const std::string& data_dir);

struct EnrollOptions {
  std::string data_dir, cluster;
  NodeInfo node;  // its name and region may be empty if the directory belongs to a member already
  bool has_zone = false, has_capacity = false;  // were given
  bool bootstrap = false;
  std::vector<Address> join;                // members to ask, in this order
  std::string replace;                      // the dead node whose place it takes
  bool replace_dead = false;                // take the place of a dead node of the same name
  uint32_t partitions = 1024, stripes = 1;  // of a new cluster
  // Waits between two rounds of asking; false: the process is to stop.
  std::function<bool(uint64_t ms)> wait;
};
// Asks again and again while no member can be reached, if there is no other way to begin. A code of kShuttingDown: it
// was told to stop meanwhile.
Result<Enrollment> enroll(const EnrollOptions& options);

}  // namespace cartwheel::node
