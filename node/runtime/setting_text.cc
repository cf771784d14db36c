#include "node/runtime/setting_text.h"

#include <charconv>
#include <cstdio>
#include <ctime>
#include <limits>
#include <string>

namespace cartwheel::node {

std::optional<Address> parse_address(std::string_view text) {
  size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon), port = text.substr(colon + 1);
  bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed)
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string_view::npos)
    return std::nullopt;  // which colon starts the port?
  if (host.empty() || host.size() > 253) return std::nullopt;
  for (char c : host) {
    if (c <= ' ' || c >= 0x7f || c == '[' || c == ']' || c == '/' || c == '@') return std::nullopt;
  }
  uint16_t number = 0;
  auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size()) return std::nullopt;
  return Address{std::string(host), number};
}

std::optional<int64_t> parse_duration(std::string_view text) {
  int64_t n = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || n < 0) return std::nullopt;
  std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  int64_t ms = unit == "ms"  ? 1
               : unit == "s" ? 1000
               : unit == "m" ? 60'000
               : unit == "h" ? 3'600'000
               : unit == "d" ? 86'400'000
                             : 0;
  if (ms == 0) return n == 0 && unit.empty() ? std::optional<int64_t>(0) : std::nullopt;
  if (n > std::numeric_limits<int64_t>::max() / ms) return std::nullopt;
  return n * ms;
}

std::string utc_text(WallTime time) {
  const int64_t ms = (time.ms % 1000 + 1000) % 1000;
  const std::time_t seconds = (time.ms - ms) / 1000;
  std::tm parts{};
  char text[64];
  if (gmtime_r(&seconds, &parts) == nullptr || std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts) == 0) {
    return std::to_string(time.ms) + "ms";
  }
  char fraction[8];
  std::snprintf(fraction, sizeof fraction, ".%03dZ", static_cast<int>(ms));
  return std::string(text) + fraction;
}

}  // namespace cartwheel::node
