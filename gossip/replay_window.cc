#include "gossip/replay_window.h"

#include "base/planted.h"

namespace cartwheel::gossip {

bool ReplayWindow::take(uint32_t boot, uint64_t number) {
  if (planted(Bug::kReplayTaken)) return true;
  if (!started_ || boot > boot_) {
    started_ = true;
    boot_ = boot;
    highest_ = number;
    seen_.fill(0);
  } else if (boot < boot_) {
    return false;
  } else if (number > highest_) {
    // The slots that the window moves over hold bits of numbers that are a whole window older.
    uint64_t steps = number - highest_;
    if (steps >= limits::kReplayWindow) seen_.fill(0);
    for (uint64_t i = 1; i <= steps && steps < limits::kReplayWindow; ++i) {
      uint64_t bit = (highest_ + i) % limits::kReplayWindow;
      seen_[bit / 64] &= ~(uint64_t{1} << (bit % 64));
    }
    highest_ = number;
  } else if (highest_ - number >= limits::kReplayWindow) {
    return false;
  }
  uint64_t bit = number % limits::kReplayWindow, mask = uint64_t{1} << (bit % 64);
  if (seen_[bit / 64] & mask) return false;
  seen_[bit / 64] |= mask;
  return true;
}

}  // namespace cartwheel::gossip
