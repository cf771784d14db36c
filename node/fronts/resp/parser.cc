#include "node/fronts/resp/parser.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/limits.h"
#include "crdt/types.h"

namespace cartwheel::resp {

namespace {

constexpr size_t kBufferKeptBytes = 64 * 1024;  // an idle connection does not keep the buffer of its largest request

bool is_digit(char c) {
  return static_cast<unsigned char>(c - '0') <= 9;
}

}  // namespace

void RespParser::feed(std::string_view bytes) {
  if (size_ == start_) {
    // Nothing is left over, so no range of a command under way points into the old input either.
    buffer_.clear();
    data_ = bytes.data();
    size_ = bytes.size();
    start_ = cursor_ = 0;
    return;
  }
  park();
  buffer_.append(bytes);
  data_ = buffer_.data();
  size_ = buffer_.size();
}

void RespParser::park() {
  size_t rest = size_ - start_;
  if (rest == 0) {
    buffer_.clear();
    if (buffer_.capacity() > kBufferKeptBytes) buffer_.shrink_to_fit();
    views_.clear();
  } else if (data_ == buffer_.data()) {
    // Moving the rest to the front costs its length: only when at least as much is won.
    if (start_ < rest) return;
    buffer_.erase(0, start_);
  } else {
    buffer_.assign(data_ + start_, rest);
  }
  cursor_ -= start_;
  start_ = 0;
  data_ = buffer_.data();
  size_ = buffer_.size();
}

RespParser::Outcome RespParser::fail(std::string message) {
  error_ = std::move(message);
  start_ = cursor_ = size_;
  return Outcome::kError;
}

RespParser::Outcome RespParser::number_line(int64_t& number, const char* what, const char* invalid) {
  const char* line = data_ + cursor_;
  const char* end = data_ + size_;
  // The common line, at a glance: up to nine digits without a leading zero.
  const char* p = line + 1;
  int64_t n = 0;
  while (p < end && is_digit(*p) && p - line <= 9) n = n * 10 + (*p++ - '0');
  if (p + 1 < end && *p == '\r' && p > line + 1 && (line[1] != '0' || p == line + 2)) {
    number = n;
    cursor_ = static_cast<size_t>(p + 2 - data_);
    return Outcome::kCommand;
  }
  const char* stop = static_cast<const char*>(memchr(line, '\r', static_cast<size_t>(end - line)));
  if (static_cast<size_t>((stop == nullptr ? end : stop) - line) > limits::kRespInlineBytes) {
    return fail(std::string("Protocol error: too big ") + what + " count string");
  }
  if (stop == nullptr || stop + 1 >= end) return Outcome::kNeedMore;
  auto parsed = crdt::parse_number(std::string_view(line + 1, static_cast<size_t>(stop - line - 1)));
  if (!parsed) return fail(std::string("Protocol error: ") + invalid);
  number = *parsed;
  cursor_ = static_cast<size_t>(stop + 2 - data_);
  return Outcome::kCommand;
}

RespParser::Outcome RespParser::next() {
  if (!error_.empty()) return Outcome::kError;
  while (remaining_ == 0) {
    start_ = cursor_;
    if (cursor_ == size_) return Outcome::kNeedMore;
    if (data_[cursor_] != '*') {
      Outcome outcome = inline_command();
      if (outcome == Outcome::kCommand && views_.empty()) continue;  // an empty line
      return outcome;
    }
    int64_t count = 0;
    if (Outcome o = number_line(count, "mbulk", "invalid multibulk length"); o != Outcome::kCommand) return o;
    if (count > static_cast<int64_t>(limits::kRequestArguments))
      return fail("Protocol error: invalid multibulk length");
    if (count <= 0) continue;  // as Redis: an empty or null array is no command
    ranges_.clear();
    remaining_ = count;
  }
  return bulks();
}

RespParser::Outcome RespParser::bulks() {
  while (remaining_ > 0) {
    if (bulk_length_ < 0) {
      if (cursor_ == size_) return Outcome::kNeedMore;
      if (data_[cursor_] != '$') return fail(std::string("Protocol error: expected '$', got '") + data_[cursor_] + "'");
      int64_t length = 0;
      if (Outcome o = number_line(length, "bulk", "invalid bulk length"); o != Outcome::kCommand) return o;
      if (length < 0 || length > static_cast<int64_t>(limits::kRequestBytes)) {
        return fail("Protocol error: invalid bulk length");
      }
      if (cursor_ - start_ + static_cast<size_t>(length) + 2 > limits::kRequestBytes) {
        return fail("Protocol error: too big request");
      }
      bulk_length_ = length;
    }
    size_t length = static_cast<size_t>(bulk_length_);
    if (size_ - cursor_ < length + 2) return Outcome::kNeedMore;
    ranges_.push_back({static_cast<uint32_t>(cursor_ - start_), static_cast<uint32_t>(length)});
    cursor_ += length + 2;
    bulk_length_ = -1;
    --remaining_;
  }
  finish_command();
  return Outcome::kCommand;
}

void RespParser::finish_command() {
  views_.resize(ranges_.size());
  const char* base = data_ + start_;
  for (size_t i = 0; i < ranges_.size(); ++i) views_[i] = {base + ranges_[i].offset, ranges_[i].length};
  start_ = cursor_;
}

RespParser::Outcome RespParser::inline_command() {
  const char* line = data_ + cursor_;
  size_t available = size_ - cursor_;
  const char* newline = static_cast<const char*>(memchr(line, '\n', available));
  size_t length = newline == nullptr ? available : static_cast<size_t>(newline - line);
  if (length > limits::kRespInlineBytes) return fail("Protocol error: too big inline request");
  if (newline == nullptr) return Outcome::kNeedMore;
  cursor_ += length + 1;
  if (length > 0 && line[length - 1] == '\r') --length;
  if (!split_inline({line, length}, words_)) return fail("Protocol error: unbalanced quotes in request");
  views_.assign(words_.begin(), words_.end());
  start_ = cursor_;
  return Outcome::kCommand;
}

namespace {

// isspace() of the C locale, which is what Redis splits by.
bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

char unescape(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'b':
      return '\b';
    case 'a':
      return '\a';
    default:
      return c;
  }
}

// Reads a quoted part behind its opening quote and leaves `i` behind the closing one.
bool quoted(std::string_view line, size_t& i, std::string& word) {
  char quote = line[i - 1];
  while (i < line.size()) {
    char c = line[i];
    if (c == quote) {
      ++i;
      return i == line.size() || is_blank(line[i]);
    }
    if (quote == '"' && c == '\\' && i + 3 < line.size() && line[i + 1] == 'x' && hex_value(line[i + 2]) >= 0 &&
        hex_value(line[i + 3]) >= 0) {
      word.push_back(static_cast<char>(hex_value(line[i + 2]) * 16 + hex_value(line[i + 3])));
      i += 4;
    } else if (c == '\\' && i + 1 < line.size() && (quote == '"' || line[i + 1] == '\'')) {
      word.push_back(quote == '"' ? unescape(line[i + 1]) : '\'');
      i += 2;
    } else {
      word.push_back(c);
      ++i;
    }
  }
  return false;
}

}  // namespace

bool split_inline(std::string_view line, std::vector<std::string>& words) {
  words.clear();
  line = line.substr(0, line.find('\0'));  // as Redis, for which the line is a C string
  for (size_t i = 0;;) {
    while (i < line.size() && is_blank(line[i])) ++i;
    if (i == line.size()) return true;
    std::string& word = words.emplace_back();
    while (i < line.size() && !is_blank(line[i])) {
      char c = line[i++];
      if (c != '"' && c != '\'') {
        word.push_back(c);
      } else if (!quoted(line, i, word)) {
        return false;
      }
    }
  }
}

}  // namespace cartwheel::resp
