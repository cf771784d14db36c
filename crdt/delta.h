// Delta: what one write changes, and all that other replicas need of it. Applying a delta is idempotent and
// commutative: each change has a dot of its own, and a change whose dot is in the clock is skipped.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "crdt/clock.h"
#include "crdt/hlc.h"

namespace cartwheel::crdt {

// One actor's increments of one leaf since `start`, cumulative. `base` is what resets took off: the total as the reset
// that saw furthest had it. Totals go up and down, so it is `base_seq` that tells which of two bases saw more.
struct Chain {
  uint64_t seq = 0;    // of the dot of the last increment
  uint64_t start = 0;  // of the dot of the first; a chain starts anew only after a reset of the old one
  int64_t total = 0;
  int64_t base = 0;
  uint64_t base_seq = 0;  // of the dot of the last increment in `base`, 0 when nothing was reset
  // A reset saw the increments up to `seen_seq`, `seen_total` in all.
  void raise_base(uint64_t seen_seq, int64_t seen_total) {
    if (seen_seq <= base_seq) return;
    base_seq = seen_seq;
    base = seen_total;
  }
  friend bool operator==(const Chain&, const Chain&) = default;
};

// A chain as a reset saw it.
struct ObservedChain {
  Actor actor;
  uint64_t seq = 0;
  uint64_t start = 0;
  int64_t total = 0;
  friend bool operator==(const ObservedChain&, const ObservedChain&) = default;
};

// Fails `in` unless start <= seq and base-seq is 0 or one of start … seq - 1.
void encode(Encoder& out, const Chain& chain);
Chain decode_chain(Decoder& in);

// Fails `in` unless 0 < start <= seq.
void encode(Encoder& out, const ObservedChain& observed);
ObservedChain decode_observed(Decoder& in);

struct Change {
  enum class Kind : uint8_t {
    kLeaf = 0,   // one leaf: any of a put, an increment, a removal (superseded dots) and a reset
    kRange = 1,  // removes all entries under the prefix `path` that `observed` contains
  };
  Kind kind = Kind::kLeaf;
  Dot dot;
  std::string path;
  // kLeaf
  bool puts = false;
  Hlc time;           // of the put, 0 where no rule needs it
  std::string value;  // of the put
  std::vector<Dot> superseded;
  std::optional<Chain> increment;    // the chain of dot.actor with this increment in it
  std::vector<ObservedChain> reset;  // the chains that this change resets
  // kRange
  Clock observed;  // has no folds: of folded lives it has what the coordinator showed

  friend bool operator==(const Change&, const Change&) = default;
};

struct Delta {
  std::string key;
  Hlc time;  // when the coordinator made it; receivers' hybrid clocks take note
  std::vector<Change> changes;

  // delta = key:bytes time:u64 count:varint { change }
  // change = kind:u8 dot path:bytes ( leaf | range )
  // leaf = flags:u8 [ time:varint value:bytes ] superseded:varint { dot } [ chain ]
  //        reset:varint { actor seq start total:zigzag }          flags: 1 puts, 2 increment
  // chain = seq start total:zigzag base-seq:varint [ base:zigzag ], the base only if base-seq is not 0
  // range = clock
  void encode(Encoder& out) const;
  size_t size_hint() const;  // as Leaf::size_hint()
  // Validates everything that later code relies on: paths, kinds, chain order, dots of one actor in ascending order.
  static Delta decode(Decoder& in);

  friend bool operator==(const Delta&, const Delta&) = default;
};

}  // namespace cartwheel::crdt
