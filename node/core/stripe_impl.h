// The inside of a Stripe: its state, and the names of its parts. Each part is a file:
//   stripe.cc       life: events, turns, the engine's rows, looking in
//   recovery.cc     what a life finds of the ones before
//   coordinator.cc  requests: levels, forwarding, answers (farewell.cc: the end of that)
//   read_phase.cc   quorum reads, and the order of requests for one key meanwhile
//   read_repair.cc  replicas that a read found behind are told so
//   hedge.cc        who is asked first, and who next when an answer is late
//   session.cc      what session tokens demand of a read, and what replies tell them
//   fallback.cc     deltas kept for owners that cannot be reached, and handed back
//   replication.cc  deltas and acks between replicas, clock announcements, which peers are reachable
//   catch_up.cc     exact catch-up by the dot log
//   exchange.cc     full exchange, where the log does not reach
//   exchange_by_trees.cc  the same, of what differs alone
//   fold.cc         closed lives of nodes folded out of partition clocks
//   sweep.cc        removal of expired objects, truncation of the log
//   ring_change.cc  what a configuration says about partitions; arcs that come, move and go
//   load.cc         the snapshot with which a new owner begins
//   tree_scan.cc    hash trees, built from the rows and compared with them
//   tree_exchange.cc  trees of two owners compared (tree_answers.cc, tree_keys.cc, tree_leaves.cc)
//   quarantine.cc   partitions whose rows cannot be read, out of service until they are rebuilt
//   removal_alarm.cc  full exchanges that would remove much are stopped
//   lag.cc          what replicas lack of what each node wrote, for operators
//   look_at.cc      a key as it is stored, for operators
#pragma once

#include <deque>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "base/rng.h"
#include "node/core/execute.h"
#include "node/core/latency.h"
#include "node/core/message.h"
#include "node/core/object_listing.h"
#include "node/core/partition.h"
#include "node/core/stripe.h"
#include "node/core/tree_message.h"

namespace cartwheel::node {

// The least distance of two epochs of a node: ids of messages begin with the epoch and count on from it, so that those
// of a life whose clock went back must not run into those of the one before.
inline constexpr uint64_t kEpochStep = 1ull << 32;

// How often a request is passed on: while nodes learn of a change of the ring one after the other, an owner of
// yesterday may pass it on to one of today.
inline constexpr uint8_t kHopsMax = 3;

struct Stripe::Impl {
  // Who waits for a reply: a callback of this node, or a request that `origin` passed on.
  struct Caller {
    ReplyCallback callback;
    NodeIndex origin = kNoNode;
    uint64_t origin_id = 0;
    uint8_t hops = 0;        // how often the request was passed on
    uint16_t fallbacks = 0;  // that counted for the level of its read phase
  };

  // What a level asks for among the owners of a partition and, while it moves, for a write also among the others.
  struct Needs {
    Need owners;
    std::optional<Need> others;
    bool fallbacks = false;  // count for owners that cannot be reached
  };

  // An operation between its request and its answer.
  struct Pending {
    enum class Phase : uint8_t { kReading, kWriting, kForwarded } phase;
    Caller caller;
    Request request;
    Partition* partition = nullptr;
    uint64_t hash = 0;  // of the key
    Needs needs;
    std::vector<uint32_t> acked, others_acked;  // per region
    std::vector<NodeIndex> answered;
    std::vector<NodeIndex> asked;
    std::vector<NodeIndex> fallbacks;  // kReading: that were counted in `acked`
    Reply reply;                       // kWriting: given once the level is met
    crdt::Actor actor;                 // kWriting: of the write's dots
    crdt::DotSet::Interval seqs{};     // kWriting: of the write's dots, which are this node's in `partition`
    NodeIndex forwarded_to = kNoNode;
    std::vector<NodeIndex> candidates;  // kForwarded: whom it may be passed on to, too
    std::vector<NodeIndex> hedged;      // of those asked, the ones that were asked because others were slow
    NodeIndex probed = kNoNode;         // was asked to find out whether it is slow
    bool hedge_refused = false;         // for want of budget
    // kReading: replicas that have what is missing here, and what they have
    std::vector<std::pair<NodeIndex, crdt::Clock>> awaited;
    Instant hedge_at{INT64_MAX};        // when its entry in hedges_ is due
    Instant last_resort_at{INT64_MAX};  // when everybody else is asked
    Instant catch_up_at{INT64_MAX};
    Instant session_until{INT64_MAX};  // kReading: no longer does it wait for what its session demands
  };

