// SimStripe: one stripe of one simulated node: the real node::Stripe over a MemoryEngine, driven as node/core/stripe.h
// demands. Events are collected for a turn; the turn's batch is written, then synced if it must be, then its messages
// and answers leave. Whatever has not left when the process dies never leaves.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "node/core/stripe.h"
#include "storage/memory_engine.h"
#include "tests/sim/event_queue.h"
#include "tests/sim/history.h"
#include "tests/sim/sim_clock.h"
#include "tests/sim/trace.h"

namespace cartwheel::sim {

// How fast a disk is, in microseconds; each write and sync takes up to this.
struct DiskTimes {
  int64_t write_us = 60;
  int64_t sync_us = 2'000;
  double stall = 0;  // chance that a write or sync takes up to a second
};

class SimStripe final : public node::StripeObserver {
 public:
  using Send = std::function<void(node::NodeIndex to, std::string bytes)>;
  // Node `from` has been heard of working by a later configuration.
  using Newer = std::function<void(node::NodeIndex from, uint64_t epoch)>;
  using Event = std::function<void(node::Stripe& stripe, Now now)>;

  SimStripe(EventQueue& queue, const SimClock& clock, History& history, Trace& trace,
            std::shared_ptr<const node::ClusterConfig> config, node::StripeOptions options, DiskTimes disk,
            uint64_t seed, Send send, Newer newer);

  // Begins a life over what the engine holds. REQUIRES: !alive(). Events wait until the first turn is durable.
  void start(const std::string& boot_id);
  // The process dies here and now.
  void kill();
  // Drains, then ends the life cleanly.
  void stop() {
    stopping_ = true;
    schedule_turn();
  }
  void pause(bool paused);
  bool paused() const { return paused_; }
  // Calls `happen` while the next write of coordinated changes is on its way to the disk: when a death hurts most.
  void at_next_write(std::function<void()> happen) { at_next_write_ = std::move(happen); }
  // Loses an arbitrary part of what was not synced. REQUIRES: !alive().
  void lose_power();
  // Loses everything. REQUIRES: !alive().
  void wipe() { engine_ = std::make_unique<storage::MemoryEngine>(); }

  // What the node knows of the cluster from now on, also in its later lives.
  void set_config(std::shared_ptr<const node::ClusterConfig> config);
  // Hands over an event, in one of the next turns. Without effect when the process is not alive.
  void post(Event event);

  bool alive() const { return stripe_ != nullptr; }
  bool running() const { return alive() && started_; }
  // Between turns: what the machine knows is what the engine holds.
  bool at_rest() const { return running() && !writing_; }
  // Whether neither a pause nor a slow disk held the process up since `us`.
  bool unhindered_since(int64_t us) const { return !paused_ && stalled_until_ <= us; }
  node::Stripe& stripe() { return *stripe_; }
  const node::Stripe& stripe() const { return *stripe_; }
  const node::StripeStats* stats() const { return stripe_ ? &stripe_->stats() : nullptr; }
  // Hedges and probes of this life must not exceed the share of the reads that the options allow, and the burst. Looked
  // at also when a life ends.
  std::optional<std::string> over_hedge_budget() const;
  storage::MemoryEngine& engine() { return *engine_; }
  void set_disk(const DiskTimes& disk) { disk_ = disk; }

  // The clock of a partition, empty if this node does not hold it; also while the process is dead: as it was in its
  // last moment. Without folds: what a fold stands for is in it dot by dot.
  crdt::Clock clock(Partition partition) const;
  // The same of the dots that it keeps for owners, and of both.
  const crdt::Clock& fallback_clock(Partition partition) const;
  crdt::Clock known(Partition partition) const;
  void set_partitions(std::vector<Partition> partitions) { partitions_ = std::move(partitions); }
  const std::vector<Partition>& partitions() const { return partitions_; }

  void on_coordinated(uint16_t keyspace, uint32_t arc, const crdt::Delta& delta, bool logged) override;
  void on_folded(uint16_t keyspace, uint32_t arc, const crdt::Clock& clock, const crdt::Actor& actor,
                 uint64_t hash) override;

 private:
  struct Release {
    bool ready = false;
    std::vector<node::Output::Message> messages;
    std::vector<node::Output::Answer> answers;
  };

  void in_this_life(int64_t delay_us, std::function<void()> action);
  void schedule_turn();
  void run_turn();
  void end_turn(bool is_last);
  void written(std::shared_ptr<Release> release, bool sync, bool is_last);
  void release_ready();
  void let_go(Release& release);
  void schedule_tick();
  int64_t disk_time(int64_t up_to_us);
  void end_life();

  EventQueue& queue_;
  const SimClock& clock_;
  History& history_;
  Trace& trace_;
  std::shared_ptr<const node::ClusterConfig> config_;
  node::StripeOptions options_;
  DiskTimes disk_;
  Rng rng_;
  Send send_;
  Newer newer_;

  std::unique_ptr<storage::MemoryEngine> engine_ = std::make_unique<storage::MemoryEngine>();
  std::unique_ptr<node::Stripe> stripe_;
  std::vector<Partition> partitions_;
  std::map<Partition, crdt::Clock> last_clocks_, last_fallbacks_;  // of the life before

  uint64_t life_ = 0;
  bool started_ = false, stopping_ = false, ending_ = false, paused_ = false;
  bool turn_scheduled_ = false;
  bool writing_ = false;
  bool unwritten_ = false;     // the last turn has changed something that the engine has not got yet
  int64_t stalled_until_ = 0;  // the end of the last pause or long wait for the disk
  int64_t tick_at_ = -1;
  int64_t last_turn_us_ = -1;
  int turns_in_a_row_ = 0;  // turns at one moment: a machine whose deadline does not move would turn for ever
  std::deque<Event> inbox_;
  std::deque<std::shared_ptr<Release>> releases_;  // in the order of their turns
  std::function<void()> at_next_write_;
  std::vector<size_t> turn_events_;  // coordinated in this turn, not written yet
};

}  // namespace cartwheel::sim
