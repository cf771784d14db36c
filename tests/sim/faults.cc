#include "tests/sim/faults.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

namespace cartwheel::sim {

using node::NodeIndex;

namespace {

const char* const kNames[] = {
    "cut_link",   "cut_one_way",       "isolate_node", "cut_regions", "clog", "kill",           "stop",       "pause",
    "power_loss", "power_loss_of_all", "wipe",         "step_clock",  "leap", "long_isolation", "join",       "leave",
    "replace",    "rebalance",         "cancel",       "keyspace",    "",     "spoil",          "short_stops"};

constexpr long kMembersMax = 9;
constexpr size_t kQueuedMax = 2;

// Between `low` and `high`, each order of magnitude alike.
int64_t log_uniform(Rng& rng, double low, double high) {
  return static_cast<int64_t>(low * std::pow(high / low, rng.uniform()));
}

}  // namespace

FaultPlan FaultPlan::random(Rng& rng, bool with_ring) {
  FaultPlan plan;
  if (rng.chance(0.05)) return plan;
  double density = 0.1 + 0.5 * rng.uniform();
  double ring_density = with_ring ? 0.5 : 0;
  if (ring_density > 0 && rng.chance(0.3)) density = 0;  // nothing but changes of the ring
  for (uint8_t kind = 0; kind < static_cast<uint8_t>(with_ring ? FaultKind::kKinds : FaultKind::kJoin); ++kind) {
    bool ring = kind >= static_cast<uint8_t>(FaultKind::kJoin);
    if (rng.chance(ring ? ring_density : density)) {
      plan.rates.push_back({static_cast<FaultKind>(kind), log_uniform(rng, ring ? 2e6 : 1e6, 30e6)});
    }
  }
  if (rng.chance(density)) plan.quality.loss = 0.3 * rng.uniform() * rng.uniform();
  if (rng.chance(density)) plan.quality.duplicate = 0.5 * rng.uniform();
  if (rng.chance(density)) {
    plan.quality.reorder = rng.uniform();
    plan.quality.reorder_us = log_uniform(rng, 1e3, 1e6);
  }
  return plan;
}

void FaultPlan::add_spoiling(Rng& rng) {
  rates.push_back({FaultKind::kSpoil, log_uniform(rng, 5e5, 10e6)});
}

void FaultPlan::add_short_stops(Rng& rng) {
  rates.push_back({FaultKind::kShortStops, log_uniform(rng, 2e5, 5e6)});
}

bool FaultPlan::only_stops() const {
  auto stops = [](const Rate& rate) { return rate.kind == FaultKind::kShortStops; };
  return !none() && std::all_of(rates.begin(), rates.end(), stops) && FaultPlan{{}, quality}.none();
}

bool FaultPlan::changes_ring() const {
  return std::any_of(rates.begin(), rates.end(),
                     [](const Rate& rate) { return rate.kind >= FaultKind::kJoin && rate.kind < FaultKind::kKinds; });
}

std::string FaultPlan::to_string() const {
  if (none()) return "no faults";
  std::string text;
  for (const Rate& rate : rates) {
    text +=
        std::string(kNames[static_cast<size_t>(rate.kind)]) + " every " + std::to_string(rate.mean_us / 1000) + " ms, ";
  }
  return text + "loss " + std::to_string(quality.loss) + ", duplicates " + std::to_string(quality.duplicate) +
         ", reordering " + std::to_string(quality.reorder);
}

FaultInjector::FaultInjector(SimWorld& world, FaultPlan plan, uint64_t seed)
    : world_(world), plan_(std::move(plan)), rng_(seed) {}

void FaultInjector::start() {
  active_ = true;
  world_.network().set_quality(plan_.quality);
  for (const FaultPlan::Rate& rate : plan_.rates) schedule(rate);
}

void FaultInjector::schedule(const FaultPlan::Rate& rate) {
  auto pause = static_cast<int64_t>(-std::log(1.0 - rng_.uniform()) * static_cast<double>(rate.mean_us));
  world_.queue().after(pause, [this, rate] {
    if (!active_) return;
    happen(rate.kind);
    schedule(rate);
  });
}

void FaultInjector::end_later(std::function<void()> end) {
  world_.queue().after(log_uniform(rng_, 1e4, 1.5e7), [this, end = std::move(end)] {
    if (active_) end();
  });
}

void FaultInjector::down_for_a_while(NodeIndex n) {
  end_later([this, n] {
    if (!world_.is_up(n) && !world_.config().nodes[n].removed()) world_.start(n);
  });
}

// Mostly as short as a scheduler or a collector of garbage makes them, and now and then up to a second.
void FaultInjector::stop_shortly(NodeIndex n, uint64_t times) {
  stops_ = active_ && times > 0 && world_.is_up(n);
  if (!stops_) return;
  int64_t length = log_uniform(rng_, 2e4, rng_.chance(0.2) ? 1e6 : 2e5), pause = log_uniform(rng_, 1e4, 1e6);
  world_.stop_shortly(n, length);
  world_.queue().after(length + pause, [this, n, times] { stop_shortly(n, times - 1); });
}

void FaultInjector::join(std::optional<std::string> dead) {
  const auto& config = world_.config();
  auto members = std::count_if(config.nodes.begin(), config.nodes.end(), [](const auto& n) { return !n.removed(); });
  if (members >= kMembersMax && !dead) return;
  node::NodeInfo info;
  info.region = dead ? config.nodes[config.node(*dead)].region : config.regions[rng_.below(config.regions.size())];
  info.name = info.region + "-new-" + std::to_string(++joined_);
  info.zone = rng_.chance(0.5) ? "a" : "b";
  info.capacity = rng_.chance(0.7) ? 1 : 0.5 + rng_.uniform();
  info.identity = rng_.next();
  uint16_t port = static_cast<uint16_t>(1000 + 3 * joined_);
  for (node::Address* address : {&info.rpc, &info.resp, &info.http}) *address = {"127.0.0.1", port++};
  (void)world_.join(std::move(info), std::move(dead));  // refused where it makes no sense
}

// Raises or lowers the replicas of a keyspace in a region.
void FaultInjector::change_keyspaces() {
  const auto& config = world_.config();
  node::Keyspace wanted = config.keyspaces[rng_.below(config.keyspaces.size())];
  auto& [region, copies] = *std::next(wanted.replicas.begin(), static_cast<long>(rng_.below(wanted.replicas.size())));
  copies = 1 + static_cast<uint32_t>(rng_.below(3));
  (void)world_.change_ring([&](node::ClusterConfig& next) { return node::alter_keyspace(next, wanted); });
}

void FaultInjector::happen(FaultKind kind) {
  auto held = world_.shared_config();
  const node::ClusterConfig& config = *held;
  NodeIndex n = pick(), other = pick();
  if (kind == FaultKind::kSpoil) {
    world_.spoil(n, rng_);
    return;
  }
  if (kind == FaultKind::kShortStops) {
    if (!stops_) stop_shortly(n, 1 + rng_.below(12));
    return;
  }
  if (kind >= FaultKind::kJoin && kind != FaultKind::kCancel && config.changes.size() >= kQueuedMax) return;
  switch (kind) {
    case FaultKind::kCutLink:
    case FaultKind::kCutOneWay: {
      if (n == other) return;
      bool both = kind == FaultKind::kCutLink;
      world_.cut(n, other, both);
      end_later([this, n, other, both] { world_.mend(n, other, both); });
      return;
    }
    case FaultKind::kIsolateNode:
      for (NodeIndex each = 0; each < config.nodes.size(); ++each) {
        if (each == n) continue;
        world_.cut(n, each);
        end_later([this, n, each] { world_.mend(n, each); });
      }
      return;
    case FaultKind::kCutRegions: {
      if (config.regions.size() < 2) return;
      size_t a = rng_.below(config.regions.size()), b = (a + 1) % config.regions.size();
      world_.cut_regions(config.regions[a], config.regions[b]);
      end_later([this, a, b] { world_.mend_regions(world_.config().regions[a], world_.config().regions[b]); });
      return;
    }
    case FaultKind::kClog:
      if (n != other) world_.network().clog(n, other, world_.now_us() + log_uniform(rng_, 1e4, 5e6));
      return;
    case FaultKind::kKill:
      if (!world_.is_up(n)) return;
      if (rng_.chance(0.5)) {
        world_.kill(n);
        down_for_a_while(n);
        return;
      }
      world_.at_next_write(n, [this, n] {
        if (!active_) return;
        world_.kill(n);
        down_for_a_while(n);
      });
      return;
    case FaultKind::kStop:
      if (!world_.is_up(n)) return;
      world_.stop(n, [this, n] { down_for_a_while(n); });
      return;
    case FaultKind::kPause:
      if (!world_.is_up(n)) return;
      world_.pause(n, true);
      end_later([this, n] { world_.pause(n, false); });
      return;
    case FaultKind::kPowerLoss:
      if (!world_.may_lose(n, false)) return;
      world_.lose_power(n);
      down_for_a_while(n);
      return;
    case FaultKind::kPowerLossOfAll:
      for (NodeIndex each = 0; each < config.nodes.size(); ++each) {
        if (!world_.may_lose(each, false)) continue;
        world_.lose_power(each);
        down_for_a_while(each);
      }
      return;
    case FaultKind::kWipe:
      if (!world_.may_lose(n, true)) return;
      world_.wipe(n);
      down_for_a_while(n);
      return;
    case FaultKind::kStepClock: {
      auto bound = static_cast<uint64_t>(world_.step_bound_ms());
      if (bound == 0) return;
      world_.step_clock(n, static_cast<int64_t>(rng_.below(2 * bound + 1)) - static_cast<int64_t>(bound));
      return;
    }
    case FaultKind::kLeap:
      world_.leap(log_uniform(rng_, 1e4, 3e5));
      return;
    case FaultKind::kLongIsolation:
      for (NodeIndex each = 0; each < config.nodes.size(); ++each) {
        if (each != n) world_.cut(n, each);
      }
      world_.queue().after(log_uniform(rng_, 5e5, 4e6), [this] {
        if (active_) world_.leap(log_uniform(rng_, 1.5e5, 6e5));
      });
      world_.queue().after(6'000'000 + log_uniform(rng_, 1e4, 6e6), [this, n] {
        if (!active_) return;
        for (NodeIndex each = 0; each < world_.config().nodes.size(); ++each) {
          if (each != n) world_.mend(n, each);
        }
      });
      return;
    case FaultKind::kJoin:
      join({});
      return;
    case FaultKind::kLeave:
      (void)world_.change_ring(
          [&](node::ClusterConfig& next) { return node::leave(next, config.nodes[n].name, false); });
      return;
    case FaultKind::kReplace:
      if (!world_.may_lose(n, true)) return;
      world_.kill(n);
      join(config.nodes[n].name);
      down_for_a_while(n);  // if it was refused
      return;
    case FaultKind::kRebalance:
      (void)world_.change_ring(node::rebalance);
      return;
    case FaultKind::kCancel:
      (void)world_.change_ring(node::cancel);
      return;
    case FaultKind::kKeyspace:
      change_keyspaces();
      return;
    case FaultKind::kKinds:
    case FaultKind::kSpoil:
    case FaultKind::kShortStops:
      return;
  }
}

}  // namespace cartwheel::sim
