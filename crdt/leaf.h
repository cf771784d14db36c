// Leaf: the smallest thing that merges. Registers, set elements, flags, counters and expiries are all leaves; they
// differ only in how their content is read (crdt/types.h).
//
// A leaf is a dot store and a counter. The dot store holds the writes that nobody is known to have superseded: usually
// one, several while writes are concurrent. The counter is one chain of cumulative increments per actor with an exact
// observed reset (Weidner & Almeida, PaPoC 2022): value = Σ(total − base).
//
// Every operation here is a function of its arguments. Knowledge says what a replica has seen; the rules are those of
// DESIGN section 5: keep what both have, and what the other neither has nor knows.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "crdt/clock.h"
#include "crdt/delta.h"
#include "crdt/hlc.h"

namespace cartwheel::crdt {

struct Entry {
  Dot dot;
  Hlc time;  // 0 where no rule needs it
  std::string value;
  friend bool operator==(const Entry&, const Entry&) = default;
};

struct ActorChain {
  Actor actor;
  Chain chain;
  friend bool operator==(const ActorChain&, const ActorChain&) = default;
};

struct Reset {
  Dot dot;                          // of the change that reset
  std::vector<ObservedChain> seen;  // what it saw
  friend bool operator==(const Reset&, const Reset&) = default;
};

// What a replica knows of a partition, for a join.
struct Knowledge {
  const Clock& clock;
  const DotSet& voids;
  bool has_seen(const Dot& dot) const { return clock.contains(dot) || voids.contains(dot); }
};

struct Leaf {
  std::vector<Entry> entries;      // ascending dots
  std::vector<ActorChain> chains;  // ascending actors
  std::vector<Reset> resets;       // ascending dots; remembered until they can no longer matter, never part of digests

  // Whether it shows anything: a leaf that is not visible may still remember resets.
  bool visible() const { return !entries.empty() || !chains.empty(); }
  bool empty() const { return !visible() && resets.empty(); }

  // The effect of one leaf change whose dot this replica has not applied yet. `put_is_dead` tells that the change's own
  // put is known to be superseded already (its dot is void, or a pending range removal observed it).
  void apply(const Change& change, bool put_is_dead) { apply(change, put_is_dead, change.value); }
  // The same with the put's value handed over, for who does not need the change's own copy any more.
  void apply(const Change& change, bool put_is_dead, std::string value);

  // Removes the entries that `observed` contains. Counters are not touched: a removal resets them by changes of their
  // own. Returns whether anything changed.
  bool remove_observed(const Clock& observed);

  // Joins another replica's state of the same leaf into this one.
  void join(const Knowledge& mine, const Leaf& theirs, const Knowledge& other);

  // Repair, where both replicas have seen the same dots and one of them lost or spoiled what it had: keeps the entries
  // and chains of either; of two entries with one dot the greater by time, then value. Resets stay as they are here.
  void unite(const Leaf& theirs);

  // Forgets the resets for which `settled(dot)` is true.
  template <typename Predicate>
  void forget_resets(Predicate settled) {
    std::erase_if(resets, [&](const Reset& reset) { return settled(reset.dot); });
  }

  // Sum over all chains, saturated at the ends of 64 bits.
  int64_t count() const;

  // leaf = entries:varint { dot time:varint value:bytes } chains:varint { actor chain }
  //        resets:varint { dot seen:varint { actor seq start total } }
  void encode(Encoder& out) const;
  static Leaf decode(Decoder& in);
  // How many bytes encode() makes, mostly: to have the memory for them at once.
  size_t size_hint() const;
  // A digest of the causal content (resets excluded) mixed with `path`: equal states hash equal on every replica.
  uint64_t digest(std::string_view path) const;

  // A hash of the remembered resets, which no digest covers; 0 if there are none.
  uint64_t resets_hash() const;

  friend bool operator==(const Leaf&, const Leaf&) = default;

 private:
  void encode_resets(Encoder& out) const;
  void put_chain(const Actor& actor, Chain chain);
  void remember_reset(const Dot& dot, const std::vector<ObservedChain>& seen);
};

}  // namespace cartwheel::crdt
