// CHECK(condition): for what cannot happen. Kept on in release builds: prints the expression with file and line and
// aborts. Never used on data from a peer, a client or a disk: that is validated and answered with a Status.
#pragma once

namespace cartwheel {
[[noreturn]] void check_failed(const char* expression, const char* file, int line);
}

#define CHECK(condition) \
  (static_cast<bool>(condition) ? void(0) : ::cartwheel::check_failed(#condition, __FILE__, __LINE__))
