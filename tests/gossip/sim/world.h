// World: a cluster's gossip in one process, on virtual time, from one seed. The machines are the product's; the
// network, the stalls and the configuration register are simulated.
//
//   network   latency within and between regions, loss, one-way cuts, sides that do not hear each other
//   node      up or down; stalled (nothing runs, packets pile up in a bounded socket buffer, timers fire first when it
//             wakes, as in an event loop); blocked (timers run, nothing is read or sent until it is over: the anomaly
//             of the Lifeguard paper); late (timers are on time, packets are read seconds after they came)
//   register  the configuration; a node that hears of a newer one fetches it after a moment
//
// Threads: none; a world is one thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "gossip/swim.h"
#include "tests/sim/event_queue.h"

namespace cartwheel::gossip::sim {

inline constexpr int64_t kSecond = 1'000'000;
inline constexpr size_t kDatagramOverhead = 28 + 45;  // IPv4 and UDP headers, the seal
inline constexpr size_t kSocketPackets = 512;         // what a stalled node's socket holds; more is lost

struct WorldOptions {
  uint64_t seed = 1;
  Options swim;
  double loss = 0;                                        // of packets; streams get through or fail as a whole
  int64_t lan_latency_us = 300, wan_latency_us = 40'000;  // at least; up to twice as much
  bool deliver_config = true;                             // whether nodes fetch a configuration of which they hear
};

class World {
 public:
  struct Node {
    Member member;
    uint32_t boot = 0;
    std::unique_ptr<Swim> swim;  // null: down
    int64_t stalled_until = 0;
    int64_t blocked_until = 0;
    int64_t late_us = 0;  // how long its packets wait, at most, before they are read
    int64_t late_last = 0;
    bool left = false;
    int side = 0;  // nodes of different sides do not hear each other
    struct Input {
      bool stream;
      MemberId from;
      std::string bytes;
    };
    std::deque<Input> inbox;   // while stalled or blocked
    std::deque<Input> outbox;  // while blocked; `from` is the receiver
    int64_t wake_at = INT64_MAX;
    uint64_t generation = 0;  // of its wake-ups
    uint64_t bytes_out = 0, packets_out = 0, stream_bytes_out = 0, wan_bytes_out = 0;
  };
  using Watcher = std::function<void(MemberId observer, const Event& event)>;

  explicit World(WorldOptions options);

  // Adds `n` nodes of a region to the register; they start with start() or restart().
  void add(size_t n, const std::string& region);
  void start(MemberId id);  // a new life, after a crash too
  void start_all();
  void crash(MemberId id);
  void leave(MemberId id);  // tells so, and stops when that is done
  void stall(MemberId id, int64_t us);
  void block(MemberId id, int64_t us);
  // Removes from the register, or replaces the disk under an id that is down; the new configuration reaches `told`
  // first.
  void remove(MemberId id, MemberId told);
  void cut(MemberId from, MemberId to, bool both);
  void set_side(MemberId id, int side) { nodes_[id].side = side; }
  void heal();
  void set_loss(double loss) { options_.loss = loss; }

  void run(int64_t us) { queue_.run_until(queue_.now() + us); }
  void at(int64_t time, std::function<void()> action) { queue_.at(time, std::move(action)); }
  void after(int64_t us, std::function<void()> action) { queue_.after(us, std::move(action)); }
  int64_t now() const { return queue_.now(); }

  // Hands `bytes` to `to` as a packet that the network brought, now.
  std::string inject(MemberId to, std::string_view bytes);
  // Whether `seer` counts `seen` as alive and reachable.
  bool sees(MemberId seer, MemberId seen) const { return nodes_[seer].swim && nodes_[seer].swim->reachable(seen); }

  std::vector<Node>& nodes() { return nodes_; }
  const std::vector<Node>& nodes() const { return nodes_; }
  bool is_member(MemberId id) const { return members_.count(id) > 0; }
  bool runs(MemberId id) const { return nodes_[id].swim != nullptr && is_member(id) && !nodes_[id].left; }
  Rng& rng() { return rng_; }
  uint64_t executed() const { return queue_.executed(); }
  uint64_t trace() const { return trace_; }
  // What broke an invariant that must hold at any time (sizes, bounds); empty if nothing did.
  const std::string& broken() const { return broken_; }
  void set_watcher(Watcher watcher) { watcher_ = std::move(watcher); }
  void set_packet_watcher(std::function<void(MemberId from, const Output::Message&)> w) {
    packet_watcher_ = std::move(w);
  }
  void set_verbose(bool verbose) { verbose_ = verbose; }
  void say(const std::string& text) const;

 private:
  void touch(Node& node);  // after its machine ran: effects out, next wake-up
  void wake(MemberId id);
  void receive(MemberId to, Node::Input input);
  void drain(Node& node);
  void hand_in(Node& node, const Node::Input& input);
  void send(Node& node, bool stream, Output::Message message);
  void fetch(MemberId id, int64_t delay);
  void check(const Node& node);
  std::vector<Member> config() const;

  WorldOptions options_;
  Rng rng_;
  cartwheel::sim::EventQueue queue_;
  std::vector<Node> nodes_;
  std::set<MemberId> members_;
  uint64_t epoch_ = 1;
  std::map<MemberId, std::pair<std::vector<Member>, uint64_t>> last_config_;  // of removed nodes
  std::set<std::pair<MemberId, MemberId>> cuts_;
  uint64_t trace_ = 0;
  std::string broken_;
  Watcher watcher_;
  std::function<void(MemberId, const Output::Message&)> packet_watcher_;
  bool verbose_ = false;
};

}  // namespace cartwheel::gossip::sim
