// The client's side of the RPC, without I/O: requests to the payload of a kRequest frame, the payload of a kReply frame
// to a reply. docs/rpc.md is the reference. Framing and the hello are node/runtime/frame.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "node/core/operation.h"

namespace cartwheel::client {

struct RpcOptions {
  std::optional<std::string> level = {};    // overrides the keyspace's level
  std::optional<uint64_t> timeout_ms = {};  // the server's default otherwise
  // A session token, "" to begin a session; what to do where it is not met: wait, forward or stale; how long to wait.
  std::optional<std::string> token = {}, token_policy = {};
  std::optional<uint64_t> token_wait_ms = {};
  bool want_fallbacks = false;  // the reply says how many counted for the level
};

// Append one payload each to `out`. Nothing is checked here: the server answers what is wrong with a request. Fields of
// the operation that its verb does not take are not sent. REQUIRES: the verb is a known one.
void encode_request(uint64_t id, std::string_view keyspace, const node::Operation& operation, const RpcOptions& options,
                    std::string& out);
// "ping", "status", "topology", "watch" without a document; "admin" with one, which is MessagePack.
void encode_named_request(uint64_t id, std::string_view name, std::string_view document, std::string& out);

struct RpcReply {
  uint64_t id = 0;
  Code code = Code::kOk;     // one that this version does not know is taken for kUnknownOutcome: nothing may be assumed
  std::string_view message;  // of an error
  std::string_view value;    // one MessagePack value
  std::string_view token;    // of a request with one: to be sent instead from now on
  bool stale = false;        // the reply may lack what the token demanded
  std::optional<uint64_t> fallbacks = {};  // of a request that wants to know: how many counted for the level
};

// The views point into `payload`. kCorruption when it is not a reply.
Result<RpcReply> parse_reply(std::string_view payload);

// The value of a reply to an operation. kCorruption when it is something else, a map for example, or nested deeper than
// any reply is.
Result<node::Value> parse_value(std::string_view value);

}  // namespace cartwheel::client
