#include "base/codec.h"

#include <bit>
#include <cstring>

namespace cartwheel {

static_assert(std::endian::native == std::endian::little);

namespace {
template <typename T>
void put_bytes(std::string& out, T big_endian) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &big_endian, sizeof(T));
  out.append(bytes, sizeof(T));
}
}  // namespace

void Encoder::u16(uint16_t v) {
  put_bytes(out_, __builtin_bswap16(v));
}
void Encoder::u32(uint32_t v) {
  put_bytes(out_, __builtin_bswap32(v));
}
void Encoder::u64(uint64_t v) {
  put_bytes(out_, __builtin_bswap64(v));
}

void Encoder::varint(uint64_t v) {
  if (v < 0x80) {  // mostly
    out_.push_back(static_cast<char>(v));
    return;
  }
  char bytes[10];
  size_t size = 0;
  for (; v >= 0x80; v >>= 7) bytes[size++] = static_cast<char>(v | 0x80);
  bytes[size++] = static_cast<char>(v);
  out_.append(bytes, size);
}

std::string_view Decoder::raw(size_t n) {
  if (n > in_.size()) {
    fail();
    return {};
  }
  std::string_view v = in_.substr(0, n);
  in_.remove_prefix(n);
  return v;
}

namespace {
uint64_t be(std::string_view b) {
  uint64_t v = 0;
  for (char c : b) v = (v << 8) | static_cast<uint8_t>(c);
  return v;
}
}  // namespace

uint8_t Decoder::u8() {
  return static_cast<uint8_t>(be(raw(1)));
}
uint16_t Decoder::u16() {
  return static_cast<uint16_t>(be(raw(2)));
}
uint32_t Decoder::u32() {
  return static_cast<uint32_t>(be(raw(4)));
}
uint64_t Decoder::u64() {
  return be(raw(8));
}

uint64_t Decoder::varint() {
  if (!in_.empty() && static_cast<uint8_t>(in_[0]) < 0x80) {  // mostly
    const auto v = static_cast<uint8_t>(in_[0]);
    in_.remove_prefix(1);
    return v;
  }
  uint64_t v = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    uint8_t b = u8();
    if (!ok_) return 0;
    if (shift == 63 && b > 1) break;  // more than 64 bits
    if (shift > 0 && b == 0) break;   // an overlong form: one number has one encoding
    v |= static_cast<uint64_t>(b & 0x7f) << shift;
    if (b < 0x80) return v;
  }
  fail();
  return 0;
}

std::string_view Decoder::bytes() {
  uint64_t n = varint();
  if (n > in_.size()) {
    fail();
    return {};
  }
  return raw(n);
}

size_t Decoder::count(size_t min_bytes) {
  uint64_t n = varint();
  if (n > in_.size() / (min_bytes == 0 ? 1 : min_bytes)) {
    fail();
    return 0;
  }
  return static_cast<size_t>(n);
}

}  // namespace cartwheel
