#include "tests/gossip/sim/run_seed.h"

#include <functional>

#include "gossip/suspicion.h"
#include "tests/gossip/sim/checkers.h"
#include "tests/gossip/sim/world.h"

namespace cartwheel::gossip::sim {

namespace {

// A run draws which faults it has and how often; some have none.
class Run {
 public:
  Run(uint64_t seed, bool verbose) : seed_(seed), rng_(seed * 7 + 1), world_(options()) {
    world_.set_verbose(verbose);
    size_t regions = 1 + rng_.below(3);
    size_t nodes = rng_.chance(0.1) ? 40 + rng_.below(60) : 3 + rng_.below(24);
    for (size_t r = 0; r < regions; ++r)
      world_.add(nodes / regions + (r < nodes % regions || nodes < regions ? 1 : 0), "region" + std::to_string(r));
    nodes_ = world_.nodes().size();
    result_.seed = seed;
    result_.shape = std::to_string(nodes_) + " nodes, " + std::to_string(regions) + " regions";
  }

  SeedResult run() {
    world_.set_watcher([this](MemberId observer, const Event& event) {
      if (world_.is_member(observer)) removed_.see(observer, event, world_.now());
    });
    world_.set_packet_watcher([this](MemberId from, const Output::Message& m) { capture(from, m); });
    begin();
    schedule_faults();
    world_.run(duration_);
    heal();
    // Three push-pull rounds; and what they find late may be a death, which takes a suspicion at its longest.
    const Options swim;
    int64_t round = swim.push_pull_interval.us * 5 / 4;
    check_after(3 * round, {check_live_seen});
    int64_t longest = min_suspicion(swim, nodes_).us * swim.suspicion_max_mult;
    check_after(longest + round, {check_live_seen, check_gone_seen, check_gateways, check_facts, check_quiet});
    result_.events = world_.executed();
    result_.trace = world_.trace();
    result_.virtual_us = world_.now();
    return result_;
  }

 private:
  WorldOptions options() {
    WorldOptions options;
    options.seed = seed_;
    options.loss = rng_.chance(0.5) ? 0 : rng_.uniform() * 0.2;
    options.wan_latency_us = 5'000 + static_cast<int64_t>(rng_.below(150'000));
    return options;
  }

  MemberId any() { return static_cast<MemberId>(rng_.below(nodes_)); }

  void begin() {
    bool together = rng_.chance(0.5);
    for (MemberId id = 0; id < nodes_; ++id)
      world_.after(together ? 0 : static_cast<int64_t>(rng_.below(10 * kSecond)), [this, id] { world_.start(id); });
  }

  // `fault` happens every so often, on average, in this run: or never.
  void fault(double probability, int64_t every, std::function<void()> fault) {
    if (!rng_.chance(probability)) return;
    every = every / 2 + static_cast<int64_t>(rng_.below(static_cast<uint64_t>(2 * every)));
    auto gap = [&] { return 1 + static_cast<int64_t>(rng_.below(static_cast<uint64_t>(2 * every))); };
    for (int64_t at = gap(); at < duration_; at += gap()) world_.at(at, fault);
  }

  void schedule_faults() {
    duration_ = (30 + static_cast<int64_t>(rng_.below(120))) * kSecond;
    fault(0.5, 20 * kSecond, [this] { crash(any()); });
    fault(0.5, 15 * kSecond, [this] { restart_some(); });
    fault(0.4, 5 * kSecond, [this] { world_.stall(any(), kSecond + static_cast<int64_t>(rng_.below(15 * kSecond))); });
    fault(0.3, 5 * kSecond, [this] { world_.block(any(), kSecond + static_cast<int64_t>(rng_.below(15 * kSecond))); });
    fault(0.2, 20 * kSecond, [this] { late(any()); });
    fault(0.3, 10 * kSecond, [this] { world_.cut(any(), any(), rng_.chance(0.5)); });
    fault(0.3, 30 * kSecond, [this] { split(); });
    fault(0.3, 30 * kSecond, [this] { world_.heal(); });
    fault(0.2, 40 * kSecond, [this] { world_.leave(any()); });
    fault(0.3, 40 * kSecond, [this] { remove_one(); });
    fault(0.1, 60 * kSecond, [this] {
      for (MemberId id = 0; id < nodes_; ++id) crash(id);
    });
    fault(0.4, 2 * kSecond, [this] { replay(); });
    fault(0.3, kSecond, [this] { facts(any()); });
  }

