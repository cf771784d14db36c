// Keys of any type: existence, expiry, and walks over the keyspace.
#include <algorithm>

#include "node/fronts/resp/call.h"
#include "node/fronts/resp/commands.h"
#include "node/fronts/resp/errors.h"

namespace cartwheel::resp {

using node::Expiry;
using node::Operation;
using node::Reply;
using node::Verb;

namespace {

template <Verb kVerb>
void each_key(Call& call) {
  for (std::string_view key : call.arguments.subspan(1)) {
    if (!key_fits(call, key)) return;
  }
  call.expect(call.size() - 1, finish_sum);
  for (std::string_view key : call.arguments.subspan(1)) call.submit_part(operation(kVerb, key));
}

void finish_type(RespWriter& out, std::span<Reply> replies, int64_t) {
  out.simple(replies[0].value.bytes);
}

void type(Call& call) {
  if (key_fits(call, call[1])) call.submit(operation(Verb::kType, call[1]), finish_type);
}

int64_t rounded_seconds(int64_t ms) {
  return (ms + 500) / 1000;
}

// What is left to live; -1 and -2 (no expiry, no key) pass through.
void finish_ttl(RespWriter& out, std::span<Reply> replies, int64_t) {
  int64_t ms = replies[0].value.integer;
  out.integer(ms < 0 ? ms : rounded_seconds(ms));
}

// The same as a point in time. `now` is when the command came, so the result may be off by the time that the operation
// took to get where the key is.
void finish_time_ms(RespWriter& out, std::span<Reply> replies, int64_t now) {
  int64_t ms = replies[0].value.integer;
  out.integer(ms < 0 ? ms : now + ms);
}
void finish_time(RespWriter& out, std::span<Reply> replies, int64_t now) {
  int64_t ms = replies[0].value.integer;
  out.integer(ms < 0 ? ms : rounded_seconds(now + ms));
}

template <Finish kFinish>
void ttl(Call& call) {
  if (!key_fits(call, call[1])) return;
  call.submit(operation(Verb::kTtl, call[1]), kFinish, call.session.backend().now().wall.ms);
}

// EXPIRE's NX, XX, GT and LT: checked as Redis checks them, then refused.
bool without_conditions(Call& call) {
  bool nx = false, others = false, gt = false, lt = false;
  for (std::string_view option : call.arguments.subspan(3)) {
    bool is_nx = equals_ignoring_case(option, "nx"), is_gt = equals_ignoring_case(option, "gt");
    bool is_lt = equals_ignoring_case(option, "lt");
    if (!is_nx && !is_gt && !is_lt && !equals_ignoring_case(option, "xx")) {
      call.error("ERR Unsupported option " + std::string(option.substr(0, 512)));
      return false;
    }
    nx |= is_nx;
    gt |= is_gt;
    lt |= is_lt;
    others |= !is_nx;
  }
  if (nx && others) {
    call.error("ERR NX and XX, GT or LT options at the same time are not compatible");
  } else if (gt && lt) {
    call.error("ERR GT and LT options at the same time are not compatible");
  } else if (call.size() > 3) {
    call.error("ERR " + upper(call.command.name) + " with the option " + upper(call[3]) +
               " is refused: this keyspace is eventual: another region could change the expiry between the check and "
               "the change. Concurrent expiries of a key merge to the longest");
  } else {
    return true;
  }
  return false;
}

template <TimeUnit kUnit, TimeBase kBase>
void expire(Call& call) {
  Operation op = operation(Verb::kExpire, call[1]);
  op.expiry.kind = Expiry::Kind::kAt;
  if (!without_conditions(call) || !read_deadline(call, call[2], kUnit, kBase, op.expiry.at)) return;
  if (key_fits(call, call[1])) call.submit(std::move(op), finish_integer);
}

void persist(Call& call) {
  if (!key_fits(call, call[1])) return;
  Operation op = operation(Verb::kExpire, call[1]);
  op.expiry.kind = Expiry::Kind::kNone;
  call.submit(std::move(op), finish_integer);
}

void scan(Call& call) {
  Operation op;
  op.verb = Verb::kScanKeys;
  if (read_scan(call, 1, op)) call.session.scan(std::move(op), finish_scan);
}

void dbsize(Call& call) {
  uint32_t arcs = call.session.backend().cluster().partitions;
  call.expect(arcs, finish_sum);
  for (uint32_t arc = 0; arc < arcs; ++arc) {
    Operation op;
    op.verb = Verb::kCountKeys;
    op.number = arc;
    call.submit_part(std::move(op));
  }
}

using C = Command;

constexpr std::string_view kExpiryMeaning = "The longest of concurrent expiries wins. NX, XX, GT and LT are refused.";

const Command kCommands[] = {
    {"del", -2, C::kWrite, 1, -1, 1, each_key<Verb::kDelete>, "key [key ...]", "Deletes keys.",
     "Deletes what the read level finds: what another region writes at the same time stays. Each key for itself."},
    {"unlink", -2, C::kWrite | C::kFast, 1, -1, 1, each_key<Verb::kDelete>, "key [key ...]", "Deletes keys.",
     "As DEL."},
    {"exists", -2, C::kReadOnly | C::kFast, 1, -1, 1, each_key<Verb::kExists>, "key [key ...]",
     "Returns how many of the keys are there.", ""},
    {"touch", -2, C::kReadOnly | C::kFast, 1, -1, 1, each_key<Verb::kExists>, "key [key ...]",
     "Returns how many of the keys are there.", "As EXISTS: no key is evicted, so there is no age to renew."},
    {"type", 2, C::kReadOnly | C::kFast, 1, 1, 1, type, "key", "Returns the type of a key.",
     "`none`, `string`, `hash`, `set`, or `flag`, which only the RPC door writes."},
    {"expire", -3, C::kWrite | C::kFast, 1, 1, 1, expire<TimeUnit::kSeconds, TimeBase::kNow>, "key seconds",
     "Sets the time to live.", kExpiryMeaning},
    {"pexpire", -3, C::kWrite | C::kFast, 1, 1, 1, expire<TimeUnit::kMilliseconds, TimeBase::kNow>, "key ms",
     "Sets the time to live.", "As EXPIRE."},
    {"expireat", -3, C::kWrite | C::kFast, 1, 1, 1, expire<TimeUnit::kSeconds, TimeBase::kEpoch>, "key unix-seconds",
     "Sets the time of expiry.", "As EXPIRE."},
    {"pexpireat", -3, C::kWrite | C::kFast, 1, 1, 1, expire<TimeUnit::kMilliseconds, TimeBase::kEpoch>, "key unix-ms",
     "Sets the time of expiry.", "As EXPIRE."},
    {"persist", 2, C::kWrite | C::kFast, 1, 1, 1, persist, "key", "Removes the expiry.",
     "Wins over a concurrent EXPIRE."},
    {"ttl", 2, C::kReadOnly | C::kFast, 1, 1, 1, ttl<finish_ttl>, "key", "Returns the seconds left to live.", ""},
    {"pttl", 2, C::kReadOnly | C::kFast, 1, 1, 1, ttl<finish_integer>, "key", "Returns the milliseconds left to live.",
     ""},
    {"expiretime", 2, C::kReadOnly | C::kFast, 1, 1, 1, ttl<finish_time>, "key", "Returns the time of expiry.",
     "Off by up to the time that the request travels."},
    {"pexpiretime", 2, C::kReadOnly | C::kFast, 1, 1, 1, ttl<finish_time_ms>, "key",
     "Returns the time of expiry in milliseconds.", "As EXPIRETIME."},
    {"scan", -2, C::kReadOnly, 0, 0, 0, scan, "cursor [MATCH pattern] [COUNT count] [TYPE type]",
     "Walks over the keys of the keyspace, in all the cluster.",
     "A key that is there from start to end of the walk is returned."},
    {"dbsize", 1, C::kReadOnly | C::kFast, 0, 0, 0, dbsize, "", "Returns the number of keys of the keyspace.",
     "A sum over the arcs, each as its replica sees it."},
};

}  // namespace

std::span<const Command> key_commands() {
  return kCommands;
}

}  // namespace cartwheel::resp
