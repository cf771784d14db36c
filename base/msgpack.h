// MessagePack for the RPC: a writer that appends to a string and a bounded pull reader over a view.
//
// MsgReader follows the rules of Decoder: it never reads past its input, never allocates, fails for good on anything
// that is not what the caller asked for, and is asked once at the end. Extension types and floats that are not asked
// for are skipped by skip() alone. The format is that of msgpack.org, revision 5.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cartwheel {

class MsgWriter {
 public:
  explicit MsgWriter(std::string& out) : out_(out) {}
  void nil() { byte(0xc0); }
  void boolean(bool v) { byte(v ? 0xc3 : 0xc2); }
  void uint(uint64_t v);
  void sint(int64_t v);
  void f64(double v);
  void bin(std::string_view v);
  void str(std::string_view v);
  void array(uint32_t n);
  void map(uint32_t n);

 private:
  void byte(unsigned v) { out_.push_back(static_cast<char>(v)); }
  std::string& out_;
};

class MsgReader {
 public:
  enum class Type { kNil, kBool, kUint, kNegative, kFloat, kString, kBinary, kArray, kMap, kOther, kEnd };

  explicit MsgReader(std::string_view in) : in_(in) {}
  Type peek() const;
  void nil();
  bool boolean();
  uint64_t uint();
  int64_t sint();
  double f64();
  std::string_view bytes();  // str or bin
  // The number of elements (of pairs, for a map). Fails when the rest of the input could not hold that many.
  uint32_t array();
  uint32_t map();
  void skip(int depth = 32);  // one value of any type; fails beyond `depth` nested containers
  void fail() {
    ok_ = false;
    in_ = {};
  }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && in_.empty(); }
  std::string_view rest() const { return in_; }

 private:
  uint8_t take();
  uint64_t big_endian(int n);
  std::string_view raw(uint64_t n);
  std::string_view in_;
  bool ok_ = true;
};

}  // namespace cartwheel
