// The replies to RPC clients:
//
//   reply = [ id:uint, code:uint, message:str or nil, value ]
//         | [ id:uint, 0, nil, value, token:str, stale:bool ]        to a request with a session token
//                                                                  message: of an error; value: nil when code is not 0
//   value = nil | int | bin | [ value … ] | a map (status, topology)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "node/core/operation.h"

namespace cartwheel::node {

// What a client with a session token is told besides.
struct RpcSessionReply {
  std::string token;   // takes the place of the one that it sent
  bool stale = false;  // the reply may lack what the token demanded
};

// Append one reply each to `out`. `session` may be null and is left out of errors.
void encode_reply(uint64_t id, const Status& status, const Value& value, std::string& out,
                  const RpcSessionReply* session = nullptr);
// With a value that is MessagePack already.
void encode_raw_reply(uint64_t id, std::string_view value, std::string& out);

}  // namespace cartwheel::node
