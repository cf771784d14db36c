// History: what clients of one register did and saw, and whether a single register could have answered so.
//
// Every change appends its id, so the last value of all is the one possible order of the changes that took effect.
// That makes linearizability a check of one pass: an operation that answered with a value of length n happened right
// after the n-th change (a change: as the n-th), and no operation may happen before one that had ended when it began.
// The ballots told with changes must grow in the same order: they are fencing tokens.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "node/core/paxos/proposal.h"
#include "tests/node/paxos/list.h"

namespace cartwheel::node::paxos::model {

class History {
 public:
  // An operation begins; returns its id, from 1.
  uint32_t begin(std::string what, int64_t now);
  // It ends. One that never does (its node died) is as unknown as one that ends so.
  void end(uint32_t id, const Outcome& outcome, const std::vector<uint32_t>& ids, int64_t now);

  // What is wrong, if something is. `last` is the value after everything.
  std::optional<std::string> check(const std::vector<uint32_t>& last) const;

  size_t count(Outcome::Kind kind) const;
  bool chosen(uint32_t id) const { return operations_[id - 1].kind == Outcome::Kind::kChosen; }
  size_t size() const { return operations_.size(); }

 private:
  struct Operation {
    std::string what;
    int64_t begun = 0;
    int64_t ended = -1;
    Outcome::Kind kind = Outcome::Kind::kUnknown;
    std::string status;
    std::vector<uint32_t> ids;  // seen, if chosen or refused
    Ballot ballot;              // likewise
  };
  std::string describe(uint32_t id) const;
  std::vector<Operation> operations_;
};

}  // namespace cartwheel::node::paxos::model
