#include "node/core/paxos/message.h"

#include "base/limits.h"

namespace cartwheel::node::paxos {

namespace {

void write(MsgWriter& w, const Value& value) {
  value ? w.bin(*value) : w.nil();
}

Value read_value(MsgReader& r) {
  if (r.peek() == MsgReader::Type::kNil) {
    r.nil();
    return {};
  }
  std::string_view bytes = r.bytes();
  if (bytes.size() > limits::kPaxosValueBytes) r.fail();
  return std::string(bytes);
}

std::string read_key(MsgReader& r) {
  std::string_view key = r.bytes();
  if (key.size() > limits::kKeyBytes) r.fail();
  return std::string(key);
}

MessageType read_request_type(MsgReader& r) {
  uint64_t type = r.uint();
  if (type < static_cast<uint64_t>(MessageType::kQuery) || type > static_cast<uint64_t>(MessageType::kAccept)) r.fail();
  return static_cast<MessageType>(type);
}

template <typename T>
Result<T> finished(const MsgReader& r, T message) {
  if (!r.done()) return Status::Corruption("a consensus message does not decode");
  return message;
}

// What a reply may say, given its verdict and what it answers.
bool consistent(const Reply& m) {
  bool tells = m.verdict == Reply::Verdict::kYes && m.request != MessageType::kAccept;
  if (m.ballot.zero()) return false;
  if (!tells && !m.accepted.zero()) return false;
  if (m.accepted.zero() && m.value) return false;
  if (m.verdict == Reply::Verdict::kConflict) return m.request != MessageType::kQuery && m.promised > m.ballot;
  if (!m.promised.zero()) return false;
  // Nothing above a ballot is accepted where that ballot is promised.
  return m.request != MessageType::kPrepare || m.accepted <= m.ballot;
}

}  // namespace

std::optional<MessageType> message_type(std::string_view bytes) {
  MsgReader r(bytes);
  r.array();
  uint64_t type = r.uint();
  if (!r.ok() || type < 1 || type > static_cast<uint64_t>(MessageType::kReply)) return {};
  return static_cast<MessageType>(type);
}

std::string Request::encode() const {
  std::string out;
  out.reserve(key.size() + (value ? value->size() : 0) + 64);
  MsgWriter w(out);
  w.array(type == MessageType::kAccept ? 10 : 6);
  w.uint(static_cast<uint64_t>(type));
  w.bin(key);
  w.uint(generation);
  paxos::write(w, ballot);
  if (type != MessageType::kAccept) return out;
  write(w, value);
  paxos::write(w, next);
  return out;
}

Result<Request> Request::decode(std::string_view bytes) {
  MsgReader r(bytes);
  uint32_t fields = r.array();
  Request m;
  m.type = read_request_type(r);
  if (fields != (m.type == MessageType::kAccept ? 10 : 6)) r.fail();
  m.key = read_key(r);
  m.generation = r.uint();
  m.ballot = read_ballot(r);
  if (m.ballot.zero()) r.fail();
  if (m.type == MessageType::kAccept) {
    m.value = read_value(r);
    m.next = read_ballot(r);
    if (!m.next.zero() && m.next <= m.ballot) r.fail();
  }
  return finished(r, std::move(m));
}

std::string Reply::encode() const {
  std::string out;
  out.reserve(key.size() + (value ? value->size() : 0) + 96);
  MsgWriter w(out);
  w.array(14);
  w.uint(static_cast<uint64_t>(MessageType::kReply));
  w.bin(key);
  w.uint(static_cast<uint64_t>(request));
  paxos::write(w, ballot);
  w.uint(static_cast<uint64_t>(verdict));
  w.uint(generation);
  paxos::write(w, promised);
  paxos::write(w, accepted);
  write(w, value);
  return out;
}

Result<Reply> Reply::decode(std::string_view bytes) {
  MsgReader r(bytes);
  if (r.array() != 14 || r.uint() != static_cast<uint64_t>(MessageType::kReply)) r.fail();
  Reply m;
  m.key = read_key(r);
  m.request = read_request_type(r);
  m.ballot = read_ballot(r);
  uint64_t verdict = r.uint();
  if (verdict > static_cast<uint64_t>(Verdict::kLost)) r.fail();
  m.verdict = static_cast<Verdict>(verdict);
  m.generation = r.uint();
  m.promised = read_ballot(r);
  m.accepted = read_ballot(r);
  m.value = read_value(r);
  if (!consistent(m)) r.fail();
  return finished(r, std::move(m));
}

}  // namespace cartwheel::node::paxos
