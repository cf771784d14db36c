// Read repair of the others: a replica that a read has found behind is told so, off the reply's path. (What is missing
// here, a read phase brings before it answers: read_phase.cc.)
//
// Writes that are under way are no lag. So what the replica lacked is remembered, once per replica and partition
// however many reads find it, and a little later the replica is asked again for the digest of that key. The question
// takes the same way as the deltas that were sent to it before, so whoever still lacks what was here at the first
// answer does not just have it on its way. Only then is it told, in a small message, and fetches what it lacks by the
// catch-up that it would have begun after the next announcement. Deltas are not pushed: it may be getting them from
// another replica already, and only it can tell how far it is behind.
#include <algorithm>

#include "base/planted.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

namespace {
constexpr Duration kLookTime = Duration::millis(500);  // for the second answer to come; if it does not, it is forgotten
constexpr Duration kToldTime = Duration::seconds(1);   // for a catch-up, before the same replica is told again
}  // namespace

// `from` has answered a read of `key` with the clock `theirs`, which may lack something that is here.
void Stripe::Impl::note_laggard(NodeIndex from, Partition& p, const std::string& key, const crdt::Clock& theirs) {
  auto peer = p.peers.find(from);
  if (peer == p.peers.end() || peer->second.drains) return;
  auto it = laggards_.find({from, p.id});
  if (it != laggards_.end()) {
    it->second.missing.subtract(theirs);
    if (it->second.missing.empty()) laggards_.erase(it);
    return;
  }
  if (laggards_.size() >= limits::kLaggards) return;
  crdt::DotSet missing = p.causal.clock.minus(theirs);
  if (missing.empty()) return;
  Laggard& laggard = laggards_[{from, p.id}];
  laggard = {Laggard::Step::kNoted, now_.instant + options_.read_repair_delay, 0, key, std::move(missing)};
  if (planted(Bug::kNudgeWithoutLook)) tell(from, p.id, laggard);
  next_laggard_ = std::min(next_laggard_, laggard.due);
}

// Asks again those that were behind a while ago, and forgets those with whom nothing happens any more.
void Stripe::Impl::tend_laggards() {
  next_laggard_ = Instant{INT64_MAX};
  for (auto it = laggards_.begin(); it != laggards_.end();) {
    auto& [key, laggard] = *it;
    auto& [node, id] = key;
    if (laggard.due <= now_.instant && !look_again(node, id, laggard)) {
      it = laggards_.erase(it);
      continue;
    }
    next_laggard_ = std::min(next_laggard_, laggard.due);
    ++it;
  }
}

// False: there is nothing more to do for it.
bool Stripe::Impl::look_again(NodeIndex node, PartitionId id, Laggard& laggard) {
  Partition* p = find(id);
  if (laggard.step != Laggard::Step::kNoted || p == nullptr || !p->serves || p->quarantined) return false;
  auto peer = p->peers.find(node);
  if (peer == p->peers.end() || !peers_[node].reachable) return false;
  laggard.missing.subtract(peer->second.clock);
  if (laggard.missing.empty()) return false;
  if (!may_read_repair()) return false;
  auto object = store_.open(id, hash64(laggard.key), laggard.key);
  if (!object.ok()) return false;  // whoever reads it next finds out
  laggard.step = Laggard::Step::kAsked;
  laggard.due = now_.instant + kLookTime;
  laggard.ask = next_id_++;
  send_read_repair(node, ReadMessage{laggard.ask, id, laggard.key, (*object)->digest(), config_->epoch}.encode());
  return true;
}

// An answer that no read waits for: is it to look_again()?
void Stripe::Impl::on_second_look(NodeIndex from, const ReadReplyMessage& m) {
  auto it = std::find_if(laggards_.begin(), laggards_.end(), [&](const auto& entry) {
    return entry.first.first == from && entry.second.step == Laggard::Step::kAsked && entry.second.ask == m.id;
  });
  if (it == laggards_.end()) return;
  Laggard& laggard = it->second;
  if (m.answer == ReadReplyMessage::Answer::kDiffers) {
    Decoder in(m.clock);
    crdt::Clock theirs = crdt::Clock::decode(in);
    if (!in.done()) {
      ++stats_.rejected_messages;
      return;
    }
    laggard.missing.subtract(theirs);
    if (!laggard.missing.empty() && may_read_repair()) return tell(from, it->first.second, laggard);
  }
  laggards_.erase(it);
}

void Stripe::Impl::tell(NodeIndex node, PartitionId id, Laggard& laggard) {
  NudgeMessage message{id, {}};
  // Of a fold, the highest number: who has the fold has it, and nobody else.
  for (const auto& row : laggard.missing.rows()) {
    if (message.dots.size() < limits::kNudgedDots) message.dots.push_back({row.actor, row.intervals.back().last});
  }
  ++stats_.read_repair_told;
  laggard.step = Laggard::Step::kTold;
  laggard.due = now_.instant + kToldTime;
  next_laggard_ = std::min(next_laggard_, laggard.due);
  send_read_repair(node, message.encode());
}

// Another replica has found this one behind.
void Stripe::Impl::on_nudge(NodeIndex from, const NudgeMessage& m) {
  Partition* p = find(m.partition);
  if (p == nullptr || p->loading || p->leftover || p->quarantined) return;
  if (!p->peers.contains(from) || p->refused.contains(from)) return;
  auto lacks = [&](const crdt::Dot& dot) { return !p->causal.clock.contains(dot); };
  if (std::none_of(m.dots.begin(), m.dots.end(), lacks)) return;
  if (planted(Bug::kNudgeBelieved)) {
    for (const crdt::Dot& dot : m.dots) p->causal.clock.add(dot);
    write_row(*p);
    return;
  }
  if (repairs_.contains(p->id) || repairs_.size() >= limits::kRepairs) return;
  ++stats_.read_repair_catch_ups;
  start_catch_up(*p, from);
}

// --- what it costs here ----------------------------------------------------------------------------------------------

bool Stripe::Impl::may_read_repair() {
  if (options_.read_repair_bytes_per_second == 0 || read_repair_budget_.may_take(now_.instant)) return true;
  ++stats_.read_repair_dropped;
  return false;
}

void Stripe::Impl::send_read_repair(NodeIndex to, std::string bytes) {
  read_repair_budget_.take(bytes.size());
  send(to, std::move(bytes));
}

// `bytes` of deltas go to `to`: perhaps because it was told that it lacks them. While that goes on, it is not told
// again.
void Stripe::Impl::charge_read_repair(NodeIndex to, PartitionId id, size_t bytes) {
  auto it = laggards_.find({to, id});
  if (it == laggards_.end() || it->second.step != Laggard::Step::kTold) return;
  read_repair_budget_.take(bytes);
  it->second.due = now_.instant + kToldTime;
}

}  // namespace cartwheel::node
