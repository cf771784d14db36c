// World: nodes with registers and acceptors of one key over a simulated network, clock and disk, from one seed.
//
// What can happen: messages are lost, doubled and overtake each other; links are cut; nodes die in the middle of a
// write, lose what was not fsynced, and come back as new proposers under the same index; disks are lost whole; the
// acceptor sets change while all of this goes on. Each seed picks its own faults and rates. Then everything heals, an
// operator readmits the acceptors that lost their disks, and every node must get a change through within bounded time.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/core/paxos/acceptor.h"
#include "node/core/paxos/catch_up.h"
#include "node/core/paxos/register.h"
#include "tests/node/paxos/history.h"
#include "tests/node/paxos/list.h"
#include "tests/sim/event_queue.h"

namespace cartwheel::node::paxos::model {

struct RunResult {
  std::optional<std::string> failure;
  bool safe = true;    // a failure with this is one of progress
  uint64_t trace = 0;  // a hash of everything that was sent, and when
  uint64_t events = 0;
  size_t chosen = 0, refused = 0, not_applied = 0, unknown = 0;
  size_t crashes = 0, wipes = 0, generations = 0, readmitted = 0;
};

// The duties of those who use the machines (docs/consensus.md), each of which a world can neglect to show that it is
// one.
enum class Careless : uint8_t {
  kNo,
  kChangesAtOnce,         // goes from one acceptor set to another without a joint configuration
  kDecidesFromAfar,       // decides acceptor sets in another generation than the one that they replace
  kFencesWithoutKnowing,  // an acceptor answers in a generation whose configuration its node does not have
};

// The whole story of one seed.
RunResult run_seed(uint64_t seed, Careless careless = Careless::kNo);

struct Faults {
  double loss = 0, duplicate = 0;
  int64_t delay_us = 3000;   // the longest of a message
  int64_t straggler_us = 0;  // some messages take so long
  int64_t sync_us = 2000;    // the longest of an fsync
  bool restless = false;     // the proposers die often, and are back at once
  bool crashes = false, wipes = false, cuts = false, reconfigure = false, piggyback = false;
};

class World {
 public:
  explicit World(uint64_t seed, Careless careless = Careless::kNo);
  RunResult run();

 private:
  struct Waiting {  // a reply that waits for the disk
    uint64_t version;
    NodeIndex to;
    std::string bytes;
  };
  struct Write {
    uint64_t version;
    std::string row;
  };
  struct Node {
    bool up = false;
    uint64_t boot = 0;               // counts starts; the epoch of its ballots
    uint8_t life = 0;                // counts lost disks
    std::optional<std::string> row;  // on disk, as is the configuration
    Configuration configuration;
    std::deque<Write> writing;  // not yet fsynced
    uint64_t written = 0;       // the version that is
    uint64_t scheduled = 0;     // the version that will be
    std::vector<Waiting> held;
    Acceptor acceptor = Acceptor::lost();
    std::unique_ptr<BallotSource> ballots;
    std::unique_ptr<Register> proposals;
    std::optional<CatchUp> catch_up;
    std::optional<Instant> alarm;                        // the earliest that is set
    std::vector<std::pair<uint64_t, uint32_t>> tickets;  // ticket → operation
  };

  Instant now() const { return {queue_.now()}; }
  void run_until(int64_t end, const std::function<bool()>& done);
  bool in_order() const;
  void start(NodeIndex n);
  void crash(NodeIndex n, bool wipe);
  bool may_lose_disk(NodeIndex n) const;
  bool lost(NodeIndex n) const;
  void admit(NodeIndex n);
  void send(NodeIndex from, NodeIndex to, std::string bytes);
  void deliver(NodeIndex from, NodeIndex to, const std::string& bytes);
  void gossip(NodeIndex n);
  void learn(NodeIndex n, const Configuration& configuration);
  void persist(NodeIndex n);
  void write_first(NodeIndex n);
  void synced(NodeIndex n, uint64_t boot);
  void release(NodeIndex n);
  void drain(NodeIndex n);
  void ring(NodeIndex n, uint64_t boot);
  std::string appended(const Seen& seen, uint32_t id) const;
  uint32_t submit(NodeIndex n, std::string what, Proposal proposal);
  void client(NodeIndex n);
  void change_sets(NodeIndex n);
  void operate();
  void misfortune();
  void heal();
  std::string describe() const;

  Careless careless_;
  Rng rng_;
  sim::EventQueue queue_;
  Faults faults_;
  Configuration first_;
  std::vector<Node> nodes_;
  std::vector<std::vector<bool>> cut_;  // [from][to]
  std::vector<Mask> masks_;             // all that were ever an acceptor set, or proposed as one
  std::vector<NodeIndex> clients_;
  History history_;
  std::vector<uint32_t> longest_;  // value seen
  std::optional<std::string> failure_;
  bool healed_ = false;
  RunResult result_;
};

}  // namespace cartwheel::node::paxos::model
