#include "crdt/types.h"
#include "node/core/execute.h"

namespace cartwheel::node {

namespace {

using crdt::Change;
using crdt::Tag;

constexpr size_t kFewLeaves = 4;  // up to here naming the leaves is smaller than a range's clock
const std::string kStringPath = crdt::path_step(Tag::kString);
const std::string kExpiryPath = crdt::path_step(Tag::kExpiry);

Status wrong_type() {
  return Status(Code::kWrongType, "Operation against a key holding the wrong kind of value");
}

Status set_expiry(Mutation& m, const Expiry& expiry) {
  if (expiry.kind == Expiry::Kind::kKeep) return Status::Ok();
  const crdt::Leaf* observed = m.object().expiry();
  if (expiry.kind == Expiry::Kind::kAt) return m.change(kExpiryPath, crdt::set_expiry(observed, expiry.at.ms));
  // "Never" only where there is something to say it against: it wins over concurrent expiries.
  if (observed == nullptr || !m.object().expires_at()) return Status::Ok();
  return m.change(kExpiryPath, crdt::set_expiry(observed, std::nullopt));
}

// A SET's view on the expiry: what it does not keep, it removes without a word on concurrent ones.
Status replace_expiry(Mutation& m, const Expiry& expiry) {
  return expiry.kind == Expiry::Kind::kNone ? m.remove(kExpiryPath) : set_expiry(m, expiry);
}

Result<Value> read_string(Mutation& m) {
  if (!m.object().visible()) return Value::Nil();
  if (m.object().root() != Tag::kString) return wrong_type();
  auto leaf = m.leaf(kStringPath);
  if (!leaf.ok()) return leaf.status();
  return Value::Bytes(*crdt::string_value(**leaf));
}

Result<Value> set(Mutation& m, Operation& op) {
  Value old = Value::Nil();
  if (op.want_old) {
    auto value = read_string(m);
    if (!value.ok()) return value;
    old = std::move(*value);
  }
  // SET replaces a value of any type.
  if (m.object().plain_string() == nullptr && m.object().content() > m.object().count(Tag::kString)) {
    for (Tag tag : {Tag::kFlagEnableWins, Tag::kFlagDisableWins, Tag::kElement, Tag::kField}) {
      if (m.object().count(tag) > 0) RETURN_IF_ERROR(m.clear(std::string(1, static_cast<char>(tag))));
    }
  }
  auto leaf = m.leaf(kStringPath);
  if (!leaf.ok()) return leaf.status();
  RETURN_IF_ERROR(m.change(kStringPath, crdt::assign(*leaf, std::move(op.args[0]), m.time())));
  RETURN_IF_ERROR(replace_expiry(m, op.expiry));
  return old;
}

// Adds to the number at `path`, which is a string leaf.
Result<Value> add_to(Mutation& m, std::string_view path, int64_t amount, const char* not_a_number) {
  auto leaf = m.leaf(path);
  if (!leaf.ok()) return leaf.status();
  int64_t before = 0;
  if (*leaf != nullptr && (*leaf)->visible()) {
    auto number = crdt::number_value(**leaf);
    if (!number) return Status(Code::kNotANumber, not_a_number);
    before = *number;
  }
  int64_t after;
  if (__builtin_add_overflow(before, amount, &after)) {
    return Status(Code::kNotANumber, "increment or decrement would overflow");
  }
  RETURN_IF_ERROR(m.increment(path, amount, after));
  return Value::Integer(after);
}

// Assigns a plain field. A structure that another writer nested there gives way.
Result<bool> set_field(Mutation& m, const std::string& field, const std::string& value) {
  std::string path = crdt::field_path(field);
  auto leaf = m.leaf(path);
  if (!leaf.ok()) return leaf.status();
  bool was_there = *leaf != nullptr && (*leaf)->visible();
  Change change = crdt::assign(*leaf, value, m.time());
  if (!m.object().flat()) {
    for (Tag tag : {Tag::kFlagEnableWins, Tag::kFlagDisableWins, Tag::kElement, Tag::kField}) {
      if (Status s = m.clear(crdt::path_step(Tag::kField, field) + static_cast<char>(tag)); !s.ok()) return s;
    }
  }
  if (Status s = m.change(path, std::move(change)); !s.ok()) return s;
  return was_there;
}

Result<Value> map_write(Mutation& m, const Operation& op) {
  if (m.object().visible() && m.object().root() != Tag::kField) return wrong_type();
  int64_t n = 0;
  if (op.verb == Verb::kMapIncrement) {
    return add_to(m, crdt::field_path(op.args[0]), op.number, "hash value is not an integer");
  }
  if (op.verb == Verb::kMapSet) {
    for (size_t i = 0; i + 1 < op.args.size(); i += 2) {
      auto was_there = set_field(m, op.args[i], op.args[i + 1]);
      if (!was_there.ok()) return was_there.status();
      n += !*was_there;
    }
    return Value::Integer(n);
  }
  for (const std::string& field : op.args) {  // kMapRemove
    auto leaf = m.leaf(crdt::field_path(field));
    if (!leaf.ok()) return leaf.status();
    bool plain = *leaf != nullptr && (*leaf)->visible();
    if (plain) RETURN_IF_ERROR(m.remove(crdt::field_path(field)));
    uint64_t before = m.object().count(Tag::kField);
    if (!m.object().flat()) RETURN_IF_ERROR(m.clear(crdt::path_step(Tag::kField, field)));
    n += plain || m.object().count(Tag::kField) < before;
  }
  RETURN_IF_ERROR(m.tidy());
  return Value::Integer(n);
}

Result<Value> set_write(Mutation& m, const Operation& op) {
  if (m.object().visible() && m.object().root() != Tag::kElement) return wrong_type();
  int64_t n = 0;
  for (const std::string& element : op.args) {
    std::string path = crdt::path_step(Tag::kElement, element);
    auto leaf = m.leaf(path);
    if (!leaf.ok()) return leaf.status();
    bool was_there = *leaf != nullptr && (*leaf)->visible();
    if (op.verb == Verb::kSetAdd) {
      // An element that is there gets a new dot all the same: this add must survive a concurrent remove of the old one.
      RETURN_IF_ERROR(m.change(path, crdt::add_element(*leaf)));
      n += !was_there;
    } else if (was_there) {
      RETURN_IF_ERROR(m.remove(path));
      ++n;
    }
  }
  RETURN_IF_ERROR(m.tidy());
  return Value::Integer(n);
}

Result<Value> flag_set(Mutation& m, const Operation& op) {
  bool in_map = op.args.size() > 1;
  Tag tag = op.args[0] == "ew" ? Tag::kFlagEnableWins : Tag::kFlagDisableWins;
  Tag root = in_map ? Tag::kField : tag;
  if (m.object().visible() && m.object().root() != root) return wrong_type();
  std::string path = (in_map ? crdt::path_step(Tag::kField, op.args[1]) : "") + static_cast<char>(tag);
  auto leaf = m.leaf(path);
  if (!leaf.ok()) return leaf.status();
  RETURN_IF_ERROR(m.change(path, crdt::set_flag(*leaf, op.number != 0)));
  return Value::Nil();
}

Result<Value> expire(Mutation& m, const Operation& op, WallTime wall) {
  if (!m.object().visible()) return Value::Integer(0);
  if (op.expiry.kind == Expiry::Kind::kAt && op.expiry.at <= wall) {
    RETURN_IF_ERROR(m.clear(""));
    return Value::Integer(1);
  }
  bool had = m.object().expires_at().has_value();
  RETURN_IF_ERROR(set_expiry(m, op.expiry));
  return Value::Integer(op.expiry.kind == Expiry::Kind::kAt || had ? 1 : 0);
}

Result<Value> get_and(Mutation& m, const Operation& op, WallTime wall) {
  auto value = read_string(m);
  if (!value.ok() || value->kind == Value::Kind::kNil) return value;
  if (op.verb == Verb::kGetDelete) {
    RETURN_IF_ERROR(m.clear(""));
  } else {
    auto done = expire(m, op, wall);
    if (!done.ok()) return done.status();
  }
  return value;
}

Result<Value> dispatch(Mutation& m, Operation& op, WallTime wall) {
  switch (op.verb) {
    case Verb::kSet:
      return set(m, op);
    case Verb::kIncrement:
      if (m.object().visible() && m.object().root() != Tag::kString) return wrong_type();
      return add_to(m, kStringPath, op.number, "value is not an integer or out of range");
    case Verb::kMapSet:
    case Verb::kMapIncrement:
    case Verb::kMapRemove:
      return map_write(m, op);
    case Verb::kSetAdd:
    case Verb::kSetRemove:
      return set_write(m, op);
    case Verb::kFlagSet:
      return flag_set(m, op);
    case Verb::kDelete: {
      bool there = m.object().visible();
      if (there) RETURN_IF_ERROR(m.clear(""));
      return Value::Integer(there ? 1 : 0);
    }
    case Verb::kExpire:
      return expire(m, op, wall);
    case Verb::kGetDelete:
    case Verb::kGetExpire:
      return get_and(m, op, wall);
    default:
      return Status::InvalidArgument("not a write: verb " + std::to_string(static_cast<int>(op.verb)));
  }
}

}  // namespace

Status Mutation::change(std::string_view path, Change change) {
  change.path = path;
  change.dot = {actor_, partition_.next_seq};
  RETURN_IF_ERROR((keep_values_ ? apply_change(store_, partition_, object_, change)
                                : apply_change_by_move(store_, partition_, object_, change)));
  ++partition_.next_seq;
  delta_.changes.push_back(std::move(change));
  return Status::Ok();
}

Status Mutation::increment(std::string_view path, int64_t amount, int64_t result) {
  auto leaf = store_.leaf(object_, path);
  if (!leaf.ok()) return leaf.status();
  auto change = crdt::increment(*leaf, actor_, partition_.next_seq, amount);
  if (change) return this->change(path, std::move(*change));
  return this->change(path, crdt::assign(*leaf, std::to_string(result), delta_.time));
}

Status Mutation::remove(std::string_view path) {
  auto leaf = store_.leaf(object_, path);
  if (!leaf.ok()) return leaf.status();
  if (*leaf == nullptr || !(*leaf)->visible()) return Status::Ok();
  return change(path, crdt::remove(**leaf));
}

Status Mutation::clear(std::string_view prefix) {
  std::vector<std::pair<std::string, crdt::Leaf>> counters;
  std::vector<std::string> paths;
  crdt::Clock observed = partition_.causal.clock.without_folds();
  // Of folded lives only what shows needs to be removed, and of each of them one interval names that: what else lies in
  // it was removed here before.
  std::map<crdt::Actor, crdt::DotSet::Interval> folded;
  uint64_t leaves = 0;
  RETURN_IF_ERROR(store_.for_each(object_, prefix, [&](std::string_view path, const crdt::Leaf& leaf) {
    if (!leaf.visible()) return true;
    if (++leaves <= kFewLeaves) paths.emplace_back(path);
    if (!leaf.chains.empty()) {
      crdt::Leaf counter;
      counter.chains = leaf.chains;
      counters.emplace_back(path, std::move(counter));
    }
    // An unfinished exchange may have brought leaves ahead of the clock: what this replica shows, it has observed.
    for (const crdt::Entry& entry : leaf.entries) {
      const auto& [actor, seq] = entry.dot;
      if (actor.epoch > partition_.causal.clock.folded_through(actor.node).value_or(0)) {
        observed.add(entry.dot);
        continue;
      }
      auto [it, fresh] = folded.try_emplace(actor, crdt::DotSet::Interval{seq, seq});
      it->second = {std::min(it->second.first, seq), std::max(it->second.last, seq)};
    }
    return true;
  }));
  for (const auto& [actor, interval] : folded) observed.add(actor, interval);
  if (leaves <= kFewLeaves) {
    for (const std::string& path : paths) RETURN_IF_ERROR(remove(path));
    return Status::Ok();
  }
  Change range;
  range.kind = Change::Kind::kRange;
  range.observed = std::move(observed);
  RETURN_IF_ERROR(change(prefix, std::move(range)));
  for (const auto& [path, counter] : counters) RETURN_IF_ERROR(change(path, crdt::remove(counter)));
  return Status::Ok();
}

Status Mutation::tidy() {
  return object_.visible() ? Status::Ok() : remove(kExpiryPath);
}

Result<Value> execute_write(Mutation& m, Operation& op, WallTime wall, int64_t default_ttl_ms) {
  auto at = m.object().expires_at();
  if (at && *at <= wall.ms && (m.object().visible() || m.object().expiry() != nullptr)) {
    // A touch that comes too late here must not destroy what another region may have touched in time.
    if (op.verb == Verb::kExpire || op.verb == Verb::kMapRemove || op.verb == Verb::kSetRemove)
      return Value::Integer(0);
    if (op.verb == Verb::kGetExpire) return Value::Nil();
    RETURN_IF_ERROR(m.clear(""));
  }
  bool existed = m.object().visible();
  auto value = dispatch(m, op, wall);
  if (value.ok() && default_ttl_ms > 0 && !existed && m.object().visible() && m.object().expiry() == nullptr) {
    RETURN_IF_ERROR(set_expiry(m, {Expiry::Kind::kAt, {wall.ms + default_ttl_ms}}));
  }
  return value;
}

}  // namespace cartwheel::node
