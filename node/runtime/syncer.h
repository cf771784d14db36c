// Syncer: the thread on which a shard's engines are synced, so that no fsync stands in the way of a request. Asks of
// one engine that come while it is being synced share the next sync.
//
// Threads: request(), completed() and metrics() by the loop; on_done is called on the sync thread and must only wake
// the loop. A sync that fails ends the process: what the kernel dropped cannot be told from what it kept.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "node/runtime/metrics.h"
#include "storage/engine.h"

namespace cartwheel::node {

class Syncer {
 public:
  // `engines` must outlive this.
  Syncer(const std::vector<storage::Engine*>& engines, std::function<void()> on_done);
  ~Syncer();  // waits for a sync under way; what was asked for and not begun is dropped

  // Returns a ticket: what was written to engine `i` before this call is durable once completed(i) >= ticket.
  uint64_t request(size_t i);
  uint64_t completed(size_t i);
  LatencyHistogram latency();

 private:
  struct Slot {
    storage::Engine* engine;
    uint64_t asked = 0, completed = 0;
  };
  void run();

  std::function<void()> on_done_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Slot> slots_;
  LatencyHistogram latency_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace cartwheel::node
