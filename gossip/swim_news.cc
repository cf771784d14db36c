// What is said of members: which news replaces what is known, suspicion, refutation.
#include <utility>

#include "base/planted.h"
#include "gossip/swim_impl.h"

namespace cartwheel::gossip {

namespace {

State state_of(Update::Kind kind) {
  switch (kind) {
    case Update::Kind::kAlive:
      return State::kAlive;
    case Update::Kind::kSuspect:
      return State::kSuspect;
    case Update::Kind::kDead:
      return State::kDead;
    case Update::Kind::kLeft:
      return State::kLeft;
    case Update::Kind::kFacts:
      break;
  }
  return State::kUnknown;
}

}  // namespace

Update Swim::Impl::update_of(const Record& record, MemberId from) const {
  Update update;
  update.member = record.id;
  update.incarnation = record.incarnation;
  switch (record.state) {
    case State::kUnknown:
    case State::kAlive:
      update.kind = Update::Kind::kAlive;
      break;
    case State::kSuspect:
      update.kind = Update::Kind::kSuspect;
      break;
    case State::kDead:
      update.kind = Update::Kind::kDead;
      break;
    case State::kLeft:
      update.kind = Update::Kind::kLeft;
      break;
  }
  if (record.state == State::kSuspect || record.state == State::kDead) update.from = from;
  return update;
}

void Swim::Impl::apply(const Update& update, Instant now) {
  Record* record = find(update.member);
  if (record == nullptr) return;  // of a configuration that we have not got, or have left behind
  if (update.kind == Update::Kind::kFacts) return apply_facts(*record, update, now);
  if (!plausible(update.incarnation, record->incarnation) && !planted(Bug::kAnyIncarnation)) {
    ++stats.implausible;
    return;
  }
  if (is_self(*record)) return refute(update, now);
  State state = state_of(update.kind);
  if (state == State::kSuspect && is_local(*record)) return suspect(*record, update.incarnation, update.from, now);
  if (!replaces(state, update.incarnation, record->state, record->incarnation)) return;
  if (planted(Bug::kIncarnationForgotten) && state == record->state && state == State::kDead) return;
  change(*record, state, update.incarnation, now);
  broadcast(update, *record, now);
}

// Facts belong to a life of their member: a later life begins without any.
void Swim::Impl::apply_facts(Record& record, const Update& update, Instant now) {
  if (is_self(record) || update.incarnation <= record.facts_version) return;
  if (!plausible(update.incarnation, std::max(record.facts_version, record.incarnation))) {
    ++stats.implausible;
    return;
  }
  if (boot_of(update.incarnation) < boot_of(record.incarnation)) return;
  record.facts_version = update.incarnation;
  record.facts = update.facts;
  output.events.push_back({.kind = Event::Kind::kFacts, .member = record.id});
  broadcast(update, record, now);
}

void Swim::Impl::change(Record& record, State state, Incarnation at, Instant) {
  bool restarted = boot_of(at) > boot_of(record.incarnation);
  bool told = state != record.state || (restarted && state == State::kAlive);
  bool was_present = record.state < State::kDead, present = state < State::kDead;
  gateways_stale |= state != record.state || restarted;
  record.state = state;
  record.incarnation = at;
  if (restarted && record.facts_version != 0 && boot_of(record.facts_version) < boot_of(at)) {
    record.facts_version = 0;
    record.facts.clear();
    if (!is_self(record)) output.events.push_back({.kind = Event::Kind::kFacts, .member = record.id});
  }
  if (present != was_present && is_local(record)) local_present += present ? 1 : -1;
  if (state != State::kSuspect) suspicions.erase(record.id);
  if (told && !is_self(record))
    output.events.push_back({.kind = Event::Kind::kState, .member = record.id, .state = state, .incarnation = at});
}

void Swim::Impl::suspect(Record& record, Incarnation at, MemberId accuser, Instant now) {
  Update update{Update::Kind::kSuspect, record.id, at, accuser, {}};
  auto running = suspicions.find(record.id);
  if (record.state == State::kSuspect && at == record.incarnation && running != suspicions.end()) {
    if (accuser != kNoMember && running->second.confirm(accuser)) broadcast(update, record, now);
    return;
  }
  if (!replaces(State::kSuspect, at, record.state, record.incarnation)) return;
  change(record, State::kSuspect, at, now);
  suspicions.insert_or_assign(record.id, Suspicion(options, at, accuser, local_size(), now));
  if (accuser != kNoMember) broadcast(update, record, now);
}

void Swim::Impl::expire_suspicions(Instant now) {
  if (planted(Bug::kSuspicionNeverExpires)) return;
  for (auto it = suspicions.begin(); it != suspicions.end();) {
    auto [id, suspicion] = *it++;  // change() erases it
    if (now < suspicion.deadline()) continue;
    Record& record = *find(id);
    ++stats.declared_dead;
    change(record, State::kDead, suspicion.incarnation(), now);
    broadcast(update_of(record, self.id), record, now);
  }
}

void Swim::Impl::refute(const Update& update, Instant now) {
  if (update.incarnation < incarnation) return;  // it was before our last refutation
  State said = state_of(update.kind);
  Record& me = *find(self.id);
  if (said == State::kAlive || (leaving && said == State::kLeft)) {
    if (update.incarnation == incarnation) return;
    // Somebody knows us from a later life: the count of our starts went back. What we say must be newer.
  }
  if (!planted(Bug::kRefuteSameIncarnation)) incarnation = update.incarnation + 1;
  change(me, leaving ? State::kLeft : State::kAlive, incarnation, now);
  broadcast(update_of(me, kNoMember), me, now);
  ++stats.refuted;
  if (leaving) return;
  if (options.lifeguard) health.add(1);
  if (said == State::kDead && joined) {
    // Much may have passed us by while we counted as dead.
    joined = false;
    next_exchange = now;
  }
}

void Swim::Impl::broadcast(const Update& update, const Record& record, Instant now) {
  queue.push(update);
  if (next_gossip == kNever) {
    next_gossip = now + Duration{static_cast<int64_t>(rng.below(static_cast<uint64_t>(options.gossip_interval.us)))};
  }
  if (!is_local(record) || regions.size() < 2 || !is_gateway()) return;
  for (size_t i = 0; i < regions.size(); ++i) {
    if (i != own_region) regions[i].queue.push(update);
  }
  if (next_wan_gossip == kNever) next_wan_gossip = now + jittered(options.wan_gossip_interval);
}

void Swim::Impl::observe(Record& sender, Incarnation at, bool answered, Instant now) {
  if (at > sender.incarnation || (at == sender.incarnation && sender.state == State::kUnknown)) {
    return apply({Update::Kind::kAlive, sender.id, at, kNoMember, {}}, now);
  }
  if (sender.incarnation - at > limits::kIncarnationJump) {
    // Only it raises its incarnation, and no packet of its own is so late: what we were told was never true.
    change(sender, State::kAlive, at, now);
    return;
  }
  if (!answered && sender.state >= (options.lifeguard ? State::kSuspect : State::kDead)) accuse(sender, now);
}

void Swim::Impl::accuse(Record& record, Instant now) {
  if (planted(Bug::kAccusedNotTold) || now - record.accused < options.probe_interval) return;
  record.accused = now;
  send(packet(PacketKind::kGossip, record.id));
}

}  // namespace cartwheel::gossip
