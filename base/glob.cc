#include "base/glob.h"

#include <utility>

namespace cartwheel {

namespace {

// Matches `c` with the class at the front of `pattern`, which begins behind its '['; cuts the class off.
bool match_class(std::string_view& pattern, unsigned char c) {
  bool negated = !pattern.empty() && pattern[0] == '^';
  if (negated) pattern.remove_prefix(1);
  bool found = false;
  while (!pattern.empty() && pattern[0] != ']') {
    if (pattern[0] == '\\' && pattern.size() >= 2) {
      pattern.remove_prefix(1);
      found |= static_cast<unsigned char>(pattern[0]) == c;
      pattern.remove_prefix(1);
    } else if (pattern.size() >= 3 && pattern[1] == '-') {
      unsigned char low = static_cast<unsigned char>(pattern[0]), high = static_cast<unsigned char>(pattern[2]);
      if (low > high) std::swap(low, high);
      found |= low <= c && c <= high;
      pattern.remove_prefix(3);
    } else {
      found |= static_cast<unsigned char>(pattern[0]) == c;
      pattern.remove_prefix(1);
    }
  }
  if (!pattern.empty()) pattern.remove_prefix(1);
  return found != negated;
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text) {
  // After the last star seen: where its pattern goes on, and the text that it has not swallowed yet.
  bool starred = false;
  std::string_view star_pattern, star_text;
  for (;;) {
    bool matched = false;
    std::string_view rest = pattern;
    if (!pattern.empty() && pattern[0] == '*') {
      pattern.remove_prefix(1);
      starred = true;
      star_pattern = pattern;
      star_text = text;
      continue;
    }
    if (text.empty() && pattern.empty()) return true;
    if (!text.empty() && !pattern.empty()) {
      unsigned char c = static_cast<unsigned char>(text[0]);
      rest.remove_prefix(1);
      switch (pattern[0]) {
        case '?':
          matched = true;
          break;
        case '[':
          matched = match_class(rest, c);
          break;
        case '\\':
          if (rest.empty()) {
            matched = c == '\\';
          } else {
            matched = static_cast<unsigned char>(rest[0]) == c;
            rest.remove_prefix(1);
          }
          break;
        default:
          matched = static_cast<unsigned char>(pattern[0]) == c;
      }
    }
    if (matched) {
      text.remove_prefix(1);
      pattern = rest;
      continue;
    }
    if (!starred || star_text.empty()) return false;
    star_text.remove_prefix(1);  // let the star swallow one more
    text = star_text;
    pattern = star_pattern;
  }
}

}  // namespace cartwheel
