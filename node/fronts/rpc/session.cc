#include "node/fronts/rpc/session.h"

#include <utility>

#include "base/limits.h"
#include "node/fronts/documents.h"
#include "node/fronts/rpc/reply.h"

namespace cartwheel::node {

namespace {

constexpr size_t kReplyBytes = limits::kFrameBytes - 16;  // leaves room for the header of the frame
constexpr size_t kScratchBytes = 64 * 1024;               // more is given back: a connection may stay idle for days

}  // namespace

// The way back from the backend: small and trivially copyable, so that a callback holds it without an allocation.
struct RpcSession::Return {
  RpcLink* link;
  uint32_t generation;
  uint32_t slot;

  RpcSession* session() const { return link->generation == generation ? link->session : nullptr; }
};

RpcSession::RpcSession(RpcBackend& backend, OnReply on_reply)
    : backend_(backend), link_(backend.acquire_link(this)), on_reply_(std::move(on_reply)) {}

RpcSession::~RpcSession() {
  backend_.release_link(link_);
}

bool RpcSession::paused() const {
  return in_flight_ >= limits::kConnectionInFlight || in_flight_bytes_ >= limits::kRequestBytes;
}

void RpcSession::receive(std::string_view payload) {
  if (closing_) return;
  RpcCall call;
  const Status status = decode_call(payload, backend_.cluster(), backend_.now(), backend_.request_timeout(), call);
  if (!call.id) {
    closing_ = true;
    close_reason_ = status.message();
    return;
  }
  if (!status.ok()) return answer(*call.id, status, {});
  if (call.kind == RpcCall::Kind::kPing) return answer(*call.id, {}, {});
  if (call.kind == RpcCall::Kind::kTopology) return answer_raw(*call.id, topology_msgpack(backend_.cluster()));
  if (call.kind == RpcCall::Kind::kWatch) {
    watch_ = *call.id;
    return on_config();
  }
  if (in_flight_ >= limits::kConnectionInFlight) {
    return answer(*call.id,
                  {Code::kOverloaded, "more than " + std::to_string(limits::kConnectionInFlight) +
                                          " requests without an answer on one connection"},
                  {});
  }
  const Return back{link_, link_->generation, take_slot(*call.id, payload.size())};
  if (call.kind == RpcCall::Kind::kStatus) {
    backend_.metrics([back](const Metrics& metrics) {
      RpcSession* session = back.session();
      if (session == nullptr) return;
      session->answer_raw(session->free_slot(back.slot).id, status_msgpack(metrics));
    });
    return;
  }
  if (call.kind == RpcCall::Kind::kAdmin) {
    backend_.admin(call.document, [back](const Status& outcome, const std::string& document) {
      RpcSession* session = back.session();
      if (session == nullptr) return;
      const uint64_t id = session->free_slot(back.slot).id;
      if (outcome.ok())
        session->answer_raw(id, document);
      else
        session->answer(id, outcome, {});
    });
    return;
  }
  slots_[back.slot].token = std::move(call.token);
  slots_[back.slot].want_fallbacks = call.want_fallbacks;
  backend_.submit(std::move(call.request), [back](const Reply& reply) {
    RpcSession* session = back.session();
    if (session == nullptr) return;
    session->answer_operation(session->free_slot(back.slot), reply);
  });
}

void RpcSession::on_config() {
  if (watch_ && !closing_) answer_raw(*watch_, topology_msgpack(backend_.cluster()));
}

uint32_t RpcSession::take_slot(uint64_t id, size_t bytes) {
  ++in_flight_;
  in_flight_bytes_ += bytes;
  if (free_slots_.empty()) {
    free_slots_.push_back(static_cast<uint32_t>(slots_.size()));
    slots_.emplace_back();
  }
  const uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  slots_[slot] = {id, bytes, nullptr, false};
  return slot;
}

RpcSession::Slot RpcSession::free_slot(uint32_t slot) {
  --in_flight_;
  in_flight_bytes_ -= slots_[slot].bytes;
  free_slots_.push_back(slot);
  return std::move(slots_[slot]);
}

void RpcSession::answer_operation(const Slot& slot, const Reply& reply) {
  RpcReplyMore more;
  if (slot.token && reply.status.ok()) {
    if (reply.seen) slot.token->add(*reply.seen);
    more.token = slot.token->text(backend_.cluster().name);
    more.stale = reply.seen && reply.seen->stale;
  }
  if (slot.want_fallbacks) more.fallbacks = reply.fallbacks;
  answer(slot.id, reply.status, reply.value, more);
}

void RpcSession::answer(uint64_t id, const Status& status, const Value& value, const RpcReplyMore& more) {
  scratch_.clear();
  encode_reply(id, status, value, scratch_, more);
  if (scratch_.size() > kReplyBytes) {
    const size_t bytes = scratch_.size();
    scratch_.clear();
    encode_reply(id,
                 {Code::kTooLarge, "the reply has " + std::to_string(bytes) + " bytes, the limit is " +
                                       std::to_string(kReplyBytes) + "; scan instead"},
                 {}, scratch_);
  }
  send();
}

void RpcSession::answer_raw(uint64_t id, std::string_view value) {
  scratch_.clear();
  encode_raw_reply(id, value, scratch_);
  send();
}

void RpcSession::send() {
  on_reply_(scratch_);
  if (scratch_.capacity() > kScratchBytes) std::string().swap(scratch_);
}

}  // namespace cartwheel::node
