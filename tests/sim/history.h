// History: what clients asked and were told, and every change that any node coordinated in any of its lives. The
// checkers compare the two with each other and with what the replicas hold in the end.
//
// An operation and its changes find each other by content: workloads write values, elements, amounts and expiries that
// are unique in the run, and a change that carries one belongs to the operation that asked for it. What is not unique
// is not linked, and no checker demands anything of it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "crdt/delta.h"
#include "node/core/cluster.h"
#include "node/core/operation.h"

namespace cartwheel::sim {

struct Partition {
  uint16_t keyspace = 0;
  uint32_t arc = 0;
  friend auto operator<=>(const Partition&, const Partition&) = default;
};

// One change with its dot, as its coordinator made it.
struct Event {
  Partition partition;
  std::string key;
  crdt::Change change;
  node::NodeIndex node = node::kNoNode;  // the coordinator
  int64_t at_us = 0;
  uint64_t op = 0;       // the operation that it belongs to, 0 if not known
  int64_t amount = 0;    // of an increment: by how much
  bool written = false;  // the batch with it was handed to the engine; if not, nobody else may ever have it
  bool logged = true;    // false: its partition had no other replica (StripeObserver)
  int gone = -1;         // the index of the loss that took the last copy; -1: none
};

enum class Outcome : uint8_t {
  kPending,
  kOk,
  kRefused,  // a hard claim: not applied
  kUnknown,  // it may be or become visible
};

// One operation of a client.
struct OpRecord {
  uint64_t id = 0;
  uint16_t keyspace = 0;
  node::Operation operation;
  node::Level level;  // the request's, or the keyspace's
  node::NodeIndex node = node::kNoNode;
  uint64_t session = 0;  // of a client with a token; 0: none
  node::SessionPolicy policy = node::SessionPolicy::kWait;
  Partition partition;
  int64_t invoked_us = 0;
  int64_t ended_us = -1;
  WallTime invoked_wall, ended_wall;  // true wall time
  Outcome outcome = Outcome::kPending;
  node::Reply reply;
  uint32_t answers = 0;
  std::vector<size_t> events;  // that are linked to it
  uint32_t deltas = 0;         // how many deltas those came in
  uint32_t unique_tags = 0;    // how much of what it writes nobody else in the run writes
  bool traceable() const { return unique_tags > 0; }
};

// A moment at which a node lost what it had not synced, or all.
struct Loss {
  node::NodeIndex node = node::kNoNode;
  bool wiped = false;
  bool promised_nothing = true;  // false: all that was acknowledged was fsynced, so nothing of it may be missing
  int64_t at_us = 0;
  std::set<Partition> held;   // what it had something of, or may have had
  int64_t recovered_us = -1;  // when it had again all that the others had then; -1: not yet
};

class History {
 public:
  // --- recording
  OpRecord& invoke(uint16_t keyspace, node::Operation operation, node::Level level, node::NodeIndex node,
                   Partition partition, int64_t now_us, WallTime wall, uint64_t session = 0,
                   node::SessionPolicy policy = node::SessionPolicy::kWait);
  // The answer to `id`, once.
  void answer(uint64_t id, const node::Reply& reply, int64_t now_us, WallTime wall);
  // The connection broke before the answer came.
  void abandon(uint64_t id, int64_t now_us, WallTime wall);
  // Returns the indexes of the new events.
  std::vector<size_t> coordinated(Partition partition, const crdt::Delta& delta, node::NodeIndex node, int64_t now_us,
                                  bool logged);

  // A replica folds the lives of actor.node up to `actor` out of `clock`.
  void folded(Partition partition, const crdt::Clock& clock, const crdt::Actor& actor, uint64_t hash);

  // --- looking
  // `clock` as it would be if nobody had ever folded anything.
  crdt::Clock unfolded(Partition partition, const crdt::Clock& clock) const;
  uint64_t folds() const { return folds_.size(); }
  const std::vector<OpRecord>& ops() const { return ops_; }
  const OpRecord& op(uint64_t id) const { return ops_[id - 1]; }
  std::vector<Event>& events() { return events_; }
  const std::vector<Event>& events() const { return events_; }
  const Event* find(Partition partition, const crdt::Dot& dot) const;
  Event* find(Partition partition, const crdt::Dot& dot);
  const std::map<Partition, std::vector<size_t>>& events_of_partitions() const { return by_partition_; }
  std::vector<Loss>& losses() { return losses_; }
  const std::vector<Loss>& losses() const { return losses_; }

  // The first rule that the run broke while it was recorded, or nothing.
  const std::optional<std::string>& violation() const { return violation_; }
  void violate(std::string what) {
    if (!violation_) violation_ = std::move(what);
  }

 private:
  void add_tag(const std::string& tag, OpRecord& op);
  uint64_t op_of_tag(const std::string& tag) const;
  std::vector<std::string> tags_of(const node::Operation& operation) const;
  std::optional<std::string> tag_of(const Event& event) const;

  std::vector<OpRecord> ops_;
  std::vector<Event> events_;
  std::map<Partition, std::vector<size_t>> by_partition_;
  std::map<std::pair<Partition, crdt::Dot>, size_t> by_dot_;
  std::map<std::string, uint64_t> tags_;  // 0: more than one operation writes it
  std::map<std::tuple<Partition, std::string, std::string, crdt::Actor, uint64_t>, int64_t> chain_totals_;
  std::vector<Loss> losses_;
  std::map<std::tuple<Partition, crdt::Actor, uint64_t>, crdt::DotSet> folds_;  // what each stands for
  std::optional<std::string> violation_;
};

// For messages: "op 17 kSet carts 'a' at node 2: ok".
std::string to_string(const OpRecord& op);

}  // namespace cartwheel::sim
