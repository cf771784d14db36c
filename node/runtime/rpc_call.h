// One request to a node by RPC, waiting for the answer: for commands and for nodes that are not running yet.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/status.h"
#include "node/core/cluster.h"

namespace cartwheel::node {

// Connects to `address`, makes the request called `name` ("status", "admin" ...) with `document` (MessagePack; empty:
// none), and returns the value of the reply (MessagePack). Everything ends by `deadline`. `cluster` may be empty: any.
// Errors: kIo when the node could not be reached or did not answer, and then the request may have been carried out;
// otherwise what the node answered.
Result<std::string> call_node(const Address& address, const std::string& cluster, std::string_view name,
                              std::string_view document, std::chrono::steady_clock::time_point deadline);

}  // namespace cartwheel::node
