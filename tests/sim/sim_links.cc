// The connections of SimWorld. A node has one of its own to each other node, for what it has to say. It breaks with the
// other's process, at the latest when a new one starts, and sometimes when the network is cut; what is sent meanwhile
// is lost. It comes up again when both are there and the network is whole, each end's a while after the other's.

#include "tests/sim/sim_world.h"

namespace cartwheel::sim {

using node::NodeIndex;

namespace {

constexpr uint64_t kConnectUs = 30'000;

}  // namespace

void SimWorld::tell_of_link(NodeIndex from, NodeIndex to, bool up) {
  for (auto& each : machines_[from].stripes) {
    each->post([to, up](node::Stripe& stripe, Now now) { stripe.on_peer_connection(to, up, now); });
  }
}

void SimWorld::break_link(NodeIndex from, NodeIndex to) {
  broken_.insert({from, to});
  tell_of_link(from, to, false);
}

void SimWorld::mend_link(NodeIndex from, NodeIndex to) {
  if (!broken_.contains({from, to})) return;
  queue_.after(static_cast<int64_t>(rng_.below(kConnectUs)), [this, from, to] {
    // Otherwise the end of the cut, or the start of the node, mends it.
    if (machines_[from].down || machines_[to].down || network_->is_cut(from, to)) return;
    if (broken_.erase({from, to}) > 0) tell_of_link(from, to, true);
  });
}

// Node `n` has just started.
void SimWorld::connect(NodeIndex n) {
  for (NodeIndex other = 0; other < machines_.size(); ++other) {
    if (other == n) continue;
    break_link(n, other);
    break_link(other, n);
    mend_link(n, other);
    mend_link(other, n);
  }
}

void SimWorld::cut(NodeIndex a, NodeIndex b, bool both_ways) {
  note("cut " + name(a) + (both_ways ? " <-> " : " -> ") + name(b));
  network_->cut(a, b);
  if (both_ways) network_->cut(b, a);
  if (rng_.chance(0.3)) break_link(a, b);
}

void SimWorld::mend(NodeIndex a, NodeIndex b, bool both_ways) {
  note("mend " + name(a) + (both_ways ? " <-> " : " -> ") + name(b));
  network_->mend(a, b);
  if (both_ways) network_->mend(b, a);
  mend_link(a, b);
  if (both_ways) mend_link(b, a);
}

void SimWorld::cut_regions(const std::string& a, const std::string& b) {
  for (NodeIndex x = 0; x < machines_.size(); ++x) {
    for (NodeIndex y = 0; y < machines_.size(); ++y) {
      if (config_->nodes[x].region == a && config_->nodes[y].region == b) cut(x, y);
    }
  }
}

void SimWorld::mend_regions(const std::string& a, const std::string& b) {
  for (NodeIndex x = 0; x < machines_.size(); ++x) {
    for (NodeIndex y = 0; y < machines_.size(); ++y) {
      if (config_->nodes[x].region == a && config_->nodes[y].region == b) mend(x, y);
    }
  }
}

}  // namespace cartwheel::sim
