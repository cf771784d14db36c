// `cartwheel explain`: what each replica stores of a key, who wrote it and when, what of it shows and why, and where
// the replicas differ.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "node/runtime/cluster_command.h"
#include "node/runtime/member_calls.h"

namespace cartwheel::node {

struct ExplainTarget {
  std::string keyspace;
  uint32_t arc = 0;
  std::vector<std::string> replicas;  // the arc's owners, and while it moves those who have it besides or get it
};
// Where the key is, by the answer to "describe". kNotFound when there is no such keyspace; "" is the one with select 0.
Result<ExplainTarget> find_replicas(std::string_view describe, const std::string& keyspace, const std::string& key);

// Pure: what is printed about the answers of the key's replicas to "explain".
ClusterReport report_explain(const ExplainTarget& target, const ClusterCommand& command,
                             const std::vector<MemberAnswer>& answers);

int run_explain_command(const ClusterCommand& command);

}  // namespace cartwheel::node
