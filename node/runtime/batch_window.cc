#include "node/runtime/batch_window.h"

#include <algorithm>
#include <utility>

#include "node/runtime/frame.h"

namespace cartwheel::node {

void BatchWindow::add(uint8_t stripe, std::string_view message, bool awaited, Instant now) {
  if (messages_ == 0) deadline_ = now + limits_.window;
  append_frame(held_, FrameKind::kStripeMessage, stripe, message);
  ++messages_;
  if (awaited || full()) deadline_ = std::min(deadline_, now);
}

std::optional<Instant> BatchWindow::deadline() const {
  if (messages_ == 0) return std::nullopt;
  return deadline_;
}

std::string BatchWindow::take() {
  messages_ = 0;
  return std::exchange(held_, std::string());
}

}  // namespace cartwheel::node
