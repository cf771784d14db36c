// The version of Cartwheel, as `cartwheel version`, INFO and /metrics say it. Set by the build.
#pragma once

namespace cartwheel {
inline constexpr const char* kVersion = CARTWHEEL_VERSION;
}  // namespace cartwheel
