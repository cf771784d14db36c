// Control: what a node does for the cluster as a whole, beside the shards: gossip, its part in the configuration
// register, and the answers to `cartwheel status`, `decommission` and the like. It has a thread and a loop of its own,
// so that gossip answers while shards are busy, and the waits for its own small file (node_state.h) delay no request.
//
//   shards ──(control messages, connections, newer epochs)→ Control ──(configurations, messages to send)→ shards
//   UDP    ←─(sealed packets)→ Swim
//
// Threads: a thread of its own; the calls under "from any thread" hand over.
#pragma once

#include <uv.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "gossip/sealer.h"
#include "gossip/swim.h"
#include "node/core/membership/membership.h"
#include "node/runtime/admin.h"
#include "node/runtime/node_state.h"
#include "node/runtime/shard.h"

namespace cartwheel::node {

class Control final : private AdminHost {
 public:
  struct Options {
    NodeState state;  // as read at the start; `starts` counts this one and is durable
    NodeInfo wanted;  // zone, capacity and addresses as this start was told, which the configuration is to have
    std::unique_ptr<gossip::Sealer> sealer;
    int udp = -1;  // a bound socket, owned from now on
    uint64_t seed = 0;
  };

  // REQUIRES: node.first_config is what options.state.config says, or later.
  Control(NodeContext& node, Options options);
  ~Control() override;  // REQUIRES: stop() was called, or start() never was
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  // REQUIRES: every shard has started.
  Status start();
  // Tells the others that this node stops, and ends the thread.
  void stop();

  // --- from any thread
  void on_peer_message(NodeIndex from, std::string bytes);
  void on_peer(NodeIndex peer, bool up);
  void on_newer_config(NodeIndex from, uint64_t epoch);
  void on_refused(NodeIndex peer, uint64_t epoch, const std::string& reason);
  // `request` is a MessagePack map, see docs/rpc.md, "admin". `done` is called once, on any thread.
  void admin(std::string request, AdminDone done);

  // Why this node must stop, once it is so: it is no member any more. `left`: because it was asked to leave and has
  // handed over everything. The process is sent SIGTERM then.
  struct Expulsion {
    std::string reason;
    bool left = false;
  };
  std::optional<Expulsion> expulsion() const;

 private:
  struct Peer {  // how to reach it by UDP
    Address address;
    sockaddr_storage socket{};
    bool known = false, resolving = false;
    Instant next_try{};
  };

  // AdminHost
  Membership& membership() override { return membership_; }
  Instant now() const override;
  MemberView view_of(NodeIndex n) const override;
  NodeIndex self() const override { return node_.self; }

  void post(std::function<void()> task);
  void run();
  void on_wake();
  void on_timer();
  void on_packet(std::string_view sealed, const sockaddr* from);
  void end_turn();
  void carry_out(Membership::Output output);
  void persist();
  void expel(std::string reason, bool left);
  void send(std::vector<Membership::Output::Message> messages);
  void gather_report();
  void maybe_depart(MemberReport& report, uint64_t clients);
  void keep_addresses();
  void update_gossip();
  void drain_gossip();
  void send_packet(gossip::MemberId to, const std::string& plain);
  bool resolve(NodeIndex n);
  void close_handles();

  NodeContext& node_;
  Options options_;
  Membership membership_;
  Admin admin_;
  std::unique_ptr<gossip::Swim> swim_;      // once the configuration knows this data directory
  std::vector<std::optional<bool>> alive_;  // by NodeIndex, as told to membership_
  std::map<NodeIndex, Peer> peers_;
  bool gathering_ = false;
  std::optional<Instant> departs_since_;  // this node leaves and holds nothing any more
  bool updating_ = false;                 // the own addresses are being changed
  Instant next_update_{};

  uv_loop_t loop_{};
  uv_async_t wake_{};
  uv_timer_t timer_{};
  uv_udp_t udp_{};
  std::string slab_;
  std::thread thread_;
  bool stopping_ = false;
  Instant leave_until_{};

  std::mutex mutex_;
  bool accepts_ = false;
  std::vector<std::function<void()>> tasks_;
  mutable std::mutex expulsion_mutex_;
  std::optional<Expulsion> expulsion_;
};

}  // namespace cartwheel::node
