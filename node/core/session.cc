// Sessions at the coordinator: whether the partition's clock has what a request's token demands, and what its reply
// tells the token (session_token.h). A read that must wait holds its key's gate as one in its read phase does, so
// requests for one key keep their order.

#include <algorithm>

#include "base/planted.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

namespace {

// A reply that would name more actors than this is remembered by its time: a token has room for about ten.
constexpr size_t kSeenDots = 4;

crdt::DotSet up_to(const SessionDot& dot) {
  crdt::DotSet dots;
  dots.add(dot.actor, {1, dot.seq});
  return dots;
}

bool has_all(const crdt::Clock& clock, const SessionDemand& demand) {
  return std::all_of(demand.dots.begin(), demand.dots.end(),
                     [&](const SessionDot& dot) { return clock.covers(up_to(dot)); });
}

}  // namespace

bool Stripe::Impl::has_session(const Request& request) const {
  return request.session != nullptr && !is_arc_wide(request.operation.verb);
}

// A demand by time asks for what every other replica had then: what they announced then or later is here.
bool Stripe::Impl::covers_session(const Request& request, const Partition& p) const {
  const SessionDemand& demand = *request.session;
  if (planted(Bug::kTokenIgnored)) return true;
  // Tokens do not name what everybody was known to have: a replica that may have lost some of it proves nothing yet.
  if (p.recovering) return false;
  if (!has_all(p.causal.clock, demand)) return false;
  if (demand.through_ms == 0) return true;
  return std::all_of(p.peers.begin(), p.peers.end(), [&](const auto& entry) {
    return entry.second.heard && peers_[entry.first].as_of.ms >= demand.through_ms &&
           p.causal.clock.covers(entry.second.clock);
  });
}

bool Stripe::Impl::must_wait_for_session(const Request& request, const Partition& p) const {
  return has_session(request) && observes(request.operation.verb) && request.session->policy != SessionPolicy::kStale &&
         !covers_session(request, p);
}

// Passes the request on to a replica that has said to have what is missing here, the own region's first. What it knows
// of others is not known here: a demand by time it may have to wait for, too.
bool Stripe::Impl::forward_for_session(Caller& caller, Request& request, const Partition& p) {
  const SessionDemand& demand = *request.session;
  if (demand.policy != SessionPolicy::kForward || caller.hops + 1 >= kHopsMax) return false;
  if (has_all(p.causal.clock, demand)) return false;  // only the time is missing
  std::vector<NodeIndex> have;
  for (NodeIndex n : p.owners) {
    auto peer = p.peers.find(n);
    if (peer != p.peers.end() && peers_[n].reachable && has_all(peer->second.clock, demand)) have.push_back(n);
  }
  if (have.empty()) return false;
  forward(std::move(caller), std::move(request), have, true);
  return true;
}

// Operations that wait may go on: the clock of `p` has advanced, or (nullptr) another node has announced something.
void Stripe::Impl::check_sessions_of(const Partition* p) {
  std::vector<uint64_t> ids(awaiting_session_.begin(), awaiting_session_.end());
  for (uint64_t id : ids) {
    auto it = pending_.find(id);
    if (it == pending_.end()) continue;
    if (p == nullptr || it->second.partition == p) check_read_phase(id);
  }
}

// Of what a reply shows, the dots that some replica may lack. A write that does not depend on what is there shows
// itself: what others wrote meanwhile is for a read to find. An owner that is yet to come serves nobody before it has
// what the present ones had, and one that goes serves nobody.
std::shared_ptr<const SessionSeen> Stripe::Impl::seen_of(const Request& request, const Partition& p) const {
  if (!has_session(request)) return nullptr;
  auto seen = std::make_shared<SessionSeen>();
  seen->keyspace = p.id.keyspace;
  seen->arc = p.id.arc;
  seen->as_of_ms = wall_.ms + 1;
  Verb verb = request.operation.verb;
  if (!observes(verb)) {
    uint64_t last = p.causal.clock.last(actor_);
    if (last > 0 && p.replicated()) seen->dots.push_back({actor_, last});
    return seen;
  }
  seen->stale = request.session->policy == SessionPolicy::kStale && !covers_session(request, p);
  if (planted(Bug::kTokenForgetsReads) && !is_write(verb)) return seen;
  for (const crdt::DotSet::Row& row : p.causal.clock.rows()) {
    crdt::DotSet dots;
    if (row.fold != 0) dots.fold(row.actor, row.fold);
    for (const auto& interval : row.intervals) dots.add(row.actor, interval);
    bool everywhere = std::all_of(p.peers.begin(), p.peers.end(), [&](const auto& entry) {
      const Partition::Peer& peer = entry.second;
      return !peer.counts || peer.drains || peer.clock.covers(dots);
    });
    if (everywhere) continue;
    // What is missing in the middle of a life that has ended may be missing for ever; nobody must wait for it.
    auto node = node_of_actor_.find(row.actor.node);
    bool ended =
        node == node_of_actor_.end() || config_->nodes[node->second].removed() ||
        (node->second == options_.self ? row.actor != actor_ : peers_[node->second].instance != row.actor.epoch);
    bool gaps = row.intervals.size() > 1 || row.intervals[0].first != 1;
    if ((gaps && ended) || row.fold != 0 || seen->dots.size() == kSeenDots) {
      seen->folded = true;
      seen->dots.clear();
      return seen;
    }
    seen->dots.push_back({row.actor, row.intervals.back().last});
  }
  return seen;
}

}  // namespace cartwheel::node
