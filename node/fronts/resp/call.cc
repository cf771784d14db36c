#include "node/fronts/resp/call.h"

#include <algorithm>
#include <charconv>

#include "base/limits.h"
#include "crdt/types.h"
#include "node/fronts/resp/commands.h"
#include "node/fronts/resp/errors.h"

namespace cartwheel::resp {

using node::Reply;
using node::Value;

bool read_integer(Call& call, std::string_view text, int64_t& number) {
  auto parsed = crdt::parse_number(text);
  if (!parsed) {
    call.error(kNotAnInteger);
    return false;
  }
  number = *parsed;
  return true;
}

namespace {

bool fits(Call& call, std::string_view what, size_t size, size_t limit) {
  if (size <= limit) return true;
  call.error("ERR " + std::string(what) + " of " + std::to_string(size) + " bytes is too long, the limit is " +
             std::to_string(limit));
  return false;
}

bool invalid_expire(Call& call, std::string_view why = {}) {
  call.error("ERR invalid expire time in '" + std::string(call.command.name) + "' command" + std::string(why));
  return false;
}

// Adds the base and holds the result against the longest time to live.
bool absolute(Call& call, int64_t time, TimeUnit unit, TimeBase base, WallTime& at) {
  int64_t now = call.session.backend().now().wall.ms;
  if (unit == TimeUnit::kSeconds && __builtin_mul_overflow(time, int64_t{1000}, &time)) return invalid_expire(call);
  if (base == TimeBase::kNow && __builtin_add_overflow(time, now, &time)) return invalid_expire(call);
  if (time > now && time - now > limits::kTtlMs) {
    return invalid_expire(call,
                          ": the longest time to live is " + std::to_string(limits::kTtlMs / 86'400'000) + " days");
  }
  at.ms = std::max<int64_t>(time, 0);
  return true;
}

}  // namespace

bool key_fits(Call& call, std::string_view key) {
  return fits(call, "a key", key.size(), limits::kKeyBytes);
}
bool name_fits(Call& call, std::string_view name) {
  return fits(call, "a field or element", name.size(), limits::kNameBytes);
}
bool value_fits(Call& call, std::string_view value) {
  return fits(call, "a value", value.size(), limits::kValueBytes);
}

bool read_expiry(Call& call, std::string_view text, TimeUnit unit, TimeBase base, WallTime& at) {
  int64_t time = 0;
  if (!read_integer(call, text, time)) return false;
  if (time <= 0) return invalid_expire(call);
  return absolute(call, time, unit, base, at);
}

bool read_deadline(Call& call, std::string_view text, TimeUnit unit, TimeBase base, WallTime& at) {
  int64_t time = 0;
  return read_integer(call, text, time) && absolute(call, time, unit, base, at);
}

// --- replies ---------------------------------------------------------------------------------------------------------

void write_value(RespWriter& out, const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNil:
      return out.nil();
    case Value::Kind::kInteger:
      return out.integer(value.integer);
    case Value::Kind::kBytes:
      return out.bulk(value.bytes);
    case Value::Kind::kList:
      out.array(value.list.size());
      for (const Value& v : value.list) write_value(out, v);
  }
}

void finish_integer(RespWriter& out, std::span<Reply> replies, int64_t) {
  out.integer(replies[0].value.integer);
}

void finish_sum(RespWriter& out, std::span<Reply> replies, int64_t) {
  int64_t sum = 0;
  for (const Reply& reply : replies) sum += reply.value.integer;
  out.integer(sum);
}

void finish_bulk(RespWriter& out, std::span<Reply> replies, int64_t) {
  write_value(out, replies[0].value);
}

void finish_ok(RespWriter& out, std::span<Reply>, int64_t) {
  out.ok();
}

void finish_array(RespWriter& out, std::span<Reply> replies, int64_t) {
  write_value(out, replies[0].value);
}

void finish_set(RespWriter& out, std::span<Reply> replies, int64_t) {
  const std::vector<Value>& list = replies[0].value.list;
  out.set(list.size());
  for (const Value& value : list) write_value(out, value);
}

void finish_scan(RespWriter& out, std::span<Reply> replies, int64_t) {
  const std::vector<Value>& list = replies[0].value.list;
  out.array(2);
  if (list.size() != 2) {  // a replica of another version; the client sees an end rather than garbage
    out.bulk("0");
    return out.array(0);
  }
  out.bulk(std::to_string(list[0].integer));
  write_value(out, list[1]);
}

namespace {

bool read_cursor(Call& call, std::string_view text, int64_t& cursor) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), cursor);
  if (error == std::errc() && end == text.data() + text.size() && cursor >= 0) return true;
  call.error("ERR invalid cursor");
  return false;
}

bool syntax_error(Call& call) {
  call.error(kSyntaxError);
  return false;
}

}  // namespace

bool read_scan(Call& call, size_t cursor_argument, node::Operation& op) {
  if (!read_cursor(call, call[cursor_argument], op.number)) return false;
  bool keys = op.verb == node::Verb::kScanKeys;
  if (keys && op.number >= int64_t{1} << 52) {  // a position in the hash space, see operation.h
    call.error("ERR invalid cursor");
    return false;
  }
  op.count = 10;
  op.args.assign(keys ? 2 : 1, "");
  for (size_t i = cursor_argument + 1; i < call.size(); i += 2) {
    if (i + 1 == call.size()) return syntax_error(call);
    if (equals_ignoring_case(call[i], "count")) {
      int64_t count = 0;
      if (!read_integer(call, call[i + 1], count)) return false;
      if (count < 1) return syntax_error(call);
      op.count = static_cast<uint32_t>(std::min<int64_t>(count, limits::kRequestArguments));
    } else if (equals_ignoring_case(call[i], "match")) {
      if (!name_fits(call, call[i + 1])) return false;
      op.args[0] = call[i + 1] == "*" ? std::string_view() : call[i + 1];
    } else if (keys && equals_ignoring_case(call[i], "type")) {
      // An unknown type matches nothing, as in Redis; it is cut because it is only compared.
      op.args[1] = lower(call[i + 1].substr(0, 32));
      if (op.args[1].empty()) op.args[1] = "none";
    } else {
      return syntax_error(call);
    }
  }
  return true;
}

}  // namespace cartwheel::resp
