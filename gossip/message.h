// What gossip says: packets (best effort, one datagram) and stream messages (push-pull, reliable and ordered).
// docs/formats.md has the bytes. Everything is bounded and validated, and what decodes encodes to the same bytes.
//
// Versions: the first byte. A change that old nodes would misread gets a new one; kinds are only ever appended.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/codec.h"
#include "base/status.h"
#include "gossip/types.h"

namespace cartwheel::gossip {

inline constexpr uint8_t kVersion = 1;

enum class PacketKind : uint8_t {
  kPing = 1,         // answer me with an ack of this sequence
  kPingRequest = 2,  // ping `target` for me, and pass its ack on; a nack if none comes
  kAck = 3,
  kNack = 4,
  kGossip = 5,   // nothing but news
  kRemoved = 6,  // you are not a member: the sender's identity is unknown under a configuration as new as its own
};

// How a region hears from another one: `count` grows with every round trip that one of its gateways made there.
struct Beat {
  uint32_t region = 0;  // region_tag() of the other region
  uint64_t count = 0;
  friend bool operator==(const Beat&, const Beat&) = default;
};
uint32_t region_tag(std::string_view region);

// One piece of news.
struct Update {
  enum class Kind : uint8_t { kAlive = 1, kSuspect = 2, kDead = 3, kLeft = 4, kFacts = 5 };
  Kind kind = Kind::kAlive;
  MemberId member = kNoMember;
  Incarnation incarnation = 0;  // kFacts: the version of the facts
  MemberId from = kNoMember;    // kSuspect, kDead: who says so
  std::string facts;            // kFacts: at most limits::kFactsBytes
  friend bool operator==(const Update&, const Update&) = default;
};
void encode(const Update& update, Encoder& out);

struct Packet {
  PacketKind kind = PacketKind::kGossip;
  MemberId sender = kNoMember, to = kNoMember;
  uint64_t identity = 0;        // the sender's
  Incarnation incarnation = 0;  // the sender's
  uint64_t number = 0;          // of this packet in the sender's life, for the receiver's replay window
  uint64_t config_epoch = 0;    // the newest configuration that the sender has
  uint64_t sequence = 0;        // kPing, kPingRequest, kAck, kNack
  MemberId target = kNoMember;  // kPingRequest
  std::vector<Beat> beats;      // ascending by region
  std::vector<Update> updates;  // to the end of the packet
  friend bool operator==(const Packet&, const Packet&) = default;
};
// Everything but the updates, which may be appended one by one.
void encode_head(const Packet& packet, Encoder& out);
std::string encode(const Packet& packet);
// kUnsupported for another version, kCorruption for what does not decode.
Result<Packet> decode_packet(std::string_view bytes);

// What a push-pull says of one member.
struct MemberStatus {
  MemberId member = kNoMember;
  State state = State::kUnknown;
  Incarnation incarnation = 0;
  uint64_t facts_version = 0;  // 0: none known, and facts is empty
  std::string facts;
  friend bool operator==(const MemberStatus&, const MemberStatus&) = default;
};
void encode(const MemberStatus& status, Encoder& out);

enum class StreamKind : uint8_t {
  kDigest = 1,  // the hash of all I know; answer kSame or kBuckets
  kSame = 2,
  kBuckets = 3,  // the hash of each bucket; answer kStates for those that differ
  kStates = 4,   // what I know of the members in `mask`'s buckets; answer kStatesReply
  kStatesReply = 5,
};
inline constexpr size_t kBuckets = 64;
inline constexpr size_t bucket_of(MemberId member) {
  return member % kBuckets;
}

struct StreamMessage {
  StreamKind kind = StreamKind::kDigest;
  uint64_t identity = 0;
  Incarnation incarnation = 0;
  uint64_t config_epoch = 0;
  uint64_t salt = 0;                        // of this exchange's hashes: what collides does so once
  uint64_t root = 0;                        // kDigest
  std::array<uint32_t, kBuckets> hashes{};  // kBuckets
  uint64_t mask = 0;                        // kStates, kStatesReply: bit per bucket
  std::vector<Beat> beats;
  std::vector<MemberStatus> states;  // kStates, kStatesReply: ascending by member
  friend bool operator==(const StreamMessage&, const StreamMessage&) = default;
};
std::string encode(const StreamMessage& message);
Result<StreamMessage> decode_stream(std::string_view bytes);

}  // namespace cartwheel::gossip
