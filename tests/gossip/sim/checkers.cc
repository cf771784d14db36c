#include "tests/gossip/sim/checkers.h"

namespace cartwheel::gossip::sim {

namespace {

std::string name(MemberId id) {
  return "node " + std::to_string(id);
}

// Calls check(seer, seen) for all pairs of a running node and a member, until one fails.
template <typename Check>
Failure for_pairs(const World& world, Check check) {
  for (const World::Node& seer : world.nodes()) {
    if (!world.runs(seer.member.id)) continue;
    for (const World::Node& seen : world.nodes()) {
      if (!world.is_member(seen.member.id) || seen.member.id == seer.member.id) continue;
      if (Failure failure = check(seer, seen)) return failure;
    }
  }
  return {};
}

}  // namespace

Failure check_live_seen(const World& world) {
  return for_pairs(world, [&](const World::Node& seer, const World::Node& seen) -> Failure {
    MemberId id = seen.member.id;
    if (!world.runs(id)) return {};
    std::string sees = name(seer.member.id) + " sees " + name(id);
    if (seer.swim->state(id) != State::kAlive) return sees + ", which runs, as " + state_name(seer.swim->state(id));
    if (!seer.swim->reachable(id)) return sees + ", which runs, as unreachable";
    if (seer.swim->incarnation(id) != seen.swim->incarnation(id)) return sees + " at another incarnation than its own";
    return {};
  });
}

Failure check_gone_seen(const World& world) {
  return for_pairs(world, [&](const World::Node& seer, const World::Node& seen) -> Failure {
    MemberId id = seen.member.id;
    if (seen.swim || seen.boot == 0) return {};
    bool watched = false;
    for (const World::Node& other : world.nodes())
      watched |= other.member.region == seen.member.region && world.runs(other.member.id);
    State state = seer.swim->state(id);
    if (!watched || state == State::kDead || (seen.left && state == State::kLeft)) return {};
    return name(seer.member.id) + " sees " + name(id) + ", which is gone, as " + state_name(state);
  });
}

Failure check_gateways(const World& world) {
  std::map<std::string, std::vector<MemberId>> picked;
  for (const World::Node& node : world.nodes()) {
    if (!world.runs(node.member.id)) continue;
    for (const World::Node& other : world.nodes()) {
      const std::string& region = other.member.region;
      auto [it, fresh] = picked.emplace(region, node.swim->gateways(region));
      if (!fresh && it->second != node.swim->gateways(region))
        return name(node.member.id) + " picks other gateways of " + region + " than others do";
    }
  }
  return {};
}

Failure check_quiet(const World& world) {
  for (const World::Node& node : world.nodes()) {
    if (!world.runs(node.member.id)) continue;
    if (node.swim->queued() > 0) return name(node.member.id) + " still has news to spread";
    if (node.swim->suspicions() > 0) return name(node.member.id) + " still suspects somebody";
  }
  return {};
}

Failure check_facts(const World& world) {
  return for_pairs(world, [&](const World::Node& seer, const World::Node& seen) -> Failure {
    MemberId id = seen.member.id;
    if (!world.runs(id) || seer.swim->facts(id) == seen.swim->facts(id)) return {};
    return name(seer.member.id) + " has old facts of " + name(id);
  });
}

void RemovedWatcher::see(MemberId observer, const Event& event, int64_t now) {
  if (failure_ || event.kind != Event::Kind::kState) return;
  auto it = removed_.find(event.member);
  if (it == removed_.end() || now < it->second) return;
  failure_ = name(observer) + " says that removed " + name(event.member) + " is " + state_name(event.state);
}

}  // namespace cartwheel::gossip::sim