  // Requests for one key that wait because an earlier one is in its read phase.
  struct Gate {
    int readers = 0;
    bool writer = false;
    struct Waiting {
      uint64_t id;
      Caller caller;
      Request request;
      Partition* partition;
      uint64_t hash;
    };
    std::deque<Waiting> queue;
  };

  struct PeerState {
    bool reachable = false;
    bool linked = true;  // no break of the connection to it is known
    Instant last_heard{};
    uint64_t instance = 0;         // of the life that it announces
    uint64_t version = 0;          // of its announcements, up to which all is known here
    WallTime as_of{INT64_MIN};     // of the last announcement
    uint64_t acked_version = 0;    // of this node's announcements
    uint64_t epoch = 0;            // of the configuration with which it made its last announcement
    std::vector<uint64_t> acks;    // to be sent with this turn
    bool full = false;             // it is no fallback for more
    Instant stops_until{};         // it has said that it stops, or refused because of that
    uint64_t let_go = 0;           // the last round of this node's farewell that it has answered
    std::set<uint64_t> forwarded;  // ids of requests that it passed on to here, the latest ones
    uint64_t forwarded_floor = 0;  // those up to here are forgotten
    AnswerTimes digests;           // of reads; acks are awaited among them
    AnswerTimes coordinated;       // of requests that were passed on to it
    uint64_t summary_id = 0;       // of the summary of trees that waits for its answer
    Instant next_summary{};

    // For folding (fold.cc).
    uint64_t life_version = 0;            // when its life was first heard of, in this stripe's count of clock changes
    std::map<NodeIndex, uint64_t> lives;  // of others, as it has heard of them from themselves
    Instant announced_at{INT64_MIN};      // when an announcement came that was newer than all before
  };

  // A replica that a read has found to lack something of a partition (read_repair.cc).
  struct Laggard {
    enum class Step : uint8_t { kNoted, kAsked, kTold } step = Step::kNoted;
    Instant due{};         // kNoted: it is asked again; later: it is forgotten
    uint64_t ask = 0;      // kAsked: the id of the question
    std::string key;       // in which it differed
    crdt::DotSet missing;  // of what was here then, what it is not known to have got
  };

  // A repair of one partition that is under way, by catch-up or by full exchange.
  struct Repair {
    uint64_t id = 0;
    NodeIndex from = kNoNode;
    Instant last_progress{};
    bool exchange = false;
    bool raw = false;  // an exchange that loads the first snapshot (load.cc)
    std::string last_row;
    uint64_t bytes = 0, bytes_total = 0, keys = 0;
    bool waits = false;  // for its share of load_bytes_per_second
    // full exchange only:
    uint64_t step = 0;      // that is asked for, or joined next
    bool joining = false;   // all has come
    bool counting = false;  // what the join would remove, before it begins
    bool refused = false;   // it would be too much
    bool salvage = false;   // what has come has holes (quarantine.cc)
    uint64_t keys_to_go = 0;
    bool key_shows = false, key_stays = false;  // of the key that is being counted
    crdt::Causal snapshot;
    bool has_key = false;
    uint64_t key_hash = 0;
    std::string key;              // the object being joined
    std::set<std::string> paths;  // of it, that came
    // Of an exchange in which only what differs was asked for (exchange_by_trees.cc).
    struct ByTrees {
      crdt::Clock asked;                   // the clock here when it was asked for,
      std::optional<PartitionTree> shown;  // and the tree; of an earlier life nobody knows it any more
      PartitionTree::Buckets differing;
      bool rows_joined = false;  // it is the turn of the buckets that were equal
      crdt::DotSet window;       // what came here since, and the snapshot had seen
      uint32_t bucket = 0;       // the next of them
    };
    std::optional<ByTrees> by_trees;
  };

  // A look through the rows of one partition (tree_scan.cc).
  struct TreeScan {
    PartitionId partition;
    bool builds = false;
    PartitionTree before, found;
    // Of large objects: the one whose leaves come now, what its header says of them, and what is not what it says.
    std::string large;
    uint64_t expected = 0;
    std::vector<std::string> miscounted;
    std::unique_ptr<storage::Iterator> rows;
  };

  struct TreeBucket {
    uint32_t bucket;
    uint64_t difference;  // XOR of its hashes on both sides
  };

