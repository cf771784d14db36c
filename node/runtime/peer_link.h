// PeerLink: a shard's outgoing connection to one other node, carrying the messages of this shard's stripes. What the
// other node has to say comes on its own connections.
//
//   idle ──(backoff over)→ resolving → connecting → greeting (hello sent) → up → idle …
//
// Whatever goes wrong leads to idle and, after a jittered backoff of 50 ms to 1 s, to another try. Messages while the
// link is not up, or beyond limits::kPeerOutputBytes of unsent ones, are dropped and counted: the protocol repairs
// losses. Only shard 0 logs, and only changes. Thread: the shard's.
//
// To a node of another region stripe messages are held as BatchWindow says, and compressed if the peer reads batches.
// What the control has to say is neither held nor compressed.
#pragma once

#include <uv.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "node/runtime/batch_codec.h"
#include "node/runtime/batch_window.h"
#include "node/runtime/metrics.h"
#include "node/runtime/shard.h"

namespace cartwheel::node {

class PeerLink {
 public:
  PeerLink(Shard& shard, NodeIndex peer);
  ~PeerLink();  // REQUIRES: close() was called and its handles are closed
  PeerLink(const PeerLink&) = delete;
  PeerLink& operator=(const PeerLink&) = delete;

  void begin();
  // The peer has just connected to this node, so it is there: a connection that waits for its next try is tried now.
  void hurry();
  // An address where the peer may be found, beside that of the configuration.
  void try_also(const Address& address);
  void close();
  void send(uint8_t stripe, std::string_view message);
  // Gives what is held to the connection, whether it is due or not: nothing more will come.
  void release();
  bool up() const { return up_; }
  // Adds this link's numbers.
  void add_to(PeerMetrics& metrics) const;

 private:
  class Stream;
  const Address& next_address();
  void try_connect();
  void connect_to(const sockaddr* address);
  void lost(const std::string& reason);
  void greeted(const Hello& hello);
  void arm(int64_t delay_ms);
  void end_turn();
  void arm_window(Instant deadline);
  size_t unsent() const;

  Shard& shard_;
  const NodeIndex peer_;
  uv_timer_t timer_{};  // backoff, or the limit for connecting and greeting
  uv_getaddrinfo_t resolve_{};
  Stream* stream_ = nullptr;
  bool resolving_ = false;
  bool up_ = false;
  bool closed_ = false;
  int failures_ = 0;  // since the link was last up
  Address also_;
  uint32_t tries_ = 0;
  std::string last_reason_;
  uint64_t sent_ = 0, dropped_ = 0;
  // Of a link to another region, while it is up.
  std::optional<BatchWindow> held_;
  std::unique_ptr<BatchWriter> writer_;  // if what is held is to be compressed
  uv_timer_t window_{};                  // until what is held is due
  RegionMetrics region_;                 // since the start
};

}  // namespace cartwheel::node
