// One connection of the load tool: sends encoded operations with at most one write per loop turn, matches replies to
// the operations that wait for them, and says when it is lost. What to send and what it means is the owner's business.
//
// Threads: that of its loop. Lifetime: the handle lives until its close callback; destroy only in state kClosed.
#pragma once

#include <uv.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "client/bench/protocol.h"

namespace cartwheel::bench {

class Connection;

struct InFlight {
  uint64_t begun_ns = 0;  // uv_hrtime() at which it was sent, or was due in an open loop
  Operation operation;
  unsigned replies_left = 0;  // 0: complete
};

// The callbacks may call enqueue(), flush() and close() of the connection that they concern.
class ConnectionOwner {
 public:
  virtual ~ConnectionOwner() = default;
  virtual void on_ready(Connection& connection) = 0;
  // Bytes have arrived; their replies are reported next.
  virtual void on_turn_begin() = 0;
  // Every reply, of which `waiting` still expects waiting.replies_left more.
  virtual void on_operation_reply(const InFlight& waiting, const Reply& reply) = 0;
  // All replies that one read brought have been reported.
  virtual void on_turn_end(Connection& connection) = 0;
  // Once per connection that fails or cannot be made; `unanswered` operations got no (or not every) reply.
  virtual void on_lost(Connection& connection, std::string_view why, size_t unanswered) = 0;
};

class Connection final : private ReplySink {
 public:
  enum class State : uint8_t { kClosed, kConnecting, kGreeting, kReady, kClosing };

  // `read_buffer` is shared by all connections of the loop. REQUIRES: capacity > 0.
  Connection(uv_loop_t& loop, const Protocol& protocol, bool capture_strings, size_t capacity,
             std::vector<char>& read_buffer, ConnectionOwner& owner);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // REQUIRES: kClosed. Ends in on_ready or on_lost, never before it returns.
  void connect(const sockaddr& address);
  // Adds an operation to what the next flush() sends. REQUIRES: kReady and room().
  void enqueue(const Operation& operation, uint64_t begun_ns);
  void flush();
  // Quietly: no on_lost.
  void close();

  State state() const { return state_; }
  size_t in_flight() const { return static_cast<size_t>(tail_ - head_); }
  bool room() const { return state_ == State::kReady && in_flight() < ring_.size(); }

  // For the owner: which of its targets this is connected to, and when to try again.
  size_t target = 0;
  uint64_t retry_at_ns = 0;

 private:
  struct Write;

  void on_reply(const Reply& reply) override;
  void on_connected(int status);
  void on_read(ssize_t n, const char* data);
  void on_written(int status);
  void lose(std::string_view why);

  uv_loop_t& loop_;
  const Protocol& protocol_;
  const bool capture_strings_;
  std::vector<char>& read_buffer_;
  ConnectionOwner& owner_;

  State state_ = State::kClosed;
  uv_tcp_t handle_{};
  uv_connect_t connect_{};
  std::unique_ptr<ReplyReader> reader_;
  unsigned greetings_left_ = 0;
  bool writing_ = false;  // the kernel took only a part; the rest is in a Write
  std::string out_;       // encoded and not yet handed to the kernel
  std::string greeting_error_;

  std::vector<InFlight> ring_;  // operation number s is at s % ring_.size()
  uint64_t head_ = 0;           // the oldest operation without all its replies
  uint64_t tail_ = 0;           // the number of the next operation
};

}  // namespace cartwheel::bench
