// The words of gossip: members, their states, incarnations, and what replaces what.
#pragma once

#include <cstdint>
#include <string>

#include "gossip/limits.h"

namespace cartwheel::gossip {

using MemberId = uint32_t;
inline constexpr MemberId kNoMember = 0xffffffff;

// Somebody of the configuration. Addresses are the transport's business: it finds them by `id`.
struct Member {
  MemberId id = kNoMember;  // its index in the configuration: stable, never reused
  uint64_t identity = 0;    // of its data directory: another disk under the same id is somebody else
  std::string region;
  friend bool operator==(const Member&, const Member&) = default;
};

// What is said of a member. At one incarnation a later value replaces an earlier one.
enum class State : uint8_t {
  kUnknown = 0,  // configured, and nothing has been heard of it
  kAlive = 1,
  kSuspect = 2,  // somebody got no answer; it has until the suspicion expires to refute that
  kDead = 3,     // probably gone: no answer, no refutation
  kLeft = 4,     // said that it stops
};
const char* state_name(State state);

// The version of what is said of a member: (starts of its process) << 32 | refutations since. Only the member itself
// raises it, so a claim at a higher incarnation always is newer.
using Incarnation = uint64_t;
inline constexpr Incarnation first_incarnation(uint32_t boot) {
  return Incarnation{boot} << 32;
}
inline constexpr uint32_t boot_of(Incarnation incarnation) {
  return static_cast<uint32_t>(incarnation >> 32);
}

// Whether (state, incarnation) replaces (known, at): a higher incarnation always does, an equal one by rank.
inline constexpr bool replaces(State state, Incarnation incarnation, State known, Incarnation at) {
  return incarnation > at || (incarnation == at && state > known);
}

// Whether a claim of `incarnation` can be true of a member known at `known` (0: nothing known).
inline constexpr bool plausible(Incarnation incarnation, Incarnation known) {
  if (known == 0) return incarnation < limits::kFirstIncarnation;
  return incarnation <= known || incarnation - known <= limits::kIncarnationJump;
}

}  // namespace cartwheel::gossip
