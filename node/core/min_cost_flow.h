// MinCostFlow: a maximum flow of least cost through a small network whose edges cost nothing or something, the one tool
// of placement (node/core/placement.cc). Capacities are whole numbers, and so is the flow that is found.
//
// Primal-dual: all paths of one cost are used up (as Dinic does it, along shortest ones) before the cost rises.
// Placement has costs of 0 and 1, hence only a handful of rounds. The flow depends on the order of add() alone, and
// where several flows are equally good, earlier edges of a vertex are tried first.
#pragma once

#include <cstdint>
#include <vector>

namespace cartwheel::node {

class MinCostFlow {
 public:
  using Vertex = uint32_t;
  using Edge = uint32_t;

  // Vertices are 0 to `vertices` - 1.
  explicit MinCostFlow(uint32_t vertices) : vertices_(vertices) {}

  // REQUIRES: from != to, run() was not called.
  Edge add(Vertex from, Vertex to, uint32_t capacity, uint32_t cost = 0);

  // Sends as much as can be sent and returns how much that is. REQUIRES: called once.
  uint64_t run(Vertex source, Vertex sink);

  // What flows through `edge` after run().
  uint32_t flow(Edge edge) const { return arrows_[2 * edge + 1].room; }

 private:
  // Edge e is arrow 2e, and its way back is arrow 2e + 1: room there is what flows through e.
  struct Arrow {
    Vertex to;
    uint32_t room;
    int32_t cost;
  };

  void index_arrows();
  bool raise_potentials(Vertex source, Vertex sink);
  bool find_levels(Vertex source, Vertex sink);
  uint64_t send_along_levels(Vertex source, Vertex sink);
  Vertex tail(uint32_t arrow) const { return arrows_[arrow ^ 1].to; }
  // What it costs beyond the least possible; never negative where there is room.
  int32_t excess_cost(Vertex from, const Arrow& arrow) const {
    return arrow.cost + potential_[from] - potential_[arrow.to];
  }

  uint32_t vertices_;
  std::vector<Arrow> arrows_;
  std::vector<uint32_t> out_begin_, out_;  // the arrows that leave vertex v: out_[out_begin_[v]] to out_begin_[v + 1]
  std::vector<int32_t> potential_;
  std::vector<uint32_t> level_, next_;  // of the current round: hops from the source; the first arrow not yet used up
};

}  // namespace cartwheel::node
