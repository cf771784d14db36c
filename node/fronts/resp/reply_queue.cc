#include "node/fronts/resp/reply_queue.h"

#include <utility>

#include "base/check.h"

namespace cartwheel::resp {

void ReplyQueue::push(PendingReply reply) {
  if (count_ == ring_.size()) {
    std::vector<PendingReply> larger(ring_.empty() ? 8 : 2 * ring_.size());
    for (size_t i = 0; i < count_; ++i) larger[i] = std::move(at(i));
    ring_ = std::move(larger);
    head_ = 0;
  }
  waiting_ += reply.waiting;
  bytes_ += reply.bytes.size();
  ++count_;
  at(count_ - 1) = std::move(reply);
}

void ReplyQueue::pop() {
  PendingReply& first = front();
  waiting_ -= first.waiting;
  bytes_ -= first.bytes.size();
  first = {};
  head_ = (head_ + 1) & (ring_.size() - 1);
  --count_;
}

void ReplyQueue::clear() {
  while (!empty()) pop();
}

PendingReply& ReplyQueue::of(uint32_t operation) {
  // Numbers rise along the queue and are compared as distances from its front, since they wrap. A reply without
  // operations has the number of the one behind it: the last of equals is the one with the operation.
  CHECK(count_ > 0);
  uint32_t distance = operation - front().first;
  size_t low = 0, high = count_;  // at(low).first <= operation < at(high).first
  while (high - low > 1) {
    size_t middle = (low + high) / 2;
    if (at(middle).first - front().first <= distance) {
      low = middle;
    } else {
      high = middle;
    }
  }
  PendingReply& found = at(low);
  CHECK(operation - found.first < found.operations && found.waiting > 0);
  return found;
}

}  // namespace cartwheel::resp
