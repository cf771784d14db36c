// SpscRing: a bounded queue from one thread to one other, without locks. A full ring refuses; it never grows.
//
// Threads: try_push by the producer alone, try_pop by the consumer alone, empty() by either (a hint for the producer).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <utility>

namespace cartwheel::node {

template <typename T, size_t kCapacity>
class SpscRing {
  static_assert((kCapacity & (kCapacity - 1)) == 0, "a power of two");

 public:
  // Moves `value` in and returns true, or leaves it as it is and returns false when kCapacity elements wait.
  bool try_push(T&& value) {
    const size_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - cached_head_ == kCapacity) {
      cached_head_ = head_.load(std::memory_order_acquire);
      if (tail - cached_head_ == kCapacity) return false;
    }
    slots_[tail & (kCapacity - 1)] = std::move(value);
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }

  bool try_pop(T& value) {
    const size_t head = head_.load(std::memory_order_relaxed);
    if (head == cached_tail_) {
      cached_tail_ = tail_.load(std::memory_order_acquire);
      if (head == cached_tail_) return false;
    }
    value = std::move(slots_[head & (kCapacity - 1)]);
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

  bool empty() const { return head_.load(std::memory_order_acquire) == tail_.load(std::memory_order_acquire); }

 private:
  // Each side on its own cache line, with its own copy of the other's position: the line is fetched only when that
  // copy says full or empty.
  alignas(64) std::atomic<size_t> head_{0};
  size_t cached_tail_ = 0;
  alignas(64) std::atomic<size_t> tail_{0};
  size_t cached_head_ = 0;
  alignas(64) std::array<T, kCapacity> slots_{};
};

}  // namespace cartwheel::node
