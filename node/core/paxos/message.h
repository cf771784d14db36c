// The messages between proposers and acceptors, each a MessagePack array that starts with its type. All may be lost,
// doubled and reordered. decode functions validate everything: what they return is what an encoder can have written.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "node/core/paxos/ballot.h"

namespace cartwheel::node::paxos {

// What a register holds: bytes, or nothing (never written, or erased).
using Value = std::optional<std::string>;

// Append only. kReply is the type of all replies.
enum class MessageType : uint8_t { kQuery = 1, kPrepare = 2, kAccept = 3, kReply = 4 };

// From a proposer. [type, key, generation, ballot…] and of an accept also [value or nil, next…]
struct Request {
  MessageType type = MessageType::kQuery;
  std::string key;          // which register
  uint64_t generation = 0;  // of the proposer's acceptor sets
  Ballot ballot;            // of the attempt; a query's names the question and is not promised
  Value value;              // of an accept
  Ballot next;              // of an accept: not zero to ask for a promise for this ballot as well
  std::string encode() const;
  static Result<Request> decode(std::string_view bytes);
};

// From an acceptor. [type, key, request, ballot…, verdict, generation, promised…, accepted…, value or nil]
struct Reply {
  enum class Verdict : uint8_t {
    kYes = 0,            // told, promised or accepted
    kConflict = 1,       // `promised`, a higher ballot, is promised
    kOldGeneration = 2,  // `generation` is newer than the request's
    kLost = 3,           // this acceptor has lost its state and does not vote
  };
  std::string key;
  MessageType request = MessageType::kQuery;  // that this answers, with its ballot
  Ballot ballot;
  Verdict verdict = Verdict::kYes;
  uint64_t generation = 0;  // the newest that the acceptor knows of
  Ballot promised;          // of a conflict
  Ballot accepted;          // of a yes to a query or prepare: the last value accepted here, zero if none was
  Value value;
  std::string encode() const;
  static Result<Reply> decode(std::string_view bytes);
};

// A message for each of some nodes, to be encoded once.
struct Send {
  std::vector<NodeIndex> to;
  Request request;
};

// The type of a message, or nothing if it is not one.
std::optional<MessageType> message_type(std::string_view bytes);

}  // namespace cartwheel::node::paxos
