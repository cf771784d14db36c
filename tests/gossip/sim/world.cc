#include "tests/gossip/sim/world.h"

#include <cstdio>

#include "base/check.h"
#include "base/hash.h"
#include "gossip/message.h"

namespace cartwheel::gossip::sim {

World::World(WorldOptions options) : options_(std::move(options)), rng_(options_.seed) {}

void World::add(size_t n, const std::string& region) {
  for (size_t i = 0; i < n; ++i) {
    Node node;
    node.member = {static_cast<MemberId>(nodes_.size()), rng_.next(), region};
    members_.insert(node.member.id);
    nodes_.push_back(std::move(node));
  }
  ++epoch_;
}

std::vector<Member> World::config() const {
  std::vector<Member> members;
  for (MemberId id : members_) members.push_back(nodes_[id].member);
  return members;
}

void World::start(MemberId id) {
  Node& node = nodes_[id];
  node.swim = std::make_unique<Swim>(options_.swim, node.member, first_incarnation(++node.boot), rng_.next());
  node.stalled_until = node.blocked_until = 0;
  node.inbox.clear();
  node.outbox.clear();
  node.left = false;
  node.wake_at = INT64_MAX;
  ++node.generation;
  say("start " + std::to_string(id));
  // A removed one that is started again has the last configuration that had it.
  auto last = last_config_.find(id);
  const auto& [members, epoch] = is_member(id) ? std::pair(config(), epoch_) : last->second;
  CHECK(node.swim->set_members(members, epoch, {now()}).ok());
  touch(node);
}

void World::start_all() {
  for (const Node& node : nodes_) start(node.member.id);
}

void World::crash(MemberId id) {
  say("crash " + std::to_string(id));
  nodes_[id].swim.reset();
  nodes_[id].inbox.clear();
  nodes_[id].outbox.clear();
  ++nodes_[id].generation;
}

void World::leave(MemberId id) {
  if (!nodes_[id].swim) return;
  say("leave " + std::to_string(id));
  nodes_[id].left = true;
  nodes_[id].swim->leave({now()});
  touch(nodes_[id]);
}

void World::stall(MemberId id, int64_t us) {
  Node& node = nodes_[id];
  if (!node.swim || node.stalled_until > now()) return;
  node.stalled_until = now() + us;
  uint64_t boot = node.boot;
  after(us, [this, id, boot] {
    Node& woken = nodes_[id];
    if (!woken.swim || woken.boot != boot) return;
    woken.swim->on_tick({now()});  // an event loop runs its timers, then reads its sockets
    touch(woken);
    drain(woken);
  });
}

void World::block(MemberId id, int64_t us) {
  Node& node = nodes_[id];
  if (!node.swim || node.blocked_until > now()) return;
  node.blocked_until = now() + us;
  uint64_t boot = node.boot;
  after(us, [this, id, boot] {
    Node& freed = nodes_[id];
    if (!freed.swim || freed.boot != boot) return;
    while (!freed.outbox.empty()) {
      Node::Input output = std::move(freed.outbox.front());
      freed.outbox.pop_front();
      send(freed, output.stream, {output.from, std::move(output.bytes)});
    }
    drain(freed);
  });
}

// Reads what waits in the socket.
void World::drain(Node& node) {
  while (node.swim && !node.inbox.empty()) {
    Node::Input input = std::move(node.inbox.front());
    node.inbox.pop_front();
    hand_in(node, input);
  }
}

void World::remove(MemberId id, MemberId told) {
  say("remove " + std::to_string(id));
  last_config_[id] = {config(), epoch_};
  members_.erase(id);
  ++epoch_;
  fetch(told, 0);
}

void World::cut(MemberId from, MemberId to, bool both) {
  cuts_.insert({from, to});
  if (both) cuts_.insert({to, from});
}

void World::heal() {
  cuts_.clear();
  for (Node& node : nodes_) node.side = 0;
}

void World::say(const std::string& text) const {
  if (verbose_) std::printf("%9.3f %s\n", static_cast<double>(now()) / kSecond, text.c_str());
}

std::string World::inject(MemberId to, std::string_view bytes) {
  std::string answer = nodes_[to].swim->on_packet(bytes, {now()});
  touch(nodes_[to]);
  return answer;
}

void World::fetch(MemberId id, int64_t delay) {
  after(delay, [this, id] {
    Node& node = nodes_[id];
    if (!node.swim) return;
    // What the register has by then.
    CHECK(node.swim->set_members(config(), epoch_, {now()}).ok());
    touch(node);
  });
}

void World::touch(Node& node) {
  MemberId id = node.member.id;
  Output output = node.swim->take_output();
  for (Event& event : output.events) {
    if (verbose_ && event.kind == Event::Kind::kState)
      say(std::to_string(id) + ": " + std::to_string(event.member) + " is " + state_name(event.state));
    if (verbose_ && event.kind == Event::Kind::kRegion)
      say(std::to_string(id) + ": " + event.region + (event.reachable ? " can be reached" : " cannot be reached"));
    bool ask = event.kind == Event::Kind::kConfig || event.kind == Event::Kind::kRemoved;
    if (ask && options_.deliver_config) fetch(id, static_cast<int64_t>(rng_.below(kSecond / 2)));
    trace_ = trace_ * 31 + hash64(event.region, static_cast<uint64_t>(now()) * 8 + static_cast<uint64_t>(event.state));
    trace_ = trace_ * 31 + event.member + (static_cast<uint64_t>(id) << 32) + event.incarnation;
    if (watcher_) watcher_(id, event);
  }
  for (Output::Message& message : output.packets) {
    if (packet_watcher_) packet_watcher_(id, message);
    send(node, false, std::move(message));
  }
  for (Output::Message& message : output.streams) send(node, true, std::move(message));
  check(node);
  if (node.left && node.swim->leave_done()) {
    node.swim.reset();
    ++node.generation;
    return;
  }
  auto deadline = node.swim->next_deadline();
  int64_t wake_at = deadline ? std::max(deadline->us, now()) : INT64_MAX;
  if (wake_at >= node.wake_at) return;  // the wake-up that is set comes first, and sets the next
  node.wake_at = wake_at;
  uint64_t generation = ++node.generation;
  queue_.at(wake_at, [this, id, generation] {
    if (nodes_[id].generation == generation) wake(id);
  });
}

void World::wake(MemberId id) {
  Node& node = nodes_[id];
  if (!node.swim) return;
  node.wake_at = INT64_MAX;
  if (node.stalled_until > now()) {
    // It runs, late, when the stall is over.
    int64_t until = node.stalled_until;
    uint64_t generation = ++node.generation;
    node.wake_at = until;
    queue_.at(until, [this, id, generation] {
      if (nodes_[id].generation == generation) wake(id);
    });
    return;
  }
  auto deadline = node.swim->next_deadline();
  if (deadline && deadline->us <= now()) node.swim->on_tick({now()});
  touch(node);
}

void World::send(Node& node, bool stream, Output::Message message) {
  MemberId from = node.member.id, to = message.to;
  CHECK(to < nodes_.size());
  if (node.blocked_until > now()) {
    if (node.outbox.size() < kSocketPackets) node.outbox.push_back({stream, to, std::move(message.bytes)});
    return;
  }
  Node& target = nodes_[to];
  bool far = target.member.region != node.member.region;
  size_t bytes = message.bytes.size() + kDatagramOverhead;
  (stream ? node.stream_bytes_out : node.bytes_out) += bytes;
  if (far) node.wan_bytes_out += bytes;
  ++node.packets_out;
  if (stream ? !decode_stream(message.bytes).ok() : !decode_packet(message.bytes).ok())
    broken_ = "a message does not decode";
  if (!stream && message.bytes.size() > options_.swim.packet_bytes) broken_ = "a packet is longer than allowed";
  if (stream && message.bytes.size() > limits::kStreamBytes) broken_ = "a stream message is longer than allowed";
  if (node.side != target.side || cuts_.count({from, to}) > 0) return;
  // A connection needs both directions.
  if (stream && cuts_.count({to, from}) > 0) return;
  if (!stream && options_.loss > 0 && rng_.chance(options_.loss)) return;
  int64_t latency = far ? options_.wan_latency_us : options_.lan_latency_us;
  latency += static_cast<int64_t>(rng_.below(static_cast<uint64_t>(latency)));
  queue_.after(latency, [this, to, input = Node::Input{stream, from, std::move(message.bytes)}]() mutable {
    receive(to, std::move(input));
  });
}

void World::receive(MemberId to, Node::Input input) {
  Node& node = nodes_[to];
  if (!node.swim) return;
  if (node.stalled_until > now() || node.blocked_until > now() || !node.inbox.empty()) {
    if (node.inbox.size() < kSocketPackets) node.inbox.push_back(std::move(input));
    return;
  }
  if (node.late_us == 0) return hand_in(node, input);
  int64_t when = now() + static_cast<int64_t>(rng_.below(static_cast<uint64_t>(node.late_us)));
  node.late_last = std::max(node.late_last, when);
  queue_.at(node.late_last, [this, to, boot = node.boot, input = std::move(input)] {
    if (nodes_[to].swim && nodes_[to].boot == boot) hand_in(nodes_[to], input);
  });
}

void World::hand_in(Node& node, const Node::Input& input) {
  if (input.stream) {
    node.swim->on_stream(input.from, input.bytes, {now()});
  } else {
    std::string answer = node.swim->on_packet(input.bytes, {now()});
    if (answer.size() > input.bytes.size()) broken_ = "a stranger got an answer that is longer than its packet";
    if (!answer.empty()) send(node, false, {input.from, std::move(answer)});
  }
  touch(node);
}

void World::check(const Node& node) {
  if (!broken_.empty()) return;
  if (node.swim->queued() > limits::kBroadcasts) broken_ = "more news is queued than allowed";
  if (node.swim->queued() > 2 * nodes_.size()) broken_ = "more news is queued than there are members";
  if (node.swim->relays() > limits::kRelays) broken_ = "more pings for others than allowed";
  if (node.swim->suspicions() > nodes_.size()) broken_ = "more suspicions than members";
}

}  // namespace cartwheel::gossip::sim
