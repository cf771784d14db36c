#include "base/msgpack.h"

#include <bit>

namespace cartwheel {

namespace {
void put(std::string& out, uint64_t v, int bytes) {
  for (int shift = bytes * 8 - 8; shift >= 0; shift -= 8) out.push_back(static_cast<char>(v >> shift));
}
}  // namespace

void MsgWriter::uint(uint64_t v) {
  if (v < 0x80) return byte(static_cast<unsigned>(v));
  int width = v <= 0xff ? 0 : v <= 0xffff ? 1 : v <= 0xffffffff ? 2 : 3;
  byte(0xcc + static_cast<unsigned>(width));
  put(out_, v, 1 << width);
}

void MsgWriter::sint(int64_t v) {
  if (v >= 0) return uint(static_cast<uint64_t>(v));
  if (v >= -32) return byte(static_cast<uint8_t>(v));
  int width = v >= INT8_MIN ? 0 : v >= INT16_MIN ? 1 : v >= INT32_MIN ? 2 : 3;
  byte(0xd0 + static_cast<unsigned>(width));
  put(out_, static_cast<uint64_t>(v), 1 << width);
}

void MsgWriter::f64(double v) {
  byte(0xcb);
  put(out_, std::bit_cast<uint64_t>(v), 8);
}

void MsgWriter::bin(std::string_view v) {
  int width = v.size() <= 0xff ? 0 : v.size() <= 0xffff ? 1 : 2;
  byte(0xc4 + static_cast<unsigned>(width));
  put(out_, v.size(), 1 << width);
  out_.append(v);
}

void MsgWriter::str(std::string_view v) {
  if (v.size() < 32) {
    byte(0xa0 | static_cast<unsigned>(v.size()));
  } else {
    int width = v.size() <= 0xff ? 0 : v.size() <= 0xffff ? 1 : 2;
    byte(0xd9 + static_cast<unsigned>(width));
    put(out_, v.size(), 1 << width);
  }
  out_.append(v);
}

void MsgWriter::array(uint32_t n) {
  if (n < 16) return byte(0x90 | n);
  byte(n <= 0xffff ? 0xdc : 0xdd);
  put(out_, n, n <= 0xffff ? 2 : 4);
}

void MsgWriter::map(uint32_t n) {
  if (n < 16) return byte(0x80 | n);
  byte(n <= 0xffff ? 0xde : 0xdf);
  put(out_, n, n <= 0xffff ? 2 : 4);
}

MsgReader::Type MsgReader::peek() const {
  if (!ok_ || in_.empty()) return Type::kEnd;
  uint8_t b = static_cast<uint8_t>(in_[0]);
  if (b < 0x80) return Type::kUint;
  if (b < 0x90) return Type::kMap;
  if (b < 0xa0) return Type::kArray;
  if (b < 0xc0) return Type::kString;
  if (b >= 0xe0) return Type::kNegative;
  switch (b) {
    case 0xc0:
      return Type::kNil;
    case 0xc2:
    case 0xc3:
      return Type::kBool;
    case 0xc4:
    case 0xc5:
    case 0xc6:
      return Type::kBinary;
    case 0xca:
    case 0xcb:
      return Type::kFloat;
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
      return Type::kUint;
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
      return Type::kNegative;
    case 0xd9:
    case 0xda:
    case 0xdb:
      return Type::kString;
    case 0xdc:
    case 0xdd:
      return Type::kArray;
    case 0xde:
    case 0xdf:
      return Type::kMap;
    default:
      return Type::kOther;
  }
}

uint8_t MsgReader::take() {
  if (in_.empty()) {
    fail();
    return 0;
  }
  uint8_t b = static_cast<uint8_t>(in_[0]);
  in_.remove_prefix(1);
  return b;
}

std::string_view MsgReader::raw(uint64_t n) {
  if (n > in_.size()) {
    fail();
    return {};
  }
  std::string_view v = in_.substr(0, n);
  in_.remove_prefix(n);
  return v;
}

uint64_t MsgReader::big_endian(int n) {
  uint64_t v = 0;
  for (char c : raw(static_cast<uint64_t>(n))) v = (v << 8) | static_cast<uint8_t>(c);
  return v;
}

void MsgReader::nil() {
  if (take() != 0xc0) fail();
}

bool MsgReader::boolean() {
  uint8_t b = take();
  if (b != 0xc2 && b != 0xc3) fail();
  return ok_ && b == 0xc3;
}

uint64_t MsgReader::uint() {
  uint8_t b = take();
  if (b < 0x80) return b;
  if (b >= 0xcc && b <= 0xcf) return big_endian(1 << (b - 0xcc));
  fail();
  return 0;
}

int64_t MsgReader::sint() {
  switch (peek()) {
    case Type::kUint: {
      uint64_t v = uint();
      if (v > INT64_MAX) fail();
      return ok_ ? static_cast<int64_t>(v) : 0;
    }
    case Type::kNegative: {
      uint8_t b = take();
      if (b >= 0xe0) return static_cast<int8_t>(b);
      switch (b) {
        case 0xd0:
          return static_cast<int8_t>(big_endian(1));
        case 0xd1:
          return static_cast<int16_t>(big_endian(2));
        case 0xd2:
          return static_cast<int32_t>(big_endian(4));
        default:
          return static_cast<int64_t>(big_endian(8));
      }
    }
    default:
      fail();
      return 0;
  }
}

double MsgReader::f64() {
  uint8_t b = take();
  if (b == 0xcb) return std::bit_cast<double>(big_endian(8));
  if (b == 0xca) return static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(big_endian(4))));
  fail();
  return 0;
}

