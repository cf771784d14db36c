// Texts that people write in files, on command lines and in requests.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "node/core/cluster.h"

namespace cartwheel::node {

// "host:port"; an IPv6 host stands in brackets. Nothing if it is something else.
std::optional<Address> parse_address(std::string_view text);

// Milliseconds of "250ms", "90s", "30m", "1h", "7d" or "0". Nothing if it is something else, or does not fit.
std::optional<int64_t> parse_duration(std::string_view text);

}  // namespace cartwheel::node
