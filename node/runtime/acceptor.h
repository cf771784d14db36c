// Acceptor: one listening socket on the loop of shard 0. Accepted connections go to the shards in turn: with the few
// connections of a typical client pool that is more even than the kernel's hashing over a socket per shard, and it
// costs one hand-over in the life of a connection.
//
// Thread: shard 0's; bind_to() and port_of() by any.
#pragma once

#include <uv.h>

#include <cstdint>
#include <string>

#include "node/runtime/shard.h"

namespace cartwheel::node {

// A socket bound to `address`, not listening yet. kIo names the address and the reason.
Result<int> bind_to(const Address& address);
// A datagram socket bound to `address`.
Result<int> bind_udp(const Address& address);
// The port of a bound socket.
uint16_t port_of(int fd);

class Acceptor {
 public:
  // Owns the bound socket `fd` from now on.
  Acceptor(Shard& shard, Door door, int fd);
  // REQUIRES: close() was called and the loop has run since, or start() never was.
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  Status start();
  void close();

 private:
  void on_readable();
  void hand_out(int fd);
  void pause();

  Shard& shard_;
  const Door door_;
  int fd_;
  uv_poll_t poll_{};
  uv_timer_t pause_timer_{};
  bool started_ = false;
  size_t next_ = 0;  // shard that gets the next connection
};

}  // namespace cartwheel::node
