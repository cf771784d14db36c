// What a proposer is asked to do to a register, and what came of it.
#pragma once

#include <functional>

#include "base/status.h"
#include "base/time.h"
#include "node/core/paxos/ballot.h"
#include "node/core/paxos/message.h"

namespace cartwheel::node::paxos {

// What a change function makes of the value that it is given.
struct Decision {
  enum class Kind : uint8_t { kSet, kKeep, kRefuse };
  static Decision set(std::string value) { return {Kind::kSet, std::move(value), {}}; }
  static Decision erase() { return {Kind::kSet, {}, {}}; }
  static Decision keep() { return {Kind::kKeep, {}, {}}; }
  // REQUIRES: !why.ok().
  static Decision refuse(Status why) { return {Kind::kRefuse, {}, std::move(why)}; }

  Kind kind = Kind::kKeep;
  Value value;    // of kSet; nothing erases
  Status status;  // of kRefuse
};

// What a change function is given, for one attempt.
struct Seen {
  const Value& value;  // the register's, if the attempt succeeds
  Ballot ballot;       // under which a new value would be chosen: above those of all changes before, so a fencing token
  uint64_t generation = 0;  // of the acceptor sets of the attempt. A value that names the register's next acceptor sets
                            // may only be decided in the generation that it replaces (docs/consensus.md).
};

struct Proposal {
  // May be called several times, each time with what another attempt saw; at most one attempt's result is chosen. Keep
  // and refuse are linearizable too: the value that they were decided on was the register's at one moment of the round.
  std::function<Decision(const Seen&)> change;  // empty: a read

  // That `change` recognizes its own effect in the value (by an operation's id, say) and keeps or refuses then. If an
  // attempt fails and another proposer's value may contain the change already, a repeatable change is tried again on
  // that value; without it the outcome is unknown, for it could count twice.
  bool repeatable = false;

  // When to give up. A round that has given up sends nothing more, but what it sent may still take effect.
  Instant deadline;
};

struct Outcome {
  enum class Kind : uint8_t {
    kChosen,      // `value` is (or was) the register's under `ballot`: with the change, or as read or kept
    kRefused,     // by the change function, on `value`; the change is not and never will be applied
    kNotApplied,  // gave up before anything was proposed; likewise
    kUnknown,     // gave up after an acceptor may have taken the change: it is applied at most once, now or later
  };
  Kind kind = Kind::kUnknown;
  Status status;  // ok if chosen; otherwise the function's, or why the round gave up
  Value value;    // if chosen or refused
  Ballot ballot;  // likewise; grows with every change of the register
};

struct Options {
  Duration resend = Duration::millis(200);      // to acceptors that have not answered; above the longest round trip
  Duration backoff_min = Duration::millis(10);  // after a lost duel, doubled each time, half of it at random
  Duration backoff_max = Duration::seconds(1);
  // Each accept also asks for a promise for the proposer's next ballot, so that its next change takes one round trip
  // instead of two if no other proposer came between. Not for registers whose rows are ever deleted: a stray accept
  // would bring them back.
  bool piggyback = false;
};

}  // namespace cartwheel::node::paxos
