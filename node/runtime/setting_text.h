// Texts that people write in files, on command lines and in requests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "node/core/cluster.h"

namespace cartwheel::node {

// "host:port"; an IPv6 host stands in brackets. Nothing if it is something else.
std::optional<Address> parse_address(std::string_view text);

// Milliseconds of "250ms", "90s", "30m", "1h", "7d" or "0". Nothing if it is something else, or does not fit.
std::optional<int64_t> parse_duration(std::string_view text);

// "2026-11-24T14:05:09.120Z".
std::string utc_text(WallTime time);

}  // namespace cartwheel::node
