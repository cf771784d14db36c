// Register: one node's proposals to one register, one round after another, so that the clients of a node queue instead
// of duelling. A proposal that waits is dropped when its deadline passes, before it costs anything.
//
// Sans-IO: events with `now` in; messages and finished proposals out.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "node/core/paxos/round.h"

namespace cartwheel::node::paxos {

class Register {
 public:
  // `ballots` is shared by the registers of a node and outlives them. REQUIRES: quorum.check().
  Register(std::string key, const Options& options, Quorum quorum, BallotSource& ballots, uint64_t seed);

  // Queues a proposal; its ticket comes back with its outcome. kOverloaded beyond limits::kPaxosProposals.
  Result<uint64_t> propose(Proposal proposal, Instant now);
  void on_reply(NodeIndex from, const Reply& reply, Instant now);
  // The acceptor sets have changed; older generations are ignored. Rounds under way go on with the new sets.
  void set_quorum(const Quorum& quorum, Instant now);
  // To be called at next_deadline(), harmless at other times.
  void tick(Instant now);
  std::optional<Instant> next_deadline() const;

  struct Done {
    uint64_t ticket = 0;
    Outcome outcome;
  };
  struct Output {
    std::vector<Send> sends;  // also to this node itself, if it is an acceptor
    std::vector<Done> done;
  };
  Output take_output() { return std::exchange(output_, {}); }

  const Quorum& quorum() const { return quorum_; }
  // The newest generation that any acceptor told of. Above that of quorum(), the owner has configurations to learn.
  uint64_t newest_generation() const { return newest_generation_; }
  bool idle() const { return !round_ && waiting_.empty(); }

 private:
  struct Waiting {
    uint64_t ticket;
    Proposal proposal;
  };
  void pump(Instant now);

  std::string key_;
  Options options_;
  Quorum quorum_;
  BallotSource& ballots_;
  Rng rng_;
  std::deque<Waiting> waiting_;
  std::optional<Round> round_;
  uint64_t round_ticket_ = 0;
  std::optional<Held> held_;  // by the last round, for the next
  uint64_t last_ticket_ = 0;
  uint64_t newest_generation_ = 0;
  Output output_;
};

}  // namespace cartwheel::node::paxos
