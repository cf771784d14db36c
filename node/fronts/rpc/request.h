// The requests of RPC clients, from MessagePack to a checked Request. docs/rpc.md is the reference; in short:
//
//   request   = [ id:uint, keyspace:str, verb:uint, key:bin, args:[bin …], options:map or nil ]
//             | [ id:uint, "ping" | "status" | "topology" | "watch" ]
//             | [ id:uint, "admin", document:bin ]
//   options   = { 1 "number": int, 2 "count": uint, 3 "expiry": nil | -1 | ms since 1970, 4 "want_old": bool,
//                 5 "level": str, 6 "timeout_ms": uint, 7 "token": str, 8 "token_policy": str,
//                 9 "token_wait_ms": uint, 10 "want_fallbacks": bool }     a key is the number or the word
//
// Where bin stands, str is taken too, and the other way round: what counts is the bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "base/status.h"
#include "base/time.h"
#include "node/core/cluster.h"
#include "node/core/operation.h"

namespace cartwheel::node {

inline constexpr int64_t kRpcTimeoutMs = 60'000;  // the longest that a request may wait

enum class RpcOption : uint8_t {
  kNumber = 1,
  kCount = 2,
  kExpiry = 3,
  kWantOld = 4,
  kLevel = 5,
  kTimeoutMs = 6,
  kToken = 7,
  kTokenPolicy = 8,
  kTokenWaitMs = 9,
  kWantFallbacks = 10
};

struct RpcCall {
  enum class Kind : uint8_t { kOperation, kPing, kStatus, kTopology, kWatch, kAdmin };
  std::optional<uint64_t> id;  // absent: not even the id could be read, so no reply can be addressed
  Kind kind = Kind::kOperation;
  Request request;                      // of kOperation
  std::unique_ptr<SessionToken> token;  // of a client that sent one; request.session demands what it says
  bool want_fallbacks = false;          // the reply says how many counted
  std::string_view document;            // of kAdmin, in the payload
};

// Decodes and checks one payload: everything but what only the replicas know. On an error call.id is set if it could
// be read. Allocates no more than in proportion to the payload, whatever it claims.
Status decode_call(std::string_view payload, const ClusterConfig& cluster, Now now, Duration default_timeout,
                   RpcCall& call);

}  // namespace cartwheel::node
