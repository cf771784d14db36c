// `cartwheel verify`: whether all replicas in all regions hold the same; `cartwheel repair`: has them compared, and
// shows how far that is.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "node/runtime/cluster_command.h"
#include "node/runtime/member_calls.h"

namespace cartwheel::node {

// What the replicas of one partition say of it.
struct PartitionView {
  struct Replica {
    std::string node, region;
    uint64_t clock = 0, tree = 0, keys = 0;
    bool ready = false;
  };
  std::vector<Replica> replicas;

  enum class State {
    kEqual,    // equal clocks, equal content
    kBehind,   // unequal clocks: writes are under way, or a replica is behind
    kDiffers,  // equal clocks, and not the same content
    kNoTree,   // a replica has nothing to compare yet
    kMissing,  // fewer replicas answered than there are
  };
  State state(size_t owners) const;  // of that many
};
using PartitionViews = std::map<std::pair<int64_t, int64_t>, PartitionView>;  // by keyspace and arc

// Pure: what the answers to "digests" say, put together. Answers that do not decode count as none.
PartitionViews views_of(const std::vector<MemberAnswer>& answers);

int run_verify_command(const ClusterCommand& command);
int run_repair_command(const ClusterCommand& command);

}  // namespace cartwheel::node
