// The configuration's members: who came, who is gone for ever.
#include <algorithm>
#include <set>
#include <utility>

#include "gossip/swim_impl.h"

namespace cartwheel::gossip {

Status Swim::Impl::check_members(const std::vector<Member>& members) const {
  if (members.size() > limits::kMembers) return Status::InvalidArgument("more members than gossip carries");
  std::set<uint64_t> identities;
  std::set<std::string_view> names;
  std::set<uint32_t> tags;
  for (size_t i = 0; i < members.size(); ++i) {
    const Member& m = members[i];
    std::string who = "member " + std::to_string(m.id);
    if (m.id == kNoMember) return Status::InvalidArgument("a member without an id");
    if (i > 0 && members[i - 1].id == m.id) return Status::InvalidArgument(who + " is there twice");
    if (!identities.insert(m.identity).second) return Status::InvalidArgument(who + " has the identity of another");
    if (removed.count(m.identity) > 0) return Status::InvalidArgument(who + " has an identity that was removed");
    if (m.region.empty() || m.region.size() > limits::kRegionBytes)
      return Status::InvalidArgument(who + " has no proper region");
    if (names.insert(m.region).second && !tags.insert(region_tag(m.region)).second)
      return Status::InvalidArgument("region '" + m.region + "' has the hash of another; rename it");
    const Record* known = find(m.id);
    if (known != nullptr && known->identity != m.identity)
      return Status::InvalidArgument(who + " has changed its identity; an id is never reused");
  }
  if (names.size() > limits::kRegions) return Status::InvalidArgument("more regions than gossip carries");
  return Status::Ok();
}

Status Swim::Impl::set_members(std::vector<Member> members, uint64_t new_epoch, Instant now) {
  if (new_epoch < epoch) return Status::Ok();
  std::sort(members.begin(), members.end(), [](const Member& a, const Member& b) { return a.id < b.id; });
  RETURN_IF_ERROR(check_members(members));
  epoch = new_epoch;
  newest_epoch = std::max(newest_epoch, epoch);

  std::set<std::string> names;
  for (const Member& m : members) names.insert(m.region);
  std::vector<Region> new_regions;
  for (const std::string& name : names) {
    auto it = std::find_if(regions.begin(), regions.end(), [&](const Region& r) { return r.name == name; });
    if (it != regions.end()) {
      new_regions.push_back(std::move(*it));
    } else {
      Region region;
      region.name = name;
      region.tag = region_tag(name);
      region.heard = now;
      new_regions.push_back(std::move(region));
    }
  }
  regions = std::move(new_regions);

  std::vector<Record> old = std::exchange(records, {});
  bool was_member = std::exchange(member, false);
  local_present = 0;
  auto before = old.begin();
  for (Member& m : members) {
    // What is in the old list and not in the new one is gone for ever.
    for (; before != old.end() && before->id < m.id; ++before) remove(*before);
    Record record;
    if (before != old.end() && before->id == m.id) record = std::move(*before++);
    record.id = m.id;
    record.identity = m.identity;
    record.gateway_score = gateway_score(m);
    auto place = std::find_if(regions.begin(), regions.end(), [&](const Region& r) { return r.name == m.region; });
    record.region = static_cast<uint16_t>(place - regions.begin());
    if (m.id == self.id && m.identity == self.identity) {
      member = true;
      self.region = m.region;
      own_region = record.region;
    }
    records.push_back(std::move(record));
  }
  for (; before != old.end(); ++before) remove(*before);
  gateways_stale = true;
  if (!member) return fall_silent();

  std::set<MemberId> ordered;
  for (size_t i = order.size(); i-- > 0;) {
    const Record* record = find(order.at(i));
    if (record != nullptr && is_local(*record) && !is_self(*record)) {
      ordered.insert(record->id);
    } else {
      order.remove(order.at(i));
    }
  }
  for (const Record& record : records) {
    if (!is_local(record)) continue;
    if (record.state < State::kDead) ++local_present;
    if (!is_self(record) && ordered.count(record.id) == 0) order.add(record.id, rng);
  }
  for (auto it = suspicions.begin(); it != suspicions.end();)
    it = find(it->first) != nullptr && is_local(*find(it->first)) ? std::next(it) : suspicions.erase(it);
  if (probe.target != kNoMember && find(probe.target) == nullptr) probe = {};
  if (!was_member) begin(now);
  return Status::Ok();
}

void Swim::Impl::remove(const Record& record) {
  if (removed.insert(record.identity).second) removed_order.push_back(record.identity);
  if (removed_order.size() > limits::kRemoved) {
    removed.erase(removed_order.front());
    removed_order.pop_front();
  }
  queue.forget(record.id);
  for (Region& region : regions) region.queue.forget(record.id);
}

// This node takes part from now on.
void Swim::Impl::begin(Instant now) {
  last_event = now;
  auto somewhere = [&](Duration d) {
    return now + Duration{static_cast<int64_t>(rng.below(static_cast<uint64_t>(d.us)))};
  };
  next_probe = somewhere(options.probe_interval);
  next_reconnect = somewhere(options.reconnect_interval);
  next_wan_probe = somewhere(options.wan_probe_interval);
  next_exchange = now;
  next_far_exchange = somewhere(options.push_pull_interval);
  joined = false;
  Record& me = *find(self.id);
  change(me, State::kAlive, incarnation, now);
  if (own_facts_version == 0) own_facts_version = incarnation;
  broadcast(update_of(me, kNoMember), me, now);
}

Status Swim::Impl::fall_silent() {
  queue.clear();
  suspicions.clear();
  relays.clear();
  probe = {};
  next_probe = next_gossip = next_exchange = next_reconnect = next_wan_probe = kNever;
  next_wan_gossip = next_far_exchange = next_facts = kNever;
  return Status::Ok();
}

}  // namespace cartwheel::gossip
