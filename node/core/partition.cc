#include "node/core/partition.h"

#include "base/planted.h"

namespace cartwheel::node {

bool Partition::stable(const crdt::Dot& dot) const {
  for (const auto& [node, peer] : peers) {
    if (peer.counts && !peer.drains && !peer.clock.contains(dot)) return false;
  }
  return true;
}

bool Partition::settled(const crdt::Dot& reset) const {
  if (!causal.clock.contains(reset) && replicated()) return false;  // just being made
  if (!guests.empty() || may_have_fallbacks) return false;          // nor while somebody may bring what it saw
  if (!skip.empty()) return false;  // a chain that it saw here ahead of the clock may come once more
  for (const auto& [node, peer] : peers) {
    if (!peer.clock.contains(reset) || !causal.clock.covers(peer.clock)) return false;
  }
  return true;
}

Status remove_observed(ObjectStore& store, StoredObject& object, std::string_view prefix, const crdt::Clock& observed) {
  std::vector<std::pair<std::string, crdt::Leaf>> changed;
  RETURN_IF_ERROR(store.for_each(object, prefix, [&](std::string_view path, const crdt::Leaf& leaf) {
    crdt::Leaf rest = leaf;
    if (rest.remove_observed(observed)) changed.emplace_back(path, std::move(rest));
    return true;
  }));
  for (auto& [path, leaf] : changed) RETURN_IF_ERROR(store.update(object, path, std::move(leaf)));
  return Status::Ok();
}

namespace {

// `value` gives the value of a put, once, when the leaf takes it.
template <typename Value>
Status apply(ObjectStore& store, Partition& partition, StoredObject& object, const crdt::Change& change, Value value) {
  if (change.kind == crdt::Change::Kind::kRange) {
    RETURN_IF_ERROR(remove_observed(store, object, change.path, change.observed));
  } else {
    bool dead = change.puts && partition.causal.put_is_dead(object.key(), change.path, change.dot);
    RETURN_IF_ERROR(store.modify(object, change.path, [&](crdt::Leaf& leaf) {
      leaf.apply(change, dead, value());
      if (!leaf.resets.empty()) leaf.forget_resets([&](const crdt::Dot& dot) { return partition.settled(dot); });
    }));
  }
  partition.causal.record(object.key(), change);
  if (!partition.replicated() && partition.guests.empty()) {  // nobody else has deltas that could still come
    partition.causal.voids = {};
    partition.causal.pending.clear();
  }
  return Status::Ok();
}

}  // namespace

Status apply_change(ObjectStore& store, Partition& partition, StoredObject& object, const crdt::Change& change) {
  return apply(store, partition, object, change, [&] { return change.value; });
}

Status apply_change_by_move(ObjectStore& store, Partition& partition, StoredObject& object, crdt::Change& change) {
  return apply(store, partition, object, change, [&] { return std::move(change.value); });
}

}  // namespace cartwheel::node