  void crash(MemberId id) {
    if (world_.nodes()[id].swim) world_.crash(id);
  }
  void restart(MemberId id) {
    World::Node& node = world_.nodes()[id];
    if (!node.swim && world_.is_member(id)) world_.start(id);
  }
  void restart_some() {
    for (MemberId id = 0; id < nodes_; ++id)
      if (rng_.chance(0.5)) restart(id);
  }
  void late(MemberId id) { world_.nodes()[id].late_us = static_cast<int64_t>(rng_.below(8 * kSecond)); }

  void split() {
    bool by_region = rng_.chance(0.5);
    for (World::Node& node : world_.nodes())
      node.side = by_region ? node.member.region.back() : static_cast<int>(rng_.below(2));
  }

  // The removed node goes on running: it is the one that nobody may take back.
  void remove_one() {
    MemberId id = any(), told = any();
    size_t left = 0;
    for (MemberId m = 0; m < nodes_; ++m) left += world_.is_member(m) ? 1 : 0;
    if (left < 4 || id == told || !world_.is_member(id) || !world_.runs(told)) return;
    world_.remove(id, told);
    gone_.insert(id);
  }

  // What a packet of some time ago says must not turn anything back.
  void capture(MemberId from, const Output::Message& message) {
    if (rng_.below(50) != 0) return;
    if (captured_.size() >= 64) captured_.erase(captured_.begin() + static_cast<ptrdiff_t>(rng_.below(64)));
    captured_.push_back({message.to, from, message.bytes});
  }
  void replay() {
    for (const Captured& packet : captured_)
      if (rng_.chance(0.3) && world_.nodes()[packet.to].swim) world_.inject(packet.to, packet.bytes);
  }

  void facts(MemberId id) {
    World::Node& node = world_.nodes()[id];
    if (node.swim) (void)node.swim->set_facts("load " + std::to_string(rng_.below(100)), {world_.now()});
  }

  void heal() {
    world_.say("heal");
    world_.heal();
    world_.set_loss(0);
    for (World::Node& node : world_.nodes()) node.late_us = 0;
    // A stall or block that is under way lasts up to 16 s more.
    world_.run(16 * kSecond);
    bool all = rng_.chance(0.7);
    for (MemberId id = 0; id < nodes_; ++id)
      if (all || rng_.chance(0.3)) restart(id);
    for (MemberId id : gone_) {
      removed_.removed(id, world_.now() + 30 * kSecond);
      crash(id);
      world_.start(id);  // somebody starts it again, with the last configuration that had it
    }
  }

  void check_after(int64_t us, std::vector<Failure (*)(const World&)> checks) {
    world_.run(us);
    if (result_.failure) return;
    if (!world_.broken().empty()) result_.failure = world_.broken();
    if (!result_.failure) result_.failure = removed_.failure();
    for (auto check : checks)
      if (!result_.failure) result_.failure = check(world_);
  }

  struct Captured {
    MemberId to, from;
    std::string bytes;
  };
  uint64_t seed_;
  Rng rng_;
  World world_;
  size_t nodes_ = 0;
  int64_t duration_ = 0;
  RemovedWatcher removed_;
  std::set<MemberId> gone_;
  std::vector<Captured> captured_;
  SeedResult result_;
};

}  // namespace

SeedResult run_seed(uint64_t seed, bool verbose) {
  return Run(seed, verbose).run();
}

}  // namespace cartwheel::gossip::sim
