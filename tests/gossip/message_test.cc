// The bytes of gossip: one encoding per message, nothing else decodes, and the format does not change by accident.
#include "gossip/message.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

namespace cartwheel::gossip {
namespace {

Incarnation any_incarnation() {
  return first_incarnation(*rc::gen::inRange<uint32_t>(0, 1000)) + *rc::gen::inRange<uint32_t>(0, 100'000);
}

MemberId any_member() {
  return *rc::gen::inRange<MemberId>(0, 5000);
}

std::vector<Beat> any_beats() {
  std::vector<Beat> beats;
  uint32_t region = 0;
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i)
    beats.push_back({region += *rc::gen::inRange<uint32_t>(1, 1 << 28), *rc::gen::arbitrary<uint64_t>()});
  return beats;
}

std::string any_facts() {
  return std::string(*rc::gen::inRange<size_t>(0, limits::kFactsBytes + 1), *rc::gen::arbitrary<char>());
}

Update any_update() {
  Update update;
  update.kind = static_cast<Update::Kind>(*rc::gen::inRange(1, 6));
  update.member = any_member();
  update.incarnation = any_incarnation();
  if (update.kind == Update::Kind::kSuspect || update.kind == Update::Kind::kDead) update.from = any_member();
  if (update.kind == Update::Kind::kFacts) update.facts = any_facts();
  return update;
}

Packet any_packet() {
  Packet packet;
  packet.kind = static_cast<PacketKind>(*rc::gen::inRange(1, 7));
  packet.sender = any_member();
  packet.to = any_member();
  packet.identity = *rc::gen::arbitrary<uint64_t>();
  packet.incarnation = any_incarnation();
  packet.number = *rc::gen::arbitrary<uint64_t>();
  packet.config_epoch = *rc::gen::arbitrary<uint64_t>();
  if (packet.kind <= PacketKind::kNack) packet.sequence = *rc::gen::arbitrary<uint64_t>();
  if (packet.kind == PacketKind::kPingRequest) packet.target = any_member();
  packet.beats = any_beats();
  for (int i = *rc::gen::inRange(0, 8); i > 0; --i) packet.updates.push_back(any_update());
  return packet;
}

StreamMessage any_stream() {
  StreamMessage message;
  message.kind = static_cast<StreamKind>(*rc::gen::inRange(1, 6));
  message.identity = *rc::gen::arbitrary<uint64_t>();
  message.incarnation = any_incarnation();
  message.config_epoch = *rc::gen::arbitrary<uint64_t>();
  message.beats = any_beats();
  if (message.kind == StreamKind::kDigest || message.kind == StreamKind::kBuckets)
    message.salt = *rc::gen::arbitrary<uint64_t>();
  if (message.kind == StreamKind::kDigest) message.root = *rc::gen::arbitrary<uint64_t>();
  if (message.kind == StreamKind::kBuckets)
    for (uint32_t& hash : message.hashes) hash = *rc::gen::arbitrary<uint32_t>();
  if (message.kind < StreamKind::kStates) return message;
  message.mask = *rc::gen::arbitrary<uint64_t>();
  MemberId member = 0;
  for (int i = *rc::gen::inRange(0, 8); i > 0; --i) {
    MemberStatus status;
    status.member = member += *rc::gen::inRange<MemberId>(1, 100);
    status.state = static_cast<State>(*rc::gen::inRange(0, 5));
    status.incarnation = any_incarnation();
    status.facts_version = any_incarnation();
    if (status.facts_version != 0) status.facts = any_facts();
    message.states.push_back(status);
  }
  return message;
}

RC_GTEST_PROP(GossipPacket, DecodesToWhatWasEncoded, ()) {
  Packet packet = any_packet();
  auto decoded = decode_packet(encode(packet));
  RC_ASSERT(decoded.ok());
  RC_ASSERT(*decoded == packet);
}

RC_GTEST_PROP(GossipStream, DecodesToWhatWasEncoded, ()) {
  StreamMessage message = any_stream();
  auto decoded = decode_stream(encode(message));
  RC_ASSERT(decoded.ok());
  RC_ASSERT(*decoded == message);
}

RC_GTEST_PROP(GossipPacket, DamageIsRefusedOrHasItsOwnEncoding, ()) {
  std::string bytes = encode(any_packet());
  size_t at = *rc::gen::inRange<size_t>(0, bytes.size());
  bytes[at] = *rc::gen::arbitrary<char>();
  bytes.resize(*rc::gen::inRange<size_t>(0, bytes.size() + 1));
  auto decoded = decode_packet(bytes);
  if (decoded.ok()) RC_ASSERT(encode(*decoded) == bytes);
}

RC_GTEST_PROP(GossipStream, DamageIsRefusedOrHasItsOwnEncoding, ()) {
  std::string bytes = encode(any_stream());
  size_t at = *rc::gen::inRange<size_t>(0, bytes.size());
  bytes[at] = *rc::gen::arbitrary<char>();
  bytes.resize(*rc::gen::inRange<size_t>(0, bytes.size() + 1));
  auto decoded = decode_stream(bytes);
  if (decoded.ok()) RC_ASSERT(encode(*decoded) == bytes);
}

std::string hex(const std::string& bytes) {
  std::string text;
  for (unsigned char c : bytes) {
    text += "0123456789abcdef"[c >> 4];
    text += "0123456789abcdef"[c & 15];
  }
  return text;
}

TEST(GossipPacket, HasTheBytesThatVersionOneAlwaysHad) {
  Packet packet{
      PacketKind::kPingRequest, 1, 300, 0x0102030405060708, first_incarnation(7) + 2, 9, 4, 77, 5, {{6, 1}}, {}};
  packet.updates.push_back({Update::Kind::kSuspect, 5, first_incarnation(1), 1, {}});
  packet.updates.push_back({Update::Kind::kFacts, 6, first_incarnation(1) + 3, kNoMember, "load"});
  EXPECT_EQ(hex(encode(packet)),
            "010201ac02010203040506070807020904"
            "4d05"
            "010000000601"
            "0205010001"
            "05060103046c6f6164");
}

TEST(GossipStream, HasTheBytesThatVersionOneAlwaysHad) {
  StreamMessage message;
  message.kind = StreamKind::kStates;
  message.identity = 0x0102030405060708;
  message.incarnation = first_incarnation(7);
  message.config_epoch = 4;
  message.mask = 3;
  message.states = {{1, State::kAlive, first_incarnation(2), first_incarnation(2) + 1, "x"},
                    {2, State::kDead, 5, 0, {}}};
  EXPECT_EQ(hex(encode(message)),
            "0104010203040506070807000400"
            "0000000000000003"
            "01010200"
            "02010178"
            "02030005"
            "0000");
}

TEST(GossipPacket, OtherVersionsAndLimitsAreRefused) {
  Packet packet;
  packet.sender = 1;
  packet.to = 2;
  std::string bytes = encode(packet);
  ASSERT_TRUE(decode_packet(bytes).ok());
  bytes[0] = 2;
  EXPECT_EQ(decode_packet(bytes).status().code(), Code::kUnsupported);
  EXPECT_EQ(decode_packet("").status().code(), Code::kCorruption);
  packet.updates.push_back({Update::Kind::kFacts, 1, 1, kNoMember, std::string(limits::kFactsBytes, 'x')});
  EXPECT_TRUE(decode_packet(encode(packet)).ok());
  packet.updates[0].facts += 'x';
  EXPECT_EQ(decode_packet(encode(packet)).status().code(), Code::kCorruption);
  packet.updates.assign(400, {Update::Kind::kAlive, 1, 1, kNoMember, {}});
  EXPECT_FALSE(decode_packet(encode(packet)).ok()) << "longer than a datagram";
  packet.updates.clear();
  packet.beats = {{2, 1}, {1, 1}};
  EXPECT_FALSE(decode_packet(encode(packet)).ok()) << "beats out of order";
}

TEST(GossipStream, AllMembersWithTheirFactsFitIntoOneMessage) {
  StreamMessage message;
  message.kind = StreamKind::kStates;
  for (MemberId id = 0; id < limits::kMembers; ++id)
    message.states.push_back({id, State::kAlive, ~uint64_t{0}, ~uint64_t{0}, std::string(limits::kFactsBytes, 'x')});
  ASSERT_TRUE(decode_stream(encode(message)).ok());
  message.states.push_back({limits::kMembers, State::kAlive, 1, 0, {}});
  EXPECT_FALSE(decode_stream(encode(message)).ok());
}

}  // namespace
}  // namespace cartwheel::gossip
