// ReplayWindow: which of one sender's numbered packets have been taken. A captured packet that is sent again is
// refused, one that was overtaken on its way is not. As in IPsec (RFC 4303 §3.4.3), over 1024 packets, per life of the
// sender.
//
// What it cannot know: a receiver that has just started takes whatever it sees first. What such a packet can claim is
// bounded by its incarnation, which the push-pull at the start has made old.
#pragma once

#include <array>
#include <cstdint>

#include "gossip/limits.h"

namespace cartwheel::gossip {

class ReplayWindow {
 public:
  // Whether packet `number` of the sender's life `boot` is new; from then on it is not. A later life begins anew, an
  // earlier one is over.
  bool take(uint32_t boot, uint64_t number);

 private:
  static constexpr uint32_t kWords = limits::kReplayWindow / 64;
  static_assert(limits::kReplayWindow % 64 == 0);

  bool started_ = false;
  uint32_t boot_ = 0;
  uint64_t highest_ = 0;
  std::array<uint64_t, kWords> seen_{};  // bit number % kReplayWindow, for the numbers in (highest - window, highest]
};

}  // namespace cartwheel::gossip
