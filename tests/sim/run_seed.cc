#include "tests/sim/run_seed.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "base/limits.h"
#include "tests/sim/checkers.h"
#include "tests/sim/faults.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/workload.h"

namespace cartwheel::sim {

namespace {

constexpr Duration kConvergenceLimit = Duration::seconds(60);
constexpr Duration kOperatorWaits = Duration::seconds(20);
constexpr int kSalvageTries = 20;
constexpr uint64_t kEventsMax = 20'000'000;  // of one seed: more is a storm

int64_t log_uniform(Rng& rng, double low, double high) {
  return static_cast<int64_t>(low * std::pow(high / low, rng.uniform()));
}

// Neighbouring seeds must not share their numbers: the states of Rng are an arithmetic sequence.
uint64_t mixed(uint64_t seed) {
  return hash64(std::string_view(reinterpret_cast<const char*>(&seed), sizeof seed));
}

struct Plan {
  node::ClusterConfig config;
  WorldOptions world;
  WorkloadOptions workload;
  FaultPlan faults;
  Duration fault_time;
  Duration once_more{};   // the same again, after everything was well for long
  bool salvages = false;  // in the end a partition is spoiled at all of its owners
  std::string shape;
};

node::ClusterConfig random_config(Rng& rng, bool fallbacks, std::string* shape) {
  static const char* const kRegions[] = {"ap", "eu", "us"};
  size_t count = rng.chance(0.3) ? 1 : rng.chance(0.8) ? 2 : 3;
  std::vector<std::pair<std::string, uint32_t>> regions;
  for (size_t i = 0; i < count; ++i) regions.emplace_back(kRegions[i], 1 + static_cast<uint32_t>(rng.below(3)));
  if (count == 1 && regions[0].second == 1) regions[0].second = 3;
  static const char* const kLevels[] = {"local_quorum", "local_quorum", "local_quorum", "quorum",
                                        "local_one",    "each_quorum",  "one",          "all"};
  bool always = rng.chance(0.25);
  std::vector<KeyspaceShape> keyspaces;
  for (size_t k = 1 + rng.below(2); k > 0; --k) {
    KeyspaceShape space;
    for (const auto& region : regions) {
      bool pinned_elsewhere = !space.replicas.empty() && rng.chance(0.1);
      space.replicas.push_back(
          pinned_elsewhere ? 0 : region.second - static_cast<uint32_t>(rng.below(region.second) * rng.below(2)));
    }
    space.level = kLevels[rng.below(8)];
    if (always) space.durability = node::Keyspace::Durability::kAlways;
    space.fallbacks = fallbacks && rng.chance(0.85);
    keyspaces.push_back(std::move(space));
  }
  for (auto& region : regions) region.second += fallbacks ? static_cast<uint32_t>(rng.below(3)) : 0;
  uint32_t partitions = 1u << rng.below(5);
  uint32_t stripes = partitions > 1 && rng.chance(0.3) ? 2 : 1;
  *shape = std::to_string(partitions) + " partitions, " + std::to_string(stripes) + " stripes;";
  for (size_t i = 0; i < regions.size(); ++i) {
    *shape += " " + regions[i].first + " " + std::to_string(regions[i].second) + " nodes, copies";
    for (const KeyspaceShape& space : keyspaces) *shape += " " + std::to_string(space.replicas[i]);
    *shape += ";";
  }
  for (const KeyspaceShape& space : keyspaces) *shape += " " + space.level + (space.fallbacks ? " with fallbacks" : "");
  if (always) *shape += ", fsync always";
  return make_config(regions, partitions, stripes, keyspaces);
}

// One or two regions with three copies of everything, and reads at a quorum of them.
node::ClusterConfig three_copies(Rng& rng, std::string* shape) {
  std::vector<std::pair<std::string, uint32_t>> regions;
  for (size_t i = 0, count = 1 + rng.below(2); i < count; ++i)
    regions.emplace_back(i == 0 ? "eu" : "us", 3 + static_cast<uint32_t>(rng.below(3) * rng.below(2)));
  KeyspaceShape space;
  space.replicas.assign(regions.size(), 3);
  space.level = regions.size() == 1 && rng.chance(0.5) ? "quorum" : "local_quorum";
  if (rng.chance(0.2)) space.durability = node::Keyspace::Durability::kAlways;
  uint32_t partitions = 1u << rng.below(5);
  for (const auto& [name, nodes] : regions) *shape += name + " " + std::to_string(nodes) + " nodes; ";
  *shape += std::to_string(partitions) + " partitions, three copies; " + space.level;
  return make_config(regions, partitions, 1, {space});
}

// Nothing is wrong but that nodes stand still now and then, and hedges are few.
Plan make_stops_plan(uint64_t seed, bool verbose) {
  Rng rng(mixed(seed));
  Plan plan;
  plan.config = three_copies(rng, &plan.shape);
  plan.faults.add_short_stops(rng);
  plan.world.seed = rng.next();
  plan.world.verbose = verbose;
  plan.world.wide_us = log_uniform(rng, 2e3, 9e4);
  plan.world.disk.write_us = log_uniform(rng, 20, 500);
  plan.world.disk.sync_us = log_uniform(rng, 200, 2e4);
  plan.world.stripe.hedge_burst = 1 + static_cast<uint32_t>(rng.below(10));
  if (rng.chance(0.5)) plan.world.stripe.hedge_percent = static_cast<uint32_t>(rng.below(6));
  plan.shape += "; " + plan.faults.to_string() + "; hedges " + std::to_string(plan.world.stripe.hedge_percent) +
                " %, burst " + std::to_string(plan.world.stripe.hedge_burst);
  plan.world.stripe.sweep_interval = Duration::millis(log_uniform(rng, 200, 5000));
  plan.world.stripe.fold_delay = Duration::seconds(7);
  plan.world.stripe.fold_age = Duration::seconds(3);
  plan.workload.clients = 3 + static_cast<uint32_t>(rng.below(10));
  plan.workload.think_us = log_uniform(rng, 5e3, 2e5);
  plan.workload.timeout_min_ms = 2000;
  plan.workload.other_level = 0;
  plan.workload.weights = {1, 1, 1, 1, 1};
  plan.fault_time = Duration{log_uniform(rng, 5e6, 20e6)};
  return plan;
}

Plan make_plan(uint64_t seed, bool verbose, RunKind kind) {
  if (kind.stops) return make_stops_plan(seed, verbose);
  Rng rng(mixed(seed));
  Plan plan;
  plan.config = random_config(rng, kind.fallbacks, &plan.shape);
  plan.faults = FaultPlan::random(rng, kind.ring);
  Rng spoiling(mixed(seed) + 4);
  if (kind.spoil) plan.faults.add_spoiling(spoiling);
  plan.salvages = kind.spoil && spoiling.chance(0.5);
  Rng stops(mixed(seed) + 5);
  if (!plan.faults.none() && stops.chance(0.15)) plan.faults.add_short_stops(stops);
  if (stops.chance(0.5)) plan.world.stripe.hedge_burst = 1 + static_cast<uint32_t>(stops.below(20));
  plan.shape += "; " + plan.faults.to_string();

  WorldOptions& world = plan.world;
  world.seed = rng.next();
  world.verbose = verbose;
  world.wide_us = log_uniform(rng, 2e3, 9e4);
  world.disk.write_us = log_uniform(rng, 20, 500);
  world.disk.sync_us = log_uniform(rng, 200, 2e4);
  world.background_sync_us = log_uniform(rng, 5e4, 2e7);
  if (!plan.faults.none()) {
    if (rng.chance(0.3)) world.disk.stall = 0.001;
    if (rng.chance(0.5)) world.skew_ms = log_uniform(rng, 1, limits::kClockSkewMs / 2 - 2000);
    if (rng.chance(0.5)) world.drift_ppm = log_uniform(rng, 1, 1000);
    // Not what a product runs with, but nothing may depend on it.
    world.stripe.announce_interval = Duration::millis(log_uniform(rng, 100, 1000));
    world.stripe.catch_up_delay = Duration::millis(log_uniform(rng, 50, 1000));
    world.stripe.peer_timeout = Duration::millis(log_uniform(rng, 1000, 4000));
    world.stripe.hedge_delay = Duration::millis(log_uniform(rng, 5, 300));
    world.stripe.tree_interval = Duration::millis(log_uniform(rng, 50, 10'000));
    if (rng.chance(0.3)) world.stripe.cache_bytes = rng.below(4096);
    if (rng.chance(0.3)) world.stripe.log_entries = 1 + rng.below(100);
    if (rng.chance(0.3)) world.stripe.catch_up_chunk_bytes = 1 + rng.below(2000);
  }
  if (kind.fallbacks && rng.chance(0.1)) world.stripe.fallback_bytes = rng.below(5000);
  world.stripe.sweep_interval = Duration::millis(log_uniform(rng, 200, 5000));

  WorkloadOptions& workload = plan.workload;
  workload.clients = 2 + static_cast<uint32_t>(rng.below(7));
  workload.think_us = log_uniform(rng, 2e4, 5e5);
  workload.other_level = rng.chance(0.5) ? 0 : rng.uniform();
  if (kind.fallbacks) workload.primary_level = 0.3;
  workload.other_region = rng.chance(0.5) ? 0 : rng.uniform();
  workload.ttl_ms = log_uniform(rng, 1e3, 3e5);
  if (rng.chance(0.15)) workload.big_bytes = 200'000;
  for (int i = 0; i < 7; ++i) workload.weights.push_back(static_cast<uint32_t>(rng.below(3) * rng.below(4)));
  workload.weights[rng.below(6)] += 2;
  workload.weights[6] = std::min(workload.weights[6], 1u);
  if (plan.faults.none()) workload.timeout_min_ms = 2000;
  Rng sessions(mixed(seed) + 3);  // apart, so that the rest of a run does not depend on it
  if (sessions.chance(0.4)) workload.tokens = sessions.uniform();
  if (sessions.chance(0.1)) world.stripe.tree_bytes_per_second = 2'000 + sessions.below(20'000);
  if (!plan.faults.none() && stops.chance(0.5))
    world.stripe.read_repair_delay = Duration::millis(log_uniform(stops, 5, 500));
  if (stops.chance(0.1)) world.stripe.read_repair_bytes_per_second = 1 + stops.below(5'000);
  // Longer than anything is on its way, and than clocks differ; much shorter than what a product runs with.
  Rng folding(mixed(seed) + 6);
  const bool clogs = std::any_of(plan.faults.rates.begin(), plan.faults.rates.end(),
                                 [](const FaultPlan::Rate& rate) { return rate.kind == FaultKind::kClog; });
  world.stripe.fold_delay = Duration::millis(log_uniform(folding, clogs ? 7e3 : 3e3, 20e3));
  world.stripe.fold_age = Duration::millis(2 * world.skew_ms + 3000);
  plan.fault_time = Duration{log_uniform(rng, 8e6, 40e6)};
  if (!plan.faults.none() && folding.chance(0.3)) plan.once_more = Duration{log_uniform(folding, 4e6, 20e6)};
  return plan;
}

// Why an operation that a healthy cluster was asked for did not succeed.
Verdict failed_probe(const SimWorld& world, const std::vector<uint64_t>& ids) {
  for (uint64_t id : ids) {
    const OpRecord& op = world.history().op(id);
    // A level that its own configuration cannot meet is the request's fault.
    if (op.outcome == Outcome::kOk || op.reply.status.code() == Code::kInvalidArgument) continue;
    return "all is well again, but: " + to_string(op);
  }
  return {};
}

class Run {
 public:
  Run(Plan plan, uint64_t seed)
      : plan_(std::move(plan)),
        world_(plan_.config, plan_.world),
        workload_(world_, plan_.workload, mixed(seed) + 1),
        faults_(world_, plan_.faults, mixed(seed) + 2) {}

  SimWorld& world() { return world_; }
  uint64_t folds_amid_faults() const { return folds_amid_faults_; }

  Verdict phases() {
    world_.start_all();
    // Until everybody has met; with faults nobody waits for that.
    if (plan_.faults.none() || plan_.faults.only_stops()) {
      if (Verdict wrong = run(Duration::seconds(1))) return wrong;
    }
    if (Verdict wrong = disturb(plan_.fault_time)) return wrong;
    if (Verdict wrong = prove()) return wrong;
    if (Verdict wrong = plan_.salvages ? salvage() : Verdict()) return wrong;
    if (Verdict wrong = grow_old()) return wrong;
    // Once more, with folds in all clocks.
    if (plan_.once_more.us > 0) {
      if (Verdict wrong = disturb(plan_.once_more)) return wrong;
      if (Verdict wrong = grow_old()) return wrong;
    }
    return check();
  }

 private:
  bool stopped() const { return world_.history().violation() || world_.queue().executed() > kEventsMax; }
  // Looking is slow: twice a second will do.
  bool purged() { return due() && world_.converged() && !check_purged(world_); }
  bool due() {
    if (world_.now_us() < next_look_) return false;
    next_look_ = world_.now_us() + 500'000;
    return true;
  }

  // Faults and load for a while, and then everything is well again.
  Verdict disturb(Duration duration) {
    const uint64_t folds = world_.history().folds();
    workload_.start();
    faults_.start();
    if (Verdict wrong = run(duration)) return wrong;
    faults_.stop();
    folds_amid_faults_ += world_.history().folds() - folds;
    world_.heal();
    if (Verdict wrong = run(Duration::seconds(2))) return wrong;
    workload_.stop();
    if (Verdict wrong = run(Duration::seconds(4))) return wrong;  // longer than any request may take
    if (Verdict wrong = converge()) return wrong;
    std::vector<uint64_t> probes = workload_.probe();
    if (Verdict wrong = run(Duration::seconds(3))) return wrong;
    if (Verdict wrong = failed_probe(world_, probes)) return wrong;
    if (Verdict wrong = converge()) return wrong;
    return check();
  }

  // All owners of a partition cannot read some of it, and what they can read together is all of it: nothing may be
  // lost, whatever ends and begins meanwhile, and nothing may come back.
  Verdict salvage() {
    Rng rng(plan_.world.seed + 7);
    if (!world_.spoil_all_owners(rng)) return {};
    const auto whole = [this] { return stopped() || (due() && world_.converged()); };
    for (int tries = 0; tries < kSalvageTries; ++tries) {
      if (world_.run_until(whole, Duration{log_uniform(rng, 1e5, 5e6)})) break;
      // A restart forgets that losses are accepted.
      const auto n = static_cast<node::NodeIndex>(rng.below(world_.config().nodes.size()));
      if (tries < kSalvageTries / 2 && rng.chance(0.3) && world_.is_up(n)) {
        world_.kill(n);
        world_.start(n);
      }
      world_.accept_salvage();
    }
    // Each owner takes the copies of all others, one after the other.
    if (Verdict wrong = converge_whole(static_cast<int64_t>(world_.config().nodes.size()))) return wrong;
    std::vector<uint64_t> probes = workload_.probe();
    if (Verdict wrong = run(Duration::seconds(3))) return wrong;
    if (Verdict wrong = failed_probe(world_, probes)) return wrong;
    if (Verdict wrong = converge_whole()) return wrong;
    return check();
  }

  // Long after, when everything with an expiry is past its grace, and every life that has ended is old.
  Verdict grow_old() {
    const int64_t old_ms = std::max<int64_t>(0, latest_epoch_ms(world_) - world_.wall().ms);
    world_.leap(2 * plan_.workload.ttl_ms + limits::kExpiryGraceMs + 2 * world_.skew_ms() + 100'000 + old_ms);
    if (!world_.run_until([this] { return stopped() || purged(); }, Duration::seconds(40))) return check_purged(world_);
    if (Verdict wrong = converge()) return wrong;
    if (Verdict wrong = prove()) return wrong;
    return fold();
  }

  Verdict run(Duration duration) {
    world_.run_until([this] { return stopped(); }, duration);
    if (world_.history().violation()) return world_.history().violation();
    if (stopped()) return "more than " + std::to_string(kEventsMax) + " events";
    return {};
  }

  Verdict converge() {
    // What a replica had acknowledged alone, and its log has no more, is for the operator to give up.
    auto done = [this] { return stopped() || (due() && world_.converged()); };
    if (world_.ever_spoiled() && !world_.run_until(done, kOperatorWaits)) world_.accept_losses();
    return converge_whole();
  }

  // Where there is nothing to give up, but for what takes as long as `copies` copies of a partition.
  Verdict converge_whole(int64_t copies = 1) {
    const Duration limit{copies * kConvergenceLimit.us};
    if (!world_.run_until([this] { return stopped() || (due() && world_.converged()); }, limit)) {
      return "did not converge within " + std::to_string(limit.us / 1'000'000) +
             " s: " + world_.difference().value_or("just now it did");
    }
    return run(Duration{0});
  }

  // All owners' trees find out that they agree.
  Verdict prove() {
    compare_trees(world_);
    if (world_.run_until([this] { return stopped() || (due() && !trees_compared(world_)); }, kConvergenceLimit))
      return run(Duration{0});
    return trees_compared(world_);
  }

  // The longest wait for a fold, twice: what waits when a later life ends is folded before that.
  Verdict fold() {
    const Duration limit{2 * plan_.world.stripe.fold_delay.us + 20'000'000};
    if (!world_.run_until([this] { return stopped() || (due() && !check_folded(world_)); }, limit))
      return check_folded(world_);
    return run(Duration{0});
  }

  Verdict check() {
    // Reads go to the engines, so nobody may be in the middle of a write.
    if (!world_.run_until([this] { return stopped() || world_.converged(); }, kConvergenceLimit))
      return "never at rest";
    if (Verdict wrong = check_answered(world_)) return wrong;
    if (Verdict wrong = check_understood(world_)) return wrong;
    if (Verdict wrong = check_oracle(world_)) return wrong;
    if (Verdict wrong = check_acknowledged(world_)) return wrong;
    if (Verdict wrong = check_kept(world_)) return wrong;
    if (Verdict wrong = check_removed(world_)) return wrong;
    if (Verdict wrong = check_levels(world_)) return wrong;
    if (Verdict wrong = check_sessions(world_)) return wrong;
    if (Verdict wrong = check_trees(world_)) return wrong;
    if (Verdict wrong = check_fallbacks(world_)) return wrong;
    if (Verdict wrong = check_tokens(world_)) return wrong;
    if (Verdict wrong = world_.over_hedge_budget()) return wrong;
    if (Verdict wrong = plan_.faults.only_stops() ? check_stalls(world_) : Verdict()) return wrong;
    return plan_.faults.none() ? check_healthy(world_) : Verdict();
  }

  Plan plan_;
  SimWorld world_;
  Workload workload_;
  FaultInjector faults_;
  int64_t next_look_ = 0;
  uint64_t folds_amid_faults_ = 0;
};

}  // namespace

SeedResult run_seed(uint64_t seed, bool verbose, RunKind kind) {
  Plan plan = make_plan(seed, verbose, kind);
  SeedResult result;
  result.seed = seed;
  result.shape = plan.shape;
  Run run(std::move(plan), seed);
  result.failure = run.phases();
  SimWorld& world = run.world();
  result.trace_hash = world.trace().hash();
  result.events = world.queue().executed();
  result.virtual_us = world.now_us();
  result.operations = world.history().ops().size();
  result.folds = world.history().folds();
  result.folds_amid_faults = run.folds_amid_faults();
  result.full_exchanges = world.total(&node::StripeStats::full_exchanges);
  result.by_trees = world.total(&node::StripeStats::full_exchanges_by_trees);
  for (const OpRecord& op : world.history().ops()) result.acknowledged += op.outcome == Outcome::kOk ? 1 : 0;
  return result;
}

}  // namespace cartwheel::sim
