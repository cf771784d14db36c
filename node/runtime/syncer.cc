#include "node/runtime/syncer.h"

#include <uv.h>

#include <algorithm>
#include <utility>

#include "node/runtime/log.h"

namespace cartwheel::node {

Syncer::Syncer(const std::vector<storage::Engine*>& engines, std::function<void()> on_done)
    : on_done_(std::move(on_done)) {
  slots_.reserve(engines.size());
  for (storage::Engine* engine : engines) slots_.push_back({engine});
  thread_ = std::thread([this] { run(); });
}

Syncer::~Syncer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

uint64_t Syncer::request(size_t i) {
  uint64_t ticket = 0;
  {
    const std::lock_guard lock(mutex_);
    ticket = ++slots_[i].asked;
  }
  wake_.notify_one();
  return ticket;
}

uint64_t Syncer::completed(size_t i) {
  const std::lock_guard lock(mutex_);
  return slots_[i].completed;
}

LatencyHistogram Syncer::latency() {
  const std::lock_guard lock(mutex_);
  return latency_;
}

void Syncer::run() {
  std::unique_lock lock(mutex_);
  size_t first = 0;  // in turn, so that a busy engine does not keep the others waiting
  while (true) {
    size_t i = 0;
    while (i < slots_.size() &&
           slots_[(first + i) % slots_.size()].asked == slots_[(first + i) % slots_.size()].completed) {
      ++i;
    }
    if (stopping_) return;
    if (i == slots_.size()) {
      wake_.wait(lock);
      continue;
    }
    Slot& slot = slots_[(first + i) % slots_.size()];
    first = (first + i + 1) % slots_.size();
    const uint64_t ticket = slot.asked;
    lock.unlock();
    const uint64_t begin = uv_hrtime();
    const Status status = slot.engine->sync();
    const uint64_t micros = (uv_hrtime() - begin) / 1000;
    if (!status.ok()) logs::fatal("the disk cannot sync", {{"reason", status.to_string()}});
    lock.lock();
    slot.completed = ticket;
    latency_.add(micros);
    on_done_();
  }
}

}  // namespace cartwheel::node
