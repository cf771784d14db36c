// Hashes: observed-remove maps of registers and counters.
#include <algorithm>

#include "node/fronts/resp/call.h"
#include "node/fronts/resp/commands.h"
#include "node/fronts/resp/errors.h"

namespace cartwheel::resp {

using node::Operation;
using node::Reply;
using node::Value;
using node::Verb;

namespace {

// The key, and arguments from 2 on as field names.
bool with_fields(Call& call, Operation& op) {
  if (!key_fits(call, call[1])) return false;
  op.args.reserve(call.size() - 2);
  for (std::string_view field : call.arguments.subspan(2)) {
    if (!name_fits(call, field)) return false;
    op.args.emplace_back(field);
  }
  return true;
}

const Value& first_value(std::span<Reply> replies) {
  static const Value nil;
  const std::vector<Value>& list = replies[0].value.list;
  return list.empty() ? nil : list[0];
}

void finish_first(RespWriter& out, std::span<Reply> replies, int64_t) {
  write_value(out, first_value(replies));
}

void finish_first_exists(RespWriter& out, std::span<Reply> replies, int64_t) {
  out.integer(first_value(replies).kind == Value::Kind::kNil ? 0 : 1);
}

void finish_first_length(RespWriter& out, std::span<Reply> replies, int64_t) {
  out.integer(static_cast<int64_t>(first_value(replies).bytes.size()));
}

void finish_pairs(RespWriter& out, std::span<Reply> replies, int64_t) {
  const std::vector<Value>& list = replies[0].value.list;
  out.map(list.size() / 2);
  for (size_t i = 0; i + 1 < list.size(); i += 2) {
    write_value(out, list[i]);
    write_value(out, list[i + 1]);
  }
}

void finish_values(RespWriter& out, std::span<Reply> replies, int64_t) {
  const std::vector<Value>& list = replies[0].value.list;
  out.array(list.size() / 2);
  for (size_t i = 0; i + 1 < list.size(); i += 2) write_value(out, list[i + 1]);
}

template <Finish kFinish>
void read_fields(Call& call) {
  Operation op = operation(Verb::kMapGet, call[1]);
  if (with_fields(call, op)) call.submit(std::move(op), kFinish);
}

template <Verb kVerb, Finish kFinish>
void whole(Call& call) {
  if (key_fits(call, call[1])) call.submit(operation(kVerb, call[1]), kFinish);
}

template <Finish kFinish>
void hset(Call& call) {
  if (call.size() % 2 != 0) return call.error(wrong_arity(call.command.name));
  if (!key_fits(call, call[1])) return;
  Operation op = operation(Verb::kMapSet, call[1]);
  op.args.reserve(call.size() - 2);
  for (size_t i = 2; i < call.size(); i += 2) {
    if (!name_fits(call, call[i]) || !value_fits(call, call[i + 1])) return;
    op.args.emplace_back(call[i]);
    op.args.emplace_back(call[i + 1]);
  }
  call.submit(std::move(op), kFinish);
}

void hdel(Call& call) {
  Operation op = operation(Verb::kMapRemove, call[1]);
  if (with_fields(call, op)) call.submit(std::move(op), finish_integer);
}

void hincrby(Call& call) {
  Operation op = operation(Verb::kMapIncrement, call[1]);
  if (!read_integer(call, call[3], op.number)) return;
  if (!key_fits(call, call[1]) || !name_fits(call, call[2])) return;
  op.args.emplace_back(call[2]);
  call.submit(std::move(op), finish_integer);
}

void hscan(Call& call) {
  Operation op = operation(Verb::kMapScan, call[1]);
  if (key_fits(call, call[1]) && read_scan(call, 2, op)) call.submit(std::move(op), finish_scan);
}

void refuse_hsetnx(Call& call) {
  call.error(
      "ERR HSETNX is refused: this keyspace is eventual: another region could set the field at the same moment, and "
      "both "
      "would be told that they were the one. Use a strong keyspace for setting once");
}

using C = Command;

const Command kCommands[] = {
    {"hset", -4, C::kWrite | C::kDenyOom | C::kFast, 1, 1, 1, hset<finish_integer>, "key field value [field value ...]",
     "Sets fields of a hash and returns how many were new.",
     "Fields merge one by one; for one field the latest time wins. \"New\" is as this node sees it."},
    {"hmset", -4, C::kWrite | C::kDenyOom | C::kFast, 1, 1, 1, hset<finish_ok>, "key field value [field value ...]",
     "Sets fields of a hash.", "As HSET."},
    {"hget", 3, C::kReadOnly | C::kFast, 1, 1, 1, read_fields<finish_first>, "key field",
     "Returns the value of a field.", ""},
    {"hmget", -3, C::kReadOnly | C::kFast, 1, 1, 1, read_fields<finish_array>, "key field [field ...]",
     "Returns the values of fields.", ""},
    {"hgetall", 2, C::kReadOnly, 1, 1, 1, whole<Verb::kMapAll, finish_pairs>, "key", "Returns all fields and values.",
     ""},
    {"hkeys", 2, C::kReadOnly, 1, 1, 1, whole<Verb::kMapKeys, finish_array>, "key", "Returns all fields.", ""},
    {"hvals", 2, C::kReadOnly, 1, 1, 1, whole<Verb::kMapAll, finish_values>, "key", "Returns all values.", ""},
    {"hlen", 2, C::kReadOnly | C::kFast, 1, 1, 1, whole<Verb::kMapLength, finish_integer>, "key",
     "Returns the number of fields.", ""},
    {"hexists", 3, C::kReadOnly | C::kFast, 1, 1, 1, read_fields<finish_first_exists>, "key field",
     "Tells whether a field is there.", ""},
    {"hstrlen", 3, C::kReadOnly | C::kFast, 1, 1, 1, read_fields<finish_first_length>, "key field",
     "Returns the length of a field's value.", ""},
    {"hdel", -3, C::kWrite | C::kFast, 1, 1, 1, hdel, "key field [field ...]", "Removes fields.",
     "Removes what this node sees of them: a field that another region sets at the same time stays."},
    {"hincrby", 4, C::kWrite | C::kDenyOom | C::kFast | C::kHashNumber, 1, 1, 1, hincrby, "key field increment",
     "Adds a number to a field.", "Concurrent increments all count, as with INCR."},
    {"hscan", -3, C::kReadOnly, 1, 1, 1, hscan, "key cursor [MATCH pattern] [COUNT count]",
     "Walks over the fields of a hash.", "A field that is there from start to end of the walk is returned."},
    {"hsetnx", 4, C::kRefused, 1, 1, 1, refuse_hsetnx, "key field value", "Refused, as SET NX is.", ""},
};

}  // namespace

std::span<const Command> hash_commands() {
  return kCommands;
}

}  // namespace cartwheel::resp
