// The replies to RPC clients:
//
//   reply = [ id:uint, code:uint, message:str or nil, value ]      message: of an error; value: nil when code is not 0
//   value = nil | int | bin | [ value … ] | a map (status, topology)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "node/core/operation.h"

namespace cartwheel::node {

// Append one reply each to `out`.
void encode_reply(uint64_t id, const Status& status, const Value& value, std::string& out);
// With a value that is MessagePack already.
void encode_raw_reply(uint64_t id, std::string_view value, std::string& out);

}  // namespace cartwheel::node
