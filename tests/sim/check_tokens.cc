// Sessions with tokens, as their clients saw them: on sets whose elements are each added once, an element that the
// session added or read is in all its later reads until somebody removes it, and one that it removed, or found gone, is
// in none. It looks at answers alone and knows nothing of dots.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/checkers.h"

namespace cartwheel::sim {

using node::Verb;

namespace {

using Key = std::pair<uint16_t, std::string>;

// What anybody did to one set.
struct SetWrites {
  bool simple = true;
  std::map<std::string, std::vector<const OpRecord*>> adds, removes;  // by element
};

// What one session knows of an element.
struct Known {
  const OpRecord* shown = nullptr;  // the operation that told first that it is there
  const OpRecord* gone = nullptr;   // the operation that told first that it was removed
};

std::map<Key, SetWrites> writes_of(const History& history) {
  std::map<Key, SetWrites> all;
  for (const OpRecord& op : history.ops()) {
    if (!node::is_write(op.operation.verb)) continue;
    SetWrites& set = all[{op.keyspace, op.operation.key}];
    if (op.operation.verb == Verb::kSetAdd) {
      for (const std::string& element : op.operation.args) set.adds[element].push_back(&op);
    } else if (op.operation.verb == Verb::kSetRemove) {
      for (const std::string& element : op.operation.args) set.removes[element].push_back(&op);
    } else {
      set.simple = false;
    }
  }
  return all;
}

bool may_be_removed(const SetWrites& set, const std::string& element, const OpRecord& read) {
  auto removes = set.removes.find(element);
  return removes != set.removes.end() &&
         std::any_of(removes->second.begin(), removes->second.end(), [&](const OpRecord* remove) {
           return remove->outcome != Outcome::kRefused && remove->invoked_us <= read.ended_us;
         });
}

// Whether a loss may have taken what `known` told, or what it rests on.
bool excused(const SimWorld& world, const SetWrites& set, const std::string& element, const OpRecord& known,
             const OpRecord& read) {
  auto is_gone = [&](const OpRecord* op) {
    return std::any_of(op->events.begin(), op->events.end(),
                       [&](size_t index) { return world.history().events()[index].gone >= 0; });
  };
  const auto& adds = set.adds.at(element);
  auto removes = set.removes.find(element);
  return excused_by_loss(world, known.invoked_us, read.invoked_us, read.ended_us) ||
         std::any_of(adds.begin(), adds.end(), is_gone) ||
         (removes != set.removes.end() &&
          std::any_of(removes->second.begin(), removes->second.end(),
                      [&](const OpRecord* remove) { return removal_is_gone(world, *remove); }));
}

Verdict check_read(const SimWorld& world, const SetWrites& set, std::map<std::string, Known>& elements,
                   const OpRecord& read) {
  bool stale = read.reply.seen != nullptr && read.reply.seen->stale;
  std::set<std::string> seen;
  for (const node::Value& value : read.reply.value.list) seen.insert(value.bytes);
  for (const auto& [element, adds] : set.adds) {
    if (adds.size() != 1) continue;
    Known& known = elements[element];
    if (seen.contains(element)) {
      if (known.gone != nullptr && !stale && !excused(world, set, element, *known.gone, read)) {
        return "'" + element + "' is back in " + to_string(read) + ", which the session found gone by " +
               to_string(*known.gone);
      }
      if (known.shown == nullptr) known.shown = &read;
      continue;
    }
    if (known.shown == nullptr || stale) continue;
    if (!may_be_removed(set, element, read)) {
      if (excused(world, set, element, *known.shown, read)) continue;
      return "'" + element + "' is missing in " + to_string(read) + ", which the session knew by " +
             to_string(*known.shown);
    }
    if (known.gone == nullptr) known.gone = &read;
  }
  return {};
}

}  // namespace

Verdict check_tokens(const SimWorld& world) {
  std::map<Key, SetWrites> writes = writes_of(world.history());
  std::map<std::pair<uint64_t, Key>, std::map<std::string, Known>> known;  // by session and set
  for (const OpRecord& op : world.history().ops()) {
    if (op.session == 0 || op.outcome != Outcome::kOk) continue;
    Key key{op.keyspace, op.operation.key};
    auto set = writes.find(key);
    if (set == writes.end() || !set->second.simple) continue;
    std::map<std::string, Known>& elements = known[{op.session, key}];
    if (op.operation.verb == Verb::kSetAdd) {
      for (const std::string& element : op.operation.args) {
        if (elements[element].shown == nullptr) elements[element].shown = &op;
      }
    } else if (op.operation.verb == Verb::kSetRemove) {
      // It has acted on what the session knew, and says whether the element was there.
      bool removed = op.operation.args.size() == 1 && op.reply.value.integer == 1;
      Known& element = elements[op.operation.args[0]];
      if (removed && element.gone == nullptr) element.gone = &op;
    } else if (op.operation.verb == Verb::kSetAll) {
      if (Verdict wrong = check_read(world, set->second, elements, op)) return wrong;
    }
  }
  return {};
}

}  // namespace cartwheel::sim
