// Gateways: the few members of a region that talk to other regions. Everybody picks them by rendezvous hashing over the
// region's members that are known to be alive, so that the same view gives the same gateways, and one that goes is
// replaced without moving the others.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "gossip/types.h"

namespace cartwheel::gossip {

struct Candidate {
  uint64_t score = 0;  // gateway_score()
  MemberId member = kNoMember;
};

uint64_t gateway_score(const Member& member);

// The `count` candidates with the highest scores, best first.
inline std::vector<MemberId> pick_gateways(std::vector<Candidate> candidates, size_t count) {
  count = std::min(count, candidates.size());
  auto better = [](const Candidate& a, const Candidate& b) {
    return a.score != b.score ? a.score > b.score : a.member < b.member;
  };
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(count), candidates.end(), better);
  std::vector<MemberId> picked;
  for (size_t i = 0; i < count; ++i) picked.push_back(candidates[i].member);
  return picked;
}

}  // namespace cartwheel::gossip
