#include "tests/gossip/sim/figures.h"

#include <algorithm>
#include <functional>
#include <set>
#include <string>

#include "tests/gossip/sim/world.h"

namespace cartwheel::gossip::sim {

namespace {

WorldOptions world_options(const Setup& setup) {
  WorldOptions options;
  options.seed = setup.seed;
  options.swim.lifeguard = setup.lifeguard;
  options.loss = setup.loss;
  return options;
}

void populate(World& world, const Setup& setup) {
  for (size_t r = 0; r < setup.regions; ++r) {
    size_t n = setup.nodes / setup.regions + (r < setup.nodes % setup.regions ? 1 : 0);
    world.add(n, "region" + std::to_string(r));
  }
}

bool all_see_all(const World& world) {
  for (const World::Node& seer : world.nodes()) {
    if (!world.runs(seer.member.id)) continue;
    for (const World::Node& seen : world.nodes())
      if (world.runs(seen.member.id) && !world.sees(seer.member.id, seen.member.id)) return false;
  }
  return true;
}

// Runs until everybody sees everybody; false if that takes longer than `limit`.
bool settle(World& world, int64_t limit) {
  for (int64_t end = world.now() + limit; world.now() < end;) {
    world.run(kSecond / 4);
    if (all_see_all(world)) return true;
  }
  return false;
}

}  // namespace

double median(const std::vector<double>& ascending) {
  return ascending.empty() ? -1 : ascending[ascending.size() / 2];
}

Detection measure_detection(const Setup& setup, int crashes) {
  World world(world_options(setup));
  populate(world, setup);
  world.start_all();
  Detection result;
  if (!settle(world, 120 * kSecond)) {
    result.missed = crashes;
    return result;
  }
  MemberId victim = kNoMember;
  int64_t crashed_at = 0, first = 0, last = 0;
  std::set<MemberId> saw;
  world.set_watcher([&](MemberId observer, const Event& event) {
    if (event.kind != Event::Kind::kState || event.state != State::kDead || event.member != victim) return;
    if (saw.empty()) first = world.now();
    if (saw.insert(observer).second) last = world.now();
  });
  for (int i = 0; i < crashes; ++i) {
    world.run(static_cast<int64_t>(world.rng().below(2 * kSecond)));
    victim = static_cast<MemberId>(world.rng().below(setup.nodes));
    crashed_at = world.now();
    saw.clear();
    world.crash(victim);
    for (int64_t end = world.now() + 180 * kSecond; world.now() < end && saw.size() + 1 < setup.nodes;)
      world.run(kSecond / 20);
    if (saw.size() + 1 < setup.nodes) {
      ++result.missed;
    } else {
      result.first.push_back(static_cast<double>(first - crashed_at) / kSecond);
      result.all.push_back(static_cast<double>(last - crashed_at) / kSecond);
    }
    victim = kNoMember;
    for (World::Node& node : world.nodes())
      if (!node.swim) world.start(node.member.id);
    settle(world, 120 * kSecond);
  }
  std::sort(result.first.begin(), result.first.end());
  std::sort(result.all.begin(), result.all.end());
  return result;
}

FalseDeaths measure_false_deaths(const Setup& setup, Starving starving, int64_t seconds) {
  World world(world_options(setup));
  populate(world, setup);
  world.start_all();
  settle(world, 120 * kSecond);
  size_t wanted = std::max<size_t>(1, setup.nodes / 10);
  std::set<MemberId> starved;
  while (starved.size() < wanted) starved.insert(static_cast<MemberId>(world.rng().below(setup.nodes)));

  FalseDeaths result;
  world.set_watcher([&](MemberId observer, const Event& event) {
    if (event.kind != Event::Kind::kState || event.state != State::kDead) return;
    if (starved.count(event.member) > 0) {
      ++result.starved;
      return;
    }
    ++result.healthy;
    if (starved.count(observer) == 0) ++result.healthy_at_healthy;
  });
  int64_t end = world.now() + seconds * kSecond;
  std::function<void(MemberId)> cycle = [&](MemberId id) {
    if (world.now() >= end) return;
    int64_t stalled = kSecond + static_cast<int64_t>(world.rng().below(15 * kSecond));
    int64_t runs = kSecond / 10 + static_cast<int64_t>(world.rng().below(19 * kSecond / 10));
    starving == Starving::kBlocked ? world.block(id, stalled) : world.stall(id, stalled);
    world.after(stalled + runs, [&cycle, id] { cycle(id); });
  };
  for (MemberId id : starved) {
    if (starving == Starving::kLate) {
      world.nodes()[id].late_us = 16 * kSecond;
    } else {
      world.after(static_cast<int64_t>(world.rng().below(16 * kSecond)), [&cycle, id] { cycle(id); });
    }
  }
  world.run(end - world.now());
  result.node_hours = static_cast<double>(setup.nodes) * static_cast<double>(seconds) / 3600;
  return result;
}

Traffic measure_traffic(const Setup& setup, int64_t seconds, bool facts) {
  World world(world_options(setup));
  populate(world, setup);
  world.start_all();
  settle(world, 120 * kSecond);
  uint64_t value = 0;
  std::function<void(MemberId)> change = [&](MemberId id) {
    std::string text = std::to_string(++value);
    (void)world.nodes()[id].swim->set_facts(text + std::string(16 - text.size(), ' '), {world.now()});
    world.after(kSecond, [&change, id] { change(id); });
  };
  for (const World::Node& node : world.nodes()) {
    MemberId id = node.member.id;
    if (facts) world.after(static_cast<int64_t>(world.rng().below(kSecond)), [&change, id] { change(id); });
  }
  world.run(60 * kSecond);  // what the start left in queues

  std::vector<World::Node>& nodes = world.nodes();
  for (World::Node& node : nodes) node.bytes_out = node.packets_out = node.stream_bytes_out = node.wan_bytes_out = 0;
  world.run(seconds * kSecond);
  Traffic traffic;
  double n = static_cast<double>(nodes.size()), s = static_cast<double>(seconds);
  for (const World::Node& node : nodes) {
    double bytes = static_cast<double>(node.bytes_out + node.stream_bytes_out) / s;
    double wan = static_cast<double>(node.wan_bytes_out) / s;
    traffic.bytes += bytes / n;
    traffic.packets += static_cast<double>(node.packets_out) / s / n;
    traffic.wan_bytes += wan / n;
    traffic.largest = std::max(traffic.largest, bytes);
    traffic.wan_largest = std::max(traffic.wan_largest, wan);
  }
  return traffic;
}

double measure_mass_restart(const Setup& setup, int64_t limit_seconds) {
  World world(world_options(setup));
  populate(world, setup);
  world.start_all();
  if (!settle(world, 120 * kSecond)) return -1;
  world.run(10 * kSecond);
  for (const World::Node& node : world.nodes()) world.crash(node.member.id);
  world.run(kSecond);
  int64_t from = world.now();
  world.start_all();
  return settle(world, limit_seconds * kSecond) ? static_cast<double>(world.now() - from) / kSecond : -1;
}

}  // namespace cartwheel::gossip::sim
