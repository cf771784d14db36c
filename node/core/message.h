// The messages between the same stripes of two nodes, each a MessagePack array that starts with its type (docs/rpc.md).
// All may be lost, doubled and reordered. decode functions validate everything; views point into the message.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "crdt/causal.h"
#include "node/core/cluster.h"
#include "node/core/operation.h"
#include "node/core/partition_tree.h"
#include "node/core/rows.h"

namespace cartwheel::node {

// Append only.
enum class MessageType : uint8_t {
  kWrite = 1,
  kWriteAck = 2,
  kRead = 3,
  kReadReply = 4,
  kForward = 5,
  kForwardReply = 6,
  kAnnounce = 7,
  kAnnounceAck = 8,
  kCatchUp = 9,
  kCatchUpReply = 10,
  kExchange = 11,
  kExchangeReply = 12,
  kTree = 13,  // tree_message.h
  kTreeReply = 14,
  kNudge = 15,
  kFarewell = 16,
};
constexpr MessageType kNewestMessageType = MessageType::kFarewell;

// Whether a request of a client waits for this message, so that it should not be held back to be sent in company. False
// for what does not decode.
bool is_awaited(std::string_view message);

// A delta for a replica. `epoch` is that of the coordinator's configuration. [type, ack_id, ack_to, relay, keyspace,
// arc, delta, epoch], and behind them, if it is for a fallback, [true]
struct WriteMessage {
  uint64_t ack_id = 0;         // 0: nobody waits
  NodeIndex ack_to = kNoNode;  // the coordinator
  bool relay = false;          // the receiver passes it on to the other replicas of its region
  PartitionId partition;
  std::string_view delta;
  uint64_t epoch = 0;
  bool fallback = false;  // the receiver is no owner: it keeps the delta for one that cannot be reached
  std::string encode() const;
  static Result<WriteMessage> decode(std::string_view bytes);
};

// Deltas that are applied and as durable as the keyspace asks. [type, [ack_id …]]
struct WriteAckMessage {
  std::vector<uint64_t> ids;
  std::string encode() const;
  static Result<WriteAckMessage> decode(std::string_view bytes);
};

// Does your copy of `key` have this digest? [type, id, keyspace, arc, key, digest, epoch]
struct ReadMessage {
  uint64_t id = 0;
  PartitionId partition;
  std::string_view key;
  uint64_t digest = 0;
  uint64_t epoch = 0;
  std::string encode() const;
  static Result<ReadMessage> decode(std::string_view bytes);
};

// [type, id, answer, clock]
struct ReadReplyMessage {
  enum class Answer : uint8_t {
    kSame = 0,
    kDiffers = 1,
    kNoVote = 2,  // it may have lost something, or the asker's configuration is of the past
  };
  uint64_t id = 0;
  Answer answer = Answer::kSame;
  std::string clock;  // of the partition, when it differs
  std::string encode() const;
  static Result<ReadReplyMessage> decode(std::string_view bytes);
};

// A request that another node coordinates. [type, id, keyspace, timeout_ms, level, operation, hops], and behind them,
// of a client with a session, [policy, patience_ms, through_ms, [node, epoch, seq, …]]
struct ForwardMessage {
  uint64_t id = 0;
  uint8_t hops = 1;  // how often it was passed on
  Request request;   // its deadline is relative on the wire
  std::string encode(Instant now) const;
  static Result<ForwardMessage> decode(std::string_view bytes, Instant now);
};

// [type, id, code, message, value], and behind them, if the reply tells a session what it has shown, [flags, as_of_ms,
// [node, epoch, seq, …]]; flags: 1 folded, 2 stale. The asker knows which partition it is about. If fallbacks counted,
// there is a sixth field, their number, and the fifth is nil if the reply tells no session anything.
struct ForwardReplyMessage {
  uint64_t id = 0;
  Reply reply;
  std::string encode() const;
  static Result<ForwardReplyMessage> decode(std::string_view bytes);
};

// The partition clocks that changed since version `since` of the sender's life `instance`; what is not named is as it
// was. `epoch` is that of the sender's configuration. [type, instance, since, version, as_of, [keyspace, arc, clock,
// …], epoch], and behind them, from a fallback, [full, keyspace, arc, clock, …]; and behind that, if there are any, the
// lives that have become known since: [node, epoch, …]. Without a fallback's, [false] stands before them.
struct AnnounceMessage {
  uint64_t instance = 0;
  uint64_t since = 0;
  uint64_t version = 0;
  WallTime as_of;  // the sender's own wall clock, which never goes back
  struct Entry {
    PartitionId partition;
    crdt::Clock clock;
  };
  std::vector<Entry> entries;
  uint64_t epoch = 0;
  std::vector<Entry> fallbacks;  // the dots of deltas that the sender keeps for owners; in the end none
  bool full = false;             // it keeps as many as it may
  // The newest life of other nodes, by their position, each as the sender has heard of it from that node itself: from
  // this announcement on the sender takes no writes of earlier lives. Ascending positions.
  std::vector<std::pair<NodeIndex, uint64_t>> lives;
  std::string encode() const;
  static Result<AnnounceMessage> decode(std::string_view bytes);
};

// [type, instance, version]: all that `instance` announced up to `version` is known here.
struct AnnounceAckMessage {
  uint64_t instance = 0;
  uint64_t version = 0;
  std::string encode() const;
  static Result<AnnounceAckMessage> decode(std::string_view bytes);
};

// From a node that is about to stop: pass no more requests on to me. From the one that was told (`answer`): what I have
// passed on is before this, and what you have sent has come. `instance` is of the life that stops; the answer repeats
// `round`. [type, answer, instance, round]
struct FarewellMessage {
  bool answer = false;
  uint64_t instance = 0;
  uint64_t round = 0;
  std::string encode() const;
  static Result<FarewellMessage> decode(std::string_view bytes);
};

// A read has found you behind: I have these dots, and you lacked them, among others. [type, keyspace, arc, [node,
// epoch, seq, …]]
struct NudgeMessage {
  PartitionId partition;
  std::vector<crdt::Dot> dots;  // at most limits::kNudgedDots
  std::string encode() const;
  static Result<NudgeMessage> decode(std::string_view bytes);
};

// Which deltas do I lack? [type, id, keyspace, arc, clock]
struct CatchUpMessage {
  uint64_t id = 0;
  PartitionId partition;
  crdt::Clock clock;
  std::string encode() const;
  static Result<CatchUpMessage> decode(std::string_view bytes);
};

// [type, id, keyspace, arc, outcome, clock, [delta …]]
struct CatchUpReplyMessage {
  enum class Outcome : uint8_t {
    kDone = 0,      // these are all, the asker then covers `clock`
    kMore = 1,      // ask again
    kBelowLog = 2,  // the log does not reach: a full exchange is needed
  };
  uint64_t id = 0;
  PartitionId partition;
  Outcome outcome = Outcome::kDone;
  crdt::Clock clock;
  std::vector<std::string_view> deltas;
  std::string encode() const;
  static Result<CatchUpReplyMessage> decode(std::string_view bytes);
};

// Step `step` of a full exchange, 0 to begin. `raw`: the rows as they are stored, for who has nothing yet. With a tree,
// in step 0, only what differs from it is asked for (exchange_by_trees.cc).
// [type, id, keyspace, arc, step, raw], and behind them a tree, if there is one
struct ExchangeMessage {
  uint64_t id = 0;
  PartitionId partition;
  uint64_t step = 0;
  bool raw = false;
  std::optional<PartitionTree> tree;
  std::string encode() const;
  static Result<ExchangeMessage> decode(std::string_view bytes);
};

// Leaves in row order, from one snapshot; raw: of each row its key behind the partition's prefix, nothing, its value.
// [type, id, keyspace, arc, step, outcome, causal, [key, path, leaf, …], keys, bytes], and behind them, in step 0 of an
// exchange by trees, which buckets differ: the others come without the leaves that are equal
struct ExchangeReplyMessage {
  // Lost: begin anew. Salvaged: done, but rows that cannot be read are left out.
  enum class Outcome : uint8_t { kMore = 0, kDone = 1, kLost = 2, kSalvaged = 3 };
  uint64_t id = 0;
  PartitionId partition;
  uint64_t step = 0;
  Outcome outcome = Outcome::kMore;
  std::string_view causal;  // of the snapshot; only in step 0
  struct Row {
    std::string_view key, path, leaf;
  };
  std::vector<Row> rows;
  uint64_t keys = 0, bytes = 0;  // of the whole partition, about; only in step 0
  std::optional<PartitionTree::Buckets> differing;
  std::string encode() const;
  static Result<ExchangeReplyMessage> decode(std::string_view bytes);
};

// The type of a message, or nothing if it is not one.
std::optional<MessageType> message_type(std::string_view bytes);

}  // namespace cartwheel::node
