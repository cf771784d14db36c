// XXH3, the one hash of the project: placement of keys, digests, checksums of rows and frames.
#pragma once

#include <cstdint>
#include <string_view>

namespace cartwheel {
uint64_t hash64(std::string_view bytes);
uint64_t hash64(std::string_view bytes, uint64_t seed);
}  // namespace cartwheel
