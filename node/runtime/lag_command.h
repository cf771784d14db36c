// `cartwheel lag`: what the replicas of each region lack of what each node wrote.
#pragma once

#include <string_view>
#include <vector>

#include "node/runtime/cluster_command.h"
#include "node/runtime/member_calls.h"

namespace cartwheel::node {

// Pure: what is printed. `describe` is the answer to that request, `answers` are those of all members to "lag". A row
// per region that has replicas and per node that may write to them, or has written: of the replica of the region that
// lacks most of it, whatever member says so. docs/operations.md defines the figures.
ClusterReport report_lag(std::string_view describe, const std::vector<MemberAnswer>& answers, bool json);

int run_lag_command(const ClusterCommand& command);

}  // namespace cartwheel::node
