#include "client/bench/resp_reader.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace cartwheel::bench {
namespace {

constexpr size_t kMaxLine = 64 * 1024;
constexpr size_t kMaxText = 256;
constexpr int64_t kMaxString = int64_t{1} << 32;
constexpr int64_t kMaxElements = int64_t{1} << 32;
constexpr uint64_t kMaxElementsOpen = uint64_t{1} << 40;

bool parse_number(std::string_view text, int64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

bool RespReader::feed(std::string_view bytes, ReplySink& sink) {
  while (!bytes.empty()) {
    if (state_ == State::kBody) {
      const size_t n = static_cast<size_t>(std::min<uint64_t>(body_left_, bytes.size()));
      if (capturing_) {
        const uint64_t content = body_left_ > 2 ? body_left_ - 2 : 0;  // without CR LF
        text_.append(bytes.substr(0, static_cast<size_t>(std::min<uint64_t>(n, content))));
      }
      body_left_ -= n;
      bytes.remove_prefix(n);
      if (body_left_ == 0) {
        state_ = State::kLine;
        on_element_end(sink);
      }
      continue;
    }
    const void* lf = std::memchr(bytes.data(), '\n', bytes.size());
    if (lf == nullptr) {
      if (line_.size() + bytes.size() > kMaxLine) return false;
      line_.append(bytes);
      return true;
    }
    const size_t n = static_cast<size_t>(static_cast<const char*>(lf) - bytes.data()) + 1;
    bool fine = false;
    if (line_.empty()) {
      fine = on_line(bytes.substr(0, n), sink);
    } else {
      line_.append(bytes.substr(0, n));
      fine = line_.size() <= kMaxLine && on_line(line_, sink);
      line_.clear();
    }
    if (!fine) return false;
    bytes.remove_prefix(n);
  }
  return true;
}

bool RespReader::on_line(std::string_view line, ReplySink& sink) {
  if (line.size() < 3 || line[line.size() - 2] != '\r') return false;
  const char type = line[0];
  const std::string_view rest = line.substr(1, line.size() - 3);
  if (elements_left_ == 0) {
    elements_left_ = 1;
    at_head_ = true;
    counts_ = true;
    kind_ = ReplyKind::kValue;
    text_.clear();
  }
  const bool top = at_head_ && elements_left_ == 1;
  if (top && type != '|') at_head_ = false;
  int64_t number = 0;
  switch (type) {
    case '-':
      if (top) kind_ = ReplyKind::kError;
      [[fallthrough]];
    case '+':
    case ':':
    case ',':
    case '#':
    case '(':
      if (top) text_.assign(rest.substr(0, kMaxText));
      on_element_end(sink);
      return true;
    case '_':
      if (top) kind_ = ReplyKind::kNil;
      on_element_end(sink);
      return true;
    case '!':
      if (top) kind_ = ReplyKind::kError;
      [[fallthrough]];
    case '$':
    case '=':
      if (!parse_number(rest, number) || number < -1 || number > kMaxString) return false;
      if (number == -1) {
        if (top) kind_ = ReplyKind::kNil;
        on_element_end(sink);
        return true;
      }
      capturing_ = top && (capture_strings_ || type == '!');
      body_left_ = static_cast<uint64_t>(number) + 2;
      state_ = State::kBody;
      return true;
    case '*':
    case '~':
    case '%':
    case '|':
    case '>':
      if (!parse_number(rest, number)) return false;
      if (type == '>' && top) counts_ = false;
      if (number == -1 && top) kind_ = ReplyKind::kNil;
      return open_aggregate(type, number, sink);
    default:
      return false;
  }
}

bool RespReader::open_aggregate(char type, int64_t count, ReplySink& sink) {
  if (count < -1 || count > kMaxElements) return false;
  if (count > 0) elements_left_ += static_cast<uint64_t>(count) * (type == '%' || type == '|' ? 2 : 1);
  if (elements_left_ > kMaxElementsOpen) return false;
  // An attribute stands before an element and is none itself: the element that it describes is still to come.
  if (type != '|') on_element_end(sink);
  return true;
}

void RespReader::on_element_end(ReplySink& sink) {
  if (--elements_left_ > 0 || !counts_) return;
  sink.on_reply(Reply{.kind = kind_, .text = text_});
}

}  // namespace cartwheel::bench
