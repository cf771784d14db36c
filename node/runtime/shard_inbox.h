// What one shard passes to another: requests for its stripes, the replies, and messages of peers that arrived on the
// wrong shard. Gathered during a turn and passed as one vector, so that a turn costs one push and one wake-up per
// shard.
//
// Bounds: a shard has at most kShardRequests requests under way at another, which bounds replies as well; bytes of
// peers' messages that wait are counted here and bounded by limits::kPeerOutputBytes.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "node/core/cluster.h"
#include "node/core/operation.h"
#include "node/runtime/spsc_ring.h"

namespace cartwheel::node {

inline constexpr size_t kShardRequests = 16 * 1024;

struct ShardRequest {
  uint64_t id;  // of the asking shard
  Request request;
};
struct ShardReply {
  uint64_t id;
  Reply reply;
};
struct ShardDelivery {
  uint8_t stripe;
  NodeIndex from;
  std::string bytes;
};
using ShardMessage = std::variant<ShardRequest, ShardReply, ShardDelivery>;

// One per (receiving shard, sending shard).
struct ShardInbox {
  SpscRing<std::vector<ShardMessage>, 256> ring;
  std::atomic<size_t> delivery_bytes{0};  // added to by the sender, subtracted from by the receiver
};

}  // namespace cartwheel::node
