// Between regions: gateways probe and inform the gateways of other regions; beats tell everybody in a region which
// others can be reached.
//
// A beat is a count that grows with every round trip to the other region and is spread like news, as a maximum. Nobody
// compares clocks: a node for which the count has not grown for region_timeout takes the region for unreachable.
#include <algorithm>
#include <string>
#include <utility>

#include "base/hash.h"
#include "base/planted.h"
#include "gossip/swim_impl.h"

namespace cartwheel::gossip {

uint64_t gateway_score(const Member& member) {
  return hash64(member.region, member.identity);
}

const std::vector<MemberId>& Swim::Impl::gateways_of(uint16_t region) const {
  if (gateways_stale) {
    std::vector<std::vector<Candidate>> candidates(regions.size());
    for (const Record& record : records)
      if (record.incarnation != 0 && record.state < State::kDead)
        candidates[record.region].push_back({record.gateway_score, record.id});
    gateways.clear();
    for (auto& list : candidates)
      gateways.push_back(pick_gateways(std::move(list), static_cast<size_t>(options.gateways)));
    gateways_stale = false;
  }
  return gateways[region];
}

bool Swim::Impl::is_gateway() const {
  const std::vector<MemberId>& ours = gateways_of(own_region);
  return std::find(ours.begin(), ours.end(), self.id) != ours.end();
}

std::vector<Beat> Swim::Impl::beats() const {
  std::vector<Beat> beats;
  for (size_t i = 0; i < regions.size(); ++i)
    if (i != own_region && regions[i].beat > 0) beats.push_back({regions[i].tag, regions[i].beat});
  std::sort(beats.begin(), beats.end(), [](const Beat& a, const Beat& b) { return a.region < b.region; });
  return beats;
}

void Swim::Impl::merge_beats(const std::vector<Beat>& beats, Instant now) {
  for (const Beat& beat : beats) {
    for (size_t i = 0; i < regions.size(); ++i)
      if (i != own_region && regions[i].tag == beat.region) count_beat(regions[i], beat.count, now);
  }
}

void Swim::Impl::count_beat(Region& region, uint64_t count, Instant now) {
  if (count <= region.beat) return;
  if (count - region.beat > limits::kBeatJump) {
    ++stats.implausible;
    return;
  }
  region.beat = count;
  region.heard = now;
  if (std::exchange(region.reachable, true)) return;
  output.events.push_back({.kind = Event::Kind::kRegion, .region = region.name, .reachable = true});
}

void Swim::Impl::check_regions(Instant now) {
  for (size_t i = 0; i < regions.size(); ++i) {
    Region& region = regions[i];
    if (i == own_region || !region.reachable || now - region.heard < options.region_timeout) continue;
    region.reachable = false;
    output.events.push_back({.kind = Event::Kind::kRegion, .region = region.name, .reachable = false});
  }
}

MemberId Swim::Impl::pick_of_region(uint16_t region, bool any) {
  const std::vector<MemberId>& preferred = gateways_of(region);
  if ((!any || planted(Bug::kOldGatewaysOnly)) && !preferred.empty()) return preferred[rng.below(preferred.size())];
  std::vector<MemberId> all;
  for (const Record& record : records)
    if (record.region == region && !is_self(record)) all.push_back(record.id);
  return all.empty() ? kNoMember : all[rng.below(all.size())];
}

void Swim::Impl::wan_probe(Instant now) {
  next_wan_probe = leaving ? kNever : now + jittered(options.wan_probe_interval);
  if (leaving || regions.size() < 2 || !is_gateway()) return;
  for (uint16_t i = 0; i < regions.size(); ++i) {
    if (i == own_region) continue;
    Region& region = regions[i];
    // Every fourth goes to anybody: two regions whose gateways all changed while they were apart find each other.
    bool any = ++region.pings % 4 == 0;
    MemberId target = pick_of_region(i, any);
    if (target == kNoMember) continue;
    region.ping_sequence = ++sequence;
    region.ping_deadline = now + options.wan_probe_timeout;
    Packet ping = packet(PacketKind::kPing, target);
    ping.sequence = region.ping_sequence;
    send(std::move(ping));
  }
}

bool Swim::Impl::on_wan_ack(const Packet& packet, const Record& sender, Instant now) {
  Region& region = regions[sender.region];
  if (is_local(sender) || packet.sequence != region.ping_sequence || now > region.ping_deadline) return false;
  region.ping_deadline = {INT64_MIN};
  count_beat(region, region.beat + 1, now);
  return true;
}

void Swim::Impl::wan_gossip(Instant now) {
  next_wan_gossip = kNever;
  bool gateway = is_gateway() || leaving, more = false;
  for (uint16_t i = 0; i < regions.size(); ++i) {
    BroadcastQueue& waiting = regions[i].queue;
    if (i == own_region || waiting.empty()) continue;
    MemberId target = gateway ? pick_of_region(i, false) : kNoMember;
    if (target == kNoMember) {
      waiting.clear();  // another one does it; push-pull finds what fell between
      continue;
    }
    send(packet(PacketKind::kGossip, target));
    more |= !waiting.empty();
  }
  if (more) next_wan_gossip = now + jittered(options.wan_gossip_interval);
}

}  // namespace cartwheel::gossip
