// Acceptor: one node's share of one register. It promises not to take ballots below the highest it was asked for, keeps
// the value that it accepted last, and tells both.
//
// Invariants, of the durable state:
// 1. promised >= accepted, and neither ever goes down.
// 2. After a promise for b is told, nothing below b is accepted.
// 3. After a request of generation g was answered, none of an older generation is: a proposer that works with acceptor
//    sets of the past finds no quorum (docs/consensus.md).
// 4. While it is lost it promises, accepts and tells nothing.
//
// Sans-IO: the owner persists. The rule is on Answer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"
#include "node/core/paxos/message.h"

namespace cartwheel::node::paxos {

class Acceptor {
 public:
  // A register that no request has reached, for an acceptor that has not voted in any generation that is not over: one
  // of the first set, or one that a joint configuration of `generation` adds.
  static Acceptor fresh(uint64_t generation = 0);
  // One that may have voted and does not know how: its row is missing where there should be one, or does not decode. It
  // votes again after install().
  static Acceptor lost();

  // What to persist, and back. The row of a lost acceptor says so. kCorruption: take lost().
  std::string encode() const;
  static Result<Acceptor> decode(std::string_view row);

  struct Answer {
    Reply reply;
    // The reply may leave only once encode() as it was at this version() (or a later one) is persisted and fsynced, in
    // every durability mode. It may name a version that an earlier request made and whose fsync is still under way.
    uint64_t after_version = 0;
  };
  // REQUIRES: the owner has the configuration of request.generation, durably. (If an acceptor could fence off
  // generations without its node being able to tell which one replaced them, the only node that knows might die: this
  // one then refuses those who would find out by reading the register.)
  Answer on_request(Request request);

  // Ends the loss. `accepted` and `value` are what CatchUp found in `generation`. Does nothing unless lost.
  void install(uint64_t generation, const Ballot& accepted, Value value);

  bool is_lost() const { return lost_; }
  // Grows with each change of the state, from 0 when the acceptor was made or decoded. Persist when it has grown.
  uint64_t version() const { return version_; }
  uint64_t generation() const { return generation_; }
  const Ballot& promised() const { return promised_; }
  const Ballot& accepted() const { return accepted_; }
  const Value& value() const { return value_; }

 private:
  Reply::Verdict on_prepare(const Ballot& ballot);
  Reply::Verdict on_accept(Request& request);

  bool lost_ = false;
  uint64_t generation_ = 0;
  Ballot promised_;
  Ballot accepted_;
  Value value_;
  uint64_t version_ = 0;
};

}  // namespace cartwheel::node::paxos
