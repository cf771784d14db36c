// RespSession: one connection of a Redis client, without the socket. Bytes go in by receive(), replies come out by
// take_output(), in the order of the commands although their operations finish in any order.
//
// What the runtime does: give it what it reads; write take_output() after each receive(), and when on_output says so;
// not read while paused(), and call resume(), which may bring more output, when the peer has taken it; close when
// want_close() and the output is written. A session may be destroyed at any time except from within its own callbacks
// and its backend's submit(): answers that come later find nobody and are dropped.
//
// Invariants:
//   1. Each command gets exactly one reply, in order, in the protocol (RESP2 or RESP3) that was in force when it came.
//   2. Operations are submitted in the order of commands, so a later one never overtakes an earlier one on the same
//      key. While the connection tracks a session, a command begins when those before it are answered: its operations
//      demand what all of them wrote and read.
//   3. Memory is bounded: unanswered operations by kConnectionInFlight and one command, unread replies by
//      kConnectionOutputBytes (beyond it the connection is given up), input by one request and what one read brings.
// One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "node/fronts/resp/backend.h"
#include "node/fronts/resp/parser.h"
#include "node/fronts/resp/reply_queue.h"

namespace cartwheel::resp {

struct Command;

// Output beyond which no more commands are carried out until the peer has taken some of it.
inline constexpr size_t kOutputPauseBytes = 1024 * 1024;

// What the commands on the connection itself (CLIENT, HELLO, SELECT) read and change.
struct ConnectionState {
  uint64_t id = 0;
  std::string peer, local;  // "address:port"
  std::string name, library_name, library_version;
  int protocol = 2;
  int64_t database = 0;
  int keyspace = -1;  // index in ClusterConfig::keyspaces of `database`; -1 when no keyspace has that number
  const Command* last_command = nullptr;
  Instant connected, last_received;
};

// Of a connection that has asked for its session token, or set one.
struct TrackedSession {
  node::SessionToken token;
  node::SessionPolicy policy = node::SessionPolicy::kWait;
  Duration patience{};  // as SessionDemand has it
  uint64_t stale = 0;   // operations that were answered although the token was not covered
};

class RespSession {
 public:
  // REQUIRES: the backend outlives the session and the answers to its operations.
  RespSession(Backend& backend, uint64_t id, std::string peer, std::string local);
  ~RespSession();
  RespSession(const RespSession&) = delete;
  RespSession& operator=(const RespSession&) = delete;

  // Called when there is output to take (or want_close() became true) outside of receive() and resume().
  void set_on_output(std::function<void()> on_output) { on_output_ = std::move(on_output); }

  // Takes bytes from the peer and carries out what they complete. Bytes after want_close() are ignored.
  void receive(std::string_view bytes);
  // Goes on with commands that were left when the session was paused.
  void resume();
  // The replies that are due, and forgets them. The second form swaps them for a string whose room is reused.
  std::string take_output() { return std::exchange(output_, {}); }
  void swap_output(std::string& other) {
    other.clear();
    output_.swap(other);
  }
  bool has_output() const { return !output_.empty(); }
  // Nothing that was received waits for an answer.
  bool idle() const { return replies_.empty(); }

  // The last reply is in the output (or was taken): close once it is written.
  bool want_close() const { return closing_ && replies_.empty(); }
  bool paused() const;

  uint64_t commands() const { return commands_; }
  // The line of CLIENT LIST, without the line break.
  std::string describe() const;

  // For the commands (node/fronts/resp/call.h).
  ConnectionState& state() { return state_; }
  Backend& backend() { return backend_; }
  void close_after_reply() { closing_ = true; }
  void expect(size_t operations, Finish finish, int64_t extra);
  void submit(node::Operation operation);
  void scan(node::Operation operation, Finish finish);
  TrackedSession* tracked() { return tracked_.get(); }  // nullptr: nothing is tracked
  void track(TrackedSession session) { tracked_ = std::make_unique<TrackedSession>(std::move(session)); }
  // How many operations met their level by the help of fallbacks since the last call.
  uint64_t take_by_fallbacks() { return std::exchange(by_fallbacks_, 0); }
  void track_nothing() { tracked_.reset(); }

 private:
  struct Return;

  void process();
  void execute(std::span<const std::string_view> arguments);
  void send(node::Request request, uint32_t operation);
  void on_reply(uint32_t operation, node::Reply reply);
  bool scan_further(PendingReply& pending, node::Reply& reply, uint32_t operation);
  void complete(PendingReply& pending, std::span<node::Reply> replies);
  void conclude_current();
  void flush();
  void give_up();
  std::string* target(PendingReply& pending);

  Backend& backend_;
  SessionHandle* handle_;
  ConnectionState state_;
  std::unique_ptr<TrackedSession> tracked_;
  uint64_t by_fallbacks_ = 0;
  RespParser parser_;
  ReplyQueue replies_;    // of commands before current_ that wait for operations, or behind one that does
  PendingReply current_;  // of the command that is being executed
  bool executing_ = false;
  bool processing_ = false;
  bool closing_ = false;
  bool given_up_ = false;
  uint32_t next_operation_ = 0;  // wraps; far fewer than 2^31 are ever under way
  uint64_t commands_ = 0;
  std::string output_;
  std::function<void()> on_output_;
};

}  // namespace cartwheel::resp