  // A comparison of one partition with another owner that found its trees unequal (tree_exchange.cc).
  struct TreeExchange {
    uint64_t id = 0;
    NodeIndex peer = kNoNode;
    PartitionId partition;
    TreeStep step = TreeStep::kGroups;
    Instant last_progress{};
    std::optional<Instant> retry_at;  // the clocks were not equal
    int tries = 0, rounds = 0;
    std::vector<uint64_t> groups;    // to look into
    std::deque<TreeBucket> buckets;  // likewise
    std::vector<TreeBucket> asking;  // of them those that the other side is asked about
    bool asks_first = false;         // what is lacking is mostly not here but there
    std::deque<TreeSlice> slices;    // to compare
    std::vector<TreeSlice> sent;     // that wait for their answer
  };

  // Rows of a message and what they point into.
  struct TreeRows {
    std::vector<TreeRow> rows;
    std::deque<std::string> kept;
    size_t bytes = 0;
    void add(std::string_view key, std::string_view path, const crdt::Leaf& leaf);
    void add_object(std::string_view key, std::string_view encoded);  // all that it shows
  };

  // Deltas of a partition that this node does not hold, kept for owners that could not be reached. Their values are in
  // rows of their own.
  struct Fallback {
    struct Row {
      uint64_t number;
      WallTime at;
      size_t bytes;
      std::vector<crdt::Dot> dots;
    };
    std::deque<Row> rows;
    crdt::Clock clock;                        // exactly their dots
    std::map<NodeIndex, crdt::Clock> owners;  // what they have said to have
    uint64_t version = 0;                     // of `clock`, in the stripe's count of clock changes
  };

  // Lives of one node that may be folded once that has been so for long enough (fold.cc).
  struct Fold {
    crdt::Actor last;
    uint64_t hash = 0;
    Instant since{};
  };

  // A full exchange that this node serves from a snapshot.
  struct Serving {
    uint64_t id = 0;
    uint64_t step = 0;
    bool raw = false;
    std::string last_reply;
    std::unique_ptr<storage::Iterator> rows;
    // Only the buckets that differ are sent, and of the others what remembers resets.
    bool by_trees = false;
    PartitionTree::Buckets differing, remembering;
    Instant last_used{};
    bool done = false;
    bool salvage = false;  // rows that cannot be read are left out
  };

  struct LoggedRecord {
    uint64_t number;
    size_t bytes;
    std::vector<std::pair<Partition*, crdt::Dot>> dots;
    std::vector<Partition*> parts;
  };

  Impl(std::shared_ptr<const ClusterConfig> config, StripeOptions options, storage::Engine& engine);

  // --- stripe.cc
  Status recover(Now now);
  Status read_partition_rows(std::set<PartitionId>& doubtful);
  Status read_records(std::set<PartitionId>& doubtful);
  void erase_rows(PartitionId id);
  uint64_t epoch_above(uint64_t epoch);
  void begin_event(Now now);
  Output take_output();
  Partition* find(PartitionId id);
  // Applies the changes of `delta` that are new here and puts it into the turn's record. False if it could not be (a
  // time too far in the future, an engine that cannot be read, a dot that an exchange will bring).
  bool apply_delta(Partition& p, crdt::Delta delta, std::string_view encoded);
  void log_delta(Partition& p, const crdt::Delta& delta, std::string encoded);
  void clock_advanced(Partition& p);
  // Has the partition's row written with this turn.
  void write_row(Partition& p);
  void schedule(Instant at, uint64_t id);
  void send(NodeIndex to, std::string bytes);
  size_t region_of(NodeIndex node) const { return node_region_[node]; }
  std::string node_name(NodeIndex n) const { return config_->nodes[n].name; }

  // --- ring_change.cc
  void read_config();
  void place(Partition& p);
  Partition& create_partition(PartitionId id);
  void on_config(std::shared_ptr<const ClusterConfig> config);
  void reconsider_operations();
  void resend(Pending& op, uint64_t id, const std::vector<NodeIndex>& to, bool fallback);
  void let_go_of_leftovers();
  void doom(Partition& p);
  void bury_doomed();
  bool is_in_use(const Partition& p) const;
  void keep_durably(const Partition& p);
  bool covers_old_owners(const Partition& p) const;
  void note_epoch(NodeIndex from, uint64_t epoch);
  RingProgress ring_progress() const;

  // --- load.cc
  void start_loads();
  void on_raw_rows(Partition& p, Repair& repair, const ExchangeReplyMessage& m);
  void finish_load(Partition& p, crdt::Causal snapshot, uint64_t keys);
  void request_waiting_loads();