std::string_view MsgReader::bytes() {
  uint8_t b = take();
  if (b >= 0xa0 && b < 0xc0) return raw(b & 0x1f);
  if (b >= 0xc4 && b <= 0xc6) return raw(big_endian(1 << (b - 0xc4)));
  if (b >= 0xd9 && b <= 0xdb) return raw(big_endian(1 << (b - 0xd9)));
  fail();
  return {};
}

uint32_t MsgReader::array() {
  uint8_t b = take();
  uint64_t n = 0;
  if (b >= 0x90 && b < 0xa0)
    n = b & 0x0f;
  else if (b == 0xdc || b == 0xdd)
    n = big_endian(b == 0xdc ? 2 : 4);
  else
    fail();
  if (n > in_.size()) fail();
  return ok_ ? static_cast<uint32_t>(n) : 0;
}

uint32_t MsgReader::map() {
  uint8_t b = take();
  uint64_t n = 0;
  if (b >= 0x80 && b < 0x90)
    n = b & 0x0f;
  else if (b == 0xde || b == 0xdf)
    n = big_endian(b == 0xde ? 2 : 4);
  else
    fail();
  if (n * 2 > in_.size()) fail();
  return ok_ ? static_cast<uint32_t>(n) : 0;
}

void MsgReader::skip(int depth) {
  if (depth < 0) return fail();
  switch (peek()) {
    case Type::kNil:
      return nil();
    case Type::kBool:
      boolean();
      return;
    case Type::kUint:
      uint();
      return;
    case Type::kNegative:
      sint();
      return;
    case Type::kFloat:
      f64();
      return;
    case Type::kString:
    case Type::kBinary:
      bytes();
      return;
    case Type::kArray:
      for (uint32_t n = array(); ok_ && n > 0; --n) skip(depth - 1);
      return;
    case Type::kMap:
      for (uint32_t n = map(); ok_ && n > 0; --n) {
        skip(depth - 1);
        skip(depth - 1);
      }
      return;
    case Type::kOther: {  // extension types; 0xc1 is never used
      uint8_t b = take();
      if (b >= 0xd4 && b <= 0xd8)
        raw(1u + (1u << (b - 0xd4)));
      else if (b >= 0xc7 && b <= 0xc9)
        raw(big_endian(1 << (b - 0xc7)) + 1);
      else
        fail();
      return;
    }
    case Type::kEnd:
      return fail();
  }
}

}  // namespace cartwheel
