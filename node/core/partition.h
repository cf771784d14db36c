// Partition: what a stripe knows of one (keyspace, arc) of which its node is a replica, and the application of changes
// to its objects. The rules are those of crdt/causal.h and crdt/leaf.h; crdt/document.h is the same as a plain value.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "crdt/causal.h"
#include "node/core/cluster.h"
#include "node/core/dot_log.h"
#include "node/core/object_store.h"
#include "node/core/partition_tree.h"

namespace cartwheel::node {

struct Partition {
  PartitionId id;

  // What the configuration says of it (ring_change.cc).
  std::vector<NodeIndex> owners;  // who coordinate and are read, removed nodes included: levels count by them
  std::vector<NodeIndex> others;  // while it moves: among whom a write needs its level, too; else empty
  std::vector<uint32_t> owner_counts, other_counts;  // of them per region
  bool regular = true;                               // owner_counts are what the keyspace says
  std::vector<NodeIndex> writers;                    // who are sent deltas: owners and others
  std::vector<NodeIndex> replicas;  // who exchange clocks: all of the above, future and past owners, and this node
  std::optional<Move> move;
  uint64_t read_fence = 0, write_fence = 0;  // votes and acks are for messages of these epochs and later ones
  bool serves = true;                        // this node is one of the owners
  bool leftover = false;      // this node is nobody any more; it keeps what it has until the owners have it
  bool loading = false;       // this node waits for its first snapshot and has nothing
  uint64_t loaded_bytes = 0;  // of the snapshot with which the present move began here, once it has come

  crdt::Causal causal;
  crdt::DotSet skip;      // dots that come with the full exchange that is being joined: not taken from deltas meanwhile
  uint64_t next_seq = 1;  // of this life's actor
  uint64_t keys = 0;
  DotIndex log;

  // Of the objects here, those that the engine's rows show: behind by what the turn has changed (tree_scan.cc).
  PartitionTree tree;
  bool tree_ready = false;                    // false until the rows of this life have been looked through once
  std::optional<Instant> awaits_tree;         // a full exchange does, since then
  std::map<NodeIndex, WallTime> found_equal;  // when a comparison with this owner last found no difference
  WallTime unproven_since;                    // with owners that are not among those

  // After a start that may have lost acknowledged writes, until everything that the other replicas of the region have
  // is here: does not count in anybody's read quorum, its own included.
  bool recovering = false;

  // Rows of it cannot be read (quarantine.cc): nobody is served from here until it is rebuilt from another replica.
  bool quarantined = false;
  bool emptied = false;       // of a quarantined one: what it had is gone, and the copy that came is being joined
  bool accepts_loss = false;  // the operator wants it rebuilt from a copy that lacks what was acknowledged here alone
  uint32_t rebuild_tries = 0;
  Instant quarantined_at{};
  bool told_that_it_waits = false;
  // Of one that is salvaged: what cannot be read is erased, and what these replicas could read is joined to the rest.
  bool cleaned = false;
  std::set<NodeIndex> salvaged_from;
  // Replicas whose full exchange would have removed too much here (removal_alarm.cc).
  std::set<NodeIndex> refused;
  bool accepts_removals = false;  // the operator wants the next one to be joined all the same

  uint64_t version = 0;     // of the clock, in the stripe's count of clock changes
  bool row_alone = false;   // as this life found it: see PartitionRow
  uint64_t row_record = 0;  // the partition row contains the records below this number
  bool row_dirty = false;   // the row must be written with this turn: the clock changed in a way that no record tells
  bool unlogged = false;    // a partition without other replicas has no records: its row is written once a second

  // What the other replicas have said to have.
  struct Peer {
    crdt::Clock clock;
    bool heard = false;   // in this life
    bool counts = true;   // false: a future owner without a snapshot, for whom nothing needs to be kept yet
    bool drains = false;  // owns it no more: it gives what it has, and gets nothing
  };
  std::map<NodeIndex, Peer> peers;
  // Nodes that are not replicas and have said what they have: owners of the past, and fallbacks.
  struct Guest {
    crdt::Clock clock;
    bool fallback = false;  // it has the deltas and nothing else
  };
  std::map<NodeIndex, Guest> guests;
  bool may_have_fallbacks = false;      // some node that cannot be asked now may keep deltas for the owners
  std::optional<Instant> behind_since;  // some of what was missing here then still is; nothing: no gap is known

  bool replicated() const { return replicas.size() > 1; }
  // Whether every other replica has said to have `dot`.
  bool stable(const crdt::Dot& dot) const;
  // Whether a remembered reset can no longer matter: all replicas have it, and what they have is here too.
  bool settled(const crdt::Dot& reset) const;
};

// Applies one change to its object and marks it as applied. REQUIRES: change.dot is not in the clock. On failure (the
// engine could not be read) nothing is changed.
Status apply_change(ObjectStore& store, Partition& partition, StoredObject& object, const crdt::Change& change);
// The same; on success the change's value has moved into the object.
Status apply_change_by_move(ObjectStore& store, Partition& partition, StoredObject& object, crdt::Change& change);

// Removes from the object all entries under `prefix` that `observed` contains.
Status remove_observed(ObjectStore& store, StoredObject& object, std::string_view prefix, const crdt::Clock& observed);

}  // namespace cartwheel::node
