// Stripe: the protocol of one node for one storage stripe, as a machine without I/O. It owns the partitions (keyspace,
// arc) with arc % stripes == its number, their clocks, objects and dot log, coordinates requests for them, and talks
// to the same stripe of the other nodes. A node is as many Stripes as the cluster has stripes; they share nothing.
//
// The driver's loop, one turn:
//   1. hand over what happened: on_request, on_message, on_tick, on_synced, each with the turn's `now`;
//   2. take_output(), and do what it says IN ITS ORDER: write the batch; if `sync`, wait for a sync of the engine that
//      began after the write; then send the messages and make the replies;
//   3. sleep until something happens or next_deadline().
// Events of one turn share one batch and one message list. Reads go to the engine directly, as it was after the last
// batch that was written (the driver writes every batch before the next event); the engine is never written from here.
//
// Threads: none; every call from one thread. Nothing here reads a clock, a random device, a file or a socket.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/time.h"
#include "crdt/object.h"
#include "node/core/cluster.h"
#include "node/core/operation.h"
#include "node/core/rows.h"
#include "storage/engine.h"

namespace cartwheel::node {

struct StripeOptions {
  NodeIndex self = 0;
  uint32_t stripe = 0;
  uint64_t seed = 0;  // of this life's randomness (epochs, choices)
  // Names this run of the machine's kernel. An unclean start under the same boot has lost nothing that was written
  // (the kernel had it); under another boot the unsynced tail may be gone. Empty: unknown, taken as another boot.
  std::string boot_id;
  Duration announce_interval = Duration::millis(500);  // clock exchange with every peer
  Duration peer_timeout = Duration::millis(2000);      // silence after which a peer counts as unreachable
  Duration catch_up_delay = Duration::millis(300);     // how long a gap may be in flight before it is asked for
  Duration request_timeout = Duration::millis(2000);   // for requests that bring no deadline
  // Of a read that asks others: how long it waits for them when nothing is known of how fast they are; and the least
  // that it waits before all others are asked, whatever the budget says.
  Duration hedge_delay = Duration::millis(100);
  uint32_t hedge_percent = 5;  // requests more than necessary, of the reads that ask others
  uint32_t hedge_burst = 100;  // and so many at once
  // A replica that a read found behind is asked again after this long, and told if it still is.
  Duration read_repair_delay = Duration::millis(100);
  // Of that, the deltas included that it then fetches; beyond it nobody is told. 0: no bound.
  uint64_t read_repair_bytes_per_second = limits::kReadRepairBytesPerSecond;
  Duration sweep_interval = Duration::seconds(60);  // between two searches for expired objects
  size_t cache_bytes = limits::kCacheBytes;
  size_t catch_up_chunk_bytes = limits::kCatchUpChunkBytes;
  size_t log_entries = limits::kDotLogEntries;  // dots that the log keeps for replicas that lack them
  size_t log_bytes = limits::kDotLogBytes;
  size_t fallback_bytes = limits::kFallbackBytes;  // of the deltas that are kept for owners that cannot be reached
  Duration fallback_age = Duration::millis(limits::kFallbackMs);  // and for how long
  Duration tree_interval = Duration::seconds(10);  // between two comparisons of hash trees with another owner
  // Of tree exchanges, sent and received; beyond it they wait. 0: no bound.
  uint64_t tree_bytes_per_second = limits::kTreeBytesPerSecond;
  // A full exchange that would remove more keys than this, and more than half of the partition's, is stopped.
  uint64_t alarm_keys = limits::kAlarmKeys;
  // Lives of nodes that have ended are folded out of a clock after this long without any news of them, and when their
  // epoch is this old: longer than the clock of a node that lost its disk may be behind (fold.cc).
  Duration fold_delay = Duration::millis(limits::kFoldDelayMs), fold_age = Duration::millis(limits::kFoldAgeMs);
  uint64_t load_bytes_per_second = 0;  // of the snapshots that this stripe takes when it gets arcs; 0: no bound
};

// What the outside must do at the end of a turn, in the order of the fields.
struct Output {
  // Rows of a partition that this node gets, in ascending order: for Engine::load(), before the batch. A load's rows
  // become visible together, with the batch of the output that commits it.
  struct Load {
    enum class Step : uint8_t { kAdd, kCommit, kAbort } step = Step::kAdd;
    uint64_t id = 0;
    std::vector<std::pair<std::string, std::string>> rows;
  };
  std::vector<Load> loads;
  storage::WriteBatch batch;
  bool sync = false;  // an ack of this turn promises fsync, or a new epoch begins
  struct Message {
    NodeIndex to;
    std::string bytes;  // one message of docs/rpc.md, to the same stripe of `to`; may be lost, doubled or reordered
  };
  std::vector<Message> messages;
  struct Answer {
    ReplyCallback callback;
    Reply reply;
  };
  std::vector<Answer> answers;
  // A message came from a node with a later configuration, which this node should fetch.
  struct Newer {
    NodeIndex from;
    uint64_t epoch;
  };
  std::optional<Newer> newer_config;
  // What operators should read in the log: quarantine and the alarm for removals. At most kEventsMax of a turn.
  struct Event {
    enum class Kind : uint8_t {
      kQuarantined,  // by `why`
      kUnreadable,   // by `why`; it has no other replica, so it stays in service
      kRebuilt,      // from `peer`, if that is known
      kReleased,     // without having been rebuilt
      kSalvaged,     // in service with what all owners together could read
      kWaits,        // for an operator, because nobody has all of it: `why`
      kAlarm,        // an exchange from `peer` was stopped
      kAlarmLifted,  // the operator accepts the removals
    } kind;
    PartitionId partition;
    NodeIndex peer = kNoNode;
    std::string why;
  };
  static constexpr size_t kEventsMax = 64;
  std::vector<Event> events;
  uint64_t events_left_out = 0;
  bool empty() const { return batch.empty() && loads.empty() && messages.empty() && answers.empty() && events.empty(); }
};

// Hands what the output has for the engine over to it, in the order that it demands. What fails is final.
Status write_to(storage::Engine& engine, Output& output);

// Numbers for /metrics and status; plain counters since start.
struct StripeStats {
  uint64_t reads = 0, writes = 0, forwards = 0;  // operations coordinated here, and passed on
  uint64_t unavailable = 0, unknown_outcomes = 0, overloaded = 0;
  uint64_t deltas_sent = 0, deltas_applied = 0, deltas_skipped = 0;
  uint64_t catch_ups = 0, catch_up_deltas = 0, full_exchanges = 0, full_exchange_objects = 0;
  uint64_t catch_up_bytes = 0, full_exchange_bytes = 0;  // of the messages that brought them
  // Partitions that lack what others have, and the age of the oldest such gap. And how long ago the pair of a partition
  // and another owner that has waited longest was last found equal; no difference between them is older. Since this
  // life's start if that was never.
  uint64_t behind = 0, behind_oldest_seconds = 0, unproven_seconds = 0;
  // Full exchanges here of which only what differed was sent, and how many buckets that were.
  uint64_t full_exchanges_by_trees = 0, full_exchange_buckets = 0;
  uint64_t quorum_read_mismatches = 0;
  // Replicas that were told that a read has found them behind, those that were not for want of budget, and catch-ups
  // that were begun here because another replica told so.
  uint64_t read_repair_told = 0, read_repair_dropped = 0, read_repair_catch_ups = 0;
  // Of deltas kept here for owners that could not be reached: taken, refused because there was no room, dropped because
  // all owners have them, and dropped because that took too long; and what is kept now. Levels that were met here by
  // the help of such fallbacks.
  uint64_t fallback_taken = 0, fallback_refused = 0, fallback_handed_back = 0, fallback_expired = 0;
  uint64_t fallback_deltas = 0, fallback_bytes = 0, fallback_oldest_seconds = 0, fallback_counted = 0;
  // Reads, and phases of writes, that asked other nodes, passed on ones included; requests that were sent because an
  // answer was late, those of them whose answer came first, reads that would have sent one and had no budget; and
  // requests that were sent to find out whether a replica is still slow.
  uint64_t shared_reads = 0, hedges = 0, hedges_won = 0, hedges_refused = 0, probes = 0;
  uint64_t rejected_messages = 0;  // malformed, or with a time too far in the future
  uint64_t unknown_messages = 0;   // of these, those whose type or encoding is not one that this version knows
  uint64_t expired_objects = 0;
  uint64_t loaded_rows = 0, loaded_bytes = 0;  // by snapshots of partitions that this node got
  // Of the tree exchange: messages and bytes of it that were sent, summaries among them, partitions found to differ at
  // equal clocks, and what was taken from others then.
  uint64_t tree_messages_sent = 0, tree_bytes_sent = 0, tree_summaries = 0, tree_differences = 0;
  uint64_t tree_keys_repaired = 0, tree_leaves_repaired = 0;
  // Of the look through the rows: how many, whole passes, partitions whose rows were not what the tree says, and scans
  // that ended because rows could not be read.
  uint64_t scanned_rows = 0, scrub_passes = 0, rotten_partitions = 0, unreadable_scans = 0;
  // Partitions out of service because rows of them could not be read: how often that was, how many were rebuilt from
  // another replica, and how many are so now.
  uint64_t quarantines = 0, rebuilt_partitions = 0, quarantined = 0;
  // Full exchanges that were stopped because they would have removed much, and partitions that wait for the operator.
  uint64_t repair_alarms = 0, alarmed = 0;
  // Lives that were folded out of partition clocks, and the rows that the clocks have now.
  uint64_t folded_lives = 0, clock_rows = 0;
  uint64_t cache_hits = 0, cache_misses = 0, cache_bytes = 0;
  uint64_t keys = 0, log_entries = 0, pending_operations = 0, partitions = 0;
};

// How far behind this node is, per other node, over the partitions that both hold.
struct PeerLag {
  NodeIndex node = kNoNode;
  bool reachable = false;
  uint64_t dots = 0;        // dots that the peer said to have and this node lacks
  uint64_t dots_there = 0;  // dots that this node has and the peer did not say to have
  int64_t seconds = 0;      // age of the peer's last announcement that this node covers wholly
};

// What one replica lacks of what one node wrote, as far as this node knows, over the partitions that it holds. Either
// the replica is this node, and it counts what others announced; or it is another one, and it counts what is here and
// not in the clocks that the replica announced last.
struct OriginLag {
  NodeIndex replica = kNoNode;
  NodeIndex origin = kNoNode;  // kNoNode: an actor of no node in the configuration
  uint64_t dots = 0;           // more than 0
  // Of this node: since when all that was missing at once is partly missing still. Of another: the age of its last
  // announcement, before which it cannot have got anything that is not counted.
  int64_t seconds = 0;
};

// What a key shows at its replica, beside its leaves.
struct KeySummary {
  uint64_t leaves = 0;            // visible ones, the expiry included
  std::optional<crdt::Tag> root;  // of the type that shows; nothing: the key has no content
  std::optional<int64_t> expires_at;
};

// How far this node is with the moves of arcs that it takes part in.
struct RingProgress {
  struct Step {
    PartitionId partition;
    uint64_t since = 0;  // of the move's stage
    bool done = false;   // what the stage asks of this node is done
    friend bool operator==(const Step&, const Step&) = default;
  };
  uint64_t epoch = 0;  // of the configuration that the stripe works by
  std::vector<Step> steps;
  uint64_t leftovers = 0;                    // partitions that this node does not own any more, and still has
  uint64_t bytes_done = 0, bytes_to_do = 0;  // of snapshots, about
};

// How far this node is with comparing its partitions with their other owners. Of two owners one asks; it counts there.
struct TreeProgress {
  uint64_t trees = 0, trees_to_build = 0;  // partitions here with and without a tree
  uint64_t pairs = 0;                      // partitions and other owners
  uint64_t equal = 0;                      // of them, found equal since repair_now()
  bool never_compared = false;             // a pair was not found equal in this life
  bool paused = false;                     // pause_repair()
  WallTime oldest{INT64_MAX};              // when the pair that has waited longest was last found equal
};

// What two owners of a partition compare.
struct PartitionDigest {
  PartitionId partition;
  uint64_t clock = 0;  // a hash of the partition clock
  uint64_t tree = 0;   // the root; only if ready
  uint64_t keys = 0;
  bool ready = false;
};

// What a test may watch. Called at the moment of the event, before the turn's output is taken.
class StripeObserver {
 public:
  virtual ~StripeObserver() = default;
  // A write was coordinated here: every change of `delta` has got its dot. Not `logged` is what a partition without
  // other replicas writes: what it does to the leaves is as durable as ever, but a life that ends uncleanly may leave a
  // clock that does not know its dots, as far as no leaf shows them.
  virtual void on_coordinated(uint16_t keyspace, uint32_t arc, const crdt::Delta& delta, bool logged) = 0;
  // The lives of actor.node up to `actor` are about to be folded out of `clock`, as a fold with `hash`.
  virtual void on_folded(uint16_t keyspace, uint32_t arc, const crdt::Clock& clock, const crdt::Actor& actor,
                         uint64_t hash) = 0;
};

class Stripe {
 public:
  // `engine` must outlive this. REQUIRES: finish(*config) was ok, or it comes from the register.
  Stripe(std::shared_ptr<const ClusterConfig> config, StripeOptions options, storage::Engine& engine);
  ~Stripe();
  Stripe(const Stripe&) = delete;
  Stripe& operator=(const Stripe&) = delete;

