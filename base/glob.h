// Glob patterns as Redis has them: * ? [a-z] [^a] and \ to quote. Binary safe.
#pragma once

#include <string_view>

namespace cartwheel {
// Whether `pattern` matches all of `text`. Time is bounded by the product of their lengths.
bool glob_match(std::string_view pattern, std::string_view text);
}  // namespace cartwheel