  // --- coordinator.cc
  void request(Caller caller, Request request);
  void start(Caller caller, Request request, Partition& p, uint64_t hash);
  void execute(Caller caller, Request request, Partition& p, uint64_t hash);
  void execute_write_now(Caller caller, Request request, Partition& p, StoredObject& object, const Needs& wanted);
  void publish(Partition& p, const crdt::Delta& delta, uint64_t ack_id, const Needs& wanted, Pending* op);
  void forward(Caller caller, Request request, const std::vector<NodeIndex>& replicas, bool anywhere = false);
  bool begin_read_phase(Caller caller, Request request, Partition& p, uint64_t hash, Needs wanted);
  void ask_replicas(uint64_t id, Pending& op, bool everyone);
  void count_vote(Pending& op, NodeIndex from);
  void ask_replica(uint64_t id, Pending& op, NodeIndex to);
  void fetch_awaited(uint64_t id, Pending& op);
  void check_read_phase(uint64_t id);
  void end_read_phase(uint64_t id, Status status);
  void release_gate(const std::string& key, bool writer);
  void pump_gate(const std::string& key);
  void pass_on(uint64_t id, Pending& op, NodeIndex to);
  void answer(Caller& caller, Reply reply, bool at_once = false);
  void finish(uint64_t id, Reply reply);
  void on_gated_deadline(uint64_t id);
  void refuse_gated(Gate::Waiting& late);
  bool is_first_copy(NodeIndex from, uint64_t id);
  void on_deadline(uint64_t id);
  void fail_operations_of(NodeIndex peer);
  bool needs_local(const Request& request) const;
  Result<Needs> needs_of(const Request& request, const Partition& p, bool for_read);
  void count_answers(Pending& op) const;
  bool is_met(const Pending& op) const;
  bool can_be_met(const Pending& op) const;
  bool reachable_enough(const Needs& wanted, const Partition& p) const;
  Status unreachable_error(const Level& level, const Partition& p) const;
  void on_read(NodeIndex from, const ReadMessage& m);
  void on_read_reply(NodeIndex from, const ReadReplyMessage& m);
  void on_forward(NodeIndex from, ForwardMessage m);
  void on_forward_reply(NodeIndex from, ForwardReplyMessage m);
  static std::string gate_key(const Request& request);

  // --- read_repair.cc
  void note_laggard(NodeIndex from, Partition& p, const std::string& key, const crdt::Clock& theirs);
  void tend_laggards();
  bool look_again(NodeIndex node, PartitionId id, Laggard& laggard);
  void on_second_look(NodeIndex from, const ReadReplyMessage& m);
  void tell(NodeIndex node, PartitionId id, Laggard& laggard);
  void on_nudge(NodeIndex from, const NudgeMessage& m);
  bool may_read_repair();
  void send_read_repair(NodeIndex to, std::string bytes);
  void charge_read_repair(NodeIndex to, PartitionId id, size_t bytes);

  // --- farewell.cc
  bool drain();
  bool say_farewell();
  void on_farewell(NodeIndex from, const FarewellMessage& m);
  void believe_stopping(NodeIndex peer);
  bool stops(NodeIndex peer) const;

  // --- hedge.cc
  std::vector<NodeIndex> ranked(const std::vector<NodeIndex>& nodes, bool to_coordinate) const;
  Duration expected_of(NodeIndex n, bool to_coordinate) const;
  Duration usual_wait(NodeIndex asked, const std::vector<NodeIndex>& nodes, bool to_coordinate) const;
  Duration hedge_wait(const Pending& op) const;
  void begin_hedging(uint64_t id, Pending& op);
  void arm_hedge(uint64_t id, Pending& op, Instant at);
  void disarm_hedge(uint64_t id, Pending& op);
  void fire_hedges();
  void hedge(uint64_t id, Pending& op, Instant due);
  NodeIndex next_replica(const Pending& op) const;
  NodeIndex next_coordinator(const Pending& op) const;
  void probe_slow(uint64_t id, Pending& op);
  static bool awaits_answers(const Pending& op);
  void count_hedge(const Pending& op);
  void replace_replica(NodeIndex peer);

  // --- session.cc
  bool has_session(const Request& request) const;
  bool covers_session(const Request& request, const Partition& p) const;
  bool must_wait_for_session(const Request& request, const Partition& p) const;
  bool forward_for_session(Caller& caller, Request& request, const Partition& p);
  void check_sessions_of(const Partition* p);
  std::shared_ptr<const SessionSeen> seen_of(const Request& request, const Partition& p) const;

