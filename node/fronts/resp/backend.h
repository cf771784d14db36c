// Backend: what a RESP session needs from the node that it is a door of. The runtime implements it, one per loop
// thread; tests implement it with a model. Everything here is called on, and calls back on, the thread of the session.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "node/core/cluster.h"
#include "node/core/operation.h"

namespace cartwheel::resp {

class RespSession;

// Where the answer to an operation goes. A session may be gone when the answer comes: its handle then has another
// generation (or no session) and the answer is dropped. Handles are reused, never freed, while the backend lives.
struct SessionHandle {
  RespSession* session = nullptr;
  uint32_t generation = 0;
};

class SessionHandles {
 public:
  SessionHandle* acquire(RespSession* session);
  void release(SessionHandle* handle);
  std::vector<RespSession*> sessions() const;

 private:
  std::deque<SessionHandle> handles_;  // a deque: addresses stay
  std::vector<SessionHandle*> free_;
};

// What INFO shows; all of it is for people and clients' checks, nothing depends on it.
struct ServerInfo {
  std::string version;  // of Cartwheel
  std::string cluster, node, region;
  uint16_t port = 0;  // of this door
  uint64_t process_id = 0;
  uint64_t uptime_seconds = 0;
  uint64_t connected_clients = 0;
  uint64_t connections_received = 0;
  uint64_t commands_processed = 0;
  uint64_t used_memory_bytes = 0;
  double cpu_system_seconds = 0, cpu_user_seconds = 0;
  std::vector<std::pair<int, uint64_t>> keys;  // database number → keys that this node holds
};

class Backend {
 public:
  virtual ~Backend() = default;

  // Carries the operation out and calls `done` exactly once, here or later. Operations on the same key take effect in
  // the order of submission, and a session submits in the order of its client's commands: that, and nothing about
  // different keys, is the order that a pipelining client can rely on. Operations on a whole arc are not ordered.
  virtual void submit(node::Request request, node::ReplyCallback done) = 0;

  virtual const node::ClusterConfig& cluster() const = 0;
  virtual Now now() const = 0;  // at least as late as the bytes that are being received
  virtual ServerInfo info() const = 0;
  // How long an operation may take before it is answered with an error.
  virtual Duration request_timeout() const { return Duration::seconds(5); }
  // CLIENT LIST: one line for each connection, as RespSession::describe() has it. This implementation knows the
  // connections of this backend; a runtime with several threads may add the others'.
  virtual std::string client_list() const;

 private:
  friend class RespSession;
  SessionHandles handles_;
};

}  // namespace cartwheel::resp
