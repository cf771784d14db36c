// The text of INFO, in Redis' sections and under Redis' names where clients and exporters look for them.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "node/fronts/resp/backend.h"

namespace cartwheel::resp {

// The sections called for, in any case; none, "default", "all" and "everything" mean all.
std::string info_text(const ServerInfo& info, std::span<const std::string_view> sections);

}  // namespace cartwheel::resp