  // Recovers from the engine and begins a life: the same epoch after a clean stop, a new one otherwise. The output of
  // this first turn must be written and synced before any event is handed in. kCorruption when rows do not decode,
  // kIo when the engine fails: the stripe must not be used then.
  Status start(Now now);

  // --- events
  // Coordinates `request`, or passes it on to a replica; REQUIRES: its arc belongs to this stripe (stripe_of).
  // `callback` is called once: at once (a read that needs nobody else) or with the answers of a later output. Requests
  // of one caller for one key take effect in the order in which they are handed in. Answers are kept no longer than the
  // request's deadline.
  void on_request(Request request, ReplyCallback callback, Now now);
  // `bytes` came from `from`, whom the transport has authenticated as that node. Anything malformed is counted and
  // dropped.
  void on_message(NodeIndex from, std::string_view bytes, Now now);
  // next_deadline() is due. Calling it early does nothing.
  void on_tick(Now now);
  std::optional<Instant> next_deadline() const;
  // The cluster has a later configuration; an older one than the present one is ignored. Pending operations go on under
  // the new one: with its owners, or passed on to them.
  void on_config(std::shared_ptr<const ClusterConfig> config, Now now);
  // The connection to `peer` broke, or there is none yet: it cannot be reached, whatever it says. Or it has come up. A
  // peer of which nothing was said counts as connected; one that is silent cannot be reached either.
  void on_peer_connection(NodeIndex peer, bool up, Now now);

