// RpcSession: one client connection of the RPC port, without the socket. The runtime has read the hello and cuts the
// frames (node/runtime/frame.h): the payload of each kRequest frame goes in by receive(), the payload of each kReply
// frame comes out by on_reply, as soon as its request is done and so in any order; the id says which it answers.
//
// What the runtime does: not read while paused(); close when want_close() and the output is written. on_reply is called
// from within receive() and from within answers; the payload is valid during the call. A session may be destroyed at
// any time except from within those calls: answers that come later find nobody and are dropped.
//
// Invariants:
//   1. Each request whose id can be read gets exactly one reply, but a "watch", which gets another one whenever the
//      configuration changes, until the next "watch". A payload without a readable id ends the connection.
//   2. Operations are submitted in the order of their requests.
//   3. Memory is bounded: kConnectionInFlight requests are unanswered at most, later ones are answered `overloaded`;
//      paused() also when those unanswered are large.
// One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "node/fronts/rpc/backend.h"
#include "node/fronts/rpc/reply.h"
#include "node/fronts/rpc/request.h"

namespace cartwheel::node {

class RpcSession {
 public:
  using OnReply = std::function<void(std::string_view payload)>;

  // REQUIRES: the backend outlives the session and the answers to its operations.
  RpcSession(RpcBackend& backend, OnReply on_reply);
  ~RpcSession();
  RpcSession(const RpcSession&) = delete;
  RpcSession& operator=(const RpcSession&) = delete;

  // Takes the payload of one request. Ignored after the connection has been given up.
  void receive(std::string_view payload);

  // The backend's cluster() has changed.
  void on_config();

  bool paused() const;
  // Given up, and all that was accepted before is answered.
  bool want_close() const { return closing_ && in_flight_ == 0; }
  const std::string& close_reason() const { return close_reason_; }  // for the log
  size_t in_flight() const { return in_flight_; }

 private:
  struct Slot {
    uint64_t id = 0;
    size_t bytes = 0;
    std::unique_ptr<SessionToken> token;  // of the request, for its reply
    bool want_fallbacks = false;
  };
  struct Return;

  uint32_t take_slot(uint64_t id, size_t bytes);
  Slot free_slot(uint32_t slot);
  void answer_operation(const Slot& slot, const Reply& reply);
  void answer(uint64_t id, const Status& status, const Value& value, const RpcReplyMore& more = {});
  void answer_raw(uint64_t id, std::string_view value);
  void send();

  RpcBackend& backend_;
  RpcLink* link_;
  OnReply on_reply_;
  std::vector<Slot> slots_;  // of requests without an answer, and those in free_slots_
  std::vector<uint32_t> free_slots_;
  size_t in_flight_ = 0;
  size_t in_flight_bytes_ = 0;
  std::optional<uint64_t> watch_;  // the id of the request that wants to know of changes
  bool closing_ = false;
  std::string close_reason_;
  std::string scratch_;  // the reply that is being written
};

}  // namespace cartwheel::node
