// Sets: observed-remove sets, where an add wins over a concurrent remove.
#include "node/fronts/resp/call.h"
#include "node/fronts/resp/commands.h"

namespace cartwheel::resp {

using node::Operation;
using node::Reply;
using node::Value;
using node::Verb;

namespace {

void finish_first(RespWriter& out, std::span<Reply> replies, int64_t) {
  const std::vector<Value>& list = replies[0].value.list;
  out.integer(list.empty() ? 0 : list[0].integer);
}

template <Verb kVerb, Finish kFinish>
void with_elements(Call& call) {
  if (!key_fits(call, call[1])) return;
  Operation op = operation(kVerb, call[1]);
  op.args.reserve(call.size() - 2);
  for (std::string_view element : call.arguments.subspan(2)) {
    if (!name_fits(call, element)) return;
    op.args.emplace_back(element);
  }
  call.submit(std::move(op), kFinish);
}

template <Verb kVerb, Finish kFinish>
void whole(Call& call) {
  if (key_fits(call, call[1])) call.submit(operation(kVerb, call[1]), kFinish);
}

void sscan(Call& call) {
  Operation op = operation(Verb::kSetScan, call[1]);
  if (key_fits(call, call[1]) && read_scan(call, 2, op)) call.submit(std::move(op), finish_scan);
}

using C = Command;

const Command kCommands[] = {
    {"sadd", -3, C::kWrite | C::kDenyOom | C::kFast, 1, 1, 1, with_elements<Verb::kSetAdd, finish_integer>,
     "key element [element ...]", "Adds elements to a set and returns how many were new.",
     "Adds in several regions unite; an add wins over a concurrent SREM or DEL."},
    {"srem", -3, C::kWrite | C::kFast, 1, 1, 1, with_elements<Verb::kSetRemove, finish_integer>,
     "key element [element ...]", "Removes elements.",
     "Removes the adds that this node sees: an element that another region adds at the same time stays."},
    {"sismember", 3, C::kReadOnly | C::kFast, 1, 1, 1, with_elements<Verb::kSetHas, finish_first>, "key element",
     "Tells whether an element is in the set.", ""},
    {"smismember", -3, C::kReadOnly | C::kFast, 1, 1, 1, with_elements<Verb::kSetHas, finish_array>,
     "key element [element ...]", "Tells for each element whether it is in the set.", ""},
    {"smembers", 2, C::kReadOnly, 1, 1, 1, whole<Verb::kSetAll, finish_set>, "key", "Returns all elements.", ""},
    {"scard", 2, C::kReadOnly | C::kFast, 1, 1, 1, whole<Verb::kSetSize, finish_integer>, "key",
     "Returns the number of elements.", ""},
    {"sscan", -3, C::kReadOnly, 1, 1, 1, sscan, "key cursor [MATCH pattern] [COUNT count]",
     "Walks over the elements of a set.", "An element that is there from start to end of the walk is returned."},
};

}  // namespace

std::span<const Command> set_commands() {
  return kCommands;
}

}  // namespace cartwheel::resp
