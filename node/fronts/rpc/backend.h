// RpcBackend: what an RPC session needs from the node that it is a door of. The runtime implements it, one per loop
// thread; tests implement it with a model. Everything here is called on, and calls back on, the thread of the session.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "node/core/cluster.h"
#include "node/core/operation.h"
#include "node/runtime/metrics.h"

namespace cartwheel::node {

class RpcSession;

// Where an answer goes. A session may be gone when it comes: its link then has another generation and the answer is
// dropped. Links are reused, never freed, while the backend lives; a pointer and two numbers fit into a callback
// without an allocation, which a shared pointer would not.
struct RpcLink {
  RpcSession* session = nullptr;
  uint32_t generation = 0;
};

class RpcBackend {
 public:
  virtual ~RpcBackend() = default;

  // Carries the operation out and calls `done` exactly once, here or later. Operations on one key take effect in the
  // order of submission.
  virtual void submit(Request request, ReplyCallback done) = 0;
  virtual void metrics(MetricsCallback done) = 0;
  // What operators and joining nodes ask for; `request` is one MessagePack value. `done` gets another one.
  using AdminDone = std::function<void(const Status&, std::string document)>;
  virtual void admin(std::string_view, AdminDone done) {  // NOLINT(performance-unnecessary-value-param)
    done({Code::kUnsupported, "this node has no control plane"}, {});
  }
  virtual const ClusterConfig& cluster() const = 0;
  virtual Now now() const = 0;  // at least as late as the bytes that are being received
  // Of requests that bring no timeout_ms.
  virtual Duration request_timeout() const { return Duration::seconds(5); }

 private:
  friend class RpcSession;
  RpcLink* acquire_link(RpcSession* session) {
    if (free_links_.empty()) free_links_.push_back(&links_.emplace_back());
    RpcLink* link = free_links_.back();
    free_links_.pop_back();
    link->session = session;
    return link;
  }
  void release_link(RpcLink* link) {
    link->session = nullptr;
    ++link->generation;
    free_links_.push_back(link);
  }

  std::deque<RpcLink> links_;  // a deque: addresses stay
  std::vector<RpcLink*> free_links_;
};

}  // namespace cartwheel::node
