// DotSet: a set of dots as intervals per actor, and Clock, its main use.
//
// A partition clock contains exactly the dots whose deltas were applied here: per actor mostly one interval that starts
// at 1, and few others while deltas are out of order. The same type holds voids (dots known to be superseded whose own
// delta has not come yet) and floors (dots whose log entries are gone).
//
// Invariants: actors ascend; the intervals of an actor ascend, are disjoint and do not touch; no actor is empty.
#pragma once

#include <cstdint>
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
    friend bool operator==(const Row&, const Row&) = default;
  };

  bool contains(const Dot& dot) const;
  bool add(const Dot& dot) { return add(dot.actor, {dot.seq, dot.seq}); }  // false if it was there
  bool add(const Actor& actor, Interval interval);                         // false if all of it was there
  void merge(const DotSet& other);
  void subtract(const DotSet& other);
  bool covers(const DotSet& other) const;
  bool intersects(const DotSet& other) const;
  DotSet minus(const DotSet& other) const;

  bool empty() const { return rows_.empty(); }
  uint64_t size() const;                    // the number of dots
  uint64_t last(const Actor& actor) const;  // the highest number of `actor`, 0 if none
  const std::vector<Row>& rows() const { return rows_; }

  // set = count:varint { actor count:varint { gap:varint length-1:varint } }, where gap is the distance from the end of
  // the interval before (0 for a first interval that starts at 1). One set has one encoding; decode refuses others.
  void encode(Encoder& out) const;
  static DotSet decode(Decoder& in);

  friend bool operator==(const DotSet&, const DotSet&) = default;

 private:
  std::vector<Row> rows_;
};

using Clock = DotSet;

}  // namespace cartwheel::crdt
