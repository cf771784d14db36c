// Strings and counters. One key, one operation; MGET and MSET are as many operations as they have keys.
#include "node/core/operation.h"
#include "node/fronts/resp/call.h"
#include "node/fronts/resp/commands.h"
#include "node/fronts/resp/errors.h"

namespace cartwheel::resp {

using node::Expiry;
using node::Operation;
using node::Reply;
using node::Verb;

namespace {

constexpr std::string_view kSetIfRefused =
    "this keyspace is eventual: another region could set the key at the same moment, and both would be told that they "
    "were the one. Use a strong keyspace for locks and for setting once";

void finish_length(RespWriter& out, std::span<Reply> replies, int64_t) {
  out.integer(static_cast<int64_t>(replies[0].value.bytes.size()));
}

void get(Call& call) {
  if (key_fits(call, call[1])) call.submit(operation(Verb::kGet, call[1]), finish_bulk);
}

void strlen_(Call& call) {
  if (key_fits(call, call[1])) call.submit(operation(Verb::kGet, call[1]), finish_length);
}

void getdel(Call& call) {
  if (key_fits(call, call[1])) call.submit(operation(Verb::kGetDelete, call[1]), finish_bulk);
}

void finish_mget(RespWriter& out, std::span<Reply> replies, int64_t) {
  out.array(replies.size());
  for (const Reply& reply : replies) write_value(out, reply.value);
}

void mget(Call& call) {
  for (std::string_view key : call.arguments.subspan(1)) {
    if (!key_fits(call, key)) return;
  }
  call.expect(call.size() - 1, finish_mget);
  for (std::string_view key : call.arguments.subspan(1)) call.submit_part(operation(Verb::kGet, key));
}

Operation set_operation(std::string_view key, std::string_view value) {
  Operation op = operation(Verb::kSet, key);
  op.args.emplace_back(value);
  op.expiry.kind = Expiry::Kind::kNone;
  return op;
}

void mset(Call& call) {
  if (call.size() % 2 == 0) return call.error(wrong_arity(call.command.name));
  for (size_t i = 1; i < call.size(); i += 2) {
    if (!key_fits(call, call[i]) || !value_fits(call, call[i + 1])) return;
  }
  call.expect(call.size() / 2, finish_ok);
  for (size_t i = 1; i < call.size(); i += 2) call.submit_part(set_operation(call[i], call[i + 1]));
}

// What SET and GETEX may say about time.
struct TimeOption {
  std::string_view name;
  TimeUnit unit;
  TimeBase base;
};
constexpr TimeOption kTimeOptions[] = {
    {"ex", TimeUnit::kSeconds, TimeBase::kNow},
    {"px", TimeUnit::kMilliseconds, TimeBase::kNow},
    {"exat", TimeUnit::kSeconds, TimeBase::kEpoch},
    {"pxat", TimeUnit::kMilliseconds, TimeBase::kEpoch},
};

struct TimeChoice {
  const TimeOption* option = nullptr;
  std::string_view text;
};

// Whether arguments i and i + 1 are a time. One kind is allowed (given twice the last counts, as in Redis), and none
// beside KEEPTTL or PERSIST.
bool takes_time(const Call& call, size_t i, TimeChoice& choice) {
  if (i + 1 >= call.size()) return false;
  for (const TimeOption& option : kTimeOptions) {
    if (!equals_ignoring_case(call[i], option.name)) continue;
    if (choice.option != nullptr && choice.option != &option) return false;
    choice = {&option, call[i + 1]};
    return true;
  }
  return false;
}

bool read_choice(Call& call, const TimeChoice& choice, Expiry& expiry) {
  if (choice.option == nullptr) return true;
  expiry.kind = Expiry::Kind::kAt;
  return read_expiry(call, choice.text, choice.option->unit, choice.option->base, expiry.at);
}

void set(Call& call) {
  Operation op = set_operation(call[1], call[2]);
  TimeChoice time;
  bool nx = false, xx = false;
  for (size_t i = 3; i < call.size(); ++i) {
    bool keep = op.expiry.kind == Expiry::Kind::kKeep;
    if (!xx && equals_ignoring_case(call[i], "nx")) {
      nx = true;
    } else if (!nx && equals_ignoring_case(call[i], "xx")) {
      xx = true;
    } else if (equals_ignoring_case(call[i], "get")) {
      op.want_old = true;
    } else if (time.option == nullptr && equals_ignoring_case(call[i], "keepttl")) {
      op.expiry.kind = Expiry::Kind::kKeep;
    } else if (!keep && takes_time(call, i, time)) {
      ++i;
    } else {
      return call.error(kSyntaxError);
    }
  }
  if (!read_choice(call, time, op.expiry)) return;
  if (nx || xx) {
    return call.error("ERR SET with the option " + std::string(nx ? "NX" : "XX") +
                      " is refused: " + std::string(kSetIfRefused));
  }
  if (!key_fits(call, call[1]) || !value_fits(call, call[2])) return;
  Finish finish = op.want_old ? finish_bulk : finish_ok;
  call.submit(std::move(op), finish);
}

template <TimeUnit kUnit>
void setex(Call& call) {
  Operation op = set_operation(call[1], call[3]);
  op.expiry.kind = Expiry::Kind::kAt;
  if (!read_expiry(call, call[2], kUnit, TimeBase::kNow, op.expiry.at)) return;
  if (!key_fits(call, call[1]) || !value_fits(call, call[3])) return;
  call.submit(std::move(op), finish_ok);
}

void getset(Call& call) {
  if (!key_fits(call, call[1]) || !value_fits(call, call[2])) return;
  Operation op = set_operation(call[1], call[2]);
  op.want_old = true;
  call.submit(std::move(op), finish_bulk);
}

void getex(Call& call) {
  Operation op = operation(Verb::kGetExpire, call[1]);
  TimeChoice time;
  for (size_t i = 2; i < call.size(); ++i) {
    bool persist = op.expiry.kind == Expiry::Kind::kNone;
    if (time.option == nullptr && equals_ignoring_case(call[i], "persist")) {
      op.expiry.kind = Expiry::Kind::kNone;
    } else if (!persist && takes_time(call, i, time)) {
      ++i;
    } else {
      return call.error(kSyntaxError);
    }
  }
  if (!read_choice(call, time, op.expiry) || !key_fits(call, call[1])) return;
  if (op.expiry.kind == Expiry::Kind::kKeep) op.verb = Verb::kGet;
  call.submit(std::move(op), finish_bulk);
}

void increment(Call& call, int64_t amount) {
  if (!key_fits(call, call[1])) return;
  Operation op = operation(Verb::kIncrement, call[1]);
  op.number = amount;
  call.submit(std::move(op), finish_integer);
}

void incr(Call& call) {
  increment(call, 1);
}
void decr(Call& call) {
  increment(call, -1);
}

void incrby(Call& call) {
  int64_t amount = 0;
  if (read_integer(call, call[2], amount)) increment(call, amount);
}

void decrby(Call& call) {
  int64_t amount = 0;
  if (!read_integer(call, call[2], amount)) return;
  if (amount == INT64_MIN) return call.error("ERR decrement would overflow");
  increment(call, -amount);
}

void refuse_setnx(Call& call) {
  call.error("ERR " + upper(call.command.name) + " is refused: " + std::string(kSetIfRefused));
}

using C = Command;

const Command kCommands[] = {
    {"get", 2, C::kReadOnly | C::kFast, 1, 1, 1, get, "key", "Returns the string value of a key.", ""},
    {"set", -3, C::kWrite | C::kDenyOom, 1, 1, 1, set,
     "key value [GET] [EX seconds | PX ms | EXAT seconds | PXAT ms | KEEPTTL]", "Sets a string.",
     "Latest time wins between concurrent SETs; a SET supersedes the increments that it saw. NX and XX are refused: an "
     "eventual keyspace cannot promise to be first."},
    {"setex", 4, C::kWrite | C::kDenyOom, 1, 1, 1, setex<TimeUnit::kSeconds>, "key seconds value",
     "Sets a string that expires.", "As SET EX."},
    {"psetex", 4, C::kWrite | C::kDenyOom, 1, 1, 1, setex<TimeUnit::kMilliseconds>, "key ms value",
     "Sets a string that expires.", "As SET PX."},
    {"getset", 3, C::kWrite | C::kDenyOom | C::kFast, 1, 1, 1, getset, "key value",
     "Sets a string and returns the old one.", "As SET GET: the old value is the one that the read level found."},
    {"getdel", 2, C::kWrite | C::kFast, 1, 1, 1, getdel, "key", "Returns a string and deletes it.",
     "Two regions may both get the value. The delete takes what it saw; a concurrent SET stays."},
    {"getex", -2, C::kWrite | C::kFast, 1, 1, 1, getex, "key [EX seconds | PX ms | EXAT seconds | PXAT ms | PERSIST]",
     "Returns a string and sets its expiry.", "The longest of concurrent expiries wins."},
    {"mget", -2, C::kReadOnly | C::kFast | C::kWrongTypeIsNil, 1, -1, 1, mget, "key [key ...]",
     "Returns several strings.", "Each key is read for itself: not one snapshot."},
    {"mset", -3, C::kWrite | C::kDenyOom, 1, -1, 2, mset, "key value [key value ...]", "Sets several strings.",
     "Each key is set for itself: not atomic. After an error some may be set."},
    {"strlen", 2, C::kReadOnly | C::kFast, 1, 1, 1, strlen_, "key", "Returns the length of a string.", ""},
    {"incr", 2, C::kWrite | C::kDenyOom | C::kFast, 1, 1, 1, incr, "key", "Adds one.",
     "Concurrent increments all count, in every region; the reply is the value as this node sees it, so it is not a "
     "source of unique numbers."},
    {"incrby", 3, C::kWrite | C::kDenyOom | C::kFast, 1, 1, 1, incrby, "key increment", "Adds a number.", "As INCR."},
    {"decr", 2, C::kWrite | C::kDenyOom | C::kFast, 1, 1, 1, decr, "key", "Subtracts one.",
     "As INCR. A value that two regions decrement may go below zero."},
    {"decrby", 3, C::kWrite | C::kDenyOom | C::kFast, 1, 1, 1, decrby, "key decrement", "Subtracts a number.",
     "As DECR."},
    {"setnx", 3, C::kRefused, 1, 1, 1, refuse_setnx, "key value", "Refused, as SET NX is.", ""},
    {"msetnx", -3, C::kRefused, 1, -1, 2, refuse_setnx, "key value [key value ...]", "Refused, as SET NX is.", ""},
};

}  // namespace

std::span<const Command> string_commands() {
  return kCommands;
}

}  // namespace cartwheel::resp
