#include "crdt/causal.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "base/planted.h"
#include "crdt/path.h"

namespace cartwheel::crdt {

bool Causal::put_is_dead(std::string_view key, std::string_view path, const Dot& dot) const {
  if (voids.contains(dot)) return true;
  if (planted(Bug::kPendingRangeNotApplied)) return false;
  return std::any_of(pending.begin(), pending.end(), [&](const PendingRange& range) {
    return range.key == key && path.starts_with(range.prefix) && range.observed.contains(dot);
  });
}

bool Causal::apply_pending(std::string_view key, std::string_view path, Leaf& leaf) const {
  bool changed = false;
  for (const PendingRange& range : pending) {
    if (range.key == key && path.starts_with(range.prefix)) changed |= leaf.remove_observed(range.observed);
  }
  return changed;
}

void Causal::record(std::string_view key, const Change& change) {
  bool is_removal = change.kind == Change::Kind::kLeaf && !change.puts && !change.increment && change.reset.empty();
  if (!(is_removal && planted(Bug::kRemoveWithoutDot))) clock.add(change.dot);
  for (const Dot& dot : change.superseded) {
    if (planted(Bug::kVoidCountsAsSeen))
      clock.add(dot);
    else if (!planted(Bug::kVoidForgotten) && !clock.contains(dot))
      voids.add(dot);
  }
  if (change.kind == Change::Kind::kRange && !clock.covers(change.observed) && !planted(Bug::kRangeForgotten)) {
    pending.push_back({std::string(key), change.path, change.observed});
  }
  settle();
}

void Causal::unite(const Causal& other) {
  clock.merge(other.clock);
  if (!planted(Bug::kVoidNotInherited)) voids.merge(other.voids);
  for (const PendingRange& range : other.pending) {
    if (std::find(pending.begin(), pending.end(), range) == pending.end()) pending.push_back(range);
  }
  settle();
}

void Causal::settle() {
  if (!voids.empty()) voids.subtract(clock);
  if (!pending.empty()) std::erase_if(pending, [&](const PendingRange& range) { return clock.covers(range.observed); });
}

void Causal::encode(Encoder& out) const {
  clock.encode(out);
  voids.encode(out);
  out.varint(pending.size());
  for (const PendingRange& range : pending) {
    out.bytes(range.key);
    out.bytes(range.prefix);
    range.observed.encode(out);
  }
}

Causal Causal::decode(Decoder& in) {
  Causal causal;
  causal.clock = Clock::decode(in);
  causal.voids = DotSet::decode_unfolded(in);
  for (size_t n = in.count(3); n > 0 && in.ok(); --n) {
    PendingRange range;
    range.key = in.bytes();
    range.prefix = in.bytes();
    range.observed = Clock::decode_unfolded(in);
    if (range.key.size() > limits::kKeyBytes || !valid_prefix(range.prefix)) in.fail();
    causal.pending.push_back(std::move(range));
  }
  return in.ok() ? std::move(causal) : Causal();
}

}  // namespace cartwheel::crdt
