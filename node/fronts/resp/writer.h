// RespWriter: appends replies to a string, in the protocol version that the command was given under. What RESP2 lacks
// is written as Redis writes it there: nil as a null bulk, maps and sets as arrays, doubles and verbatim text as bulks.
// Aggregates are written as a header; the caller then writes exactly as many values as it announced.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace cartwheel::resp {

class RespWriter {
 public:
  // REQUIRES: `out` outlives this; protocol is 2 or 3.
  RespWriter(std::string* out, int protocol) : out_(out), protocol_(protocol) {}

  int protocol() const { return protocol_; }
  // The same place in another protocol version.
  RespWriter in_protocol(int protocol) const { return {out_, protocol}; }

  void ok() { out_->append("+OK\r\n"); }
  void simple(std::string_view text);  // REQUIRES: no CR or LF in it
  // `text` starts with the code ("ERR no such thing"). Line breaks in it, which may come from a client, become blanks.
  void error(std::string_view text);
  void integer(int64_t value) { header(':', value); }
  void bulk(std::string_view bytes);
  void nil() { out_->append(protocol_ == 3 ? "_\r\n" : "$-1\r\n"); }
  void nil_array() { out_->append(protocol_ == 3 ? "_\r\n" : "*-1\r\n"); }
  void array(size_t values) { header('*', static_cast<int64_t>(values)); }
  void map(size_t pairs) {
    header(protocol_ == 3 ? '%' : '*', static_cast<int64_t>(protocol_ == 3 ? pairs : 2 * pairs));
  }
  void set(size_t values) { header(protocol_ == 3 ? '~' : '*', static_cast<int64_t>(values)); }
  void real(double value);
  void verbatim(std::string_view text);  // plain text for people, such as INFO

 private:
  void header(char kind, int64_t number);

  std::string* out_;
  int protocol_;
};

}  // namespace cartwheel::resp
