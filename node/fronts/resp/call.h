// Call: one command as its handler sees it. A handler checks the arguments and then does one of two things: it writes
// the reply to `out`, or it announces operations and submits them, whose answers a Finish turns into the reply.
// A handler that finds an argument wrong writes one error and has submitted nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "node/core/operation.h"
#include "node/fronts/resp/session.h"
#include "node/fronts/resp/writer.h"

namespace cartwheel::resp {

struct Command;

struct Call {
  RespSession& session;
  const Command& command;
  std::span<const std::string_view> arguments;  // [0] is the command's name as the client wrote it
  RespWriter& out;

  size_t size() const { return arguments.size(); }
  std::string_view operator[](size_t i) const { return arguments[i]; }
  void error(std::string_view text) { out.error(text); }

  // A command of one operation.
  void submit(node::Operation operation, Finish finish, int64_t extra = 0) {
    session.expect(1, finish, extra);
    session.submit(std::move(operation));
  }
  // A command of several: expect(n) and then n times submit_part().
  void expect(size_t operations, Finish finish, int64_t extra = 0) { session.expect(operations, finish, extra); }
  void submit_part(node::Operation operation) { session.submit(std::move(operation)); }
};

inline node::Operation operation(node::Verb verb, std::string_view key) {
  node::Operation op;
  op.verb = verb;
  op.key = key;
  return op;
}

// --- arguments: false means that the error has been written ----------------------------------------------------------

bool read_integer(Call& call, std::string_view text, int64_t& number);

// Sizes beyond base/limits.h.
bool key_fits(Call& call, std::string_view key);
bool name_fits(Call& call, std::string_view field_or_element);
bool value_fits(Call& call, std::string_view value);

enum class TimeUnit : uint8_t { kSeconds, kMilliseconds };
enum class TimeBase : uint8_t { kNow, kEpoch };  // from now, or since 1970

// The time of SET EX and its kin, which must be positive.
bool read_expiry(Call& call, std::string_view text, TimeUnit unit, TimeBase base, WallTime& at);
// The time of EXPIRE and its kin: one that has passed is fine and means "now".
bool read_deadline(Call& call, std::string_view text, TimeUnit unit, TimeBase base, WallTime& at);

// --- replies ---------------------------------------------------------------------------------------------------------

void finish_integer(RespWriter& out, std::span<node::Reply> replies, int64_t);  // the answer, a number
void finish_sum(RespWriter& out, std::span<node::Reply> replies, int64_t);      // of several numbers
void finish_bulk(RespWriter& out, std::span<node::Reply> replies, int64_t);     // bytes or nil
void finish_ok(RespWriter& out, std::span<node::Reply> replies, int64_t);       // +OK, whatever it is
void finish_array(RespWriter& out, std::span<node::Reply> replies, int64_t);    // a list as an array
void finish_set(RespWriter& out, std::span<node::Reply> replies, int64_t);      // a list as a set
void finish_scan(RespWriter& out, std::span<node::Reply> replies, int64_t);     // a cursor and a list

void write_value(RespWriter& out, const node::Value& value);

// SCAN, HSCAN, SSCAN behind the cursor: MATCH, COUNT and, for SCAN, TYPE.
bool read_scan(Call& call, size_t cursor_argument, node::Operation& operation);

}  // namespace cartwheel::resp
