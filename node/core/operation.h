// Operation: what a door asks of the cluster about one key, and Reply, what it gets. The vocabulary between the doors
// (RESP, RPC) and the coordinator; doors translate syntax, the coordinator and the object layer give the meaning.
// A command about several keys is several operations, whose replies the door puts together.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "node/core/level.h"
#include "node/core/session_token.h"

namespace cartwheel::node {

// The values are part of the RPC (docs/rpc.md): append only.
enum class Verb : uint8_t {
  // --- reads -------------------------------------------------- reply
  kGet = 1,        // the string                                 bytes or nil
  kExists = 2,     //                                            integer 0 or 1
  kType = 3,       //                                            bytes: "none", "string", "hash", "set", "flag"
  kTtl = 4,        // milliseconds to live                       integer; -1 no expiry, -2 no key
  kMapGet = 5,     // args: fields                               list of bytes or nil, in order
  kMapAll = 6,     //                                            list: field, value, field, value …
  kMapLength = 7,  // number of fields                           integer
  kMapKeys = 8,    //                                            list of bytes
  kMapScan = 9,    // number: cursor, count, args[0]: glob or "" list: integer next cursor, list: field, value, …
  kSetHas = 10,    // args: elements                             list of integers 0 or 1, in order
  kSetAll = 11,    //                                            list of bytes
  kSetSize = 12,   //                                            integer
  kSetScan = 13,   // number: cursor, count, args[0]: glob or "" list: integer next cursor, list: elements
  kScanKeys = 14,  // whole arc: number: cursor, count,          list: integer next cursor, list: keys; the cursor is a
  //   args[0]: glob or "", args[1]: type or "" position in the hash space (52 bits), 0 when all is seen
  kCountKeys = 15,  // whole arc: number: the arc                 integer
  kFlagGet = 16,    // args[0]: field path of the flag, or none   integer 0 or 1
  // --- writes that do not depend on what other replicas have
  kSet = 32,           // args[0]: value; expiry; want_old           nil; with want_old: the old bytes or nil
  kIncrement = 33,     // number: amount                             integer: the new value, as this coordinator sees it
  kMapSet = 34,        // args: field, value, …                      integer: fields that were not there
  kMapIncrement = 35,  // args[0]: field, number: amount          integer: the new value
  kSetAdd = 36,        // args: elements                             integer: elements that were not there
  kFlagSet = 37,       // args[0]: "ew" or "dw", number: 0 or 1      nil
  // --- writes that act on what is there: they see at least what the keyspace's read level promises
  kDelete = 64,  //                                            integer 0 or 1
  kExpire = 65,  // expiry (kAt or kNone)                      integer: 1 if the key exists (kNone: and had an expiry)
  kMapRemove = 66,  // args: fields                               integer: fields that were there
  kSetRemove = 67,  // args: elements                             integer: elements that were there
  kGetDelete = 68,  //                                            bytes or nil
  kGetExpire = 69,  // expiry                                     bytes or nil
};

inline bool is_write(Verb verb) {
  return static_cast<uint8_t>(verb) >= 32;
}
// Whether the operation must see what the read level promises before it acts: reads and observing writes.
inline bool observes(Verb verb) {
  return static_cast<uint8_t>(verb) < 32 || static_cast<uint8_t>(verb) >= 64;
}
// Whether the operation is about a whole arc and not a key.
inline bool is_arc_wide(Verb verb) {
  return verb == Verb::kScanKeys || verb == Verb::kCountKeys;
}

struct Expiry {
  enum class Kind : uint8_t {
    kKeep = 0,  // leave as it is
    kNone = 1,  // no expiry from now on
    kAt = 2,    // at `at`
  };
  Kind kind = Kind::kKeep;
  WallTime at{};
};

struct Operation {
  Verb verb = Verb::kGet;
  std::string key;  // empty when is_arc_wide(verb)
  std::vector<std::string> args;
  int64_t number = 0;
  uint32_t count = 0;  // of a scan: about how many to return
  Expiry expiry;       // of kSet: kNone is Redis' default, kKeep is KEEPTTL
  bool want_old = false;
};

// What a verb takes; everything that it does not take is at its default.
struct VerbInfo {
  enum Takes : uint8_t { kNothing = 0, kNumber = 1, kCount = 2, kExpiry = 4, kWantOld = 8 };
  const char* name;  // as docs/rpc.md and errors have it
  uint32_t least;    // arguments
  uint32_t most;
  bool pairs;     // arguments come in pairs of field and value
  uint8_t takes;  // of Takes
};
// nullptr when no verb has this number.
const VerbInfo* verb_info(uint64_t verb);

// Whether `operation` is well formed and within base/limits.h, whatever the cluster looks like; every door asks this
// before it hands an operation on, so the coordinator meets no other. kInvalidArgument or kTooLarge, saying what is
// wrong; the caller knows the clock and the cluster, so the bound of an expiry and the number of an arc are its to
// check.
Status validate(const Operation& operation);

// A request as a door hands it to a stripe.
struct Request {
  uint16_t keyspace = 0;  // index into ClusterConfig::keyspaces
  Operation operation;
  std::optional<Level> level;  // overrides the keyspace's read (for a read) or write level
  Instant deadline;            // work that is older is dropped
  // Of a client with a session token. Who asks this way is told what the reply has shown.
  std::shared_ptr<const SessionDemand> session = nullptr;
};

// A plain tree of values, the least that RESP and MessagePack have in common.
struct Value {
  enum class Kind : uint8_t { kNil, kInteger, kBytes, kList };
  Kind kind = Kind::kNil;
  int64_t integer = 0;
  std::string bytes;
  std::vector<Value> list;

  static Value Nil() { return {}; }
  static Value Integer(int64_t v) { return {Kind::kInteger, v, {}, {}}; }
  static Value Bytes(std::string v) { return {Kind::kBytes, 0, std::move(v), {}}; }
  static Value List(std::vector<Value> v) { return {Kind::kList, 0, {}, std::move(v)}; }
  friend bool operator==(const Value&, const Value&) = default;
};

struct Reply {
  Status status;  // of a write: kUnavailable means not applied, kUnknownOutcome that it may be or become visible
  Value value;    // only when status is ok
  std::shared_ptr<const SessionSeen> seen = nullptr;  // of a request with a session about one key, when status is ok
  // How many fallbacks counted for the level, because its owners alone did not meet it: such a write and such a read
  // need not see each other. 0: the level holds as docs/consistency.md has it.
  uint16_t fallbacks = 0;
};

using ReplyCallback = std::function<void(Reply)>;

}  // namespace cartwheel::node
