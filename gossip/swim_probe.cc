// Probing within the region: one member per interval, directly, then by way of others (SWIM §3.1, Lifeguard's nacks).
#include <utility>

#include "base/planted.h"
#include "gossip/swim_impl.h"

namespace cartwheel::gossip {

namespace {
// A relay's nack must be back before its origin's interval is over: it leaves after this share of what a probe has left
// when others are asked.
Duration nack_delay(const Options& options) {
  return {(options.probe_interval.us - options.probe_timeout.us) * 4 / 5};
}
}  // namespace

void Swim::Impl::start_probe(Instant now) {
  Duration interval = health.scale(options.probe_interval);
  next_probe = leaving ? kNever : now + interval;
  probe = {};
  if (leaving) return;
  MemberId target = order.next(rng, [&](MemberId id) { return find(id)->state < State::kDead; });
  if (target == kNoMember) return;
  probe.target = target;
  probe.sequence = ++sequence;
  probe.indirect_at = now + health.scale(options.probe_timeout);
  probe.end = next_probe;
  ++stats.probes;
  Packet ping = packet(PacketKind::kPing, target);
  ping.sequence = probe.sequence;
  send(std::move(ping));
}

void Swim::Impl::ask_others(Instant) {
  probe.indirect_at = kNever;
  for (MemberId peer : pick_peers(static_cast<size_t>(options.indirect_probes), probe.target)) {
    Packet request = packet(PacketKind::kPingRequest, peer);
    request.sequence = probe.sequence;
    request.target = probe.target;
    ++stats.indirect_probes;
    ++probe.nacks_expected;
    send(std::move(request));
  }
}

void Swim::Impl::end_probe(Instant now) {
  Probe failed = std::exchange(probe, {});
  ++stats.probes_failed;
  if (options.lifeguard) {
    // Relays that are silent too accuse us rather than the target.
    int missing = failed.nacks_expected - static_cast<int>(failed.nacks.size());
    health.add(failed.nacks_expected > 0 ? missing : 1);
  }
  Record* target = find(failed.target);
  if (target == nullptr || target->state >= State::kDead) return;
  ++stats.suspected;
  suspect(*target, target->incarnation, self.id, now);
}

void Swim::Impl::on_ack(const Packet& packet, const Record& sender, Instant now) {
  if (packet.sequence == probe.sequence && probe.target != kNoMember) {
    probe = {};
    if (options.lifeguard) health.add(-1);
    return;
  }
  auto it = relays.find(packet.sequence);
  if (it != relays.end() && it->second.target == sender.id) {
    Packet ack = this->packet(PacketKind::kAck, it->second.origin);
    ack.sequence = it->second.origin_sequence;
    relays.erase(it);
    return send(std::move(ack));
  }
  on_wan_ack(packet, sender, now);
}

void Swim::Impl::on_nack(const Packet& packet) {
  if (packet.sequence != probe.sequence || probe.target == kNoMember) return;
  ++stats.nacks;
  probe.nacks.insert(packet.sender);
}

void Swim::Impl::on_ping_request(const Packet& packet, Instant now) {
  const Record* target = find(packet.target);
  if (target == nullptr || is_self(*target) || relays.size() >= limits::kRelays) return;
  Relay relay;
  relay.origin = packet.sender;
  relay.target = packet.target;
  relay.origin_sequence = packet.sequence;
  relay.nack_at = options.lifeguard ? now + nack_delay(options) : kNever;
  relay.end = now + options.probe_interval;
  relays.emplace(++sequence, relay);
  Packet ping = this->packet(PacketKind::kPing, packet.target);
  ping.sequence = sequence;
  send(std::move(ping));
}

void Swim::Impl::run_relays(Instant now) {
  for (auto it = relays.begin(); it != relays.end();) {
    Relay& relay = it->second;
    if (now >= relay.nack_at) {
      relay.nack_at = kNever;
      Packet nack = packet(PacketKind::kNack, relay.origin);
      nack.sequence = relay.origin_sequence;
      send(std::move(nack));
    }
    it = now >= relay.end ? relays.erase(it) : std::next(it);
  }
}

// Pings a dead member now and then: after a healed split both sides count each other as dead, and somebody must knock.
// The whole region does so about max(3, dead) times per interval, and a dead member gets about three.
void Swim::Impl::reconnect(Instant now) {
  next_reconnect = leaving ? kNever : now + jittered(options.reconnect_interval);
  if (leaving || planted(Bug::kDeadNeverProbed)) return;
  std::vector<MemberId> dead;
  for (size_t i = 0; i < order.size(); ++i)
    if (find(order.at(i))->state == State::kDead) dead.push_back(order.at(i));
  if (dead.empty() || rng.below(order.size() + 1) >= std::max<size_t>(dead.size(), 3)) return;
  Packet ping = packet(PacketKind::kPing, dead[rng.below(dead.size())]);
  ping.sequence = ++sequence;
  send(std::move(ping));
}

}  // namespace cartwheel::gossip
