// The bounds of gossip, each with its reason. Beyond one the oldest or the most spread goes, or the input is refused
// and counted; nothing grows.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cartwheel::gossip::limits {

inline constexpr size_t kMembers = 4096;             // of a configuration; a push-pull of all of them is one message
inline constexpr size_t kRegions = 16;               // every packet within a region carries a beat per other region
inline constexpr size_t kRegionBytes = 64;           // a region's name
inline constexpr size_t kFactsBytes = 64;            // a blob per member rides in packets
inline constexpr size_t kPacketBytes = 1400;         // sealed, what leaves as one datagram: below every path's MTU
inline constexpr size_t kSealBytes = 48;             // what sealing may add to a packet
inline constexpr size_t kStreamBytes = 1024 * 1024;  // one message of a push-pull: kMembers states with their facts
inline constexpr size_t kBroadcasts = 2 * kMembers;  // news waiting to be spread: liveness and facts of each member
inline constexpr size_t kRelays = 1024;              // pings made for others that wait for their ack
inline constexpr size_t kRemoved = 64 * 1024;    // removed identities remembered; older ones are unknown: refused too
inline constexpr size_t kAccusers = 8;           // confirmations that one suspicion can count
inline constexpr uint32_t kReplayWindow = 1024;  // packets of one sender that may arrive out of order

// How far one claim may lie above what is known of a member, in starts of its process: more is a forgery or a broken
// disk, and believing it would make the member unable to refute anything.
inline constexpr uint64_t kIncarnationJump = uint64_t{1} << (32 + 16);
// How high the first incarnation that is heard of a member may be: half of the space stays for refutations.
inline constexpr uint64_t kFirstIncarnation = uint64_t{1} << 63;
// How far one claim of a region's beat may lie above what is known.
inline constexpr uint64_t kBeatJump = uint64_t{1} << 32;

}  // namespace cartwheel::gossip::limits
