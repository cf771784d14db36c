// MinCostFlow against the textbook: one unit at a time along a cheapest path, found anew by Bellman and Ford.
#include "node/core/min_cost_flow.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/rng.h"

namespace cartwheel::node {
namespace {

struct Edge {
  uint32_t from, to, capacity, cost;
};

struct Answer {
  uint64_t sent = 0, cost = 0;
  friend bool operator==(const Answer&, const Answer&) = default;
};

Answer textbook(uint32_t vertices, const std::vector<Edge>& edges) {
  std::vector<uint32_t> flow(edges.size());
  for (Answer answer;; ++answer.sent) {
    constexpr int kFar = 1 << 20;
    std::vector<int> distance(vertices, kFar);
    std::vector<std::pair<size_t, bool>> via(vertices);  // which edge, and whether against it
    distance[0] = 0;
    for (uint32_t round = 0; round < vertices; ++round) {
      for (size_t i = 0; i < edges.size(); ++i) {
        const Edge& e = edges[i];
        int cost = static_cast<int>(e.cost);
        if (flow[i] < e.capacity && distance[e.from] < kFar && distance[e.from] + cost < distance[e.to]) {
          distance[e.to] = distance[e.from] + cost;
          via[e.to] = {i, false};
        }
        if (flow[i] > 0 && distance[e.to] < kFar && distance[e.to] - cost < distance[e.from]) {
          distance[e.from] = distance[e.to] - cost;
          via[e.from] = {i, true};
        }
      }
    }
    if (distance[1] == kFar) return answer;
    answer.cost += static_cast<uint64_t>(distance[1]);
    for (uint32_t v = 1; v != 0;) {
      auto [i, back] = via[v];
      flow[i] += back ? -1 : 1;
      v = back ? edges[i].to : edges[i].from;
    }
  }
}

TEST(MinCostFlow, SendsAsMuchAsTheTextbookForTheSameCost) {
  uint64_t with_cost = 0;
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    const uint32_t vertices = 2 + static_cast<uint32_t>(rng.below(9)),
                   highest_cost = static_cast<uint32_t>(1 + seed % 5);
    std::vector<Edge> edges;
    for (uint64_t n = rng.below(30); n > 0; --n) {
      auto number = [&](uint64_t below) { return static_cast<uint32_t>(rng.below(below)); };
      Edge e{number(vertices), number(vertices), number(4), number(highest_cost + 1)};
      if (e.from != e.to) edges.push_back(e);
    }
    MinCostFlow flow(vertices);
    for (const Edge& e : edges) flow.add(e.from, e.to, e.capacity, e.cost);
    Answer answer{flow.run(0, 1), 0};
    std::vector<int64_t> balance(vertices);
    for (uint32_t i = 0; i < edges.size(); ++i) {
      const Edge& e = edges[i];
      ASSERT_LE(flow.flow(i), e.capacity);
      answer.cost += uint64_t{flow.flow(i)} * e.cost;
      balance[e.from] -= flow.flow(i);
      balance[e.to] += flow.flow(i);
    }
    for (uint32_t v = 2; v < vertices; ++v) ASSERT_EQ(balance[v], 0) << "vertex " << v;
    ASSERT_EQ(balance[1], static_cast<int64_t>(answer.sent));
    ASSERT_EQ(answer, textbook(vertices, edges));
    with_cost += answer.cost > 0;
  }
  EXPECT_GT(with_cost, 500u);  // or the networks say nothing
}

TEST(MinCostFlow, TakesBackWhatWasSentTooEarly) {
  // 0 → 2 → 4 → 1 is the cheapest path alone, but both units arrive only if it is not used.
  MinCostFlow flow(5);
  flow.add(0, 2, 1);
  flow.add(0, 3, 1);
  auto cheap = flow.add(2, 4, 1);
  auto dear = flow.add(2, 1, 1, 7);
  flow.add(3, 4, 1, 1);
  flow.add(4, 1, 1);
  EXPECT_EQ(flow.run(0, 1), 2u);
  EXPECT_EQ(flow.flow(cheap), 0u);
  EXPECT_EQ(flow.flow(dear), 1u);
}

TEST(MinCostFlow, SendsNothingWhereThereIsNoWay) {
  MinCostFlow flow(3);
  auto edge = flow.add(0, 2, 5);
  EXPECT_EQ(flow.run(0, 1), 0u);
  EXPECT_EQ(flow.flow(edge), 0u);
}

}  // namespace
}  // namespace cartwheel::node
