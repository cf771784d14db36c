// `cartwheel status`: asks every node of the cluster file by RPC, all at once, and prints what they say.
#pragma once

#include <string>
#include <vector>

#include "node/core/cluster.h"
#include "node/runtime/cluster_command.h"
#include "node/runtime/options.h"

namespace cartwheel::node {

// One node's answer to "status": its MessagePack map, or why there is none.
struct NodeAnswer {
  std::string name, region, zone, address;
  Status status;
  std::string document;
};

struct StatusReport {
  std::string text;  // the table or the JSON
  int exit_code = kExitOk;
};

// Pure: what is printed about these answers. A document that does not decode counts as no answer.
StatusReport report_status(const std::string& cluster, const std::vector<NodeAnswer>& answers, bool json);

// Asks and prints on standard output; complaints go to standard error. Returns the exit code.
int run_status(const StatusOptions& options);

}  // namespace cartwheel::node
