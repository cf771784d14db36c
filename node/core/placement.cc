// Placement of one keyspace in one region, in four steps, all in integers so that every machine finds the same answer:
//
// 1. Quotas: how many arcs each node owns, by the divisor method of Webster on capacities. Adding a node takes from the
//    others and gives to nobody else, removing one gives to the others and takes from nobody, so the quotas alone never
//    force data to move twice. Ties go to the nodes that hold the arcs already.
// 2. Keep what `before` has, as far as it is still valid.
// 3. Move: vacancies and surpluses go to nodes below their quota, directly where they can, otherwise along the cheapest
//    chain of moves (successive shortest paths of a minimum-cost flow). A solution that meets the quotas exactly always
//    exists (arc by arc, a share of quota / arcs of every node is a fractional one), so this never gets stuck.
// 4. Order: each position of the preference lists is spread evenly. Order moves no data.
//
// Where zones of unequal size make an even load impossible the spread over zones wins: a small zone's nodes then own
// more than their share, at most every arc. Among arcs that span as many zones as they can, load wins over further
// spreading.
#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <queue>
#include <tuple>

#include "node/core/cluster.h"

namespace cartwheel::node {
namespace {

using Slots = std::vector<uint32_t>;  // owners of one arc, as positions in the candidates

constexpr uint32_t kNone = UINT32_MAX;

// A fixed scramble: ties are broken by it so that a node shares its arcs with many partners, not always the same two.
uint64_t mix(uint64_t a, uint64_t b) {
  uint64_t z = (a << 32 | b) + 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

bool contains(const Slots& slots, uint32_t node) {
  return std::find(slots.begin(), slots.end(), node) != slots.end();
}

class Placement {
 public:
  Placement(const std::vector<Candidate>& candidates, uint32_t arcs, uint32_t replicas)
      : nodes_(static_cast<uint32_t>(candidates.size())), arcs_(arcs), replicas_(replicas) {
    std::map<std::string_view, uint32_t> ids;
    for (const Candidate& c : candidates) ids.emplace(c.zone, 0);
    for (auto& [name, id] : ids) id = zones_++;
    zone_size_.resize(zones_);
    for (const Candidate& c : candidates) {
      zone_.push_back(ids[c.zone]);
      ++zone_size_[zone_.back()];
      weight_.push_back(static_cast<uint64_t>(std::llround(c.capacity * 1000)));
    }
    doubles_ = replicas_ > zones_ ? replicas_ - zones_ : 0;
    owners_.resize(arcs_);
    load_.resize(nodes_);
  }

  std::vector<Slots> run(std::vector<Slots> before) {
    before_ = std::move(before);
    set_quotas();
    keep();
    move_directly();
    while (move_along_chain()) {
    }
    for (const Slots& s : owners_) CHECK(s.size() == replicas_);
    order();
    return std::move(owners_);
  }

 private:
  // ---- 1. quotas
  void set_quotas() {
    std::vector<uint64_t> held(nodes_), in_zone(zones_);
    for (const Slots& s : before_) {
      for (uint32_t n : s) ++held[n];
    }
    quota_.assign(nodes_, 0);
    // The next unit goes to the node with the smallest (2q + 1) / weight; among equals to one that would keep what it
    // has, then to the first. Weights are at most 10^9 and quotas 2^16, so the products fit.
    auto later = [&](uint32_t a, uint32_t b) {
      uint64_t x = (2 * quota_[a] + 1) * weight_[b], y = (2 * quota_[b] + 1) * weight_[a];
      if (x != y) return x > y;
      bool a_keeps = held[a] > quota_[a], b_keeps = held[b] > quota_[b];
      return a_keeps != b_keeps ? b_keeps : a > b;
    };
    using Heap = std::priority_queue<uint32_t, std::vector<uint32_t>, decltype(later)>;
    uint64_t left = uint64_t{arcs_} * replicas_;
    // First what the spread demands of a zone: with more replicas than zones every arc has one in each.
    std::vector<Heap> of_zone(zones_, Heap(later));
    for (uint32_t n = 0; n < nodes_; ++n) of_zone[zone_[n]].push(n);
    auto give = [&](Heap& heap) {
      uint32_t n = heap.top();
      heap.pop();
      ++quota_[n];
      ++in_zone[zone_[n]];
      --left;
      if (quota_[n] < arcs_) heap.push(n);
    };
    if (replicas_ >= zones_) {
      for (uint32_t z = 0; z < zones_; ++z) {
        while (in_zone[z] < arcs_) give(of_zone[z]);
      }
    }
    // Then the rest over all, up to what the spread allows a zone.
    Heap all(later);
    for (uint32_t n = 0; n < nodes_; ++n) {
      if (quota_[n] < arcs_) all.push(n);
    }
    while (left > 0) {
      CHECK(!all.empty());
      uint32_t z = zone_[all.top()];
      if (in_zone[z] >= uint64_t{arcs_} * std::min(zone_size_[z], doubles_ + 1))
        all.pop();
      else
        give(all);
    }
  }

  // ---- 2. keep
  // Whether `node` may join the owners `slots` when `leaving` (kNone: nobody) leaves: it is not there yet, there is
  // room, and the owners beyond the first of their zone do not exceed what the number of zones makes unavoidable.
  bool fits(const Slots& slots, uint32_t node, uint32_t leaving) const {
    uint32_t repeated = 0, size = 0;
    bool zone_taken = false;
    for (size_t i = 0; i < slots.size(); ++i) {
      uint32_t n = slots[i];
      if (n == node) return false;
      if (n == leaving) continue;
      ++size;
      if (zone_[n] == zone_[node]) zone_taken = true;
      for (size_t j = 0; j < i; ++j) {
        if (slots[j] != leaving && zone_[slots[j]] == zone_[n]) {
          ++repeated;
          break;
        }
      }
    }
    return size < replicas_ && repeated + zone_taken <= doubles_;
  }

  void keep() {
    before_.resize(arcs_);
    for (uint32_t a = 0; a < arcs_; ++a) {
      for (uint32_t n : before_[a]) {
        if (fits(owners_[a], n, kNone)) add(a, n);
      }
    }
  }

  void add(uint32_t arc, uint32_t node) {
    owners_[arc].push_back(node);
    ++load_[node];
  }
  void remove(uint32_t arc, uint32_t node) {
    std::erase(owners_[arc], node);
    --load_[node];
  }

  // ---- 3. move
  // The node below its quota that lacks the greatest part of it and may take a slot of `arc`; kNone when there is none.
  // A node that lacks as many arcs as are left comes first, as it must take every one.
  uint32_t taker(uint32_t arc, uint32_t leaving, uint32_t arcs_left) const {
    uint32_t best = kNone;
    auto better = [&](uint32_t a, uint32_t b) {
      uint64_t lack_a = quota_[a] - load_[a], lack_b = quota_[b] - load_[b];
      if (bool fa = lack_a >= arcs_left, fb = lack_b >= arcs_left; fa != fb) return fa;
      bool home_a = contains(before_[arc], a), home_b = contains(before_[arc], b);
      if (home_a != home_b) return home_a;
      // With up to two arcs of noise, else nodes whose quotas differ by one would never meet in an arc.
      uint64_t x = (lack_a * 256 + mix(arc, a) % 512) * quota_[b], y = (lack_b * 256 + mix(arc, b) % 512) * quota_[a];
      return x != y ? x > y : a < b;
    };
    for (uint32_t n : below_) {
      if (load_[n] < quota_[n] && (best == kNone || better(n, best)) && fits(owners_[arc], n, leaving)) best = n;
    }
    return best;
  }

  void move_directly() {
    for (uint32_t n = 0; n < nodes_; ++n) {
      if (load_[n] < quota_[n]) below_.push_back(n);
    }
    std::vector<uint32_t> order(arcs_);
    for (uint32_t a = 0; a < arcs_; ++a) order[a] = a;
    std::sort(order.begin(), order.end(), [](uint32_t a, uint32_t b) { return mix(a, 0) < mix(b, 0); });
    for (uint32_t i = 0; i < arcs_ && !below_.empty(); ++i) {
      uint32_t a = order[i];
      while (owners_[a].size() < replicas_) {
        uint32_t to = taker(a, kNone, arcs_ - i);
        if (to == kNone) break;
        add(a, to);
      }
      for (uint32_t from : Slots(owners_[a])) {
        if (load_[from] <= quota_[from]) continue;
        uint32_t to = taker(a, from, arcs_ - i);
        if (to == kNone) continue;
        remove(a, from);
        add(a, to);
      }
      std::erase_if(below_, [&](uint32_t n) { return load_[n] >= quota_[n]; });
    }
  }

  // One slot from a vacancy or a node above its quota to a node below its quota, along a shortest chain of moves. False
  // when all quotas are met. The cheapest chain is tried first; one that uses an arc twice may not hold together when
  // `before` had to be cut for its zones, whereas the chain with the fewest moves always does.
  bool move_along_chain() { return apply(chain(true)) || apply(chain(false)); }

  struct Move {
    uint32_t arc, from, to;
  };

  // Moves from the last to the first; empty when there is no chain. `by_cost`: the least new data, then the fewest
  // moves.
  std::vector<Move> chain(bool by_cost) const {
    const uint32_t vacancy = nodes_;  // stands for the empty slots of all arcs
    // The cheapest single move from each node to each other: +1 when it brings new data, -1 when it takes back such.
    struct Hop {
      int cost = 2;
      uint32_t arc = kNone;
    };
    std::vector<Hop> hops(size_t{nodes_ + 1} * nodes_);
    auto consider = [&](uint32_t arc, uint32_t from, int leaving_cost) {
      for (uint32_t to = 0; to < nodes_; ++to) {
        Hop& hop = hops[size_t{from} * nodes_ + to];
        int cost = by_cost ? leaving_cost + (contains(before_[arc], to) ? 0 : 1) : 0;
        if (cost < hop.cost && fits(owners_[arc], to, from)) hop = {cost, arc};
      }
    };
    for (uint32_t a = 0; a < arcs_; ++a) {
      if (owners_[a].size() < replicas_) consider(a, vacancy, 0);
      for (uint32_t from : owners_[a]) consider(a, from, contains(before_[a], from) ? 0 : -1);
    }
    // Bellman-Ford over (cost, number of moves).
    using Distance = std::pair<int, int>;
    constexpr Distance kFar{1 << 29, 0};
    std::vector<Distance> distance(nodes_ + 1, kFar);
    std::vector<uint32_t> previous(nodes_ + 1, kNone);
    distance[vacancy] = {0, 0};
    for (uint32_t n = 0; n < nodes_; ++n) {
      if (load_[n] > quota_[n]) distance[n] = {0, 0};
    }
    bool changed = true;
    for (uint32_t round = 0; changed && round <= nodes_; ++round) {
      changed = false;
      for (uint32_t from = 0; from <= nodes_; ++from) {
        if (distance[from] == kFar) continue;
        for (uint32_t to = 0; to < nodes_; ++to) {
          const Hop& hop = hops[size_t{from} * nodes_ + to];
          Distance d{distance[from].first + hop.cost, distance[from].second + 1};
          if (hop.arc == kNone || d >= distance[to]) continue;
          distance[to] = d;
          previous[to] = from;
          changed = true;
        }
      }
    }
    uint32_t end = kNone;
    for (uint32_t n = 0; n < nodes_; ++n) {
      if (load_[n] < quota_[n] && distance[n] < (end == kNone ? kFar : distance[end])) end = n;
    }
    std::vector<Move> moves;
    if (end == kNone || changed) return moves;  // `changed`: costs went round in a circle
    for (uint32_t to = end; previous[to] != kNone; to = previous[to]) {
      moves.push_back({hops[size_t{previous[to]} * nodes_ + to].arc, previous[to], to});
    }
    return moves;
  }

  // Applies all of `moves` or, when they do not hold together, none. True when something moved.
  bool apply(const std::vector<Move>& moves) {
    size_t done = 0;
    for (; done < moves.size(); ++done) {
      auto [arc, from, to] = moves[done];
      if (!fits(owners_[arc], to, from)) break;
      if (from != nodes_) remove(arc, from);
      add(arc, to);
    }
    if (done == moves.size()) return done > 0;
    while (done-- > 0) {
      auto [arc, from, to] = moves[done];
      remove(arc, to);
      if (from != nodes_) add(arc, from);
    }
    return false;
  }

  // ---- 4. order
  void order() {
    for (uint32_t a = 0; a < arcs_; ++a) {  // as it was before, newcomers last
      auto rank = [&](uint32_t n) {
        auto old_place = std::find(before_[a].begin(), before_[a].end(), n) - before_[a].begin();
        return std::make_tuple(old_place, mix(a, n), n);
      };
      std::sort(owners_[a].begin(), owners_[a].end(), [&](uint32_t x, uint32_t y) { return rank(x) < rank(y); });
    }
    for (uint32_t k = 0; k + 1 < replicas_; ++k) spread_position(k);
  }

  // Chooses, among the owners of each arc at position k and after, the one that stands at k, so that every node stands
  // there in its share of the arcs where it can, rounded down or up. Exchanges along shortest chains.
  void spread_position(uint32_t k) {
    std::vector<uint32_t> eligible(nodes_), standing(nodes_);
    std::vector<std::vector<uint32_t>> arcs_of(nodes_);  // where the node stands at k
    for (uint32_t a = 0; a < arcs_; ++a) {
      for (uint32_t i = k; i < replicas_; ++i) ++eligible[owners_[a][i]];
      ++standing[owners_[a][k]];
      arcs_of[owners_[a][k]].push_back(a);
    }
    const uint32_t choices = replicas_ - k;
    auto low = [&](uint32_t n) { return eligible[n] / choices; };
    auto high = [&](uint32_t n) { return (eligible[n] + choices - 1) / choices; };
    // The chain starts at a node that must give (or, looking backwards from one that must get, at any that can give).
    auto pass_on = [&](auto&& gives, auto&& gets) {
      std::vector<std::pair<uint32_t, uint32_t>> via(nodes_, {kNone, kNone});  // who gives it, which arc
      std::vector<bool> seen(nodes_);
      std::deque<uint32_t> queue;
      for (uint32_t n = 0; n < nodes_; ++n) {
        if (gives(n)) {
          seen[n] = true;
          queue.push_back(n);
        }
      }
      for (; !queue.empty(); queue.pop_front()) {
        uint32_t from = queue.front();
        for (uint32_t a : arcs_of[from]) {
          for (uint32_t i = k + 1; i < replicas_; ++i) {
            uint32_t to = owners_[a][i];
            if (seen[to]) continue;
            seen[to] = true;
            via[to] = {from, a};
            queue.push_back(to);
            if (!gets(to)) continue;
            ++standing[to];
            uint32_t n = to;
            for (; via[n].first != kNone; n = via[n].first) {
              auto [giver, arc] = via[n];
              Slots& s = owners_[arc];
              std::iter_swap(s.begin() + k, std::find(s.begin() + k, s.end(), n));
              std::erase(arcs_of[giver], arc);
              arcs_of[n].push_back(arc);
            }
            --standing[n];
            return true;
          }
        }
      }
      return false;
    };
    while (
        pass_on([&](uint32_t n) { return standing[n] > high(n); }, [&](uint32_t n) { return standing[n] < high(n); })) {
    }
    while (
        pass_on([&](uint32_t n) { return standing[n] > low(n); }, [&](uint32_t n) { return standing[n] < low(n); })) {
    }
  }

  uint32_t nodes_, arcs_, replicas_, zones_ = 0;
  uint32_t doubles_ = 0;  // owners of an arc that unavoidably share a zone with another
  std::vector<uint32_t> zone_, zone_size_;
  std::vector<uint64_t> weight_;  // capacity in thousandths: integers compare alike on every machine
  std::vector<uint64_t> quota_, load_;
  std::vector<uint32_t> below_;  // nodes below their quota, while moving directly
  std::vector<Slots> before_, owners_;
};

}  // namespace

Result<std::vector<std::vector<NodeIndex>>> assign_region(const std::vector<Candidate>& candidates, uint32_t arcs,
                                                          uint32_t replicas,
                                                          const std::vector<std::vector<NodeIndex>>& before) {
  if (replicas > candidates.size()) {
    return Status::InvalidArgument(std::to_string(replicas) + " replicas, but only " +
                                   std::to_string(candidates.size()) + " nodes to hold them");
  }
  // The result must not depend on the order of the candidates.
  std::vector<Candidate> sorted = candidates;
  std::sort(sorted.begin(), sorted.end(), [](const Candidate& a, const Candidate& b) { return a.node < b.node; });
  std::map<NodeIndex, uint32_t> position;
  for (uint32_t i = 0; i < sorted.size(); ++i) {
    if (!(sorted[i].capacity >= kMinCapacity && sorted[i].capacity <= kMaxCapacity)) {
      return Status::InvalidArgument("capacity must be from 0.001 to 1000000");
    }
    if (!position.emplace(sorted[i].node, i).second) return Status::InvalidArgument("a node is a candidate twice");
  }
  if (replicas == 0) return std::vector<std::vector<NodeIndex>>(arcs);
  std::vector<Slots> known(arcs);
  for (size_t a = 0; a < std::min<size_t>(arcs, before.size()); ++a) {
    for (NodeIndex n : before[a]) {
      auto it = position.find(n);
      if (it != position.end() && !contains(known[a], it->second)) known[a].push_back(it->second);
    }
  }
  std::vector<std::vector<NodeIndex>> result(arcs);
  std::vector<Slots> placed = Placement(sorted, arcs, replicas).run(std::move(known));
  for (uint32_t a = 0; a < arcs; ++a) {
    for (uint32_t n : placed[a]) result[a].push_back(sorted[n].node);
  }
  return result;
}

}  // namespace cartwheel::node
