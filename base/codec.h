// Encoder and Decoder: the bytes that go to disk and into deltas. Fixed-width integers are big-endian (they sort),
// varints are LEB128 (at most 10 bytes), a byte string is its length as a varint and then the bytes.
//
// Decoder validates everything and never reads past its input: after any failure ok() is false for good, reads return
// zero or empty, and the caller checks once at the end. A length is compared with what is left before anything is
// allocated.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cartwheel {

class Encoder {
 public:
  explicit Encoder(std::string& out) : out_(out) {}  // appends to `out`, which must outlive this
  void u8(uint8_t v) { out_.push_back(static_cast<char>(v)); }
  void u16(uint16_t v);
  void u32(uint32_t v);
  void u64(uint64_t v);
  void varint(uint64_t v);
  void zigzag(int64_t v) { varint((static_cast<uint64_t>(v) << 1) ^ static_cast<uint64_t>(v >> 63)); }
  void bytes(std::string_view v) {
    varint(v.size());
    out_.append(v);
  }
  void raw(std::string_view v) { out_.append(v); }

 private:
  std::string& out_;
};

class Decoder {
 public:
  explicit Decoder(std::string_view in) : in_(in) {}  // views returned point into `in`
  uint8_t u8();
  uint16_t u16();
  uint32_t u32();
  uint64_t u64();
  uint64_t varint();
  int64_t zigzag() {
    uint64_t v = varint();
    return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1);
  }
  std::string_view bytes();
  std::string_view raw(size_t n);
  // A count of elements that take at least `min_bytes` each: fails if the rest of the input cannot hold that many.
  size_t count(size_t min_bytes);
  void fail() {
    ok_ = false;
    in_ = {};
  }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && in_.empty(); }  // everything read, nothing left over
  std::string_view rest() const { return in_; }

 private:
  std::string_view in_;
  bool ok_ = true;
};

}  // namespace cartwheel
