#include "node/core/message.h"

#include "base/limits.h"
#include "base/msgpack.h"
#include "base/planted.h"
#include "node/core/message_codec.h"

namespace cartwheel::node {

namespace {

void write(MsgWriter& w, const AnnounceMessage::Entry& entry) {
  write(w, entry.partition);
  w.bin(clock_bytes(entry.clock));
}
std::vector<AnnounceMessage::Entry> read_entries(MsgReader& r, uint32_t fields, bool may_fold) {
  std::vector<AnnounceMessage::Entry> entries;
  if (fields % 3 != 0) r.fail();
  for (uint32_t n = fields / 3; n > 0 && r.ok(); --n) {
    PartitionId id = read_partition(r);
    entries.push_back({id, read_clock(r)});
    if (!may_fold && entries.back().clock.has_folds()) r.fail();
  }
  return entries;
}

void write_dots(MsgWriter& w, const std::vector<SessionDot>& dots) {
  w.array(static_cast<uint32_t>(dots.size() * 3));
  for (const SessionDot& dot : dots) {
    w.uint(dot.actor.node);
    w.uint(dot.actor.epoch);
    w.uint(dot.seq);
  }
}
std::vector<SessionDot> read_dots(MsgReader& r) {
  std::vector<SessionDot> dots;
  uint32_t n = r.array();
  if (n % 3 != 0 || n / 3 > kSessionDots) r.fail();
  for (n /= 3; n > 0 && r.ok(); --n) {
    uint64_t node = r.uint(), epoch = r.uint(), seq = r.uint();
    if (node > UINT32_MAX || seq == 0 || seq > crdt::kMaxSeq) r.fail();
    dots.push_back({{static_cast<uint32_t>(node), epoch}, seq});
  }
  return dots;
}
int64_t read_ms(MsgReader& r) {
  uint64_t ms = r.uint();
  if (ms > uint64_t{1} << 50) r.fail();
  return r.ok() ? static_cast<int64_t>(ms) : 0;
}

void write_value(MsgWriter& w, const Value& v) {
  switch (v.kind) {
    case Value::Kind::kNil:
      return w.nil();
    case Value::Kind::kInteger:
      return w.sint(v.integer);
    case Value::Kind::kBytes:
      return w.bin(v.bytes);
    case Value::Kind::kList:
      w.array(static_cast<uint32_t>(v.list.size()));
      for (const Value& e : v.list) write_value(w, e);
  }
}

Value read_value(MsgReader& r, int depth = 4) {
  switch (r.peek()) {
    case MsgReader::Type::kNil:
      r.nil();
      return Value::Nil();
    case MsgReader::Type::kUint:
    case MsgReader::Type::kNegative:
      return Value::Integer(r.sint());
    case MsgReader::Type::kBinary:
      return Value::Bytes(std::string(r.bytes()));
    case MsgReader::Type::kArray: {
      Value v = Value::List({});
      if (depth == 0) r.fail();
      for (uint32_t n = r.array(); n > 0 && r.ok(); --n) v.list.push_back(read_value(r, depth - 1));
      return v;
    }
    default:
      r.fail();
      return {};
  }
}

}  // namespace

std::optional<MessageType> message_type(std::string_view bytes) {
  MsgReader r(bytes);
  r.array();
  uint64_t type = r.uint();
  if (!r.ok() || type < 1 || type > static_cast<uint64_t>(kNewestMessageType)) return {};
  if (planted(Bug::kFarewellNotKnown) && type == static_cast<uint64_t>(MessageType::kFarewell)) return {};
  return static_cast<MessageType>(type);
}

bool is_awaited(std::string_view message) {
  MsgReader r(message);
  r.array();
  switch (static_cast<MessageType>(r.uint())) {
    case MessageType::kWrite:
      return r.uint() != 0;  // the ack_id
    case MessageType::kWriteAck:
    case MessageType::kRead:
    case MessageType::kReadReply:
    case MessageType::kForward:
    case MessageType::kForwardReply:
      return true;
    default:
      return false;
  }
}

std::string WriteMessage::encode() const {
  std::string out;
  out.reserve(delta.size() + 32);
  MsgWriter w = begin(out, MessageType::kWrite, fallback ? 8 : 7);
  w.uint(ack_id);
  w.uint(ack_to);
  w.boolean(relay);
  write(w, partition);
  w.bin(delta);
  w.uint(epoch);
  if (fallback) w.boolean(true);
  return out;
}

Result<WriteMessage> WriteMessage::decode(std::string_view bytes) {
  uint32_t more = 0;
  MsgReader r = open_optional(bytes, MessageType::kWrite, 7, &more);
  WriteMessage m;
  m.ack_id = r.uint();
  m.ack_to = static_cast<NodeIndex>(r.uint());
  m.relay = r.boolean();
  m.partition = read_partition(r);
  m.delta = r.bytes();
  m.epoch = r.uint();
  m.fallback = more > 0 && r.boolean();
  return finished(r, m);
}

std::string WriteAckMessage::encode() const {
  std::string out;
  MsgWriter w = begin(out, MessageType::kWriteAck, 1);
  w.array(static_cast<uint32_t>(ids.size()));
  for (uint64_t id : ids) w.uint(id);
  return out;
}

Result<WriteAckMessage> WriteAckMessage::decode(std::string_view bytes) {
  MsgReader r = open(bytes, MessageType::kWriteAck, 1);
  WriteAckMessage m;
  for (uint32_t n = r.array(); n > 0 && r.ok(); --n) m.ids.push_back(r.uint());
  return finished(r, std::move(m));
}

std::string ReadMessage::encode() const {
  std::string out;
  MsgWriter w = begin(out, MessageType::kRead, 6);
  w.uint(id);
  write(w, partition);
  w.bin(key);
  w.uint(digest);
  w.uint(epoch);
  return out;
}

Result<ReadMessage> ReadMessage::decode(std::string_view bytes) {
  MsgReader r = open(bytes, MessageType::kRead, 6);
  ReadMessage m;
  m.id = r.uint();
  m.partition = read_partition(r);
  m.key = r.bytes();
  m.digest = r.uint();
  m.epoch = r.uint();
  return finished(r, m);
}

std::string ReadReplyMessage::encode() const {
  std::string out;
  MsgWriter w = begin(out, MessageType::kReadReply, 3);
  w.uint(id);
  w.uint(static_cast<uint64_t>(answer));
  w.bin(clock);
  return out;
}

Result<ReadReplyMessage> ReadReplyMessage::decode(std::string_view bytes) {
  MsgReader r = open(bytes, MessageType::kReadReply, 3);
  ReadReplyMessage m;
  m.id = r.uint();
  uint64_t answer = r.uint();
  if (answer > 2) r.fail();
  m.answer = static_cast<ReadReplyMessage::Answer>(answer);
  m.clock = r.bytes();
  return finished(r, std::move(m));
}

std::string ForwardMessage::encode(Instant now) const {
  std::string out;
  MsgWriter w = begin(out, MessageType::kForward, request.session ? 12 : 11);
  const Operation& op = request.operation;
  w.uint(id);
  w.uint(request.keyspace);
  w.uint(static_cast<uint64_t>(std::max<int64_t>((request.deadline - now).us / 1000, 0)));
  request.level ? w.str(request.level->to_string()) : w.nil();
  w.uint(static_cast<uint64_t>(op.verb));
  w.bin(op.key);
  w.array(static_cast<uint32_t>(op.args.size()));
  for (const std::string& arg : op.args) w.bin(arg);
  w.sint(op.number);
  w.uint(op.count | (op.want_old ? uint64_t{1} << 32 : 0));
  w.array(2);
  w.uint(static_cast<uint64_t>(op.expiry.kind));
  w.sint(op.expiry.at.ms);
  w.uint(hops);
  if (request.session) {
    const SessionDemand& demand = *request.session;
    w.array(4);
    w.uint(static_cast<uint64_t>(demand.policy));
    w.uint(static_cast<uint64_t>(demand.patience.us / 1000));
    w.uint(static_cast<uint64_t>(demand.through_ms));
    write_dots(w, demand.dots);
  }
  return out;
}

Result<ForwardMessage> ForwardMessage::decode(std::string_view bytes, Instant now) {
  uint32_t has_session = 0;
  MsgReader r = open_optional(bytes, MessageType::kForward, 11, &has_session);
  ForwardMessage m;
  Operation& op = m.request.operation;
  m.id = r.uint();
  uint64_t keyspace = r.uint();
  if (keyspace > 0xffff) r.fail();
  m.request.keyspace = static_cast<uint16_t>(keyspace);
  m.request.deadline = now + Duration::millis(static_cast<int64_t>(std::min<uint64_t>(r.uint(), 600'000)));
  if (r.peek() == MsgReader::Type::kNil) {
    r.nil();
  } else {
    auto level = Level::parse(r.bytes());
    if (level.ok())
      m.request.level = *level;
    else
      r.fail();
  }
  uint64_t verb = r.uint();
  if (verb > 255) r.fail();
  op.verb = static_cast<Verb>(verb);
  op.key = r.bytes();
  uint32_t args = r.array();
  if (args > limits::kRequestArguments) r.fail();
  for (; args > 0 && r.ok(); --args) op.args.emplace_back(r.bytes());
  op.number = r.sint();
  uint64_t count = r.uint();
  op.count = static_cast<uint32_t>(count);
  op.want_old = (count >> 32) & 1;
  if (r.array() != 2) r.fail();
  uint64_t expiry = r.uint();
  if (expiry > 2) r.fail();
  op.expiry = {static_cast<Expiry::Kind>(expiry), {r.sint()}};
  uint64_t hops = r.uint();
  if (hops > 255) r.fail();
  m.hops = static_cast<uint8_t>(hops);
  if (has_session) {
    auto demand = std::make_shared<SessionDemand>();
    if (r.array() != 4) r.fail();
    uint64_t policy = r.uint();
    if (policy > static_cast<uint64_t>(SessionPolicy::kStale)) r.fail();
    demand->policy = static_cast<SessionPolicy>(policy);
    demand->patience = Duration::millis(static_cast<int64_t>(std::min<uint64_t>(r.uint(), 600'000)));
    demand->through_ms = read_ms(r);
    demand->dots = read_dots(r);
    m.request.session = std::move(demand);
  }
  return finished(r, std::move(m));
}

std::string ForwardReplyMessage::encode() const {
  std::string out;
  MsgWriter w = begin(out, MessageType::kForwardReply, reply.fallbacks > 0 ? 6 : reply.seen ? 5 : 4);
  w.uint(id);
  w.uint(static_cast<uint64_t>(reply.status.code()));
  w.str(reply.status.message());
  write_value(w, reply.value);
  if (reply.seen) {
    w.array(3);
    w.uint((reply.seen->folded ? 1u : 0u) | (reply.seen->stale ? 2u : 0u));
    w.uint(static_cast<uint64_t>(std::max<int64_t>(reply.seen->as_of_ms, 0)));
    write_dots(w, reply.seen->dots);
  } else if (reply.fallbacks > 0) {
    w.nil();
  }
  if (reply.fallbacks > 0) w.uint(reply.fallbacks);
  return out;
}

Result<ForwardReplyMessage> ForwardReplyMessage::decode(std::string_view bytes) {
  uint32_t more = 0;
  MsgReader r = open_optional(bytes, MessageType::kForwardReply, 4, &more, 2);
  ForwardReplyMessage m;
  m.id = r.uint();
  uint64_t code = r.uint();
  if (code > static_cast<uint64_t>(Code::kShuttingDown)) r.fail();
  std::string message(r.bytes());
  if (code != 0 && r.ok()) m.reply.status = Status(static_cast<Code>(code), std::move(message));
  m.reply.value = read_value(r);
  if (more == 2 && r.peek() == MsgReader::Type::kNil) {
    r.nil();
  } else if (more > 0) {
    auto seen = std::make_shared<SessionSeen>();
    if (r.array() != 3) r.fail();
    uint64_t flags = r.uint();
    if (flags > 3) r.fail();
    seen->folded = (flags & 1) != 0;
    seen->stale = (flags & 2) != 0;
    seen->as_of_ms = read_ms(r);
    seen->dots = read_dots(r);
    m.reply.seen = std::move(seen);
  }
  if (more == 2) {
    uint64_t fallbacks = r.uint();
    if (fallbacks == 0 || fallbacks > UINT16_MAX) r.fail();
    m.reply.fallbacks = static_cast<uint16_t>(fallbacks);
  }
  return finished(r, std::move(m));
}

std::string AnnounceMessage::encode() const {
  std::string out;
  MsgWriter w = begin(out, MessageType::kAnnounce, !lives.empty() ? 8 : full || !fallbacks.empty() ? 7 : 6);
  w.uint(instance);
  w.uint(since);
  w.uint(version);
  w.sint(as_of.ms);
  w.array(static_cast<uint32_t>(entries.size() * 3));
  for (const Entry& e : entries) write(w, e);
  w.uint(epoch);
  if (!full && fallbacks.empty() && lives.empty()) return out;
  w.array(static_cast<uint32_t>(fallbacks.size() * 3 + 1));
  w.boolean(full);
  for (const Entry& e : fallbacks) write(w, e);
  if (lives.empty()) return out;
  w.array(static_cast<uint32_t>(lives.size() * 2));
  for (const auto& [node, life] : lives) {
    w.uint(node);
    w.uint(life);
  }
  return out;
}

Result<AnnounceMessage> AnnounceMessage::decode(std::string_view bytes) {
  uint32_t more = 0;
  MsgReader r = open_optional(bytes, MessageType::kAnnounce, 6, &more, 2);
  AnnounceMessage m;
  m.instance = r.uint();
  m.since = r.uint();
  m.version = r.uint();
  m.as_of.ms = r.sint();
  m.entries = read_entries(r, r.array(), true);
  m.epoch = r.uint();
  if (more > 0) {
    uint32_t n = r.array();
    m.full = r.boolean();
    if (n == 0) r.fail();
    m.fallbacks = read_entries(r, n - 1, false);
  }
  if (more > 1) {
    uint32_t n = r.array();
    if (n == 0 || n % 2 != 0) r.fail();
    for (n /= 2; n > 0 && r.ok(); --n) {
      uint64_t node = r.uint(), life = r.uint();
      bool sound = node < kNoNode && life != 0 && (m.lives.empty() || m.lives.back().first < node);
      if (!sound) r.fail();
      m.lives.emplace_back(static_cast<NodeIndex>(node), life);
    }
  }
  return finished(r, std::move(m));
}

std::string AnnounceAckMessage::encode() const {
  std::string out;
  MsgWriter w = begin(out, MessageType::kAnnounceAck, 2);
  w.uint(instance);
  w.uint(version);
  return out;
}

Result<AnnounceAckMessage> AnnounceAckMessage::decode(std::string_view bytes) {
  MsgReader r = open(bytes, MessageType::kAnnounceAck, 2);
  AnnounceAckMessage m{r.uint(), r.uint()};
  return finished(r, m);
}

std::string FarewellMessage::encode() const {
  std::string out;
  MsgWriter w = begin(out, MessageType::kFarewell, 3);
  w.boolean(answer);
  w.uint(instance);
  w.uint(round);
  return out;
}

Result<FarewellMessage> FarewellMessage::decode(std::string_view bytes) {
  MsgReader r = open(bytes, MessageType::kFarewell, 3);
  FarewellMessage m{r.boolean(), r.uint(), r.uint()};
  return finished(r, m);
}

}  // namespace cartwheel::node
