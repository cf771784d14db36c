// Membership: one node's part in deciding about the cluster's configuration, as a machine without I/O. It holds the
// newest configuration that it knows, votes about the next one if it is a voter, proposes changes, spreads and fetches
// configurations, and on one node at a time drives the change of the ring (docs/membership.md, "The register").
//
// The configuration is the value of one CASPaxos register, its acceptor sets are the configuration's voters, and its
// generation is the configuration's epoch: epoch e + 1 is decided by the voters that epoch e names.
//
// A cluster from a file begins with the same configuration on every node, of epoch 1, in which nobody's data directory
// is known. Before any of its voters votes, each must know all of theirs, durably: else one that lost its disk could
// not be told from one that has none yet. That takes two steps:
//   formed   a node knows the directories of all voters, and has written them into its configuration. If a disk was
//   lost
//            meanwhile not all may have the same: a node takes a formation with a higher hash than its own.
//   settled  it has heard that all voters have its formation, or that somebody has settled with it. It keeps that
//            formation now, and may vote. Two nodes never settle with different ones: each would have had to go from
//            one to the other, one of them to a lower hash.
// docs/consensus.md, "The configuration register", has the whole argument.
//
// The driver, each turn: hand in what happened with the turn's `now`; take_output(); if it says `persist`, make
// config() and acceptor_row() durable; only then carry out the rest of it.
//
// Threads: none; every call from one thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "node/core/membership/control_message.h"
#include "node/core/paxos/acceptor.h"
#include "node/core/paxos/catch_up.h"
#include "node/core/paxos/register.h"

namespace cartwheel::node {

class Membership {
 public:
  struct Options {
    NodeIndex self = 0;
    uint64_t identity = 0;  // of this node's data directory
    uint64_t life = 0;      // higher in each start of this identity, durably counted: no ballot is used twice
    uint64_t seed = 0;
  };
  using ConfigPtr = std::shared_ptr<const ClusterConfig>;
  // An edit of a configuration, by its arguments alone: may be called several times, each time with what another
  // attempt found. One that leaves the epoch as it is changes nothing, and is ok.
  using Edit = std::function<Status(ClusterConfig&)>;
  // kUnavailable: no majority of the voters answered, nothing was changed. kUnknownOutcome: it may be changed, now or
  // later. Other errors are the edit's; a repeatable one may find that its change was made and undone again. With ok
  // comes a configuration that contains the change, or is a later one.
  using Done = std::function<void(const Status&, const ConfigPtr&)>;

  // `acceptor_row` is what acceptor_row() was in an earlier life, empty in the first one.
  Membership(Options options, ConfigPtr config, std::string_view acceptor_row);

  // --- events
  void on_peer(NodeIndex peer, bool up, Instant now);
  // `from` is whom the connection belongs to.
  void on_message(NodeIndex from, std::string_view bytes, Instant now);
  // Somebody has a newer configuration.
  void on_newer_config(NodeIndex from, uint64_t epoch, Instant now);
  // What this node says of itself, asked for by Output::want_report.
  void on_own_report(MemberReport report, Instant now);
  // What gossip says of `peer`, in the life that the configuration names.
  void on_liveness(NodeIndex peer, bool alive, Instant now);
  void tick(Instant now);
  std::optional<Instant> next_deadline() const { return next_tick_; }

  // --- what operators ask for
  // Changes the configuration. `repeatable`: the edit recognizes its own effect. `done` is called once, from within a
  // later event or this call. An empty edit reads the register.
  void change(Edit edit, bool repeatable, Duration timeout, Done done, Instant now);
  // Asks every node that is connected for a report; they come one by one.
  void ask_reports(Instant now);

