// CatchUp: how an acceptor that lost its state gets one with which it may vote again.
//
// What it lost are promises and accepts of generations before it was lost. So it may come back in a later generation
// only, one that was decided knowing of the loss: there the others no longer answer to older ones. From each acceptor
// set that it belongs to it asks so many of the *others* that they have one in common with any majority in which its
// old self took part. Whatever was chosen with its old vote, one of those has accepted, or refuses for good; the
// highest ballot that they tell, with its value, is a state as good as the lost one (docs/consensus.md has the
// argument).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "node/core/paxos/message.h"
#include "node/core/paxos/quorum.h"

namespace cartwheel::node::paxos {

class CatchUp {
 public:
  // REQUIRES: quorum.check(); `self` is a member of it; its generation was decided after the loss, for this life of
  // `self`; `question` is a new ballot of this life. In a set of one there is nobody to ask, and this never ends.
  CatchUp(std::string key, NodeIndex self, Quorum quorum, Ballot question, Duration resend);

  void begin(Instant now);
  void on_reply(NodeIndex from, const Reply& reply);
  // To be called at next_deadline(), harmless at other times.
  void tick(Instant now);
  std::optional<Instant> next_deadline() const;  // nothing once done
  std::vector<Send> take_sends() { return std::exchange(sends_, {}); }

  // What to give to Acceptor::install(), once enough have answered.
  bool done() const;
  uint64_t generation() const { return quorum_.generation; }
  const Ballot& accepted() const { return highest_; }
  const Value& value() const { return value_; }

 private:
  void send_to_silent(Instant now);

  std::string key_;
  NodeIndex self_;
  Quorum quorum_;
  Ballot question_;
  Duration resend_;
  std::vector<NodeIndex> told_;  // who has answered
  Ballot highest_;
  Value value_;
  Instant wake_;
  std::vector<Send> sends_;
};

}  // namespace cartwheel::node::paxos
