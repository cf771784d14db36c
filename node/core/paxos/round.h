// Round: the proposer's side of one proposal (Rystsov, "CASPaxos: Replicated State Machines without logs", 2018).
//
//   query ──► prepare ──► accept ──► done
//     │          │  ▲        │
//     ▼          ▼  │        ▼            query: reads only; done if a quorum tells the same ballot
//   prepare     back off ◄───┘            back off: a higher ballot was in the way; then prepare with a new one
//
// prepare: once a quorum has promised, the value of the highest ballot among its answers is the register's, and the
// change function is applied to it. A read, a keep and a refusal end here if the whole quorum told the same ballot, for
// then that value is chosen and no later one was when the round began; otherwise the value is proposed again as it is,
// for it may be chosen, or not, or become so later. accept: once a quorum has accepted, the value is chosen.
//
// A round that comes back after an accept looks for its own change: a value under one of its own ballots is only
// finished, not changed again. A value that another proposer made later may contain it (Proposal::repeatable). A
// refusal after such an accept is proposed like a value, which buries the earlier attempt under a higher ballot.
//
// Sans-IO, a value: events with `now` in, messages and an outcome out. Its ballots come from the source that each event
// is given, always the same one.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "node/core/paxos/proposal.h"
#include "node/core/paxos/quorum.h"

namespace cartwheel::node::paxos {

// Promises for `next` that a quorum of one generation gave when it accepted `value` under `accepted`.
struct Held {
  Ballot next;
  Ballot accepted;
  Value value;
};

class Round {
 public:
  // REQUIRES: quorum.check().
  Round(std::string key, const Options& options, Quorum quorum, Proposal proposal, uint64_t seed);

  // Starts. `held` is what the last round with this source and quorum left, if anything.
  void begin(std::optional<Held> held, BallotSource& ballots, Instant now);
  // An acceptor's answer. One that is late, doubled or of somebody else's is ignored.
  void on_reply(NodeIndex from, const Reply& reply, BallotSource& ballots, Instant now);
  // Goes on with a newer generation of acceptor sets: the attempt is given up and another one made.
  void on_quorum(Quorum quorum, BallotSource& ballots, Instant now);
  // To be called at next_deadline(), harmless at other times.
  void tick(BallotSource& ballots, Instant now);

  // Nothing once done.
  std::optional<Instant> next_deadline() const;
  std::vector<Send> take_sends() { return std::exchange(sends_, {}); }
  const std::optional<Outcome>& outcome() const { return outcome_; }
  // For the next round, once done.
  const std::optional<Held>& held() const { return held_; }
  // The newest generation that an acceptor told of: above that of the quorum, the round cannot succeed with it.
  uint64_t newest_generation() const { return newest_generation_; }

 private:
  enum class Phase : uint8_t { kIdle, kQuery, kPrepare, kAccept, kBackOff, kDone };

  void ask(MessageType type, BallotSource& ballots, Instant now);
  void on_told(NodeIndex from, const Reply& reply, BallotSource& ballots, Instant now);
  void decide(BallotSource& ballots, Instant now);
  void propose(Value value, BallotSource& ballots, Instant now);
  void on_accepted(NodeIndex from);
  void send_to_silent(Instant now);
  void back_off(Instant now);
  void give_up(Status why);
  void finish(Outcome outcome);
  bool changed_under(const Ballot& ballot) const;

  std::string key_;
  Options options_;
  Quorum quorum_;
  Proposal proposal_;
  Rng rng_;

  Phase phase_ = Phase::kIdle;
  Request request_;        // of the phase; its ballot is the attempt's
  Tally tally_;            // of the phase; silent acceptors are sent request_ again
  bool conflict_ = false;  // a higher ballot is in the way of the phase
  Instant wake_;           // when to send again, or of the end of the back-off
  uint32_t attempts_ = 0;

  size_t told_ = 0;              // answers of the query or prepare,
  Ballot highest_;               // the highest ballot among them
  Value value_;                  // and its value,
  bool uniform_ = true;          // and whether they all told the same
  std::vector<Ballot> changed_;  // the ballots under which the change was sent out, ascending
  Outcome pending_;              // what it will be once request_ is accepted by a quorum

  std::optional<Held> held_;
  uint64_t newest_generation_ = 0;
  std::vector<Send> sends_;
  std::optional<Outcome> outcome_;
};

}  // namespace cartwheel::node::paxos
