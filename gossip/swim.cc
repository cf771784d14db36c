#include "gossip/swim.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "base/planted.h"
#include "gossip/swim_impl.h"

namespace cartwheel::gossip {

Swim::Impl::Impl(Options o, Member me, Incarnation first, uint64_t seed)
    : options(o), self(std::move(me)), incarnation(first), rng(seed), health(o.lifeguard ? o.health_max : 1) {
  CHECK(first != 0 && self.id != kNoMember);
  CHECK(options.packet_bytes + limits::kSealBytes <= limits::kPacketBytes);
  sequence = rng.next() >> 32;
}

Swim::Impl::Record* Swim::Impl::find(MemberId id) {
  if (id < records.size() && records[id].id == id) return &records[id];
  auto it = std::lower_bound(records.begin(), records.end(), id, [](const Record& r, MemberId m) { return r.id < m; });
  return it != records.end() && it->id == id ? &*it : nullptr;
}

const Swim::Impl::Record* Swim::Impl::find(MemberId id) const {
  return const_cast<Impl*>(this)->find(id);
}

std::vector<MemberId> Swim::Impl::pick_peers(size_t count, MemberId except) {
  std::vector<MemberId> picked;
  size_t n = order.size();
  auto take = [&](MemberId id) {
    if (id == except || std::find(picked.begin(), picked.end(), id) != picked.end()) return;
    if (find(id)->state < State::kDead) picked.push_back(id);
  };
  for (size_t tries = 8 * count; tries > 0 && picked.size() < count && n > 0; --tries) take(order.at(rng.below(n)));
  size_t start = rng.below(n);  // few are left: look at all of them
  for (size_t i = 0; i < n && picked.size() < count; ++i) take(order.at((start + i) % n));
  return picked;
}

int Swim::Impl::transmits() const {
  return options.retransmit_mult * static_cast<int>(std::ceil(std::log10(static_cast<double>(local_size() + 1))));
}

// --- packets in

std::string Swim::Impl::on_packet(std::string_view plain, Instant now) {
  ++stats.packets_in;
  Result<Packet> decoded = decode_packet(plain);
  if (!decoded.ok()) {
    ++(decoded.status().code() == Code::kUnsupported ? stats.other_version : stats.malformed);
    return {};
  }
  const Packet& packet = *decoded;
  if (packet.to != self.id || packet.sender == self.id) {
    ++stats.misdelivered;
    return {};
  }
  if (packet.kind == PacketKind::kRemoved) {
    if (packet.config_epoch >= epoch && packet.config_epoch > removed_epoch) {
      removed_epoch = packet.config_epoch;
      output.events.push_back({.kind = Event::Kind::kRemoved, .member = packet.sender, .epoch = packet.config_epoch});
    }
    return {};
  }
  if (!member) return {};
  Record* sender = find(packet.sender);
  bool known = sender != nullptr && (sender->identity == packet.identity || planted(Bug::kRemovedComesBack));
  if (!known) return refuse(packet, plain.size());
  if (packet.incarnation == 0 ||
      (!plausible(packet.incarnation, sender->incarnation) && !planted(Bug::kAnyIncarnation))) {
    ++stats.implausible;
    return {};
  }
  if (!sender->window) sender->window = std::make_unique<ReplayWindow>();
  if (!sender->window->take(boot_of(packet.incarnation), packet.number)) {
    ++stats.replayed;
    return {};
  }
  advance(now);
  handle(packet, *sender, now);
  return {};
}

// A stranger: removed, wiped, or of a configuration that we have not got yet.
std::string Swim::Impl::refuse(const Packet& packet, size_t length) {
  ++stats.strangers;
  if (packet.config_epoch > epoch && removed.count(packet.identity) == 0) {
    see_epoch(packet.config_epoch, packet.sender);
    return {};
  }
  Packet notice;
  notice.kind = PacketKind::kRemoved;
  notice.sender = self.id;
  notice.to = packet.sender;
  notice.identity = self.identity;
  notice.config_epoch = epoch;
  std::string bytes = encode(notice);
  return bytes.size() <= length ? std::move(bytes) : std::string();
}

void Swim::Impl::handle(const Packet& packet, Record& sender, Instant now) {
  see_epoch(packet.config_epoch, packet.sender);
  observe(sender, packet.incarnation, packet.kind == PacketKind::kPing, now);
  if (is_local(sender)) merge_beats(packet.beats, now);
  for (const Update& update : packet.updates) apply(update, now);
  switch (packet.kind) {
    case PacketKind::kPing: {
      Packet ack = this->packet(PacketKind::kAck, packet.sender);
      ack.sequence = packet.sequence;
      return send(std::move(ack));
    }
    case PacketKind::kPingRequest:
      return on_ping_request(packet, now);
    case PacketKind::kAck:
      return on_ack(packet, sender, now);
    case PacketKind::kNack:
      return on_nack(packet);
    case PacketKind::kGossip:
    case PacketKind::kRemoved:
      return;
  }
}

void Swim::Impl::see_epoch(uint64_t seen, MemberId from) {
  if (seen <= newest_epoch) return;
  newest_epoch = seen;
  output.events.push_back({.kind = Event::Kind::kConfig, .member = from, .epoch = seen});
}

// --- packets out

Packet Swim::Impl::packet(PacketKind kind, MemberId to) {
  Packet packet;
  packet.kind = kind;
  packet.sender = self.id;
  packet.to = to;
  packet.identity = self.identity;
  packet.incarnation = incarnation;
  packet.number = ++packet_number;
  packet.config_epoch = epoch;
  return packet;
}

void Swim::Impl::send(Packet packet) {
  const Record* to = find(packet.to);
  if (to == nullptr) return;
  if (is_local(*to)) packet.beats = beats();
  std::string bytes;
  Encoder out(bytes);
  encode_head(packet, out);
  bool accused = to->state >= (options.lifeguard ? State::kSuspect : State::kDead) && !planted(Bug::kAccusedNotTold);
  if (accused) encode(update_of(*to, self.id), out);
  MemberId skip = accused ? packet.to : kNoMember;
  if (is_local(*to)) {
    queue.fill(bytes, options.packet_bytes, transmits(), skip);
  } else {
    regions[to->region].queue.fill(bytes, options.packet_bytes, options.wan_transmits, skip);
  }
  ++stats.packets_out;
  output.packets.push_back({packet.to, std::move(bytes)});
}

void Swim::Impl::gossip(Instant now) {
  next_gossip = kNever;
  if (queue.empty()) return;
  std::vector<MemberId> peers = pick_peers(static_cast<size_t>(options.gossip_fanout), self.id);
  if (peers.empty()) return queue.clear();  // nobody to tell; whoever comes back compares by push-pull
  for (MemberId peer : peers) {
    if (!queue.empty()) send(packet(PacketKind::kGossip, peer));
  }
  if (!queue.empty()) next_gossip = now + options.gossip_interval;
}

void Swim::Impl::spread_facts(Instant now) {
  next_facts = kNever;
  if (!facts_waiting || !member) return;
  facts_waiting = false;
  last_facts = now;
  Record& me = *find(self.id);
  me.facts = own_facts;
  me.facts_version = ++own_facts_version;
  broadcast({Update::Kind::kFacts, self.id, me.facts_version, kNoMember, me.facts}, me, now);
}

Duration Swim::Impl::facts_interval() const {
  // What one round of everybody's changes costs each node: n pieces, each received about as often as it is sent.
  constexpr int64_t kUpdateBytes = 12;
  int64_t round =
      static_cast<int64_t>(records.size()) * transmits() * (kUpdateBytes + static_cast<int64_t>(own_facts.size()));
  return std::max(options.facts_interval, Duration::millis(round * 1000 / options.facts_bytes_per_second));
}

// --- time

void Swim::Impl::advance(Instant now) {
  Instant due = std::max(next_deadline(), last_event);
  last_event = std::max(last_event, now);
  if (!options.lifeguard || now - due <= options.stall) return;
  // What others sent meanwhile may still wait to be read: one time-out more than what was lost.
  Duration lost{(now - due).us + options.probe_timeout.us};
  ++stats.stalls;
  health.add(1);
  if (probe.end != kNever) probe.end = probe.end + lost;
  if (probe.indirect_at != kNever) probe.indirect_at = probe.indirect_at + lost;
  if (probe.end != kNever) next_probe = std::max(next_probe, probe.end);
  for (auto& [id, suspicion] : suspicions) suspicion.postpone(lost);
  for (Region& region : regions) region.heard = region.heard + lost;
}

void Swim::Impl::on_tick(Instant now) {
  if (!member) return;
  advance(now);
  expire_suspicions(now);
  if (now >= probe.end) end_probe(now);
  if (now >= probe.indirect_at) ask_others(now);
  if (now >= next_probe) start_probe(now);
  run_relays(now);
  if (now >= next_facts) spread_facts(now);
  if (now >= next_gossip) gossip(now);
  if (now >= next_exchange) start_exchange(now);
  if (now >= next_far_exchange) far_exchange(now);
  if (now >= next_reconnect) reconnect(now);
  if (now >= next_wan_probe) wan_probe(now);
  if (now >= next_wan_gossip) wan_gossip(now);
  check_regions(now);
}

Instant Swim::Impl::next_deadline() const {
  if (!member) return kNever;
  Instant next = std::min({probe.end, probe.indirect_at, next_probe, next_facts, next_gossip, next_exchange,
                           next_reconnect, next_wan_probe, next_wan_gossip, next_far_exchange});
  for (const auto& [sequence_number, relay] : relays) next = std::min({next, relay.nack_at, relay.end});
  if (!planted(Bug::kSuspicionNeverExpires))
    for (const auto& [id, suspicion] : suspicions) next = std::min(next, suspicion.deadline());
  for (size_t i = 0; i < regions.size(); ++i) {
    if (i != own_region && regions[i].reachable) next = std::min(next, regions[i].heard + options.region_timeout);
  }
  return next;
}

// --- the interface

Swim::Swim(Options options, Member self, Incarnation incarnation, uint64_t seed)
    : impl_(std::make_unique<Impl>(options, std::move(self), incarnation, seed)) {}
Swim::~Swim() = default;

Status Swim::set_members(std::vector<Member> members, uint64_t epoch, Instant now) {
  return impl_->set_members(std::move(members), epoch, now);
}
std::string Swim::on_packet(std::string_view plain, Instant now) {
  return impl_->on_packet(plain, now);
}
void Swim::on_stream(MemberId from, std::string_view bytes, Instant now) {
  impl_->on_stream(from, bytes, now);
}
void Swim::on_tick(Instant now) {
  impl_->on_tick(now);
}
std::optional<Instant> Swim::next_deadline() const {
  Instant next = impl_->next_deadline();
  return next == kNever ? std::nullopt : std::optional(next);
}

Status Swim::set_facts(std::string facts, Instant now) {
  if (facts.size() > limits::kFactsBytes) return {Code::kTooLarge, "facts are at most 64 bytes"};
  if (facts == impl_->own_facts) return Status::Ok();
  impl_->own_facts = std::move(facts);
  impl_->facts_waiting = true;
  impl_->next_facts = std::max(now, impl_->last_facts + impl_->facts_interval());
  return Status::Ok();
}

void Swim::leave(Instant now) {
  if (impl_->leaving || !impl_->member) return;
  impl_->leaving = true;
  impl_->next_probe = impl_->next_reconnect = kNever;
  impl_->probe = {};
  Impl::Record& me = *impl_->find(impl_->self.id);
  impl_->change(me, State::kLeft, impl_->incarnation, now);
  impl_->broadcast(impl_->update_of(me, kNoMember), me, now);
  impl_->gossip(now);
  impl_->wan_gossip(now);
}

bool Swim::leave_done() const {
  if (!impl_->leaving || impl_->queue.holds(impl_->self.id)) return !impl_->member;
  return std::none_of(impl_->regions.begin(), impl_->regions.end(),
                      [&](const Impl::Region& region) { return region.queue.holds(impl_->self.id); });
}

Output Swim::take_output() {
  return std::exchange(impl_->output, {});
}

State Swim::state(MemberId member) const {
  const Impl::Record* record = impl_->find(member);
  return record == nullptr ? State::kUnknown : record->state;
}
bool Swim::reachable(MemberId member) const {
  const Impl::Record* record = impl_->find(member);
  if (record == nullptr || (record->state != State::kAlive && record->state != State::kSuspect)) return false;
  return impl_->is_local(*record) || impl_->regions[record->region].reachable;
}
bool Swim::region_reachable(std::string_view region) const {
  for (const Impl::Region& r : impl_->regions)
    if (r.name == region) return r.reachable;
  return false;
}
Incarnation Swim::incarnation(MemberId member) const {
  const Impl::Record* record = impl_->find(member);
  return record == nullptr ? 0 : record->incarnation;
}
const std::string& Swim::facts(MemberId member) const {
  static const std::string kNone;
  const Impl::Record* record = impl_->find(member);
  return record == nullptr ? kNone : record->facts;
}
std::vector<MemberId> Swim::gateways(std::string_view region) const {
  for (uint16_t i = 0; i < impl_->regions.size(); ++i)
    if (impl_->regions[i].name == region) return impl_->gateways_of(i);
  return {};
}
int Swim::health_score() const {
  return impl_->health.score();
}
size_t Swim::queued() const {
  size_t sum = impl_->queue.size();
  for (const Impl::Region& region : impl_->regions) sum = std::max(sum, region.queue.size());
  return sum;
}
size_t Swim::suspicions() const {
  return impl_->suspicions.size();
}
size_t Swim::relays() const {
  return impl_->relays.size();
}
Stats Swim::stats() const {
  Stats stats = impl_->stats;
  stats.broadcasts_dropped = impl_->queue.dropped();
  for (const Impl::Region& region : impl_->regions) stats.broadcasts_dropped += region.queue.dropped();
  return stats;
}

}  // namespace cartwheel::gossip
