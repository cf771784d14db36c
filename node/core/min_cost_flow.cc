#include "node/core/min_cost_flow.h"

#include <algorithm>
#include <queue>
#include <utility>

#include "base/check.h"

namespace cartwheel::node {
namespace {
constexpr uint32_t kUnreached = UINT32_MAX;
}

MinCostFlow::Edge MinCostFlow::add(Vertex from, Vertex to, uint32_t capacity, uint32_t cost) {
  CHECK(from < vertices_ && to < vertices_ && from != to && out_.empty());
  arrows_.push_back({to, capacity, static_cast<int32_t>(cost)});
  arrows_.push_back({from, 0, -static_cast<int32_t>(cost)});
  return static_cast<Edge>(arrows_.size() / 2 - 1);
}

uint64_t MinCostFlow::run(Vertex source, Vertex sink) {
  index_arrows();
  potential_.assign(vertices_, 0);
  uint64_t sent = 0;
  while (raise_potentials(source, sink)) {
    while (find_levels(source, sink)) sent += send_along_levels(source, sink);
  }
  return sent;
}

void MinCostFlow::index_arrows() {
  CHECK(out_.empty());
  out_begin_.assign(vertices_ + 1, 0);
  for (uint32_t i = 0; i < arrows_.size(); ++i) ++out_begin_[tail(i) + 1];
  for (uint32_t v = 0; v < vertices_; ++v) out_begin_[v + 1] += out_begin_[v];
  out_.resize(arrows_.size());
  std::vector<uint32_t> end(out_begin_.begin(), out_begin_.end() - 1);
  for (uint32_t i = 0; i < arrows_.size(); ++i) out_[end[tail(i)]++] = i;
}

// Dijkstra on excess costs: afterwards the cheapest ways to the sink cost nothing beyond the least possible. False when
// the sink cannot be reached any more.
bool MinCostFlow::raise_potentials(Vertex source, Vertex sink) {
  std::vector<int32_t> distance(vertices_, INT32_MAX);
  using Entry = std::pair<int32_t, Vertex>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue;
  distance[source] = 0;
  queue.emplace(0, source);
  while (!queue.empty()) {
    auto [d, v] = queue.top();
    queue.pop();
    if (v == sink) break;
    if (d > distance[v]) continue;
    for (uint32_t i = out_begin_[v]; i < out_begin_[v + 1]; ++i) {
      const Arrow& arrow = arrows_[out_[i]];
      if (arrow.room == 0) continue;
      int32_t next = d + excess_cost(v, arrow);
      if (next >= distance[arrow.to]) continue;
      distance[arrow.to] = next;
      queue.emplace(next, arrow.to);
    }
  }
  if (distance[sink] == INT32_MAX) return false;
  for (Vertex v = 0; v < vertices_; ++v) potential_[v] += std::min(distance[v], distance[sink]);
  return true;
}

// Hops from the source along arrows without excess cost. False when they do not lead to the sink.
bool MinCostFlow::find_levels(Vertex source, Vertex sink) {
  level_.assign(vertices_, kUnreached);
  next_.assign(out_begin_.begin(), out_begin_.end() - 1);
  std::vector<Vertex> reached{source};
  level_[source] = 0;
  for (size_t i = 0; i < reached.size() && level_[sink] == kUnreached; ++i) {
    Vertex v = reached[i];
    for (uint32_t k = out_begin_[v]; k < out_begin_[v + 1]; ++k) {
      const Arrow& arrow = arrows_[out_[k]];
      if (arrow.room == 0 || level_[arrow.to] != kUnreached || excess_cost(v, arrow) != 0) continue;
      level_[arrow.to] = level_[v] + 1;
      reached.push_back(arrow.to);
    }
  }
  return level_[sink] != kUnreached;
}

// Depth first along rising levels until none of these paths has room. Each arrow is given up at most once.
uint64_t MinCostFlow::send_along_levels(Vertex source, Vertex sink) {
  uint64_t sent = 0;
  std::vector<uint32_t> path;
  for (Vertex v = source;;) {
    if (v == sink) {
      uint32_t room = UINT32_MAX;
      for (uint32_t i : path) room = std::min(room, arrows_[i].room);
      for (uint32_t i : path) {
        arrows_[i].room -= room;
        arrows_[i ^ 1].room += room;
      }
      sent += room;
      path.clear();
      v = source;
      continue;
    }
    uint32_t& k = next_[v];
    for (; k < out_begin_[v + 1]; ++k) {
      const Arrow& arrow = arrows_[out_[k]];
      if (arrow.room > 0 && level_[arrow.to] == level_[v] + 1 && excess_cost(v, arrow) == 0) break;
    }
    if (k < out_begin_[v + 1]) {
      path.push_back(out_[k]);
      v = arrows_[out_[k]].to;
    } else if (v == source) {
      return sent;
    } else {
      level_[v] = kUnreached;  // a dead end
      v = tail(path.back());
      path.pop_back();
    }
  }
}

}  // namespace cartwheel::node
