// The names of keys, fields and members, the same on every wire so that one protocol can read what another has written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cartwheel::bench {

inline constexpr std::string_view kStringKey = "key:";
inline constexpr std::string_view kCounterKey = "counter:";
inline constexpr std::string_view kCartKey = "cart:";
inline constexpr std::string_view kSetKey = "set:";
inline constexpr std::string_view kLineField = "line";
inline constexpr std::string_view kQuantityField = "qty:";  // apart from the lines, which hold text
inline constexpr std::string_view kMember = "item";

inline constexpr size_t kNameDigits = 12;

// `prefix` and the number with kNameDigits digits, so that all names of a family have the same length.
inline void append_name_bytes(std::string_view prefix, uint64_t number, std::string& out) {
  char digits[kNameDigits];
  for (size_t i = kNameDigits; i-- > 0; number /= 10) digits[i] = static_cast<char>('0' + number % 10);
  out.append(prefix);
  out.append(digits, kNameDigits);
}

}  // namespace cartwheel::bench
