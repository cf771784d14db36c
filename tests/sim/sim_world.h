// SimWorld: a whole cluster in one process and one thread, in virtual time: real stripes on simulated clocks, disks and
// links. Scenarios and the random runs of run_seed.h drive it; everything that happens follows from the seed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "node/core/cluster.h"
#include "node/core/ring_plan.h"
#include "node/core/stripe.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/history.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/sim_network.h"
#include "tests/sim/sim_stripe.h"
#include "tests/sim/trace.h"

namespace cartwheel::sim {

struct WorldOptions {
  uint64_t seed = 1;
  bool verbose = false;
  int64_t wide_us = 40'000;  // one way between two regions
  DiskTimes disk;
  int64_t skew_ms = 0;                     // wall clocks are off by up to this, and step within it
  int64_t drift_ppm = 0;                   // and run fast or slow by up to this
  int64_t background_sync_us = 2'000'000;  // how often a kernel writes dirty pages back
  node::StripeOptions stripe;              // self, stripe, seed and boot_id are set by the world
};

// The session of a client with a token, and what the token demands of one request.
struct ClientSession {
  uint64_t number = 0;  // 0: none
  std::shared_ptr<const node::SessionDemand> demand;
};

// Node `node` did nothing from then to then; what was sent to it waited.
struct ShortStop {
  node::NodeIndex node = node::kNoNode;
  int64_t from_us = 0, to_us = 0;
};

class SimWorld {
 public:
  // REQUIRES: finish(config) was ok.
  SimWorld(node::ClusterConfig config, WorldOptions options);
  ~SimWorld();
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;

  // --- time
  EventQueue& queue() { return queue_; }
  const EventQueue& queue() const { return queue_; }
  int64_t now_us() const { return queue_.now(); }
  // True wall time, as a clock without skew shows it.
  WallTime wall() const { return {kWallStartMs + leapt_ms_ + queue_.now() / 1000}; }
  void run_for(Duration duration) { queue_.run_until(queue_.now() + duration.us); }
  // Runs until `done` or `limit` has passed; whether it was done.
  bool run_until(const std::function<bool()>& done, Duration limit);
  // All wall clocks go forward together: what a long wait would do to expiries.
  void leap(int64_t ms);

  // --- nodes
  node::NodeIndex node_named(const std::string& name) const { return config_->node(name); }
  bool is_up(node::NodeIndex n) const { return !machines_[n].down; }
  void start(node::NodeIndex n);  // after kill, stop, lose_power or wipe
  void start_all();
  void kill(node::NodeIndex n);  // the process: what was written stays
  // Drains and ends; is_up() is false when it is done, which is when `stopped` is called, unless it died before.
  void stop(node::NodeIndex n, std::function<void()> stopped = {});
  void lose_power(node::NodeIndex n);  // what was not synced may be gone
  void wipe(node::NodeIndex n);        // everything is gone
  void pause(node::NodeIndex n, bool paused);
  // Pauses it for so long, unless it is paused or down already.
  void stop_shortly(node::NodeIndex n, int64_t us);
  const std::vector<ShortStop>& short_stops() const { return short_stops_; }
  // Turns a few rows of node `n` into garbage, of partitions that others have, too. False: there are none, or it may
  // not lose anything now (sim_spoil.cc).
  bool spoil(node::NodeIndex n, Rng& rng);
  // As an operator does where nobody has all that a quarantined partition acknowledged: what is there alone is given
  // up.
  void accept_losses();
  // Spoils some rows of one partition at every owner, no key at two of them, and has all of them notice. REQUIRES:
  // converged(), and nobody writes. False: there is no partition with enough keys.
  bool spoil_all_owners(Rng& rng);
  // As an operator does then. Nothing is given up by that: what one owner cannot read another one can.
  void accept_salvage();
  bool ever_spoiled() const { return !spoiled_.empty(); }
  // Calls `happen` at some later moment at which node `n`, in this life, is writing what it has coordinated.
  void at_next_write(node::NodeIndex n, std::function<void()> happen);
  // --- the ring (sim_ring.cc)
  // Has the register agree to `change`, one of node/core/ring_plan.h, and the nodes learn of it.
  Status change_ring(const std::function<Status(node::ClusterConfig&)>& change);
  // A new machine joins, or takes the place of `dead`, which is down and never comes back.
  Status join(node::NodeInfo info, std::optional<std::string> dead = {});
  // Nothing nearer to the end than this: what the ring still waits for, or nothing when no change is queued, no arc
  // moves, everybody knows the last configuration and nobody has what is no longer its own.
  std::optional<std::string> ring_unrest() const;
  bool ever_moved(Partition partition) const { return moved_.contains(partition); }