  // --- fallback.cc
  std::vector<NodeIndex> fallbacks_of(const Partition& p, size_t region) const;
  void send_to_fallbacks(const Partition& p, WriteMessage message);
  void send_pending_to_fallbacks(NodeIndex peer);
  std::vector<uint32_t> count_owners(const Pending& op, const std::vector<NodeIndex>& nodes) const;
  uint16_t fallbacks_that_count(const Pending& op) const;
  void keep_for_owners(const WriteMessage& m, const crdt::Delta& delta);
  void recover_fallbacks();
  void announce_fallbacks(NodeIndex to, AnnounceMessage& message) const;
  void on_fallbacks_announced(NodeIndex from, const AnnounceMessage& m);
  void forget_fallback(NodeIndex node);
  void serve_fallback(NodeIndex from, const CatchUpMessage& m);
  void tend_fallbacks();
  bool take_over(Partition& p, const Fallback& kept);
  bool has_handed_over(PartitionId id, const Fallback& kept, bool reachable_only) const;
  void drop_first(PartitionId id, Fallback& kept, size_t rows);
  std::vector<NodeIndex> heirs_of(PartitionId id) const;
  uint64_t fallbacks_to_hand_over() const;
  void note_possible_fallbacks();

  // --- fold.cc
  void announce_lives(AnnounceMessage& message) const;
  void on_lives_announced(NodeIndex from, const AnnounceMessage& m);
  bool knows_closed(NodeIndex by, const crdt::Actor& actor) const;
  bool all_know_closed(const std::vector<NodeIndex>& keepers, const crdt::Actor& actor) const;
  bool announced_since(const std::vector<NodeIndex>& keepers, Instant then) const;
  std::vector<NodeIndex> keepers_of(const Partition& p) const;
  bool is_settled(const Partition& p) const;
  bool may_fold(const Partition& p, const crdt::Actor& actor, uint64_t hash,
                const std::vector<NodeIndex>& keepers) const;
  std::optional<crdt::Actor> last_closed(const Partition& p, const std::vector<NodeIndex>& keepers,
                                         std::vector<crdt::DotSet::Row>::const_iterator& row) const;
  void fold_lives(Partition& p, const crdt::Actor& actor, uint64_t hash);
  int fold_as_others(Partition& p);
  void tend_folds();
  void outlive(const crdt::Clock& theirs);

  // --- replication.cc
  void replicate(Partition& p, std::string_view encoded, uint64_t ack_id, const Needs& wanted, Pending* op);
  void on_write(NodeIndex from, const WriteMessage& m);
  void on_write_ack(NodeIndex from, const WriteAckMessage& m);
  void count_ack(uint64_t id, NodeIndex from);
  bool is_of_closed_life(const crdt::Delta& delta) const;
  static bool wants_clock(const Partition& p, NodeIndex node);
  void announce(NodeIndex to);
  void on_announce(NodeIndex from, AnnounceMessage m);
  void count_announced(NodeIndex from, const AnnounceMessage& m);
  void on_announce_ack(NodeIndex from, const AnnounceAckMessage& m);
  void begin_epoch_above(uint64_t epoch);
  void heard(NodeIndex from);
  void set_unreachable(NodeIndex peer);
  void welcome(Partition& p, NodeIndex node, Partition::Guest guest);
  void note_gap(Partition& p);
  void check_recovered(Partition& p);
  // Until when this node knows of every write that any replica of `p` made: the least of the peers' announcements that
  // it covers.
  WallTime covered_through(const Partition& p) const;

  // --- catch_up.cc
  void repair_gaps();
  void start_catch_up(Partition& p, NodeIndex from);
  NodeIndex choose_source(const Partition& p) const;
  void request_deltas(Partition& p, Repair& repair);
  void on_catch_up(NodeIndex from, const CatchUpMessage& m);
  void on_catch_up_reply(NodeIndex from, const CatchUpReplyMessage& m, size_t bytes);
  Result<TurnRecord> read_record(uint64_t number);
  void end_repair(std::map<PartitionId, Repair>::iterator repair);