  Output take_output();

  // Draining: new requests are refused with kShuttingDown, and the other nodes are told to pass none on to this one.
  // True once no operation is in flight and they have answered, or had a second to. To be called every few
  // milliseconds.
  bool drain(Now now);
  // The last turn of a clean stop: its output marks the stop as clean and must be written and synced.
  void stop(Now now);

  // --- looking in
  const StripeStats& stats() const;
  uint64_t keys() const;  // as stats() has it, for who asks after each turn
  std::vector<PeerLag> lag(Now now) const;
  // Per replica and origin; pairs of which nothing is missing, or nothing is known, are left out.
  std::vector<OriginLag> origin_lag(Now now) const;
  RingProgress ring_progress() const;
  // Has all partitions compared with their other owners at once, by this node where it is the one that asks; with a
  // region (by its index in the configuration) those that have either owner there.
  void repair_now(Now now, std::optional<size_t> region = {});
  // From now on quarantined partitions may be rebuilt from a replica that lacks some of what was acknowledged here, and
  // full exchanges that were stopped may remove what they would remove.
  void accept_losses(Now now);
  // Stops comparing and looking through rows, until it is resumed or another life begins; others are answered. Trees
  // are built and kept all the same.
  void pause_repair(bool paused, Now now);
  // Of this keyspace, or of all; of pairs with an owner in this region, or of all.
  TreeProgress tree_progress(std::optional<uint16_t> keyspace = {}, std::optional<size_t> region = {});
  // Of the partitions held here. What the present turn has changed is not ready.
  std::vector<PartitionDigest> partition_digests();
  // The hashes of all buckets of a partition's tree; and the keys of one bucket with their digests, at most `limit`.
  // kNotFound when the partition is not held here, or has no tree.
  Result<std::vector<uint64_t>> bucket_hashes(PartitionId id);
  Result<std::vector<std::pair<std::string, uint64_t>>> bucket_keys(PartitionId id, uint32_t bucket, size_t limit);
  // Of this life.
  uint64_t epoch() const;
  const ClusterConfig& config() const;
  // Whether enough replicas are reachable for the write level of every keyspace, and an owner of each arc that this
  // node does not own.
  bool ready() const;
  void set_observer(StripeObserver* observer);
  // The canonical causal state of a partition held here: clock, and per key the digest of its visible leaves, expired
  // objects left out as of `wall`. Replicas agree on it byte for byte at quiescence. Slow: for tests and verification.
  Result<std::string> canonical_state(uint16_t keyspace, uint32_t arc, WallTime wall);
  // Calls `visit` with the leaves of `key` as stored, until it returns false: all of them, or those of one hash field
  // or set element, and the expiry. kNotFound when this node is no replica of the key, kUnavailable while it waits for
  // its first snapshot.
  Result<KeySummary> look_at(uint16_t keyspace, const std::string& key, const std::optional<std::string>& field,
                             const std::function<bool(std::string_view path, const crdt::Leaf& leaf)>& visit);
  // All leaves of `key` as stored, for tests.
  Result<crdt::Object> inspect(uint16_t keyspace, const std::string& key);
  const crdt::Clock& clock(uint16_t keyspace, uint32_t arc) const;
  // The dots whose deltas are kept here for owners of a partition that this node does not hold.
  const crdt::Clock& fallback_clock(uint16_t keyspace, uint32_t arc) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The stripe that a request belongs to, by its key, or by its arc when is_arc_wide (kScanKeys: the arc of its cursor).
uint32_t stripe_of(const ClusterConfig& config, const Request& request);
// The arc that an operation is about.
uint32_t arc_of_operation(const ClusterConfig& config, const Operation& operation);

}  // namespace cartwheel::node
