#include "tests/sim/sim_network.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace cartwheel::sim {

using node::NodeIndex;

SimNetwork::SimNetwork(EventQueue& queue, Rng rng, std::vector<size_t> region_of, int64_t wide_us, Deliver deliver)
    : queue_(queue), rng_(rng), region_of_(std::move(region_of)), wide_us_(wide_us), deliver_(std::move(deliver)) {}

void SimNetwork::send(NodeIndex from, NodeIndex to, uint32_t stripe, std::string bytes, uint64_t connection) {
  CHECK(from < region_of_.size() && to < region_of_.size() && from != to);
  ++sent_;
  if (link(from, to).cuts > 0 || rng_.chance(quality_.loss)) {
    ++lost_;
    return;
  }
  if (rng_.chance(quality_.duplicate)) carry(from, to, stripe, bytes, connection);
  carry(from, to, stripe, std::move(bytes), connection);
}

void SimNetwork::carry(NodeIndex from, NodeIndex to, uint32_t stripe, std::string bytes, uint64_t connection) {
  Link& way = link(from, to);
  int64_t delay = 50 + static_cast<int64_t>(rng_.below(250));
  if (region_of_[from] != region_of_[to]) delay += wide_us_ + static_cast<int64_t>(rng_.below(wide_us_ / 10 + 1));
  int64_t arrival = std::max(queue_.now(), way.clogged_until) + delay;
  if (rng_.chance(quality_.reorder)) {
    arrival += static_cast<int64_t>(rng_.below(quality_.reorder_us + 1));
  } else {
    int64_t& last = way.last_arrival[stripe];
    last = arrival = std::max(arrival, last + 1);
  }
  queue_.at(arrival, [this, from, to, stripe, connection, message = std::move(bytes)]() mutable {
    if (link(from, to).cuts > 0) {  // what is on a link dies with it
      ++lost_;
      return;
    }
    deliver_(from, to, stripe, std::move(message), connection);
  });
}

void SimNetwork::mend(NodeIndex from, NodeIndex to) {
  Link& way = link(from, to);
  if (way.cuts > 0) --way.cuts;
}

bool SimNetwork::is_cut(NodeIndex from, NodeIndex to) const {
  auto way = links_.find({from, to});
  return way != links_.end() && way->second.cuts > 0;
}

void SimNetwork::clog(NodeIndex from, NodeIndex to, int64_t until_us) {
  Link& way = link(from, to);
  way.clogged_until = std::max(way.clogged_until, until_us);
}

void SimNetwork::heal() {
  quality_ = {};
  for (auto& [ends, way] : links_) {
    way.cuts = 0;
    way.clogged_until = 0;
  }
}

}  // namespace cartwheel::sim
