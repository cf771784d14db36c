// Quorum: who must agree. Acceptors form one or several sets, and a quorum is a majority of *each* set: several sets
// are a joint configuration, on the way from one set to another. Pure arithmetic, checked by brute force in
// tests/node/paxos/quorum_test.cc.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "node/core/paxos/ballot.h"

namespace cartwheel::node::paxos {

inline constexpr size_t kMaxSets = 2;        // the old one and the new one
inline constexpr size_t kMaxAcceptors = 31;  // of one set; a message to each, and nobody has so many regions

// The acceptor sets of one generation of a register. Generations are numbered by whoever decides them; proposers of
// different generations may be at work at once, and docs/consensus.md says what must lie between two.
struct Quorum {
  uint64_t generation = 0;
  std::vector<std::vector<NodeIndex>> sets;  // each ascending

  // Ok if there are 1 to kMaxSets sets of 1 to kMaxAcceptors ascending members.
  Status check() const;
  // The members of all sets, ascending, each once.
  std::vector<NodeIndex> members() const;
  friend bool operator==(const Quorum&, const Quorum&) = default;
};

// Whether every quorum of `before` has a member in common with every quorum of `after`, because they share a set, and
// the generations follow each other. REQUIRES: both check().
bool may_follow(const Quorum& before, const Quorum& after);

// How many of a set of n are a majority.
constexpr size_t majority(size_t n) {
  return n / 2 + 1;
}

// How many other members of its set an acceptor that lost its state must hear: so many that every majority that its old
// self was part of has one of them. More than there are in a set of one.
constexpr size_t others_to_ask(size_t n) {
  return n - majority(n) + 1;
}

// Who has said what in one phase. Each member counts once, by its first answer; others do not count.
// The quorum is given to each call instead of being copied. REQUIRES: the same one in all calls, check().
class Tally {
 public:
  enum class Answer : uint8_t { kYes, kNo };

  // Whether `node` is a member that had not answered before.
  bool add(const Quorum& quorum, NodeIndex node, Answer answer);
  bool answered(NodeIndex node) const;
  // Whether a majority of each set said yes.
  bool reached(const Quorum& quorum) const;
  // Whether it still can be, if all who have not answered say yes.
  bool possible(const Quorum& quorum) const;

 private:
  struct Entry {
    NodeIndex node;
    Answer answer;
  };
  size_t count(const std::vector<NodeIndex>& set, Answer answer) const;
  std::vector<Entry> entries_;
};

}  // namespace cartwheel::node::paxos
