// What replicas lack, by who wrote it. Costs the differences of the clocks of this node's partitions, as lag() does.
#include <algorithm>
#include <map>
#include <tuple>

#include "node/core/stripe_impl.h"

namespace cartwheel::node {

std::vector<OriginLag> Stripe::origin_lag(Now now) const {
  std::map<std::pair<NodeIndex, NodeIndex>, OriginLag> by_pair;
  const auto count = [&](NodeIndex replica, const crdt::DotSet& missing, int64_t seconds) {
    for (const crdt::DotSet::Row& row : missing.rows()) {
      const auto node = impl_->node_of_actor_.find(row.actor.node);
      const NodeIndex origin = node == impl_->node_of_actor_.end() ? kNoNode : node->second;
      // What a node wrote it has, until it says itself that it has lost it: only its announcement is late.
      if (origin == replica && replica != impl_->options_.self) continue;
      OriginLag& lag = by_pair.try_emplace({replica, origin}, OriginLag{replica, origin, 0, 0}).first->second;
      lag.dots += row.fold != 0;  // at least
      if (row.fold == 0) {
        for (const crdt::DotSet::Interval& each : row.intervals) lag.dots += each.last - each.first + 1;
      }
      lag.seconds = std::max(lag.seconds, seconds);
    }
  };
  for (const auto& [id, p] : impl_->partitions_) {
    if (p.loading || p.leftover) continue;
    crdt::DotSet missing_here;
    for (const auto& [n, peer] : p.peers) {
      if (!peer.heard) continue;
      if (!p.causal.clock.covers(peer.clock)) missing_here.merge(peer.clock.minus(p.causal.clock));
      // Nothing needs to come to one that has not begun yet, or that hands over what it has.
      if (!peer.counts || peer.drains || impl_->config_->nodes[n].removed()) continue;
      const WallTime as_of = impl_->peers_[n].as_of;
      if (as_of.ms == INT64_MIN || peer.clock.covers(p.causal.clock)) continue;
      count(n, p.causal.clock.minus(peer.clock), std::max<int64_t>(0, (now.wall.ms - as_of.ms) / 1000));
    }
    if (missing_here.empty()) continue;
    const int64_t seconds = p.behind_since ? (now.instant - *p.behind_since).us / 1'000'000 : 0;
    count(impl_->options_.self, missing_here, seconds);
  }
  std::vector<OriginLag> result;
  result.reserve(by_pair.size());
  for (const auto& [pair, lag] : by_pair) result.push_back(lag);
  return result;
}

// The ages of what is not equal, for StripeStats.
void Stripe::Impl::measure_differences(StripeStats& stats) const {
  stats.behind = stats.behind_oldest_seconds = stats.unproven_seconds = 0;
  const auto at_least = [](uint64_t& most, int64_t seconds) {
    most = std::max(most, static_cast<uint64_t>(std::max<int64_t>(0, seconds)));
  };
  for (const auto& [id, p] : partitions_) {
    if (p.behind_since) {
      ++stats.behind;
      at_least(stats.behind_oldest_seconds, (now_.instant - *p.behind_since).us / 1'000'000);
    }
    if (by_arc_[id.keyspace][id.arc] != &p || p.move || !p.serves) continue;
    for (NodeIndex n : p.owners) {
      if (n <= options_.self || config_->nodes[n].removed()) continue;  // the other one compares
      const auto found = p.found_equal.find(n);
      at_least(stats.unproven_seconds,
               (wall_.ms - (found == p.found_equal.end() ? p.unproven_since : found->second).ms) / 1000);
    }
  }
}

}  // namespace cartwheel::node
