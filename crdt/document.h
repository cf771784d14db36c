// Document: one replica of one partition as a plain value, with its dot log. The whole of DESIGN section 5 without a
// disk or a network: what the laws are stated about, the oracle of the simulator, and the shortest way to understand
// the rules. The node does the same over rows (node/core/partition.h) with the same Causal and Leaf.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "crdt/causal.h"
#include "crdt/object.h"

namespace cartwheel::crdt {

class Document {
 public:
  explicit Document(Actor actor) : actor_(actor) {}

  // --- a coordinator's writes; each applies itself and returns the delta for the other replicas. Hlc of `assign`.
  Delta assign(const std::string& key, const std::string& path, std::string value, Hlc time);
  Delta increment(const std::string& key, const std::string& path, int64_t amount);
  Delta reset(const std::string& key, const std::string& path);  // removes a leaf: entries and chains
  Delta add(const std::string& key, const std::string& path);
  Delta flag(const std::string& key, const std::string& path, bool on);
  Delta expire(const std::string& key, std::optional<int64_t> at_ms);
  // Removes everything under `prefix` that this replica has seen: a range for the entries, and a reset per counter.
  Delta clear(const std::string& key, const std::string& prefix);

  // Applies the changes that this replica has not applied yet. False, changing nothing, when one of them comes with the
  // exchange that is being joined.
  bool apply(const Delta& delta);

  // Exact catch-up by the other's dot log. False, changing nothing, when this clock lacks dots below the other's floor.
  bool catch_up_from(const Document& other);
  // A full exchange in one direction: joins every leaf of `other`, then unites the clocks. REQUIRES: neither is
  // joining.
  void merge(const Document& other);
  // The same as a node does it, in steps between which this replica writes and applies deltas: `other`, as it is now,
  // has come; each step joins one object and tells whether it was the last. Until then leaves run ahead of the clock,
  // and this replica takes part in no other exchange.
  void begin_join(const Document& other);
  bool join_step();
  bool joining() const { return joining_.has_value(); }
  // Whether what has come of `key` is joined.
  bool joined(const std::string& key) const { return joining() && !joining_->keys.contains(key); }

  // Drops the log entries of `stable` dots; the floor remembers that they are gone.
  void truncate(const DotSet& stable);
  // Forgets the reset `dot` wherever it is remembered.
  void forget_reset(const Dot& dot);
  // A new life of the same node.
  void restart(uint64_t epoch) {
    actor_.epoch = epoch;
    next_seq_ = 1;
  }

  const Causal& causal() const { return causal_; }
  const std::map<std::string, Object>& objects() const { return objects_; }
  const DotSet& floor() const { return floor_; }
  const Object& object(const std::string& key) const;
  Actor actor() const { return actor_; }

  // document = actor next-seq causal floor objects:varint { key:bytes object } log:varint { dot key path … }.
  // Canonical. REQUIRES: !joining().
  std::string encode() const;
  static Result<Document> decode(std::string_view bytes);
  // Same objects (remembered resets aside) and same clock: what replicas agree on at quiescence.
  bool same_state(const Document& other) const;

  friend bool operator==(const Document&, const Document&) = default;

 private:
  // What the dot log keeps of a dot: where its effect is. A range removal is kept whole.
  struct LogEntry {
    std::string key;
    std::string path;
    std::optional<Clock> range;
    friend bool operator==(const LogEntry&, const LogEntry&) = default;
  };

  // A full exchange that has come and is not joined yet.
  struct Joining {
    Causal causal;                          // of the other replica
    std::map<std::string, Object> objects;  // likewise
    std::map<Dot, LogEntry> log;            // likewise
    std::set<std::string> keys;             // still to be joined
    DotSet skip;                            // dots that come with it: not taken from deltas meanwhile
    friend bool operator==(const Joining&, const Joining&) = default;
  };

  Dot next_dot() { return {actor_, next_seq_++}; }
  Delta commit(const std::string& key, std::vector<Change> changes);
  void apply_change(const std::string& key, const Change& change);
  void join_leaf(const std::string& key, const std::string& path, const Leaf* theirs, const Causal& other);
  void take_pending(const Causal& other);
  const Leaf* leaf(const std::string& key, const std::string& path) const;
  void drop_if_empty(const std::string& key);

  Actor actor_;
  uint64_t next_seq_ = 1;
  Causal causal_;
  std::map<std::string, Object> objects_;
  std::map<Dot, LogEntry> log_;
  DotSet floor_;
  std::optional<Joining> joining_;
};

}  // namespace cartwheel::crdt
