// Faults: what goes wrong in a random run. Swarm style: each seed takes a random subset of the kinds, each at a rate of
// its own on a logarithmic scale, so that some runs have one thing go wrong often and others many things now and then.
// Limits keep recovery possible: data is lost only where the levels and durabilities promise nothing
// (SimWorld::may_lose).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "tests/sim/sim_world.h"

namespace cartwheel::sim {

// clang-format off
enum class FaultKind : uint8_t {
  kCutLink, kCutOneWay, kIsolateNode, kCutRegions, kClog,    // links
  kKill, kStop, kPause, kPowerLoss, kPowerLossOfAll, kWipe,  // machines
  kStepClock, kLeap,                                         // clocks
  kLongIsolation,                                            // a node cut off for longer than the grace of expiry
  kJoin, kLeave, kReplace, kRebalance, kCancel, kKeyspace,   // changes of the ring
  kKinds,
  kSpoil,                                                    // rows become garbage; only in runs that ask for it
  kShortStops,                                               // a node stands still, again and again (like SIGSTOP)
};
// clang-format on

struct FaultPlan {
  struct Rate {
    FaultKind kind;
    int64_t mean_us;  // between two of them
  };
  std::vector<Rate> rates;
  NetworkQuality quality;

  bool changes_ring() const;
  // Nothing goes wrong but that one node at a time stands still.
  bool only_stops() const;
  bool none() const { return rates.empty() && quality.loss == 0 && quality.duplicate == 0 && quality.reorder == 0; }
  // One line for people.
  std::string to_string() const;
  // 5 % of all plans have no fault at all.
  // Changes of the ring are among the kinds only with `ring`.
  static FaultPlan random(Rng& rng, bool ring);
  // Adds disks that spoil rows.
  void add_spoiling(Rng& rng);
  void add_short_stops(Rng& rng);
};

class FaultInjector {
 public:
  FaultInjector(SimWorld& world, FaultPlan plan, uint64_t seed);
  void start();
  // No more faults; those that last go on until they end or the world is healed.
  void stop() { active_ = false; }

 private:
  void schedule(const FaultPlan::Rate& rate);
  void happen(FaultKind kind);
  void end_later(std::function<void()> end);
  void down_for_a_while(node::NodeIndex n);
  void stop_shortly(node::NodeIndex n, uint64_t times);
  void join(std::optional<std::string> dead);
  void change_keyspaces();
  node::NodeIndex pick() { return static_cast<node::NodeIndex>(rng_.below(world_.config().nodes.size())); }

  SimWorld& world_;
  FaultPlan plan_;
  Rng rng_;
  bool active_ = false;
  bool stops_ = false;  // a series of short stops is under way: one node at a time
  uint32_t joined_ = 0;
};

}  // namespace cartwheel::sim
