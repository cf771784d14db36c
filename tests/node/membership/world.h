// World: members of a cluster, each a Membership with a disk, over a simulated network and clock, from one seed.
//
// What can happen: messages are lost, doubled and overtake each other; links are cut, in one direction or both, and
// connections break; nodes die before or behind the write of a turn, and come back; disks are lost, and old ones come
// back; nodes join, leave and take the place of dead ones while keyspaces come and go. Each seed picks its own faults
// and rates. Then everything heals, and within bounded time the cluster must be at rest: all members have the same
// configuration, in which nothing is left to do.
//
// The stripes are played by a layer that says, some time after a configuration came, that every step of it is done.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "node/core/membership/membership.h"
#include "tests/node/membership/checker.h"
#include "tests/sim/event_queue.h"

namespace cartwheel::node::member_model {

struct RunResult {
  std::optional<std::string> failure;
  bool safe = true;    // a failure with this is one of progress
  uint64_t trace = 0;  // a hash of everything that was sent, and when
  uint64_t events = 0;
  uint64_t epochs = 0;
  size_t ok = 0, not_made = 0, refused = 0, unknown = 0;
  size_t crashes = 0, wipes = 0, old_disks = 0, joins = 0, leaves = 0, replacements = 0;
  int64_t rest_us = 0;  // from healing to rest
};

// The whole story of one seed.
RunResult run_seed(uint64_t seed);

struct Faults {
  double loss = 0, duplicate = 0, turn_crash = 0;
  int64_t delay_us = 3000;   // the longest of a message
  int64_t straggler_us = 0;  // some messages take so long
  bool crashes = false, wipes = false, cuts = false, flaps = false, ring = false;
};

class World {
 public:
  explicit World(uint64_t seed);
  RunResult run();

 private:
  using Then = std::function<void(const Status&, const Membership::ConfigPtr&)>;
  struct Disk {
    uint64_t identity = 0;
    uint64_t starts = 0;
    std::string config, acceptor;  // empty: nothing was written yet
  };
  struct Host {
    Disk disk;
    std::vector<Disk> old_disks;
    int64_t disk_since = 0;
    bool up = false;
    bool dead = false;       // for good: somebody is to remove or replace it
    bool gone = false;       // removed
    bool condemned = false;  // its removal was asked for, and may come about late
    uint64_t boot = 0;       // of its process, over the whole world
    std::unique_ptr<Membership> machine;
    Membership::ConfigPtr config;                                 // that the stripes work by
    std::map<std::pair<PartitionId, uint64_t>, int64_t> done_at;  // of the steps of moves
    std::optional<int64_t> empty_at;                              // when it has dropped what it does not own any more
    std::optional<int64_t> departs_at;                            // when its last client has gone elsewhere
    bool departed = false;                                        // so it is; whatever becomes of its process
    bool reporting = false;
    std::map<NodeIndex, bool> liveness;  // as told to the machine
  };
  struct Link {  // what one end thinks
    bool up = false;
    uint64_t number = 0;  // of the connection
  };
  // A node that wants to be a member.
  struct Joiner {
    NodeInfo info;
    std::string dead;  // whose place it takes, or ""
    bool done = false, asking = false;
  };

  // world.cc
  Instant now() const { return {queue_.now()}; }
  bool at_rest();
  std::string describe() const;
  void start(NodeIndex n);
  void crash(NodeIndex n);
  void stop_for_good(NodeIndex n);
  void last_changes();
  void drain(NodeIndex n);
  void write(NodeIndex n);
  void tick(NodeIndex n, uint64_t boot);
  void report(NodeIndex n);
  void adopt(NodeIndex n, Membership::ConfigPtr config);

  // world_network.cc
  void send(NodeIndex from, NodeIndex to, const std::string& bytes);
  void keep_links();
  void keep_link(NodeIndex a, NodeIndex b);
  void set_link(NodeIndex from, NodeIndex to, bool up, uint64_t number);
  void keep_liveness(NodeIndex n, uint64_t boot);

  // world_operator.cc
  void misfortune();
  void cut_something();
  bool votes_on_disk(NodeIndex n) const;
  bool may_count_on(NodeIndex n) const;
  bool may_lose(NodeIndex n) const;
  void wipe(NodeIndex n);
  void bring_old_disk(NodeIndex n);
  void operate();
  void change_by(NodeIndex n, std::string what, Membership::Edit edit, bool repeatable, Then then = {});
  bool change(std::string what, Membership::Edit edit, bool repeatable, Then then = {});
  NodeIndex somebody();
  NodeInfo newcomer(const std::string& name, const std::string& region);
  void ask_to_join(size_t joiner);
  void remove_dead(NodeIndex n);
  void add_host(NodeIndex n, const NodeInfo& info, const ClusterConfig& config);
  bool is_alone(NodeIndex n) const;
  void tend();
  void heal();

  Rng rng_;
  sim::EventQueue queue_;
  Faults faults_;
  bool from_file_ = true;
  bool healed_ = false;
  ClusterConfig first_;  // of the file, or of the first node
  std::map<NodeIndex, std::unique_ptr<Host>> hosts_;
  std::map<std::pair<NodeIndex, NodeIndex>, Link> links_;
  std::map<std::pair<NodeIndex, NodeIndex>, bool> cut_;
  std::vector<Joiner> joiners_;
  uint64_t boots_ = 0, connections_ = 0, names_ = 0;
  Checker checker_;
  RunResult result_;
};

}  // namespace cartwheel::node::member_model
