// Node: one node of the cluster in this process: its shards, its doors and its data.
//
// Start:  sockets are bound, the stripes of all shards recover, then the doors open, the peers are connected and gossip
//         begins.
// Stop:   HTTP says that the node drains; the RESP door closes, and clients are sent away for at most kLastCall; gossip
//         says goodbye; then new requests are refused, and the other nodes pass no more on to it; at most kDrainLimit
//         later each stripe writes and syncs its last turn; replies are given a moment to leave; all is closed.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "node/runtime/acceptor.h"
#include "node/runtime/control.h"
#include "node/runtime/enroll.h"
#include "node/runtime/shard.h"

namespace cartwheel::node {

inline constexpr Duration kDrainLimit = Duration::seconds(5);

struct NodeOptions {
  Enrollment enrollment;  // of this data directory
  std::string data_dir;
  std::string key_file;  // content of the key file of gossip; empty: packets are sealed without a secret
  RegionLinks region_links;
  uint32_t shards = 0;                 // 0: one per core; never more than stripes
  bool set_aside_broken_data = false;  // also where nobody else has it, see stripe_directory.h
  size_t memtable_bytes = 192 << 20;
  size_t cache_bytes = 64 << 20;  // of blocks; decoded objects have a budget of the same size
  // Bound sockets to listen on instead of the addresses of `wanted`, by Door; -1: bind. The node owns them.
  std::array<int, 3> sockets{-1, -1, -1};
};

class Node {
 public:
  // Errors name what is in the way: an address in use, a data directory that is open, damaged or of another node.
  static Result<std::unique_ptr<Node>> start(NodeOptions options);
  ~Node();  // stops
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Returns when everything is closed. kIo when the last turn of a stripe could not be made durable. Once.
  Status stop();

  // Why the process was sent SIGTERM by the node itself, if it was.
  std::optional<Control::Expulsion> expulsion() const { return control_->expulsion(); }
  uint32_t shards() const { return static_cast<uint32_t>(context_.shards.size()); }
  uint16_t port(Door door) const { return context_.ports[static_cast<size_t>(door)]; }

 private:
  Node() = default;
  Status bind_doors(NodeOptions& options);
  Status make_control(NodeOptions& options, std::unique_ptr<gossip::Sealer> sealer);
  Status open_stripes(const NodeOptions& options);
  void send_clients_away();
  Status open_doors();

  NodeContext context_;
  std::array<int, 3> sockets_{-1, -1, -1};  // bound, not yet an acceptor's
  int udp_ = -1;                            // likewise, not yet the control's
  std::unique_ptr<Control> control_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;  // used on shard 0's thread
  bool stopped_ = false;
};

}  // namespace cartwheel::node
