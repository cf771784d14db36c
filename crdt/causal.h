// Causal: what one replica knows of one partition beside the leaves: its clock, voids and pending range removals. The
// rules of DESIGN section 5, in one place for the value replica (crdt/document.h) and for the node's rows.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "crdt/clock.h"
#include "crdt/delta.h"
#include "crdt/leaf.h"

namespace cartwheel::crdt {

// A range removal whose observed clock is not covered here yet: it goes on removing what comes late.
struct PendingRange {
  std::string key;
  std::string prefix;
  Clock observed;
  friend bool operator==(const PendingRange&, const PendingRange&) = default;
};

struct Causal {
  Clock clock;
  DotSet voids;  // superseded dots whose own deltas have not come yet; never a subset of what clock contains
  std::vector<PendingRange> pending;

  Knowledge knowledge() const { return {clock, voids}; }

  // Whether a put with `dot` at (key, path) is known to be superseded before it came.
  bool put_is_dead(std::string_view key, std::string_view path, const Dot& dot) const;

  // Removes from `leaf` at (key, path) what pending ranges have observed. Returns whether anything changed.
  bool apply_pending(std::string_view key, std::string_view path, Leaf& leaf) const;

  // Marks `change` as applied: to be called once its effect on the leaves is in the same batch.
  void record(std::string_view key, const Change& change);

  // Takes over, after an exchange in which everything of `other`'s clock that was missing here has been joined, its
  // clock, voids and pending ranges. The caller has applied other.pending to its leaves.
  void unite(const Causal& other);

  // Drops voids and pending ranges that the clock has caught up with.
  void settle();

  // causal = clock voids pending:varint { key:bytes prefix:bytes clock }; only the first clock may have folds
  void encode(Encoder& out) const;
  static Causal decode(Decoder& in);
  friend bool operator==(const Causal&, const Causal&) = default;
};

}  // namespace cartwheel::crdt
