// Hedging: one slow replica must not set the tail. Replicas are asked in the order of how fast they answer now; one
// that has not answered when it usually has costs ONE more request to the next, within a budget. So that nothing fails
// for want of budget, everybody else is asked when a read has waited for far longer than any of that takes.
//
// What each peer's answers take is in PeerState: of digests (reads), with the acks that it owes as a sign that it
// stands still; and of requests that it coordinates for this node.

#include <algorithm>
#include <tuple>

#include "base/planted.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

namespace {

constexpr Duration kLeastWait = Duration::millis(1);  // the grain of timers
constexpr Duration kSlowBeyond{500};                  // by less nobody is slow
constexpr Duration kOwnStop = Duration::millis(10);   // a timer that is so late tells that this node stood still
constexpr Duration kJoinWait = Duration::millis(20);  // for deltas, once a replica has said what it has
constexpr uint32_t kUsual = 97, kHere = 75;           // quantiles, see usual_wait
constexpr uint64_t kProbeEvery = 64;                  // read phases

}  // namespace

// Those of `nodes` that can be asked, the best first: the own region's before others', there in the order given, but
// slow ones last, by how slow they are, and behind all those that are about to stop (no longer, `to_coordinate`). Slow
// is who takes twice as long as the best of its region.
std::vector<NodeIndex> Stripe::Impl::ranked(const std::vector<NodeIndex>& nodes, bool to_coordinate) const {
  struct Ranked {
    bool stops;
    bool remote;
    int64_t slow;  // 0: it is not
    NodeIndex node;
  };
  std::vector<Ranked> all;
  for (NodeIndex n : nodes) {
    if (n == options_.self || !peers_[n].reachable || (to_coordinate && stops(n))) continue;
    all.push_back({stops(n), region_of(n) != my_region_, expected_of(n, to_coordinate).us, n});
  }
  std::vector<int64_t> best(config_->regions.size(), INT64_MAX);
  for (const Ranked& r : all) {
    if (r.slow > 0) best[region_of(r.node)] = std::min(best[region_of(r.node)], r.slow);
  }
  for (Ranked& r : all) {
    int64_t least = best[region_of(r.node)];
    if (least == INT64_MAX || r.slow <= 2 * least + kSlowBeyond.us) r.slow = 0;
  }
  std::stable_sort(all.begin(), all.end(), [](const Ranked& a, const Ranked& b) {
    return std::tie(a.stops, a.remote, a.slow) < std::tie(b.stops, b.remote, b.slow);
  });
  std::vector<NodeIndex> out;
  out.reserve(all.size());
  for (const Ranked& r : all) out.push_back(r.node);
  return out;
}

Duration Stripe::Impl::expected_of(NodeIndex n, bool to_coordinate) const {
  const PeerState& peer = peers_[n];
  Duration digests = peer.digests.expected(now_.instant);
  return to_coordinate ? std::max(digests, peer.coordinated.expected(now_.instant)) : digests;
}

// How long an answer of `asked` is waited for before another one of `nodes` is asked: what nearly all answers of a good
// replica of that region take, but no less than what three of four of its own do.
Duration Stripe::Impl::usual_wait(NodeIndex asked, const std::vector<NodeIndex>& nodes, bool to_coordinate) const {
  auto times = [&](NodeIndex n) -> const AnswerTimes& {
    return to_coordinate ? peers_[n].coordinated : peers_[n].digests;
  };
  std::optional<Duration> usual;
  for (NodeIndex n : nodes) {
    if (n == options_.self || region_of(n) != region_of(asked) || !peers_[n].reachable) continue;
    auto most = times(n).quantile(kUsual);
    if (most && (!usual || *most < *usual)) usual = most;
  }
  if (!usual) return options_.hedge_delay;
  return std::max({*usual, times(asked).quantile(kHere).value_or(Duration{0}), kLeastWait});
}

