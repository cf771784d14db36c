// The network of World: messages, connections, and what gossip says of who is alive.
#include "base/hash.h"
#include "tests/node/membership/world.h"

namespace cartwheel::node::member_model {

namespace {
constexpr int64_t kMs = 1000;
}  // namespace

void World::send(NodeIndex from, NodeIndex to, const std::string& bytes) {
  result_.trace = hash64(bytes, result_.trace + static_cast<uint64_t>(queue_.now()) * 64 + to);
  const Link& link = links_[{from, to}];
  if (!link.up || cut_[{from, to}]) return;
  const int copies = healed_ || !rng_.chance(faults_.duplicate) ? 1 : 2;
  for (int copy = 0; copy < copies; ++copy) {
    if (!healed_ && rng_.chance(faults_.loss)) continue;
    int64_t delay = 50 + static_cast<int64_t>(rng_.below(static_cast<uint64_t>(faults_.delay_us)));
    if (!healed_ && faults_.straggler_us > 0 && rng_.chance(0.05)) {
      delay += static_cast<int64_t>(rng_.below(static_cast<uint64_t>(faults_.straggler_us)));
    }
    queue_.after(delay, [this, from, to, bytes, number = link.number] {
      // What is sent over a connection arrives over it, or not at all.
      const Link& end = links_[{to, from}];
      if (!hosts_.at(to)->up || !end.up || end.number != number) return;
      hosts_.at(to)->machine->on_message(from, bytes, now());
      drain(to);
    });
  }
}

void World::set_link(NodeIndex from, NodeIndex to, bool up, uint64_t number) {
  Link& link = links_[{from, to}];
  Host& host = *hosts_.at(from);
  if (!host.up) {
    link.up = false;
    return;
  }
  if (link.up && (!up || link.number != number)) {
    link.up = false;
    host.machine->on_peer(to, false, now());
  }
  if (up) {
    link = {true, number};
    host.machine->on_peer(to, true, now());
  }
  drain(from);
}

void World::keep_links() {
  std::vector<NodeIndex> all;
  for (const auto& [n, host] : hosts_) all.push_back(n);
  for (NodeIndex a : all) {
    for (NodeIndex b : all) {
      if (a < b) keep_link(a, b);
    }
  }
  queue_.after(20 * kMs + static_cast<int64_t>(rng_.below(40 * kMs)), [this] { keep_links(); });
}

// Makes the connection of two nodes, or lets its ends notice that it is broken.
void World::keep_link(NodeIndex a, NodeIndex b) {
  Host &one = *hosts_.at(a), &other = *hosts_.at(b);
  const Link &there = links_[{a, b}], &back = links_[{b, a}];
  const bool possible = one.up && other.up && !cut_[{a, b}] && !cut_[{b, a}];
  if (!possible || (!healed_ && faults_.flaps && rng_.chance(0.01))) {
    if (there.up && rng_.chance(0.2)) set_link(a, b, false, 0);
    if (back.up && rng_.chance(0.2)) set_link(b, a, false, 0);
    return;
  }
  if (there.up && back.up && there.number == back.number) return;
  const ClusterConfig &mine = *one.machine->config(), &theirs = *other.machine->config();
  if (b >= mine.nodes.size() || a >= theirs.nodes.size()) return;
  // Who is removed is told so when it knocks.
  const bool refuses = mine.nodes[b].removed(), is_refused = theirs.nodes[a].removed();
  if (refuses && mine.epoch > theirs.epoch) stop_for_good(b);
  if (is_refused && theirs.epoch > mine.epoch) stop_for_good(a);
  if (refuses || is_refused || !rng_.chance(0.5)) return;
  const uint64_t number = ++connections_;
  set_link(a, b, true, number);
  if (one.up && other.up) set_link(b, a, true, number);
}

void World::keep_liveness(NodeIndex n, uint64_t boot) {
  Host& host = *hosts_.at(n);
  if (!host.up || host.boot != boot) return;
  queue_.after(200 * kMs + static_cast<int64_t>(rng_.below(200 * kMs)), [this, n, boot] { keep_liveness(n, boot); });
  const Membership::ConfigPtr config = host.machine->config();
  for (NodeIndex p = 0; p < config->nodes.size() && host.up; ++p) {
    if (p == n || config->nodes[p].identity == 0) continue;
    auto found = hosts_.find(p);
    bool alive =
        found != hosts_.end() && found->second->up && found->second->disk.identity == config->nodes[p].identity;
    if (!healed_ && (cut_[{n, p}] && cut_[{p, n}])) alive = false;
    if (!healed_ && rng_.chance(0.01)) alive = false;  // a false suspicion
    bool& told = host.liveness[p];
    if (alive == told || (!alive && !rng_.chance(0.3))) continue;
    told = alive;
    host.machine->on_liveness(p, alive, now());
    drain(n);
  }
}

}  // namespace cartwheel::node::member_model
