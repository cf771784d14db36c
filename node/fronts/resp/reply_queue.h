// ReplyQueue: the replies of one connection that cannot be written yet, in the order of their commands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "node/core/operation.h"
#include "node/fronts/resp/writer.h"

namespace cartwheel::resp {

// Writes the reply of a command from the answers to its operations, all of them ok. `extra` is what it has to know of
// the arguments.
using Finish = void (*)(RespWriter& out, std::span<node::Reply> replies, int64_t extra);

// A walk over the arcs of a keyspace that goes on until it has found enough.
struct ScanWalk {
  node::Request next;  // but for the cursor
  node::Value found;   // a list
  uint32_t steps = 0;
};

struct PendingReply {
  uint32_t first = 0;       // number of the first of its operations, of the next command's if it has none
  uint32_t operations = 0;  // how many it has
  uint32_t waiting = 0;     // of them without an answer
  int protocol = 2;
  bool hash_number = false;        // words an error about a number as one about a hash field
  bool wrong_type_is_nil = false;  // an operation on a key of another type counts as one on a missing key
  Finish finish = nullptr;
  int64_t extra = 0;
  std::vector<node::Reply> replies;  // if it has more than one operation
  std::unique_ptr<ScanWalk> walk;
  std::string bytes;  // the reply, when waiting == 0
};

// A ring that grows to the longest the queue has been and is then reused, so that a busy connection does not allocate
// for each reply.
class ReplyQueue {
 public:
  bool empty() const { return count_ == 0; }
  size_t size() const { return count_; }
  uint32_t waiting_operations() const { return waiting_; }
  size_t held_bytes() const { return bytes_; }

  PendingReply& front() { return at(0); }
  void push(PendingReply reply);
  void pop();
  void clear();
  // The reply that operation number `operation` belongs to. REQUIRES: there is one that waits for it.
  PendingReply& of(uint32_t operation);
  // Accounts for an answer to an operation of a reply in the queue, and for the bytes of a reply that is finished.
  void answered() { --waiting_; }
  void finished(const PendingReply& reply) { bytes_ += reply.bytes.size(); }

 private:
  PendingReply& at(size_t i) { return ring_[(head_ + i) & (ring_.size() - 1)]; }

  std::vector<PendingReply> ring_;  // its size is 0 or a power of two
  size_t head_ = 0;
  size_t count_ = 0;
  uint32_t waiting_ = 0;
  size_t bytes_ = 0;
};

}  // namespace cartwheel::resp
