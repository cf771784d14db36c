// BatchWindow: frames to a node of another region, held until they are worth sending. An edit's delta is smaller than
// the packet that carries it, and compresses better in company. Sans-IO: times come in.
//
//   add() …  →  due(now)?  →  take()
//
// Due is what is held once the window since its first frame has passed, or as soon as it is `bytes` large, or when
// somebody waits for one of its messages. So it is bounded: below `bytes` plus one message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace cartwheel::node {

class BatchWindow {
 public:
  struct Limits {
    Duration window = Duration::millis(5);  // 0: until the end of the turn
    size_t bytes = 64 * 1024;
  };
  explicit BatchWindow(Limits limits) : limits_(limits) {}

  // Adds one frame of kind kStripeMessage. `awaited`: a request waits for it, so that what is held is due at once.
  // REQUIRES: as append_frame.
  void add(uint8_t stripe, std::string_view message, bool awaited, Instant now);
  bool due(Instant now) const { return messages_ > 0 && deadline_ <= now; }
  // So large that it need not wait for the end of the turn either.
  bool full() const { return held_.size() >= limits_.bytes; }
  // When it will be due, if nothing is added. None while nothing is held.
  std::optional<Instant> deadline() const;
  // All that is held, as frames. Nothing is held afterwards.
  std::string take();

  size_t bytes() const { return held_.size(); }
  uint64_t messages() const { return messages_; }

 private:
  Limits limits_;
  std::string held_;
  uint64_t messages_ = 0;
  Instant deadline_;  // while messages_ > 0
};

}  // namespace cartwheel::node
