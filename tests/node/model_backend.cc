#include "tests/node/model_backend.h"

#include <algorithm>

#include "base/check.h"
#include "base/glob.h"
#include "base/hash.h"
#include "crdt/types.h"

namespace cartwheel::node {

namespace {

Reply ok(Value value) {
  return {Status::Ok(), std::move(value)};
}
Reply wrong_type() {
  return {Status(Code::kWrongType, ""), {}};
}
Reply not_a_number(std::string message = "") {
  return {Status(Code::kNotANumber, std::move(message)), {}};
}

Value list_of(const std::vector<std::string>& strings) {
  std::vector<Value> list;
  for (const std::string& s : strings) list.push_back(Value::Bytes(s));
  return Value::List(std::move(list));
}

// Adds to the number that `text` is, in place.
Reply increment(std::string& text, int64_t amount) {
  auto number = crdt::parse_number(text);
  if (!number) return not_a_number();
  int64_t sum = 0;
  if (__builtin_add_overflow(*number, amount, &sum)) return not_a_number("increment or decrement would overflow");
  text = std::to_string(sum);
  return ok(Value::Integer(sum));
}

bool matches(const Operation& op, const std::string& text) {
  return op.args.empty() || op.args[0].empty() || glob_match(op.args[0], text);
}

// A walk in the order of hashes: entries with the same 52 bits go together. `emit` sees each entry that is passed.
template <typename Container, typename Name, typename Emit>
int64_t walk(const Container& container, const Operation& op, Name name, Emit emit) {
  std::multimap<int64_t, const typename Container::value_type*> order;
  for (const auto& entry : container) order.emplace(static_cast<int64_t>(hash64(name(entry)) >> 12), &entry);
  uint32_t passed = 0;
  int64_t last = -1;
  for (auto it = order.lower_bound(op.number); it != order.end(); ++it) {
    if (passed >= op.count && it->first != last) return it->first;
    emit(*it->second);
    last = it->first;
    ++passed;
  }
  return 0;
}

Value page(int64_t cursor, Value list) {
  return Value::List({Value::Integer(cursor), std::move(list)});
}

}  // namespace

Reply ModelStore::apply(const Request& request, WallTime now) {
  now_ = now;
  Keys& keys = keyspaces_[request.keyspace];
  std::erase_if(keys, [&](const auto& entry) { return entry.second.expiry && *entry.second.expiry <= now; });
  const Operation& op = request.operation;
  Reply reply;
  switch (op.verb) {
    case Verb::kGet:
    case Verb::kSet:
    case Verb::kIncrement:
    case Verb::kGetDelete:
    case Verb::kGetExpire:
      reply = string_operation(op, keys);
      break;
    case Verb::kMapGet:
    case Verb::kMapAll:
    case Verb::kMapLength:
    case Verb::kMapKeys:
    case Verb::kMapScan:
    case Verb::kMapSet:
    case Verb::kMapIncrement:
    case Verb::kMapRemove:
      reply = hash_operation(op, keys);
      break;
    case Verb::kSetHas:
    case Verb::kSetAll:
    case Verb::kSetSize:
    case Verb::kSetScan:
    case Verb::kSetAdd:
    case Verb::kSetRemove:
      reply = set_operation(op, keys);
      break;
    case Verb::kExists:
    case Verb::kType:
    case Verb::kTtl:
    case Verb::kScanKeys:
    case Verb::kCountKeys:
    case Verb::kDelete:
    case Verb::kExpire:
      reply = keys_operation(op, keys);
      break;
    case Verb::kFlagGet:
    case Verb::kFlagSet:
      return {Status(Code::kUnsupported, "the model has no flags"), {}};
  }
  // An expiry that has passed is a delete.
  if (auto it = keys.find(op.key); it != keys.end() && it->second.expiry && *it->second.expiry <= now) keys.erase(it);
  return reply;
}

Reply ModelStore::keys_operation(const Operation& op, Keys& keys) {
  static const char* const kTypes[] = {"string", "hash", "set"};
  auto it = keys.find(op.key);
  bool exists = it != keys.end();
  switch (op.verb) {
    case Verb::kExists:
      return ok(Value::Integer(exists));
    case Verb::kType:
      return ok(Value::Bytes(exists ? kTypes[it->second.data.index()] : "none"));
    case Verb::kTtl:
      if (!exists) return ok(Value::Integer(-2));
      return ok(Value::Integer(it->second.expiry ? it->second.expiry->ms - now_.ms : -1));
    case Verb::kDelete:
      return ok(Value::Integer(static_cast<int64_t>(keys.erase(op.key))));
    case Verb::kExpire: {
      if (!exists) return ok(Value::Integer(0));
      bool had = it->second.expiry.has_value();
      if (op.expiry.kind == Expiry::Kind::kNone) {
        it->second.expiry.reset();
        return ok(Value::Integer(had));
      }
      it->second.expiry = op.expiry.at;
      return ok(Value::Integer(1));
    }
    case Verb::kCountKeys: {
      auto in_arc = [&](const auto& e) { return arc_of(e.first, partitions_) == static_cast<uint32_t>(op.number); };
      return ok(Value::Integer(std::count_if(keys.begin(), keys.end(), in_arc)));
    }
    default:
      break;
  }
  CHECK(op.verb == Verb::kScanKeys);
  std::vector<std::string> found;
  int64_t cursor = walk(
      keys, op, [](const auto& e) { return e.first; },
      [&](const auto& e) {
        bool of_type = op.args[1].empty() || op.args[1] == kTypes[e.second.data.index()];
        if (of_type && matches(op, e.first)) found.push_back(e.first);
      });
  return ok(page(cursor, list_of(found)));
}

Reply ModelStore::string_operation(const Operation& op, Keys& keys) {
  auto it = keys.find(op.key);
  std::string* text = it == keys.end() ? nullptr : std::get_if<std::string>(&it->second.data);
  bool other_type = it != keys.end() && text == nullptr;
  if (other_type && !(op.verb == Verb::kSet && !op.want_old)) return wrong_type();
  Value old = text == nullptr ? Value::Nil() : Value::Bytes(*text);
  switch (op.verb) {
    case Verb::kGet:
      return ok(old);
    case Verb::kGetDelete:
      keys.erase(op.key);
      return ok(old);
    case Verb::kGetExpire:
      if (text != nullptr && op.expiry.kind == Expiry::Kind::kNone) it->second.expiry.reset();
      if (text != nullptr && op.expiry.kind == Expiry::Kind::kAt) it->second.expiry = op.expiry.at;
      return ok(old);
    case Verb::kIncrement: {
      std::string number = text == nullptr ? "0" : *text;
      Reply reply = increment(number, op.number);
      if (reply.status.ok()) keys[op.key].data = number;
      return reply;
    }
    default:
      break;
  }
  CHECK(op.verb == Verb::kSet);
  Object& object = keys[op.key];
  object.data = op.args.at(0);
  if (op.expiry.kind == Expiry::Kind::kNone) object.expiry.reset();
  if (op.expiry.kind == Expiry::Kind::kAt) object.expiry = op.expiry.at;
  return ok(op.want_old ? old : Value::Nil());
}

Reply ModelStore::hash_operation(const Operation& op, Keys& keys) {
  auto it = keys.find(op.key);
  Hash none;
  Hash* hash = it == keys.end() ? &none : std::get_if<Hash>(&it->second.data);
  if (hash == nullptr) return wrong_type();
  std::vector<std::string> found;
  std::vector<Value> values;
  int64_t number = 0;
  switch (op.verb) {
    case Verb::kMapGet:
      for (const std::string& field : op.args) {
        values.push_back(hash->contains(field) ? Value::Bytes(hash->at(field)) : Value::Nil());
      }
      return ok(Value::List(std::move(values)));
    case Verb::kMapAll:
      for (const auto& [field, value] : *hash) found.insert(found.end(), {field, value});
      return ok(list_of(found));
    case Verb::kMapKeys:
      for (const auto& entry : *hash) found.push_back(entry.first);
      return ok(list_of(found));
    case Verb::kMapLength:
      return ok(Value::Integer(static_cast<int64_t>(hash->size())));
    case Verb::kMapScan:
      number = walk(
          *hash, op, [](const auto& e) { return e.first; },
          [&](const auto& e) {
            if (matches(op, e.first)) found.insert(found.end(), {e.first, e.second});
          });
      return ok(page(number, list_of(found)));
    case Verb::kMapSet:
      if (it == keys.end()) hash = &keys[op.key].data.emplace<Hash>();
      for (size_t i = 0; i + 1 < op.args.size(); i += 2) {
        number += hash->insert_or_assign(op.args[i], op.args[i + 1]).second ? 1 : 0;
      }
      return ok(Value::Integer(number));
    case Verb::kMapIncrement: {
      std::string text = hash->contains(op.args.at(0)) ? hash->at(op.args[0]) : "0";
      Reply reply = increment(text, op.number);
      if (!reply.status.ok()) return reply;
      if (it == keys.end()) hash = &keys[op.key].data.emplace<Hash>();
      (*hash)[op.args[0]] = text;
      return reply;
    }
    default:
      break;
  }
  CHECK(op.verb == Verb::kMapRemove);
  for (const std::string& field : op.args) number += static_cast<int64_t>(hash->erase(field));
  if (it != keys.end() && hash->empty()) keys.erase(it);
  return ok(Value::Integer(number));
}

Reply ModelStore::set_operation(const Operation& op, Keys& keys) {
  auto it = keys.find(op.key);
  Set none;
  Set* set = it == keys.end() ? &none : std::get_if<Set>(&it->second.data);
  if (set == nullptr) return wrong_type();
  std::vector<std::string> found;
  std::vector<Value> values;
  int64_t number = 0;
  switch (op.verb) {
    case Verb::kSetHas:
      for (const std::string& element : op.args) values.push_back(Value::Integer(set->contains(element)));
      return ok(Value::List(std::move(values)));
    case Verb::kSetAll:
      return ok(list_of({set->begin(), set->end()}));
    case Verb::kSetSize:
      return ok(Value::Integer(static_cast<int64_t>(set->size())));
    case Verb::kSetScan:
      number = walk(
          *set, op, [](const auto& e) { return e; },
          [&](const auto& e) {
            if (matches(op, e)) found.push_back(e);
          });
      return ok(page(number, list_of(found)));
    case Verb::kSetAdd:
      if (it == keys.end()) set = &keys[op.key].data.emplace<Set>();
      for (const std::string& element : op.args) number += set->insert(element).second ? 1 : 0;
      return ok(Value::Integer(number));
    default:
      break;
  }
  CHECK(op.verb == Verb::kSetRemove);
  for (const std::string& element : op.args) number += static_cast<int64_t>(set->erase(element));
  if (it != keys.end() && set->empty()) keys.erase(it);
  return ok(Value::Integer(number));
}

// --- ModelBackend ----------------------------------------------------------------------------------------------------

ModelBackend::ModelBackend() : store_(16) {
  cluster_.name = "model";
  cluster_.partitions = 16;
  Keyspace zero, one;
  zero.name = "zero";
  one.name = "one";
  one.select = 1;
  cluster_.keyspaces = {zero, one};
}

resp::ServerInfo ModelBackend::info() const {
  resp::ServerInfo info;
  info.version = "0.0.0";
  info.node = "model-1";
  info.port = 6379;
  return info;
}

void ModelBackend::submit(Request request, ReplyCallback done) {
  ++submitted_;
  Reply reply;
  if (failures_ > 0) {
    --failures_;
    reply.status = failure_;
  } else {
    reply = store_.apply(request, now_.wall);
  }
  if (!held_) return done(std::move(reply));
  waiting_.push_back({std::move(reply), std::move(done)});
}

void ModelBackend::release(size_t i) {
  Waiting waiting = std::move(waiting_.at(i));
  waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(i));
  waiting.done(std::move(waiting.reply));
}

void ModelBackend::release_all(Rng& rng) {
  while (!waiting_.empty()) release(rng.below(waiting_.size()));
}

void ModelBackend::fail_next(Status status, size_t count) {
  failure_ = std::move(status);
  failures_ = count;
}

}  // namespace cartwheel::node
