#include <optional>

#include "base/glob.h"
#include "crdt/types.h"
#include "node/core/execute.h"

namespace cartwheel::node {

namespace {

using crdt::Tag;

const std::string kStringPath = crdt::path_step(Tag::kString);

Status wrong_type() {
  return Status(Code::kWrongType, "Operation against a key holding the wrong kind of value");
}

// ok when the object shows `tag` at its root or nothing at all.
Status check_type(const StoredObject& object, WallTime wall, Tag tag) {
  return !exists(object, wall) || object.root() == tag ? Status::Ok() : wrong_type();
}

const char* type_name(Tag tag) {
  switch (tag) {
    case Tag::kString:
      return "string";
    case Tag::kElement:
      return "set";
    case Tag::kField:
      return "hash";
    default:
      return "flag";
  }
}

Value bytes_or_nil(std::optional<std::string> v) {
  return v ? Value::Bytes(std::move(*v)) : Value::Nil();
}

// The name of the first step of `path`.
std::string_view name_of(std::string_view path) {
  return crdt::take_step(path)->name;
}

Result<Value> get(ObjectStore& store, const StoredObject& object, WallTime wall) {
  if (!exists(object, wall)) return Value::Nil();
  if (object.root() != Tag::kString) return wrong_type();
  if (const std::string* plain = object.plain_string()) return Value::Bytes(*plain);
  auto leaf = store.leaf(object, kStringPath);
  if (!leaf.ok()) return leaf.status();
  return bytes_or_nil(crdt::string_value(**leaf));
}

Result<Value> ttl(const StoredObject& object, WallTime wall) {
  if (!exists(object, wall)) return Value::Integer(-2);
  auto at = object.expires_at();
  return Value::Integer(at ? *at - wall.ms : -1);
}

// Calls `visit(field, leaf)` for each plain field, and with nullptr once for each field that is a nested structure.
Status for_each_field(ObjectStore& store, const StoredObject& object,
                      const std::function<void(std::string_view, const crdt::Leaf*)>& visit) {
  std::string prefix(1, static_cast<char>(Tag::kField));
  std::string last_nested;
  return store.for_each(object, prefix, [&](std::string_view path, const crdt::Leaf& leaf) {
    if (!leaf.visible()) return true;
    std::string_view rest = path;
    std::string_view name = crdt::take_step(rest)->name;
    if (rest == kStringPath) {
      visit(name, &leaf);
    } else if (last_nested != name) {
      last_nested = name;
      visit(name, nullptr);
    }
    return true;
  });
}

Result<Value> map_read(ObjectStore& store, const StoredObject& object, const Operation& op, WallTime wall) {
  RETURN_IF_ERROR(check_type(object, wall, Tag::kField));
  bool there = exists(object, wall);
  if (op.verb == Verb::kMapGet) {
    std::vector<Value> out;
    for (const std::string& field : op.args) {
      if (!there) {
        out.push_back(Value::Nil());
        continue;
      }
      auto leaf = store.leaf(object, crdt::field_path(field));
      if (!leaf.ok()) return leaf.status();
      out.push_back(*leaf == nullptr ? Value::Nil() : bytes_or_nil(crdt::string_value(**leaf)));
    }
    return Value::List(std::move(out));
  }
  if (op.verb == Verb::kMapLength && (!there || object.flat())) {
    return Value::Integer(there ? static_cast<int64_t>(object.count(Tag::kField)) : 0);
  }
  std::vector<Value> out;
  if (there) {
    RETURN_IF_ERROR(for_each_field(store, object, [&](std::string_view name, const crdt::Leaf* leaf) {
      if (op.verb != Verb::kMapAll) {
        out.push_back(Value::Bytes(std::string(name)));
      } else if (leaf != nullptr) {
        out.push_back(Value::Bytes(std::string(name)));
        out.push_back(bytes_or_nil(crdt::string_value(*leaf)));
      }
    }));
  }
  if (op.verb == Verb::kMapLength) return Value::Integer(static_cast<int64_t>(out.size()));
  return Value::List(std::move(out));
}

Result<Value> set_read(ObjectStore& store, const StoredObject& object, const Operation& op, WallTime wall) {
  RETURN_IF_ERROR(check_type(object, wall, Tag::kElement));
  bool there = exists(object, wall);
  if (op.verb == Verb::kSetSize) return Value::Integer(there ? static_cast<int64_t>(object.count(Tag::kElement)) : 0);
  std::vector<Value> out;
  if (op.verb == Verb::kSetHas) {
    for (const std::string& element : op.args) {
      bool has = false;
      if (there) {
        auto leaf = store.leaf(object, crdt::path_step(Tag::kElement, element));
        if (!leaf.ok()) return leaf.status();
        has = *leaf != nullptr && (*leaf)->visible();
      }
      out.push_back(Value::Integer(has ? 1 : 0));
    }
    return Value::List(std::move(out));
  }
  if (there) {
    std::string prefix(1, static_cast<char>(Tag::kElement));
    RETURN_IF_ERROR(store.for_each(object, prefix, [&](std::string_view path, const crdt::Leaf& leaf) {
      if (leaf.visible()) out.push_back(Value::Bytes(std::string(name_of(path))));
      return true;
    }));
  }
  return Value::List(std::move(out));
}

// Cursors are positions in a space of 52 bits, so that clients that keep them as doubles do not round them.
constexpr int kCursorShift = 12;

// Scans the elements of a set or the fields of a map. A small object comes whole; a large one from the cursor on, and
// all leaves whose hashes share a cursor position come together.
Result<Value> scan_collection(ObjectStore& store, const StoredObject& object, const Operation& op, WallTime wall) {
  bool is_map = op.verb == Verb::kMapScan;
  RETURN_IF_ERROR(check_type(object, wall, is_map ? Tag::kField : Tag::kElement));
  std::string pattern = op.args.empty() ? "" : op.args[0];
  std::vector<Value> out;
  auto add = [&](std::string_view path, const crdt::Leaf& leaf) {
    std::string_view name = name_of(path);
    if (!leaf.visible() || (!pattern.empty() && !glob_match(pattern, name))) return;
    if (!is_map) {
      out.push_back(Value::Bytes(std::string(name)));
    } else if (path.ends_with(kStringPath)) {
      out.push_back(Value::Bytes(std::string(name)));
      out.push_back(bytes_or_nil(crdt::string_value(leaf)));
    }
  };
  int64_t next = 0;
  if (exists(object, wall)) {
    char tag = static_cast<char>(is_map ? Tag::kField : Tag::kElement);
    if (!object.is_exploded()) {
      if (op.number == 0) {
        for (const auto& [path, leaf] : object.packed().rows()) {
          if (path[0] == tag) add(path, leaf);
        }
      }
    } else {
      uint64_t from = static_cast<uint64_t>(op.number) << kCursorShift, last = 0;
      uint64_t seen = 0, wanted = std::max<uint32_t>(op.count, 1);
      RETURN_IF_ERROR(
          store.for_each_from(object, from, [&](uint64_t hash, std::string_view path, const crdt::Leaf& leaf) {
            uint64_t position = hash >> kCursorShift;
            if (seen >= wanted && position != last) {
              next = static_cast<int64_t>(position);
              return false;
            }
            last = position;
            ++seen;
            if (path[0] == tag) add(path, leaf);
            return true;
          }));
    }
  }
  return Value::List({Value::Integer(next), Value::List(std::move(out))});
}

Result<Value> flag_get(ObjectStore& store, const StoredObject& object, const Operation& op, WallTime wall) {
  if (!exists(object, wall)) return Value::Integer(0);
  std::string prefix = op.args.empty() ? "" : crdt::path_step(Tag::kField, op.args[0]);
  for (Tag tag : {Tag::kFlagDisableWins, Tag::kFlagEnableWins}) {
    auto leaf = store.leaf(object, prefix + static_cast<char>(tag));
    if (!leaf.ok()) return leaf.status();
    if (*leaf != nullptr && (*leaf)->visible()) return Value::Integer(crdt::flag_value(tag, **leaf) ? 1 : 0);
  }
  return op.args.empty() ? Result<Value>(wrong_type()) : Value::Integer(0);
}

}  // namespace

bool exists(const StoredObject& object, WallTime wall) {
  if (!object.visible()) return false;
  auto at = object.expires_at();
  return !at || *at > wall.ms;
}

Result<Value> execute_read(ObjectStore& store, const StoredObject& object, const Operation& op, WallTime wall) {
  switch (op.verb) {
    case Verb::kGet:
      return get(store, object, wall);
    case Verb::kExists:
      return Value::Integer(exists(object, wall) ? 1 : 0);
    case Verb::kType:
      return Value::Bytes(exists(object, wall) ? type_name(object.root()) : "none");
    case Verb::kTtl:
      return ttl(object, wall);
    case Verb::kMapGet:
    case Verb::kMapAll:
    case Verb::kMapLength:
    case Verb::kMapKeys:
      return map_read(store, object, op, wall);
    case Verb::kSetHas:
    case Verb::kSetAll:
    case Verb::kSetSize:
      return set_read(store, object, op, wall);
    case Verb::kMapScan:
    case Verb::kSetScan:
      return scan_collection(store, object, op, wall);
    case Verb::kFlagGet:
      return flag_get(store, object, op, wall);
    default:
      return Status::InvalidArgument("not a read: verb " + std::to_string(static_cast<int>(op.verb)));
  }
}

Result<Value> execute_scan(ObjectStore& store, const Partition& partition, const Operation& op, WallTime wall,
                           uint32_t partitions) {
  if (op.verb == Verb::kCountKeys) return Value::Integer(static_cast<int64_t>(partition.keys));
  std::string pattern = op.args.empty() ? "" : op.args[0];
  std::string type = op.args.size() < 2 ? "" : op.args[1];
  std::vector<std::pair<uint64_t, std::string>> found;
  uint64_t wanted = std::max<uint32_t>(op.count, 1), last = 0;
  // Where the next arc begins, unless this one has more to give.
  int shift = 64 - kCursorShift - __builtin_ctz(partitions);
  int64_t next = partition.id.arc + 1 == partitions ? 0 : static_cast<int64_t>(uint64_t{partition.id.arc} + 1) << shift;
  RETURN_IF_ERROR(store.for_each_key(partition.id, static_cast<uint64_t>(op.number) << kCursorShift,
                                     [&](uint64_t hash, std::string_view key) {
                                       uint64_t position = hash >> kCursorShift;
                                       if (found.size() >= wanted && position != last) {
                                         next = static_cast<int64_t>(position);
                                         return false;
                                       }
                                       last = position;
                                       found.emplace_back(hash, key);
                                       return true;
                                     }));
  std::vector<Value> out;
  for (auto& [hash, key] : found) {
    if (!pattern.empty() && !glob_match(pattern, key)) continue;
    auto object = store.open(partition.id, hash, key);
    if (!object.ok()) return object.status();
    if (!exists(**object, wall) || (!type.empty() && type != type_name((*object)->root()))) continue;
    out.push_back(Value::Bytes(std::move(key)));
  }
  return Value::List({Value::Integer(next), Value::List(std::move(out))});
}

}  // namespace cartwheel::node