  // --- exchange.cc
  void start_exchange(Partition& p, NodeIndex from);
  void request_step(Partition& p, Repair& repair);
  void on_exchange(NodeIndex from, const ExchangeMessage& m);
  bool refuses_to_serve(const Partition& p, const ExchangeMessage& m) const;
  void serve_step(NodeIndex from, const ExchangeMessage& m);
  void refuse_exchange(NodeIndex to, const ExchangeMessage& m);
  void break_off_serving(NodeIndex from, const ExchangeMessage& m);
  void serve_deferred();
  void recover_exchanges();
  Status validate_rows(const Partition& p, const Repair& repair, const ExchangeReplyMessage& m) const;
  void join_step();
  static void rewind(Repair& repair);
  Status join_stage(Partition& p, Repair& repair, bool* done);
  Status join_rows(Partition& p, Repair& repair, const ExchangeReplyMessage& m);
  Status join_leaf(Partition& p, Repair& repair, StoredObject& object, std::string_view path, const crdt::Leaf& theirs);
  Status finish_key(Partition& p, Repair& repair);
  Status join_own_keys(Partition& p, Repair& repair, uint64_t until_hash, std::string_view until_key, bool to_end);
  Status end_join(Partition& p, Repair& repair, bool* done);
  Status finish_exchange(Partition& p, Repair& repair);
  void on_exchange_reply(NodeIndex from, const ExchangeReplyMessage& m, size_t bytes);

  // --- exchange_by_trees.cc
  void serve_by_trees(const Partition& p, Serving& serving, const ExchangeMessage& m) const;
  bool pass_equal_buckets(Serving& serving, PartitionId id, uint64_t hash) const;
  bool is_served(const Serving& serving, uint64_t hash, const crdt::EncodedLeaf& leaf) const;
  bool awaits_tree(Partition& p);
  void offer_tree(const Partition& p, Repair& repair);
  bool take_differing(Repair& repair, const ExchangeReplyMessage& m);
  void keep_asked(const Partition& p, const Repair::ByTrees& by_trees);
  static bool is_asked_row(const ExchangeReplyMessage& m);
  Status begin_by_trees(const Partition& p, Repair& repair, const ExchangeReplyMessage& first);
  bool differs(const Repair& repair, uint64_t hash) const;
  std::optional<uint64_t> next_differing(const Partition& p, const Repair& repair, uint64_t hash) const;
  Status join_equal_buckets(Partition& p, Repair& repair, bool* ended);
  Status join_equal_bucket(Partition& p, Repair& repair, uint32_t bucket);

  // --- quarantine.cc
  static bool is_unreadable(const Status& status);
  bool can_be_rebuilt(const Partition& p) const;
  void tell_operator(Output::Event::Kind kind, PartitionId id, std::string why = {}, NodeIndex peer = kNoNode);
  void quarantine(Partition& p, const std::string& why);
  void quarantine_unreadable();
  void settle_quarantines();
  void pass_on(Caller caller, Request request, const Partition& p);
  void answer_unreadable(Caller caller, Request request, Partition& p, Status why);
  bool is_enough(const Partition& p, const crdt::Clock& theirs) const;
  std::vector<NodeIndex> rebuild_sources(const Partition& p) const;
  void rebuild_quarantined();
  bool make_room(Partition& p);
  bool gives_salvage(const Partition& p) const;
  void erase_unreadable(Partition& p);
  bool salvaged_all(const Partition& p) const;
  void tell_if_it_waits(Partition& p, bool any_source);
  void release(Partition& p, NodeIndex from = kNoNode);
  void recover_quarantines();

  // --- removal_alarm.cc
  bool must_count(const Partition& p) const;
  static void count_leaf(Repair& repair, const crdt::Leaf& before, const crdt::Leaf& joined);
  static void count_key(Repair& repair);
  void end_count(Partition& p, Repair& repair);
  void mark_join_begun(const Partition& p);
  static bool is_join_mark(const ExchangeReplyMessage& m);
  void accept_losses();

  // --- tree_scan.cc
  void forget_tree(Partition& p);
  Partition* choose_scan();
  void scan_trees();
  Status scan_slice(TreeScan& scan);
  static void end_large(TreeScan& scan);
  void end_scan(Partition& p);
  void save_trees();
  void recover_trees(bool clean);

