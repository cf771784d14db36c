#include "node/core/paxos/acceptor.h"

#include <algorithm>

#include "base/limits.h"
#include "base/planted.h"

namespace cartwheel::node::paxos {

namespace {
constexpr uint8_t kFormat = 1;
constexpr uint8_t kLostFlag = 1, kValueFlag = 2;
}  // namespace

Acceptor Acceptor::fresh(uint64_t generation) {
  Acceptor a;
  a.generation_ = generation;
  return a;
}

Acceptor Acceptor::lost() {
  Acceptor a;
  a.lost_ = !planted(Bug::kPaxosAmnesiacVotes);
  return a;
}

// row = format:u8 flags:u8 generation:varint promised accepted [ value:bytes ]
std::string Acceptor::encode() const {
  std::string row;
  row.reserve(64 + (value_ ? value_->size() : 0));
  Encoder out(row);
  out.u8(kFormat);
  out.u8(static_cast<uint8_t>((lost_ ? kLostFlag : 0) | (value_ ? kValueFlag : 0)));
  out.varint(generation_);
  paxos::encode(out, promised_);
  paxos::encode(out, accepted_);
  if (value_) out.bytes(*value_);
  return row;
}

Result<Acceptor> Acceptor::decode(std::string_view row) {
  Decoder in(row);
  if (in.u8() != kFormat) in.fail();
  uint8_t flags = in.u8();
  Acceptor a;
  a.lost_ = flags & kLostFlag;
  a.generation_ = in.varint();
  a.promised_ = decode_ballot(in);
  a.accepted_ = decode_ballot(in);
  if (flags & kValueFlag) {
    std::string_view value = in.bytes();
    if (value.size() > limits::kPaxosValueBytes) in.fail();
    a.value_ = value;
  }
  if (flags > (kLostFlag | kValueFlag) || a.promised_ < a.accepted_ || (a.accepted_.zero() && a.value_)) in.fail();
  if (a.lost_ && (a.generation_ != 0 || !a.promised_.zero())) in.fail();
  if (!in.done()) return Status::Corruption("an acceptor's row does not decode");
  return a;
}

Acceptor::Answer Acceptor::on_request(Request request) {
  Reply reply;
  reply.key = std::move(request.key);
  reply.request = request.type;
  reply.ballot = request.ballot;
  if (lost_) {
    reply.verdict = Reply::Verdict::kLost;
  } else if (request.generation < generation_ && !planted(Bug::kPaxosNoFence)) {
    reply.verdict = Reply::Verdict::kOldGeneration;
  } else {
    if (request.generation > generation_) {
      generation_ = request.generation;
      ++version_;
    }
    if (request.type == MessageType::kPrepare) reply.verdict = on_prepare(request.ballot);
    if (request.type == MessageType::kAccept) reply.verdict = on_accept(request);
    if (reply.verdict == Reply::Verdict::kConflict) {
      reply.promised = promised_;
    } else if (request.type != MessageType::kAccept) {
      reply.accepted = accepted_;
      reply.value = value_;
    }
  }
  reply.generation = generation_;
  return {std::move(reply), planted(Bug::kPaxosReplyBeforeSync) ? 0 : version_};
}

Reply::Verdict Acceptor::on_prepare(const Ballot& ballot) {
  if (ballot < promised_) return Reply::Verdict::kConflict;
  if (ballot > promised_ && !planted(Bug::kPaxosForgottenPromise)) {
    promised_ = ballot;
    ++version_;
  }
  return Reply::Verdict::kYes;
}

Reply::Verdict Acceptor::on_accept(Request& request) {
  // Twice the same: what it did the first time, if nothing came between.
  if (request.ballot == accepted_ && promised_ == std::max(request.ballot, request.next)) return Reply::Verdict::kYes;
  if (request.ballot < promised_) return Reply::Verdict::kConflict;
  accepted_ = request.ballot;
  promised_ = std::max(request.ballot, request.next);
  value_ = std::move(request.value);
  ++version_;
  return Reply::Verdict::kYes;
}

void Acceptor::install(uint64_t generation, const Ballot& accepted, Value value) {
  if (!lost_) return;
  lost_ = false;
  generation_ = std::max(generation_, generation);
  promised_ = accepted_ = accepted;
  value_ = std::move(value);
  ++version_;
}

}  // namespace cartwheel::node::paxos
