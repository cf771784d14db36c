// What nodes say to each other about the cluster itself: configurations, reports, and what the register's proposers and
// acceptors and gossip's push-pull have to say. They travel as stripe messages to kControlStripe, on the connections of
// the first shard; all may be lost, and none is big but a configuration. docs/rpc.md lists them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "node/core/ring_plan.h"

namespace cartwheel::node {

inline constexpr uint8_t kControlStripe = 255;  // of the frames that carry them; no stripe has that number

// What a node says of itself when it is asked.
struct MemberReport {
  NodeReport ring;
  uint64_t bytes_done = 0, bytes_to_do = 0;  // of snapshots that it loads
  uint64_t keys = 0, disk_bytes = 0, memory_bytes = 0, uptime_seconds = 0;
  uint64_t quarantined = 0, alarms = 0;  // partitions, now
  bool ready = false;                    // writes would find their replicas, and it does not drain
  bool draining = false;
};

// Append only.
enum class ControlType : uint8_t {
  kHave = 1,       // `epoch` to `asks`: said when a connection comes up, and now and then
  kFetch = 2,      // answer with your configuration
  kConfig = 3,     // `body`: encode_config()
  kAskReport = 4,  // answer with a report
  kReport = 5,     // `report`
  kPaxos = 6,      // `body`: a message of node/core/paxos
  kGossip = 7,     // `body`: a stream message of gossip
};

//   control = type:u8 payload
//   have    = epoch:varint identity:u64 formation:u64 flags:u8 (1 settled, 2 votes, 4 asks)
//   config, paxos, gossip = the bytes
//   report  = flags:u8 (1 ready, 2 draining, 4 departed) epoch:varint leftovers:varint bytes-done:varint
//             bytes-to-do:varint keys:varint disk:varint memory:varint uptime:varint quarantined:varint alarms:varint
//             count:varint { keyspace:varint arc:varint since:varint done:u8 }
struct ControlMessage {
  explicit ControlMessage(ControlType t, std::string b = {}) : type(t), body(std::move(b)) {}

  ControlType type;
  uint64_t epoch = 0;      // of the sender's configuration
  uint64_t identity = 0;   // of the sender's data directory
  uint64_t formation = 0;  // a hash of the sender's configuration, if it is of epoch 1 and formed
  bool settled = false;    // all voters have had that formation
  bool votes = false;      // the sender's vote is in order: it would count if the sender were a voter
  bool asks = false;       // the sender wants the same in return
  MemberReport report;
  std::string body;

  std::string encode() const;
  // kCorruption when it is nothing that encode() makes.
  static Result<ControlMessage> decode(std::string_view bytes);
};

}  // namespace cartwheel::node
