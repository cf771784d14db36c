// The commands about the cluster: each asks one node and prints the answer, or has it make a change.
#pragma once

#include <string>
#include <string_view>

#include "node/runtime/options.h"

namespace cartwheel::node {

inline constexpr int kExitOk = 0, kExitFailed = 1, kExitUsage = 2, kExitUnreachable = 3, kExitUnhealthy = 4;

struct ClusterReport {
  std::string text;
  int exit_code = kExitOk;
};
// Pure: what is printed about `document`, the MessagePack answer to "describe", by the kinds that only look.
ClusterReport report_cluster(ClusterCommand::Kind kind, std::string_view document, bool json);

// What both kinds of status say of partitions in trouble.
std::string quarantined_text(int64_t partitions);
std::string alarms_text(int64_t partitions);

// Runs the command. Results go to standard output, progress and complaints to standard error. Returns the exit code.
int run_cluster_command(const ClusterCommand& command);

}  // namespace cartwheel::node
