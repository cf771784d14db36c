// The replies to RPC clients:
//
//   reply = [ id:uint, code:uint, message:str or nil, value ]
//         | [ id:uint, 0, nil, value, token:str, stale:bool ]        to a request with a session token
//         | [ id:uint, 0, nil, value, token:str or nil, stale:bool, fallbacks:uint ]     that wants to know of them
//                                                                  message: of an error; value: nil when code is not 0
//   value = nil | int | bin | [ value … ] | a map (status, topology)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "node/core/operation.h"

namespace cartwheel::node {

// What a client is told besides, if it asked for it.
struct RpcReplyMore {
  std::optional<std::string> token = {};   // of a session: takes the place of the one that the client sent
  bool stale = false;                      // the reply may lack what the token demanded
  std::optional<uint16_t> fallbacks = {};  // how many counted for the level
};

// Append one reply each to `out`. Of an error there is nothing more.
void encode_reply(uint64_t id, const Status& status, const Value& value, std::string& out,
                  const RpcReplyMore& more = {});
// With a value that is MessagePack already.
void encode_raw_reply(uint64_t id, std::string_view value, std::string& out);

}  // namespace cartwheel::node
