// RESP for tests: commands to bytes, and reply bytes to a tree that can be compared and printed.
#pragma once

#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cartwheel::test {

inline std::string resp_command(const std::vector<std::string>& words) {
  std::string bytes = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) bytes += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  return bytes;
}

// Splits at blanks; '' is an empty word.
inline std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (size_t i = 0; i < text.size();) {
    size_t end = std::min(text.find(' ', i), text.size());
    if (end > i) words.push_back(text.substr(i, end - i) == "''" ? "" : std::string(text.substr(i, end - i)));
    i = end + 1;
  }
  return words;
}

inline std::string resp_command(std::string_view text) {
  return resp_command(words_of(text));
}

struct RespReply {
  char kind = 0;
  std::string text;  // of a line or a bulk
  bool null = false;
  std::vector<RespReply> children;

  std::string print() const {
    if (null) return std::string(1, kind) + "(null)";
    if (children.empty()) return std::string(1, kind) + text;
    std::string result = std::string(1, kind) + "[";
    for (const RespReply& child : children) result += child.print() + ", ";
    return result + "]";
  }
};

// Reads one reply at `at` and moves it behind; nothing if it is not all there.
inline std::optional<RespReply> read_reply(std::string_view bytes, size_t& at) {
  size_t line_end = bytes.find("\r\n", at);
  if (at >= bytes.size() || line_end == std::string_view::npos) return {};
  RespReply reply;
  reply.kind = bytes[at];
  reply.text = bytes.substr(at + 1, line_end - at - 1);
  size_t next = line_end + 2;
  if (std::string_view("$=").find(reply.kind) != std::string_view::npos) {
    long length = strtol(reply.text.c_str(), nullptr, 10);
    reply.null = length < 0;
    if (length >= 0) {
      if (bytes.size() < next + static_cast<size_t>(length) + 2) return {};
      reply.text = bytes.substr(next, static_cast<size_t>(length));
      next += static_cast<size_t>(length) + 2;
    }
  } else if (std::string_view("*%~>").find(reply.kind) != std::string_view::npos) {
    long count = strtol(reply.text.c_str(), nullptr, 10) * (reply.kind == '%' ? 2 : 1);
    reply.null = count < 0;
    for (long i = 0; i < count; ++i) {
      auto child = read_reply(bytes, next);
      if (!child) return {};
      reply.children.push_back(std::move(*child));
    }
  }
  at = next;
  return reply;
}

}  // namespace cartwheel::test
