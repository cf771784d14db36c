// EventQueue: virtual time. What is scheduled runs in the order of (time, order of scheduling), so that one seed is one
// run. Time is microseconds since the world began and moves only when the next event is run.
//
// Threads: none; a world is one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <tuple>
#include <utility>
#include <vector>

#include "base/check.h"

namespace cartwheel::sim {

class EventQueue {
 public:
  using Action = std::function<void()>;

  int64_t now() const { return now_; }
  uint64_t executed() const { return executed_; }
  bool empty() const { return heap_.empty(); }
  // When the next event is due. REQUIRES: !empty().
  int64_t next_time() const { return heap_.front().time; }

  // Runs `action` at `time`, or next if that has passed.
  void at(int64_t time, Action action) {
    heap_.push_back({std::max(time, now_), order_++, std::move(action)});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  void after(int64_t delay, Action action) { at(now_ + delay, std::move(action)); }

  // Runs the next event. REQUIRES: !empty().
  void run_next() {
    CHECK(!heap_.empty());
    std::pop_heap(heap_.begin(), heap_.end(), later);
    Event event = std::move(heap_.back());
    heap_.pop_back();
    now_ = event.time;
    ++executed_;
    event.action();
  }

  // Runs everything that is due up to `time`, and moves there.
  void run_until(int64_t time) {
    while (!heap_.empty() && heap_.front().time <= time) run_next();
    now_ = std::max(now_, time);
  }

 private:
  struct Event {
    int64_t time;
    uint64_t order;
    Action action;
  };
  static bool later(const Event& a, const Event& b) { return std::tie(a.time, a.order) > std::tie(b.time, b.order); }

  int64_t now_ = 0;
  uint64_t order_ = 0;
  uint64_t executed_ = 0;
  std::vector<Event> heap_;
};

}  // namespace cartwheel::sim
