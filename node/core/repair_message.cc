// The messages of repair by the dot log and by full exchange.
#include "base/limits.h"
#include "node/core/message.h"
#include "node/core/message_codec.h"

namespace cartwheel::node {

namespace {

// A bit for each bucket of a hash tree, the first one the lowest of the first byte.
std::string bits_of(const PartitionTree::Buckets& buckets) {
  std::string bytes(PartitionTree::kBuckets / 8, '\0');
  for (uint32_t b = 0; b < PartitionTree::kBuckets; ++b) {
    if (buckets[b]) bytes[b / 8] = static_cast<char>(bytes[b / 8] | 1 << b % 8);
  }
  return bytes;
}
PartitionTree::Buckets read_bits(MsgReader& r) {
  PartitionTree::Buckets buckets;
  const std::string_view bytes = r.bytes();
  if (bytes.size() != PartitionTree::kBuckets / 8) {
    r.fail();
    return buckets;
  }
  for (uint32_t b = 0; b < PartitionTree::kBuckets; ++b) buckets[b] = (bytes[b / 8] >> b % 8 & 1) != 0;
  return buckets;
}

}  // namespace

std::string NudgeMessage::encode() const {
  std::string out;
  MsgWriter w = begin(out, MessageType::kNudge, 3);
  write(w, partition);
  w.array(static_cast<uint32_t>(dots.size() * 3));
  for (const crdt::Dot& dot : dots) {
    w.uint(dot.actor.node);
    w.uint(dot.actor.epoch);
    w.uint(dot.seq);
  }
  return out;
}

Result<NudgeMessage> NudgeMessage::decode(std::string_view bytes) {
  MsgReader r = open(bytes, MessageType::kNudge, 3);
  NudgeMessage m;
  m.partition = read_partition(r);
  uint32_t n = r.array();
  if (n % 3 != 0 || n / 3 > limits::kNudgedDots) r.fail();
  for (n /= 3; n > 0 && r.ok(); --n) {
    uint64_t node = r.uint(), epoch = r.uint(), seq = r.uint();
    if (node > UINT32_MAX || seq == 0 || seq > crdt::kMaxSeq) r.fail();
    m.dots.push_back({{static_cast<uint32_t>(node), epoch}, seq});
  }
  return finished(r, std::move(m));
}

std::string CatchUpMessage::encode() const {
  std::string out;
  MsgWriter w = begin(out, MessageType::kCatchUp, 4);
  w.uint(id);
  write(w, partition);
  w.bin(clock_bytes(clock));
  return out;
}

Result<CatchUpMessage> CatchUpMessage::decode(std::string_view bytes) {
  MsgReader r = open(bytes, MessageType::kCatchUp, 4);
  CatchUpMessage m;
  m.id = r.uint();
  m.partition = read_partition(r);
  m.clock = read_clock(r);
  return finished(r, std::move(m));
}

std::string CatchUpReplyMessage::encode() const {
  std::string out;
  MsgWriter w = begin(out, MessageType::kCatchUpReply, 6);
  w.uint(id);
  write(w, partition);
  w.uint(static_cast<uint64_t>(outcome));
  w.bin(clock_bytes(clock));
  w.array(static_cast<uint32_t>(deltas.size()));
  for (std::string_view delta : deltas) w.bin(delta);
  return out;
}

Result<CatchUpReplyMessage> CatchUpReplyMessage::decode(std::string_view bytes) {
  MsgReader r = open(bytes, MessageType::kCatchUpReply, 6);
  CatchUpReplyMessage m;
  m.id = r.uint();
  m.partition = read_partition(r);
  uint64_t outcome = r.uint();
  if (outcome > 2) r.fail();
  m.outcome = static_cast<Outcome>(outcome);
  m.clock = read_clock(r);
  for (uint32_t n = r.array(); n > 0 && r.ok(); --n) m.deltas.push_back(r.bytes());
  return finished(r, std::move(m));
}

std::string ExchangeMessage::encode() const {
  std::string out;
  MsgWriter w = begin(out, MessageType::kExchange, tree ? 6 : 5);
  w.uint(id);
  write(w, partition);
  w.uint(step);
  w.boolean(raw);
  if (tree) w.bin(tree->encode_shown());
  return out;
}

Result<ExchangeMessage> ExchangeMessage::decode(std::string_view bytes) {
  uint32_t more = 0;
  MsgReader r = open_optional(bytes, MessageType::kExchange, 5, &more);
  ExchangeMessage m;
  m.id = r.uint();
  m.partition = read_partition(r);
  m.step = r.uint();
  m.raw = r.boolean();
  if (more > 0) {
    auto tree = PartitionTree::decode_shown(r.bytes());
    if (tree.ok())
      m.tree = std::move(*tree);
    else
      r.fail();
  }
  return finished(r, std::move(m));
}

std::string ExchangeReplyMessage::encode() const {
  std::string out;
  MsgWriter w = begin(out, MessageType::kExchangeReply, differing ? 10 : 9);
  w.uint(id);
  write(w, partition);
  w.uint(step);
  w.uint(static_cast<uint64_t>(outcome));
  w.bin(causal);
  w.array(static_cast<uint32_t>(rows.size() * 3));
  for (const Row& row : rows) {
    w.bin(row.key);
    w.bin(row.path);
    w.bin(row.leaf);
  }
  w.uint(keys);
  w.uint(bytes);
  if (differing) w.bin(bits_of(*differing));
  return out;
}

Result<ExchangeReplyMessage> ExchangeReplyMessage::decode(std::string_view bytes) {
  uint32_t more = 0;
  MsgReader r = open_optional(bytes, MessageType::kExchangeReply, 9, &more);
  ExchangeReplyMessage m;
  m.id = r.uint();
  m.partition = read_partition(r);
  m.step = r.uint();
  uint64_t outcome = r.uint();
  if (outcome > 3) r.fail();
  m.outcome = static_cast<Outcome>(outcome);
  m.causal = r.bytes();
  uint32_t n = r.array();
  if (n % 3 != 0) r.fail();
  for (n /= 3; n > 0 && r.ok(); --n) {
    std::string_view key = r.bytes(), path = r.bytes();
    m.rows.push_back({key, path, r.bytes()});
  }
  m.keys = r.uint();
  m.bytes = r.uint();
  if (more > 0) m.differing = read_bits(r);
  return finished(r, std::move(m));
}

}  // namespace cartwheel::node