  // --- tree_exchange.cc, tree_answers.cc
  static uint64_t hash_numbers(const std::vector<uint64_t>& numbers);
  static uint64_t clock_hash(const Partition& p);
  bool is_comparable(const Partition& p) const;
  std::vector<Partition*> shared_with(NodeIndex peer);
  std::vector<uint64_t> fingerprints(const std::vector<Partition*>& partitions) const;
  void send_tree(NodeIndex to, std::string bytes);
  void tick_trees();
  void send_summary(NodeIndex to);
  void on_summary_reply(NodeIndex from, const TreeReplyMessage& m);
  void begin_tree_exchange(Partition& p, NodeIndex with);
  void ask_tree(TreeExchange& x);
  Status fill_slices(const Partition& p, TreeExchange& x);
  void on_tree_reply(NodeIndex from, const TreeReplyMessage& m);
  void on_groups(Partition& p, TreeExchange& x, const TreeReplyMessage& m);
  void on_buckets(Partition& p, TreeExchange& x, const TreeReplyMessage& m);
  void on_keys(Partition& p, TreeExchange& x, const TreeReplyMessage& m);
  void on_leaves(Partition& p, TreeExchange& x, const TreeReplyMessage& m);
  bool rows_are_current() const;
  bool defer_tree(NodeIndex from, std::string_view bytes);
  void take_deferred_trees();
  void on_tree(NodeIndex from, const TreeMessage& m);
  Status answer_tree(const Partition& p, const TreeMessage& m, TreeReplyMessage& reply, TreeRows& rows);
  void repair_now(std::optional<size_t> region);
  void pause_repair(bool paused);
  void measure_differences(StripeStats& stats) const;
  TreeProgress tree_progress(std::optional<uint16_t> keyspace, std::optional<size_t> region);
  std::vector<PartitionDigest> partition_digests();
  Status keys_of_bucket(const Partition& p, uint32_t bucket,
                        const std::function<bool(uint64_t hash, const std::string& key, uint64_t digest)>& visit);

  // --- tree_keys.cc
  struct ListedKey {
    uint64_t hash, digest;
    bool exploded;
  };
  Result<std::vector<ListedKey>> list_bucket(const Partition& p, uint32_t bucket, ObjectListing& rows);
  Result<bool> add_lacking(const Partition& p, const std::vector<ListedKey>& keys, uint64_t difference,
                           ObjectListing& rows, TreeRows& lacking);
  Status add_key(const Partition& p, const ListedKey& key, ObjectListing& rows, TreeRows& to);
  Status look_here(const Partition& p, TreeExchange& x);
  Status answer_keys(const Partition& p, const std::vector<uint64_t>& numbers, TreeReplyMessage& reply, TreeRows& rows);
  Status compare_keys(const Partition& p, TreeExchange& x, const TreeReplyMessage& m, size_t looked);
  void push_rows(const Partition& p, NodeIndex to, const TreeRows& rows);

  // --- tree_leaves.cc
  using LeafVisitor =
      std::function<bool(const std::string& key, uint64_t step, std::string_view path, const crdt::Leaf& leaf)>;
  Status walk_slice(const Partition& p, const TreeSlice& slice, const LeafVisitor& visit);
  Status fill_slice(const Partition& p, TreeSlice& slice);
  Result<bool> compare_slice(const Partition& p, const TreeSlice& theirs, TreeRows& rows,
                             std::vector<uint64_t>& wanted);
  Status pick_rows(const Partition& p, const TreeSlice& slice, const std::unordered_set<uint64_t>& wanted,
                   TreeRows& rows);
  void join_tree_rows(Partition& p, const std::vector<TreeRow>& rows);

  // --- sweep.cc
  void sweep();
  void truncate_log();
  void write_unlogged_rows();
  Status count_keys(Partition& p);
  Status forget_settled_resets(Partition& p, StoredObject& object);

  std::shared_ptr<const ClusterConfig> config_;
  StripeOptions options_;
  storage::Engine& engine_;
  ObjectStore store_;
  Rng rng_;
  crdt::HybridClock hlc_;
  crdt::Actor actor_;
  Identity identity_;
  size_t my_region_ = 0;
  std::vector<size_t> node_region_;
  std::map<uint32_t, NodeIndex> node_of_actor_;
  StripeObserver* observer_ = nullptr;

  Now now_{};
  WallTime wall_{};  // now_.wall, never going back
  std::map<PartitionId, Partition> partitions_;
  std::vector<std::vector<Partition*>> by_arc_;         // [keyspace][arc]
  std::vector<PeerState> peers_;                        // by node
  std::vector<std::vector<uint32_t>> region_replicas_;  // [keyspace][region]
  std::vector<Need> default_read_, default_write_;      // by keyspace
  Needs default_write_needs(uint16_t keyspace) const {
    const Keyspace& k = config_->keyspaces[keyspace];
    return {default_write_[keyspace], {}, k.fallbacks && !k.write.primaries};
  }
  uint64_t version_ = 0;  // of partition clocks
  bool last_turn_ = false;
  uint64_t farewell_round_ = 0;  // 0: it does not stop
  Instant farewell_until_{}, next_farewell_{};

