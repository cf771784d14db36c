// Ballot: the number of one attempt to change a register. Ballots are totally ordered, and no two attempts ever share
// one: the counter is unique within one life of a proposer, and the life (its epoch) is part of the ballot, so that a
// proposer that forgot its counter in a restart cannot repeat an old ballot for another value.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

#include "base/codec.h"
#include "base/msgpack.h"
#include "base/status.h"

namespace cartwheel::node::paxos {

using NodeIndex = uint16_t;  // of a proposer or an acceptor: its index in the cluster's configuration

// Far from the end of 64 bits; nobody counts so far, and more does not decode.
inline constexpr uint64_t kMaxCounter = uint64_t{1} << 62;

// Compares by counter, then proposer, then epoch. The zero ballot is below all others and is no attempt's.
struct Ballot {
  uint64_t counter = 0;  // from 1
  NodeIndex proposer = 0;
  uint64_t epoch = 0;  // the proposer's life
  bool zero() const { return counter == 0; }
  friend auto operator<=>(const Ballot&, const Ballot&) = default;
};

// "counter.proposer.epoch", for logs and failure messages.
std::string to_string(const Ballot& ballot);

// On disk: counter:varint [ proposer:u16 epoch:u64 ], the rest only if the counter is not 0.
void encode(Encoder& out, const Ballot& ballot);
Ballot decode_ballot(Decoder& in);
// In messages: three numbers, of which all are 0 if the counter is.
void write(MsgWriter& out, const Ballot& ballot);
Ballot read_ballot(MsgReader& in);

// Where one life of one proposer gets its ballots, for all of its registers (a register may be forgotten and come back,
// the counter goes on). A value: a copy would give the same ballots again, so copies are for tests.
class BallotSource {
 public:
  // REQUIRES: no other source in the cluster ever had this (proposer, epoch): the epoch was fsynced before.
  BallotSource(NodeIndex proposer, uint64_t epoch) : proposer_(proposer), epoch_(epoch) {}

  // A ballot above all that this source gave or observed. kUnavailable once the counter has come to its end, which only
  // a defective peer can bring about.
  Result<Ballot> next();

  // Takes note of another's ballot, so that the next one of this source is above it.
  void observe(const Ballot& other);

 private:
  NodeIndex proposer_;
  uint64_t epoch_;
  uint64_t counter_ = 0;
};

}  // namespace cartwheel::node::paxos