  struct Output {
    struct Message {
      NodeIndex to;
      std::string bytes;
    };
    bool persist = false;
    ConfigPtr config;  // if there is a newer one to work by
    std::vector<Message> messages;
    std::vector<std::pair<NodeIndex, std::string>> gossip;  // stream messages that came
    std::vector<std::function<void()>> answers;             // of changes that are done
    bool want_report = false;
    // This node is no member any more, or its configuration is not this cluster's: why, for the log. It must stop.
    std::optional<std::string> expelled;
  };
  Output take_output() { return std::exchange(out_, {}); }

  // --- looking in
  const ConfigPtr& config() const { return config_; }
  std::string acceptor_row() const { return acceptor_.encode(); }
  bool formed() const { return is_formed(*config_); }
  bool settled() const { return config_->epoch > 1 || acceptor_.generation() > 0; }
  bool drives() const;  // this node drives the change of the ring, as it sees things
  bool busy() const;    // there is something to drive
  bool is_up(NodeIndex peer) const { return peer < peers_.size() && peers_[peer].up; }
  const std::map<NodeIndex, std::pair<Instant, MemberReport>>& reports() const { return reports_; }
  uint64_t rejected() const { return rejected_; }

 private:
  struct Peer {
    bool up = false;
    bool alive = false;
    // What it last said over the connection of now.
    uint64_t identity = 0, formation = 0;
    bool settled = false, votes = false;
  };
  struct Change {
    Edit edit;
    bool repeatable = false;
    Instant deadline;
    Done done;
    struct Attempts {
      bool behind = false;    // the last one saw a configuration that this node does not have yet
      bool proposed = false;  // one of them has sent the change out
    };
    std::shared_ptr<Attempts> attempts;
  };

  static bool is_formed(const ClusterConfig& config);
  void send(NodeIndex to, const ControlMessage& message);
  void send_config(NodeIndex to);
  void send_report(NodeIndex to, const MemberReport& report);
  ControlMessage have(bool asks = false) const;
  void tell_all(bool asks);
  void on_have(NodeIndex from, const ControlMessage& m, Instant now);
  void on_config(NodeIndex from, std::string_view bytes, Instant now);
  void on_paxos(NodeIndex from, std::string_view bytes, Instant now);
  bool may_vote() const;
  void try_form(Instant now);
  void try_settle();
  bool prefers(NodeIndex from, uint64_t formation) const;
  void work_by(ClusterConfig config, Instant now);
  void adopt(ClusterConfig config, std::optional<NodeIndex> from, Instant now);
  Status belongs(const ClusterConfig& config) const;
  void after_config(const ClusterConfig& before, Instant now);
  void begin_catch_up(Instant now);
  void propose(Change change, Instant now);
  paxos::Decision decide(const Edit& edit, Change::Attempts& attempts, const paxos::Seen& seen) const;
  static Status not_decided(const Change& change);
  void finish(Change change, const paxos::Outcome& outcome, Instant now);
  void drive(Instant now);
  bool votes() const { return may_vote() && !acceptor_.is_lost(); }
  bool identity_to_record(NodeIndex n) const;
  void pump(Instant now);

  const Options options_;
  ConfigPtr config_;
  uint64_t formation_ = 0;  // a hash of it, if it is of epoch 1 and formed
  paxos::Acceptor acceptor_;
  uint64_t durable_version_ = 0;  // of the acceptor
  paxos::BallotSource ballots_;
  paxos::Register register_;
  std::optional<paxos::CatchUp> catch_up_;
  Rng rng_;

  std::vector<Peer> peers_;
  std::map<uint64_t, Change> changes_;  // by ticket of the register
  std::vector<Change> again_;           // to be proposed anew
  bool driving_ = false;                // a step of the ring is proposed
  std::map<NodeIndex, std::pair<Instant, MemberReport>> reports_;
  std::set<NodeIndex> waiting_for_report_;
  Instant stepped_at_{};  // when this configuration came
  Instant next_tick_{}, next_drive_{}, next_have_{}, next_read_{};
  uint64_t rejected_ = 0;
  Output out_;
};

}  // namespace cartwheel::node