  Output out_;
  std::map<PartitionId, std::vector<std::string>> turn_deltas_;
  std::vector<std::pair<Partition*, crdt::Dot>> turn_dots_;
  std::vector<Partition*> dirty_rows_;
  bool turn_dirty_ = false;

  uint64_t next_record_ = 1;
  std::deque<LoggedRecord> records_;
  uint64_t record_bytes_ = 0;
  uint64_t logged_dots_ = 0;
  std::optional<std::pair<uint64_t, TurnRecord>> read_cache_;

  // Begins with the epoch: what answers a request of an earlier life must not pass for an answer to one of this life.
  uint64_t next_id_ = 1;
  std::unordered_map<uint64_t, Pending> pending_;
  std::unordered_map<std::string, Gate> gates_;
  std::unordered_map<uint64_t, std::string> gated_keys_;  // the gate of each request that waits behind one
  uint64_t gated_ = 0;
  std::map<PartitionId, std::vector<uint64_t>> awaiting_clock_;
  std::set<uint64_t> awaiting_session_;              // operations whose session's demand was not met when they began
  std::map<int64_t, std::vector<uint64_t>> timers_;  // by 5 ms
  std::set<std::pair<Instant, uint64_t>> hedges_;    // of pending operations that wait for others
  SentBudget hedge_budget_;
  uint64_t read_phases_ = 0;

  std::map<std::pair<NodeIndex, PartitionId>, Laggard> laggards_;
  Instant next_laggard_{INT64_MAX};  // when the first of them is due
  ByteBudget read_repair_budget_{options_.read_repair_bytes_per_second};

  std::map<PartitionId, Repair> repairs_;
  int joins_ = 0;        // of the repairs, those that are joining
  Instant next_join_{};  // not before then: the engine could not be read
  std::set<PartitionId> gaps_;
  std::map<PartitionId, std::pair<crdt::DotSet, Instant>> gap_;
  std::map<std::pair<NodeIndex, PartitionId>, Serving> serving_;
  std::vector<std::pair<NodeIndex, ExchangeMessage>> deferred_;

  std::map<PartitionId, Fallback> fallbacks_;
  uint64_t next_fallback_ = 1;  // the number of the next row
  size_t fallback_bytes_ = 0;

  std::map<std::pair<PartitionId, uint32_t>, Fold> folding_;  // by partition and the node of the actors
  Instant next_folds_{};

  std::set<PartitionId> loading_, leftovers_, quarantined_;
  std::vector<PartitionId> newly_quarantined_;
  std::set<PartitionId> given_up_;  // partitions that this life held and dropped: their dots must not begin anew
  std::vector<PartitionId> doomed_;
  std::map<PartitionId, Instant> going_;  // went lately: their turn may not be synced yet
  std::set<PartitionId> with_guests_;
  // Partitions that are gone, and the number that the next record had then.
  std::deque<std::pair<uint64_t, std::map<PartitionId, Partition>::node_type>> graveyard_;
  std::shared_ptr<const ClusterConfig> deferred_config_;
  int64_t load_budget_ = 0;  // bytes that loads may still ask for, see StripeOptions
  std::optional<Instant> load_budget_at_;

  std::optional<TreeScan> tree_scan_;
  PartitionId scrubbed_;                       // the last one of this pass
  std::map<PartitionId, Instant> unreadable_;  // not looked through again before then
  std::map<PartitionId, TreeExchange> tree_exchanges_;
  std::deque<std::pair<NodeIndex, std::string>> deferred_trees_;
  std::optional<WallTime> repairing_now_;  // since when an operator wants everything compared
  bool repair_paused_ = false;
  ByteBudget tree_budget_{options_.tree_bytes_per_second};
  Instant next_scan_{}, next_tree_{};

  Instant next_announce_{}, next_housekeeping_{}, next_sweep_{};
  Instant next_rows_{INT64_MAX};  // when rows of unlogged partitions are due
  bool sweeping_ = false;
  PartitionId sweep_partition_{};
  uint64_t sweep_hash_ = 0;

  StripeStats stats_;
};

}  // namespace cartwheel::node