  void step_clock(node::NodeIndex n, int64_t skew_ms);
  int64_t step_bound_ms() const { return options_.skew_ms; }
  // By how much a wall clock may be off by now, drift included.
  int64_t skew_ms() const { return options_.skew_ms + options_.drift_ppm * now_us() / 1'000'000'000 + 1; }
  // Whether node `n` may lose data now without the loss of something that the levels promised: every node has again
  // what it once lost, and the other nodes of its region are up.
  bool may_lose(node::NodeIndex n, bool wiped) const;

  // --- links
  SimNetwork& network() { return *network_; }
  void cut(node::NodeIndex a, node::NodeIndex b, bool both_ways = true);
  void mend(node::NodeIndex a, node::NodeIndex b, bool both_ways = true);
  void cut_regions(const std::string& a, const std::string& b);
  void mend_regions(const std::string& a, const std::string& b);

  // Everything is well from now on: links, clocks, disks; whoever was down is up.
  void heal();

  // --- operations
  using Done = std::function<void(const OpRecord&)>;
  // A client sends `operation` to node `n`; `done` is called when it has the answer or the node has died. Returns its
  // id.
  uint64_t submit(node::NodeIndex n, uint16_t keyspace, node::Operation operation,
                  std::optional<node::Level> level = {}, Duration timeout = Duration::millis(2000), Done done = {},
                  ClientSession session = {});
  // The same, and the world runs until it has ended.
  const OpRecord& call(node::NodeIndex n, uint16_t keyspace, node::Operation operation,
                       std::optional<node::Level> level = {}, Duration timeout = Duration::millis(2000));

  // --- looking in
  // The last one that the register has.
  const node::ClusterConfig& config() const { return *config_; }
  History& history() { return history_; }
  const History& history() const { return history_; }
  Trace& trace() { return trace_; }
  Partition partition_of(uint16_t keyspace, const std::string& key) const;
  std::vector<Partition> partitions() const;
  std::shared_ptr<const node::ClusterConfig> shared_config() const { return config_; }
  // The replicas per region that the keyspace has had in the course of the run.
  const std::vector<std::vector<uint32_t>>& replica_counts(uint16_t keyspace) const { return counts_[keyspace]; }
  const std::vector<node::NodeIndex>& owners(Partition partition) const {
    return config_->assignments[partition.keyspace].owners[partition.arc];
  }
  bool owns(node::NodeIndex n, Partition partition) const;
  bool takes_part(node::NodeIndex n, Partition partition) const;  // as one of the old or the new owners
  bool drains(node::NodeIndex n, Partition partition) const;      // it is to hand over what it has
  // Whether node `n` coordinated what it was asked about the partition during the whole run.
  bool coordinated(node::NodeIndex n, Partition partition) const {
    return owns(n, partition) && !ever_moved(partition) && !spoiled_.contains({n, partition});
  }
  SimStripe& stripe(node::NodeIndex n, uint32_t number) { return *machines_[n].stripes[number]; }
  SimStripe& stripe_of(node::NodeIndex n, Partition p) { return stripe(n, p.arc % config_->stripes); }
  const SimStripe& stripe_of(node::NodeIndex n, Partition p) const {
    return *machines_[n].stripes[p.arc % config_->stripes];
  }
  // Replicas of `config`'s keyspace per region, in the order of config.regions.
  std::vector<uint32_t> replicas(uint16_t keyspace) const;
  // Of the stripes that are alive, the first that has sent more hedges than its budget allows (SimStripe).
  std::optional<std::string> over_hedge_budget() const;
  // Sum of a counter of all stripes that are alive.
  uint64_t total(uint64_t node::StripeStats::*counter) const;

  // The dots whose effects the replicas of `partition` must show: their clock, and what was written while there was
  // only one of them, which need not be in its clock (Event::logged). If a node that had the partition lost something
  // since, such a write that is in no clock may still have its effect or not: then nothing is known.
  std::optional<crdt::Clock> survivors(Partition partition) const;
  // Nothing when every partition's replicas are all up and agree on clock and state; else what differs first.
  std::optional<std::string> difference();
  bool converged() { return !difference(); }

 private:
  struct Machine {
    std::shared_ptr<const node::ClusterConfig> config;  // that it knows
    bool fetching = false;
    std::vector<std::unique_ptr<SimStripe>> stripes;
    std::unique_ptr<SimClock> clock;
    bool down = true;
    bool stopping = false;
    uint64_t boot = 0;
    uint64_t life = 0;
    std::vector<uint64_t> waiting;  // operations that the present life has not answered
    std::optional<size_t> loss;     // of the history's losses, while this node lacks what it lost
    std::vector<std::pair<Partition, crdt::Clock>> before_loss;
    std::vector<std::pair<Partition, crdt::Clock>> owed;  // what it kept for owners then, and those must have again
  };

  struct SpoiledRow {
    node::NodeIndex node;
    Partition partition;
    std::string row;
  };

  bool any_spoiled() const;  // and not rebuilt yet
  // Has every object with a spoiled row read, so that nobody waits for the scrub; whether one was unreadable.
  bool read_spoiled();
  void add_machine();
  bool removed(node::NodeIndex n) const { return config_->nodes[n].removed(); }
  void set_ring(node::ClusterConfig next, node::NodeIndex from);
  void note_counts();
  void note_moves(const node::ClusterConfig& next);
  std::string first_move() const;
  void learn(node::NodeIndex n, std::shared_ptr<const node::ClusterConfig> config);
  void fetch(node::NodeIndex n, node::NodeIndex from);
  void ring_step();
  std::optional<node::NodeIndex> pick_driver(std::vector<node::NodeIndex>* reachable);
  node::NodeReports reports(const std::vector<node::NodeIndex>& reachable) const;
  void lose_for_good(node::NodeIndex n);
  void watch_replacement(size_t loss);
  void bury(node::NodeIndex n);
  void connect(node::NodeIndex n);
  void break_link(node::NodeIndex from, node::NodeIndex to);
  void mend_link(node::NodeIndex from, node::NodeIndex to);
  void tell_of_link(node::NodeIndex from, node::NodeIndex to, bool up);
  void begin_loss(node::NodeIndex n, bool wiped);
  void assess_loss(node::NodeIndex n);
  void watch_recovery(node::NodeIndex n);
  bool recovered(node::NodeIndex n) const;
  void finish_stop(node::NodeIndex n, std::function<void()> stopped);
  void background_sync(node::NodeIndex n);
  void check_deadline(uint64_t op, node::NodeIndex n, uint64_t life, int64_t deadline_us, int tries);
  std::string name(node::NodeIndex n) const { return config_->nodes[n].name; }
  void note(const std::string& line) { trace_.note(queue_.now(), line); }

  std::shared_ptr<const node::ClusterConfig> config_;
  std::vector<SpoiledRow> spoiled_rows_;
  std::vector<ShortStop> short_stops_;
  std::set<std::pair<node::NodeIndex, Partition>> spoiled_;  // of which rows were ever spoiled
  std::set<Partition> moved_;                                // partitions whose owners have changed
  std::vector<std::vector<std::vector<uint32_t>>> counts_;   // per keyspace
  bool ring_active_ = false;
  WorldOptions options_;
  EventQueue queue_;
  Trace trace_;
  History history_;
  Rng rng_;
  int64_t leapt_ms_ = 0;
  std::unique_ptr<SimNetwork> network_;
  std::set<std::pair<node::NodeIndex, node::NodeIndex>> broken_;  // connections that are not up: whose, to whom
  std::vector<Machine> machines_;
  std::vector<std::vector<std::pair<Partition, crdt::Clock>>> recovery_targets_;  // per node
  std::vector<Done> done_;                                                        // per operation
};

// A configuration for tests: `regions` as {name, nodes}, two zones in each, one keyspace per entry of `replicas`.
struct KeyspaceShape {
  std::vector<uint32_t> replicas;  // per region, in the order of `regions`
  std::string level = "local_quorum";
  node::Keyspace::Durability durability = node::Keyspace::Durability::kOs;
  bool fallbacks = false;
};
node::ClusterConfig make_config(const std::vector<std::pair<std::string, uint32_t>>& regions, uint32_t partitions,
                                uint32_t stripes, const std::vector<KeyspaceShape>& keyspaces);

}  // namespace cartwheel::sim
