// What a node must not forget about its part in the cluster: the file MEMBER of its data directory. It is replaced as a
// whole, durably, whenever its content changes, which is when the configuration does or when this node votes about one.
#pragma once

#include <optional>
#include <string>

#include "base/status.h"
#include "node/core/cluster.h"

namespace cartwheel::node {

struct NodeState {
  uint64_t identity = 0;     // of the data directory, chosen at random when it was made
  uint32_t starts = 0;       // of its process, this one included
  NodeIndex self = kNoNode;  // its position in the configuration; kNoNode: not a member yet
  std::string config;        // encode_config() of the newest configuration known; empty: none yet
  std::string acceptor;      // paxos::Acceptor::encode(); empty: has not voted yet
};

//   member = "CWM1" identity:u64 starts:u32 self:u16 config:bytes acceptor:bytes xxh3:u64 (of all before it)
std::string encode(const NodeState& state);
Result<NodeState> decode_node_state(std::string_view bytes);

// Nothing when the directory or the file does not exist. kCorruption names the file.
Result<std::optional<NodeState>> read_node_state(const std::string& directory);
// Durable when it returns; the directory is made if need be. On an error the old content is still there.
Status write_node_state(const std::string& directory, const NodeState& state);

}  // namespace cartwheel::node