Duration Stripe::Impl::hedge_wait(const Pending& op) const {
  bool forwarded = op.phase == Pending::Phase::kForwarded;
  const auto& nodes = forwarded ? op.candidates : op.partition->owners;
  Duration wait{0};
  for (NodeIndex n : op.asked) {
    if (std::count(op.answered.begin(), op.answered.end(), n) == 0)
      wait = std::max(wait, usual_wait(n, nodes, forwarded));
  }
  return wait.us > 0 ? wait : kJoinWait;
}

// From now on the operation waits for answers that it has asked for.
void Stripe::Impl::begin_hedging(uint64_t id, Pending& op) {
  ++stats_.shared_reads;
  hedge_budget_.earn();
  Duration wait = hedge_wait(op);
  Duration far{std::max(options_.hedge_delay.us, 2 * wait.us)};
  // Where somebody stands still again and again, long answers become usual. Within a region they are not put up with,
  // the less where this node coordinates for one that has waited, too: both may have asked the one that stands still.
  bool near = std::all_of(op.asked.begin(), op.asked.end(), [&](NodeIndex n) { return region_of(n) == my_region_; });
  if (near) {
    const bool for_another = op.caller.origin != kNoNode;
    far.us = std::min(far.us, options_.hedge_delay.us * (for_another ? 2 : 3) / 2);
  }
  op.last_resort_at = now_.instant + far;
  arm_hedge(id, op, op.asked.empty() ? op.last_resort_at : std::min(now_.instant + wait, op.last_resort_at));
}

void Stripe::Impl::arm_hedge(uint64_t id, Pending& op, Instant at) {
  disarm_hedge(id, op);
  op.hedge_at = at;
  hedges_.insert({at, id});
}

void Stripe::Impl::disarm_hedge(uint64_t id, Pending& op) {
  if (op.hedge_at.us != INT64_MAX) hedges_.erase({op.hedge_at, id});
  op.hedge_at = Instant{INT64_MAX};
}

void Stripe::Impl::fire_hedges() {
  while (!hedges_.empty() && hedges_.begin()->first <= now_.instant) {
    auto [at, id] = *hedges_.begin();
    hedges_.erase(hedges_.begin());
    auto it = pending_.find(id);
    if (it == pending_.end() || it->second.hedge_at != at) continue;  // it ended, or began anew
    Pending& op = it->second;
    op.hedge_at = Instant{INT64_MAX};
    hedge(id, op, at);
  }
}

void Stripe::Impl::hedge(uint64_t id, Pending& op, Instant due) {
  if (planted(Bug::kHedgeNever)) return;
  bool forwarded = op.phase == Pending::Phase::kForwarded;
  if (op.last_resort_at <= now_.instant) {
    op.last_resort_at = now_.instant + options_.hedge_delay;
    arm_hedge(id, op, op.last_resort_at);  // somebody may come back
    if (!forwarded) return ask_replicas(id, op, true);
    if (NodeIndex to = next_coordinator(op); to != kNoNode) pass_on(id, op, to);
    return;
  }
  Duration wait = hedge_wait(op);
  Instant next = std::min(now_.instant + wait, op.last_resort_at);
  // The answers may lie here, unread.
  if (now_.instant - due > kOwnStop) return arm_hedge(id, op, next);
  NodeIndex to = forwarded ? next_coordinator(op) : next_replica(op);
  if (to == kNoNode) return arm_hedge(id, op, op.last_resort_at);
  if (!hedge_budget_.take() && !planted(Bug::kHedgeWithoutBudget)) {
    if (!std::exchange(op.hedge_refused, true)) ++stats_.hedges_refused;
    return arm_hedge(id, op, next);
  }
  ++stats_.hedges;
  op.hedged.push_back(to);
  arm_hedge(id, op, next);
  if (forwarded)
    pass_on(id, op, to);
  else
    ask_replica(id, op, to);
}

