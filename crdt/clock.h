// DotSet: a set of dots as intervals per actor, and Clock, its main use.
//
// A partition clock contains exactly the dots whose deltas were applied here: per actor mostly one interval that starts
// at 1, and few others while deltas are out of order. The same type holds voids (dots known to be superseded whose own
// delta has not come yet) and floors (dots whose log entries are gone).
//
// Folds. Of the lives of a node that have ended, and of which nobody will ever get more, the lowest ones may be folded
// into one row: it stands for every dot of this node's lives up to and including its epoch that any replica ever had,
// and contains all dots of these lives, also those that nobody has any more. `fold` is a hash of the rows that it
// replaces, chained from life to life, so that who has these rows can be told from who lacks some of them:
//   - who has a fold covers every lower one of the same node, and all dots under it;
//   - who has exactly the rows that a fold replaces covers the fold; who has fewer, or others, does not;
//   - folding changes neither what covers what, nor hash().
// Which lives may be folded, and when, only a replica can know (node/core/fold.cc).
//
// Invariants: actors ascend; the intervals of an actor ascend, are disjoint and do not touch; no actor is empty. A row
// with a fold is the first one of its node and has the one interval [1, kMaxSeq].
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "crdt/dot.h"

namespace cartwheel::crdt {

class DotSet {
 public:
  struct Interval {
    uint64_t first;  // both inclusive
    uint64_t last;
    friend bool operator==(const Interval&, const Interval&) = default;
  };
  struct Row {
    Actor actor;
    std::vector<Interval> intervals;
    uint64_t fold = 0;  // not 0: this row is a fold
    friend bool operator==(const Row&, const Row&) = default;
  };

  bool contains(const Dot& dot) const;
  bool add(const Dot& dot) { return add(dot.actor, {dot.seq, dot.seq}); }  // false if it was there
  bool add(const Actor& actor, Interval interval);                         // false if all of it was there
  // Of two folds of a node the higher one stays. (Two of one epoch that differ cannot come about; the greater stays.)
  void merge(const DotSet& other);
  void subtract(const DotSet& other);
  bool covers(const DotSet& other) const;
  bool intersects(const DotSet& other) const;
  // A fold that `other` does not cover stays, as a whole: of which dots under it `other` lacks nobody can say.
  DotSet minus(const DotSet& other) const;

  // What a fold of the lives of `node` up to `epoch` would have here, 0 if there is nothing of them; nothing if a
  // higher fold hides it.
  std::optional<uint64_t> fold_hash(uint32_t node, uint64_t epoch) const;
  // Whether this has the fold (`actor`, `hash`) or a higher one, or exactly the rows that it replaces.
  bool covers_fold(const Actor& actor, uint64_t hash) const;
  // The epoch up to which the lives of `node` are folded here; nothing if none are.
  std::optional<uint64_t> folded_through(uint32_t node) const;
  // Replaces all rows of actor.node up to actor.epoch by a fold; without effect where they are folded already.
  // REQUIRES: hash != 0.
  void fold(const Actor& actor, uint64_t hash);
  bool has_folds() const;
  // The same without the rows that are folds.
  DotSet without_folds() const;

  bool empty() const { return rows_.empty(); }
  uint64_t size() const;                    // the number of dots, each fold counted as one
  uint64_t last(const Actor& actor) const;  // the highest number of `actor`, 0 if none; kMaxSeq under a fold
  const std::vector<Row>& rows() const { return rows_; }
  // Equal for sets that cover each other, whatever of them is folded.
  uint64_t hash() const;

  // set = count:varint { row }, row = actor count:varint { gap:varint length-1:varint }, where gap is the distance from
  // the end of the interval before (0 for a first interval that starts at 1); a fold = actor 0:varint hash:u64.
  // One set has one encoding; decode refuses others.
  void encode(Encoder& out) const;
  static DotSet decode(Decoder& in);
  // The same for sets in which a fold makes no sense: it does not decode.
  static DotSet decode_unfolded(Decoder& in);

  friend bool operator==(const DotSet&, const DotSet&) = default;

 private:
  const Row* fold_of(uint32_t node) const;

  std::vector<Row> rows_;
};

using Clock = DotSet;

}  // namespace cartwheel::crdt
