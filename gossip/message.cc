#include "gossip/message.h"

#include "base/hash.h"

namespace cartwheel::gossip {

namespace {

void put(Encoder& out, Incarnation incarnation) {
  out.varint(incarnation >> 32);
  out.varint(incarnation & 0xffffffff);
}

Incarnation get_incarnation(Decoder& in) {
  uint64_t boot = in.varint(), count = in.varint();
  if (boot > 0xffffffff || count > 0xffffffff) in.fail();
  return in.ok() ? boot << 32 | count : 0;
}

MemberId get_member(Decoder& in) {
  uint64_t id = in.varint();
  if (id >= kNoMember) in.fail();
  return in.ok() ? static_cast<MemberId>(id) : kNoMember;
}

void put(Encoder& out, const std::vector<Beat>& beats) {
  out.varint(beats.size());
  for (const Beat& beat : beats) {
    out.u32(beat.region);
    out.varint(beat.count);
  }
}

std::vector<Beat> get_beats(Decoder& in) {
  size_t n = in.count(5);
  if (n > limits::kRegions) in.fail();
  std::vector<Beat> beats;
  for (size_t i = 0; i < n && in.ok(); ++i) {
    Beat beat;
    beat.region = in.u32();
    beat.count = in.varint();
    if (!beats.empty() && beat.region <= beats.back().region) in.fail();
    beats.push_back(beat);
  }
  return beats;
}

std::string get_facts(Decoder& in) {
  std::string_view facts = in.bytes();
  if (facts.size() > limits::kFactsBytes) in.fail();
  return in.ok() ? std::string(facts) : std::string();
}

bool accuses(Update::Kind kind) {
  return kind == Update::Kind::kSuspect || kind == Update::Kind::kDead;
}

Update get_update(Decoder& in) {
  Update update;
  uint8_t kind = in.u8();
  if (kind < 1 || kind > static_cast<uint8_t>(Update::Kind::kFacts)) in.fail();
  update.kind = static_cast<Update::Kind>(kind);
  update.member = get_member(in);
  update.incarnation = get_incarnation(in);
  if (accuses(update.kind)) update.from = get_member(in);
  if (update.kind == Update::Kind::kFacts) update.facts = get_facts(in);
  return update;
}

bool has_sequence(PacketKind kind) {
  return kind <= PacketKind::kNack;
}

Status open_version(Decoder& in, std::string_view bytes) {
  if (bytes.empty()) return Status::Corruption("an empty gossip message");
  uint8_t version = in.u8();
  if (version == kVersion) return Status::Ok();
  return {Code::kUnsupported,
          "gossip version " + std::to_string(version) + ", this node speaks " + std::to_string(kVersion)};
}

}  // namespace

const char* state_name(State state) {
  switch (state) {
    case State::kUnknown:
      return "unknown";
    case State::kAlive:
      return "alive";
    case State::kSuspect:
      return "suspect";
    case State::kDead:
      return "dead";
    case State::kLeft:
      return "left";
  }
  return "?";
}

uint32_t region_tag(std::string_view region) {
  return static_cast<uint32_t>(hash64(region));
}

void encode(const Update& update, Encoder& out) {
  out.u8(static_cast<uint8_t>(update.kind));
  out.varint(update.member);
  put(out, update.incarnation);
  if (accuses(update.kind)) out.varint(update.from);
  if (update.kind == Update::Kind::kFacts) out.bytes(update.facts);
}

void encode_head(const Packet& packet, Encoder& out) {
  out.u8(kVersion);
  out.u8(static_cast<uint8_t>(packet.kind));
  out.varint(packet.sender);
  out.varint(packet.to);
  out.u64(packet.identity);
  put(out, packet.incarnation);
  out.varint(packet.number);
  out.varint(packet.config_epoch);
  if (has_sequence(packet.kind)) out.varint(packet.sequence);
  if (packet.kind == PacketKind::kPingRequest) out.varint(packet.target);
  put(out, packet.beats);
}

std::string encode(const Packet& packet) {
  std::string bytes;
  Encoder out(bytes);
  encode_head(packet, out);
  for (const Update& update : packet.updates) encode(update, out);
  return bytes;
}

Result<Packet> decode_packet(std::string_view bytes) {
  if (bytes.size() > limits::kPacketBytes) return Status::Corruption("a gossip packet is too long");
  Decoder in(bytes);
  RETURN_IF_ERROR(open_version(in, bytes));
  Packet packet;
  uint8_t kind = in.u8();
  if (kind < 1 || kind > static_cast<uint8_t>(PacketKind::kRemoved)) in.fail();
  packet.kind = static_cast<PacketKind>(kind);
  packet.sender = get_member(in);
  packet.to = get_member(in);
  packet.identity = in.u64();
  packet.incarnation = get_incarnation(in);
  packet.number = in.varint();
  packet.config_epoch = in.varint();
  if (has_sequence(packet.kind)) packet.sequence = in.varint();
  if (packet.kind == PacketKind::kPingRequest) packet.target = get_member(in);
  packet.beats = get_beats(in);
  while (in.ok() && !in.done()) packet.updates.push_back(get_update(in));
  if (!in.done()) return Status::Corruption("a gossip packet does not decode");
  return packet;
}

void encode(const MemberStatus& status, Encoder& out) {
  out.varint(status.member);
  out.u8(static_cast<uint8_t>(status.state));
  put(out, status.incarnation);
  put(out, status.facts_version);
  if (status.facts_version != 0) out.bytes(status.facts);
}

std::string encode(const StreamMessage& message) {
  std::string bytes;
  Encoder out(bytes);
  out.u8(kVersion);
  out.u8(static_cast<uint8_t>(message.kind));
  out.u64(message.identity);
  put(out, message.incarnation);
  out.varint(message.config_epoch);
  put(out, message.beats);
  if (message.kind == StreamKind::kDigest || message.kind == StreamKind::kBuckets) out.u64(message.salt);
  if (message.kind == StreamKind::kDigest) out.u64(message.root);
  if (message.kind == StreamKind::kBuckets)
    for (uint32_t hash : message.hashes) out.u32(hash);
  if (message.kind == StreamKind::kStates || message.kind == StreamKind::kStatesReply) {
    out.u64(message.mask);
    for (const MemberStatus& status : message.states) encode(status, out);
  }
  return bytes;
}

Result<StreamMessage> decode_stream(std::string_view bytes) {
  if (bytes.size() > limits::kStreamBytes) return Status::Corruption("a gossip stream message is too long");
  Decoder in(bytes);
  RETURN_IF_ERROR(open_version(in, bytes));
  StreamMessage message;
  uint8_t kind = in.u8();
  if (kind < 1 || kind > static_cast<uint8_t>(StreamKind::kStatesReply)) in.fail();
  message.kind = static_cast<StreamKind>(kind);
  message.identity = in.u64();
  message.incarnation = get_incarnation(in);
  message.config_epoch = in.varint();
  message.beats = get_beats(in);
  if (message.kind == StreamKind::kDigest || message.kind == StreamKind::kBuckets) message.salt = in.u64();
  if (message.kind == StreamKind::kDigest) message.root = in.u64();
  if (message.kind == StreamKind::kBuckets)
    for (uint32_t& hash : message.hashes) hash = in.u32();
  if (message.kind == StreamKind::kStates || message.kind == StreamKind::kStatesReply) {
    message.mask = in.u64();
    while (in.ok() && !in.done()) {
      MemberStatus status;
      status.member = get_member(in);
      uint8_t state = in.u8();
      if (state > static_cast<uint8_t>(State::kLeft)) in.fail();
      status.state = static_cast<State>(state);
      status.incarnation = get_incarnation(in);
      status.facts_version = get_incarnation(in);
      if (status.facts_version != 0) status.facts = get_facts(in);
      if (message.states.size() >= limits::kMembers) in.fail();
      if (!message.states.empty() && status.member <= message.states.back().member) in.fail();
      message.states.push_back(std::move(status));
    }
  }
  if (!in.done()) return Status::Corruption("a gossip stream message does not decode");
  return message;
}

}  // namespace cartwheel::gossip