// Whom to ask next for a read phase: the best one that was not asked and whose answer the level still needs.
NodeIndex Stripe::Impl::next_replica(const Pending& op) const {
  if (met(op.needs.owners, op.acked)) return kNoNode;  // it waits for something else
  uint32_t total = 0;
  for (uint32_t n : op.acked) total += n;
  for (NodeIndex n : ranked(op.partition->owners, false)) {
    if (std::count(op.asked.begin(), op.asked.end(), n) > 0) continue;
    size_t region = region_of(n);
    if (total < op.needs.owners.total || op.acked[region] < op.needs.owners.per_region[region]) return n;
  }
  return kNoNode;
}

// Whom to pass a request on to, beside those who had it.
NodeIndex Stripe::Impl::next_coordinator(const Pending& op) const {
  bool local = needs_local(op.request);
  for (NodeIndex n : ranked(op.candidates, true)) {
    if (std::count(op.asked.begin(), op.asked.end(), n) == 0 && (!local || region_of(n) == my_region_)) return n;
  }
  return kNoNode;
}

// Of every so many read phases one asks a slow replica, too, which is how it is found out that it is not slow any more.
void Stripe::Impl::probe_slow(uint64_t id, Pending& op) {
  if (++read_phases_ % kProbeEvery != 0 || op.asked.empty()) return;
  std::vector<NodeIndex> all = ranked(op.partition->owners, false);
  for (auto n = all.rbegin(); n != all.rend(); ++n) {
    if (region_of(*n) != region_of(op.asked[0]) || std::count(op.asked.begin(), op.asked.end(), *n) > 0) continue;
    if (expected_of(*n, false).us <= 2 * expected_of(op.asked[0], false).us + kSlowBeyond.us) return;
    if (!hedge_budget_.take(true)) return;
    ++stats_.probes;
    op.probed = *n;
    return ask_replica(id, op, *n);
  }
}

bool Stripe::Impl::awaits_answers(const Pending& op) {
  return std::any_of(op.asked.begin(), op.asked.end(),
                     [&](NodeIndex n) { return std::count(op.answered.begin(), op.answered.end(), n) == 0; });
}

// The operation has what it needs: was that because more were asked than necessary?
void Stripe::Impl::count_hedge(const Pending& op) {
  auto answered = [&](NodeIndex n) { return std::count(op.answered.begin(), op.answered.end(), n) > 0; };
  auto late = [&](NodeIndex n) {
    return n != op.probed && std::count(op.hedged.begin(), op.hedged.end(), n) == 0 && !answered(n);
  };
  stats_.hedges_won +=
      std::any_of(op.hedged.begin(), op.hedged.end(), answered) && std::any_of(op.asked.begin(), op.asked.end(), late);
}

// Read phases that have asked a peer whose connection broke ask the next one at once; those that nobody else can help
// fail now, like those that begin now.
void Stripe::Impl::replace_replica(NodeIndex peer) {
  std::vector<uint64_t> ids;
  for (const auto& [id, op] : pending_) {
    if (op.phase != Pending::Phase::kReading) continue;
    bool awaits = std::any_of(op.awaited.begin(), op.awaited.end(), [&](const auto& a) { return a.first == peer; }) ||
                  (std::count(op.asked.begin(), op.asked.end(), peer) > 0 &&
                   std::count(op.answered.begin(), op.answered.end(), peer) == 0);
    if (awaits) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  for (uint64_t id : ids) {
    auto it = pending_.find(id);
    if (it == pending_.end()) continue;
    Pending& op = it->second;
    if (std::count(op.answered.begin(), op.answered.end(), peer) == 0) std::erase(op.asked, peer);
    ask_replicas(id, op, false);
    it = pending_.find(id);
    if (it == pending_.end() || can_be_met(it->second)) continue;
    const Request& request = it->second.request;
    const Level& usual = config_->keyspaces[request.keyspace].read;
    const Level level = is_write(request.operation.verb) ? usual : request.level.value_or(usual);
    end_read_phase(id, unreachable_error(level, *it->second.partition));
  }
}

}  // namespace cartwheel::node
