#include <algorithm>

#include "crdt/path.h"
#include "tests/sim/checkers.h"

namespace cartwheel::sim {

using node::Verb;

namespace {

// Whether `removal` was asked to remove what is at `path` of its key.
bool aims_at(const OpRecord& removal, const std::string& path) {
  auto any_step = [&](crdt::Tag tag) {
    for (const std::string& name : removal.operation.args) {
      if (path.starts_with(crdt::path_step(tag, name))) return true;
    }
    return false;
  };
  switch (removal.operation.verb) {
    case Verb::kDelete:
    case Verb::kGetDelete:
      return true;
    case Verb::kSetRemove:
      return any_step(crdt::Tag::kElement);
    case Verb::kMapRemove:
      return any_step(crdt::Tag::kField);
    default:
      return false;
  }
}

bool is_removal(Verb verb) {
  return verb == Verb::kDelete || verb == Verb::kGetDelete || verb == Verb::kSetRemove || verb == Verb::kMapRemove;
}

// A removal that returned what it removed did remove; GETDEL of another type does not.
bool removed_something(const OpRecord& op) {
  if (op.operation.verb == Verb::kGetDelete) return op.reply.value.kind == node::Value::Kind::kBytes;
  return op.reply.value.integer > 0;
}

bool shows(SimWorld& world, const Event& put) {
  node::NodeIndex n = world.owners(put.partition)[0];
  auto object = world.stripe_of(n, put.partition).stripe().inspect(put.partition.keyspace, put.key);
  if (!object.ok()) return false;
  const crdt::Leaf* leaf = object->find(put.change.path);
  if (leaf == nullptr) return false;
  for (const crdt::Entry& entry : leaf->entries) {
    if (entry.dot == put.change.dot) return true;
  }
  return false;
}

bool supersedes(const Event& event, const Event& put) {
  const crdt::Change& change = event.change;
  if (event.key != put.key) return false;
  if (change.kind == crdt::Change::Kind::kRange) {
    return put.change.path.starts_with(change.path) && change.observed.contains(put.change.dot);
  }
  return std::count(change.superseded.begin(), change.superseded.end(), put.change.dot) > 0;
}

// Whether a loss that the durability allows took the last copy of `event`, whichever operation it belongs to: one whose
// level asks for one replica only was asked for its key at that moment, or the node coordinated it by itself.
bool may_be_gone(const SimWorld& world, const Event& event) {
  const History& history = world.history();
  if (event.op != 0) return excused_as_gone(world, event, history.op(event.op).level);
  bool asked = false;
  for (const OpRecord& op : history.ops()) {
    if (op.keyspace != event.partition.keyspace || op.operation.key != event.key || op.invoked_us > event.at_us ||
        (op.outcome == Outcome::kOk && op.ended_us < event.at_us) || !node::is_write(op.operation.verb)) {
      continue;
    }
    asked = true;
    if (excused_as_gone(world, event, op.level)) return true;
  }
  return !asked && event.gone >= 0 && history.losses()[static_cast<size_t>(event.gone)].promised_nothing;
}

// Whether the removal need not have seen `put` because another write had superseded it, which is gone since.
bool superseder_is_gone(const SimWorld& world, const Event& put, const OpRecord& removal) {
  for (size_t index : world.history().events_of_partitions().at(put.partition)) {
    const Event& event = world.history().events()[index];
    if (event.gone < 0 || event.at_us > removal.ended_us || !supersedes(event, put)) continue;
    if (may_be_gone(world, event)) return true;
  }
  return false;
}

}  // namespace

// Whether the last copy of anything coordinated by this node while the removal ran is gone.
bool removal_is_gone(const SimWorld& world, const OpRecord& removal) {
  auto it = world.history().events_of_partitions().find(removal.partition);
  if (it == world.history().events_of_partitions().end()) return false;
  for (size_t index : it->second) {
    const Event& event = world.history().events()[index];
    if (event.key != removal.operation.key || event.at_us < removal.invoked_us || event.at_us > removal.ended_us)
      continue;
    if (excused_as_gone(world, event, removal.level)) return true;
  }
  return false;
}

// For each acknowledged removal: whatever it must have observed, because it was acknowledged before and the levels
// overlap, is not there in the end.
Verdict check_removed(SimWorld& world) {
  const History& history = world.history();
  for (const OpRecord& removal : history.ops()) {
    if (!is_removal(removal.operation.verb) || removal.outcome != Outcome::kOk || !removed_something(removal)) continue;
    if (!world.coordinated(removal.node, removal.partition)) continue;  // another node has coordinated it
    const node::Level& read = world.config().keyspaces[removal.keyspace].read;
    size_t here = region_of(world, removal.node);
    for (const OpRecord& write : history.ops()) {
      if (write.outcome != Outcome::kOk || write.keyspace != removal.keyspace ||
          write.operation.key != removal.operation.key || write.ended_us >= removal.invoked_us) {
        continue;
      }
      for (size_t index : write.events) {
        const Event& put = history.events()[index];
        if (!put.change.puts || !aims_at(removal, put.change.path) || !shows(world, put)) continue;
        if (!by_owners(write, removal)) continue;
        if (!overlap(world, removal.keyspace, write.level, region_of(world, put.node), read, here)) continue;
        if (excused_by_loss(world, write.invoked_us, removal.invoked_us, removal.ended_us)) continue;
        if (removal_is_gone(world, removal) || superseder_is_gone(world, put, removal)) continue;
        return "removed, but back: " + to_string(write) + ", removed by " + to_string(removal);
      }
    }
  }
  return {};
}

}  // namespace cartwheel::sim
