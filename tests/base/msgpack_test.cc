// Our reader and writer against msgpack-cxx, which is the oracle in both directions, and against damage.
#include "base/msgpack.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <msgpack.hpp>
#include <vector>

namespace cartwheel {
namespace {

using Type = MsgReader::Type;

// A tree of values; numbers are kept by sign as the format does.
struct Value {
  enum Kind { kNil, kBool, kUint, kNegative, kFloat, kText, kBinary, kArray, kMap } kind = kNil;
  uint64_t number = 0;  // bool, uint; the bits of a negative
  double real = 0;
  std::string text;
  std::vector<Value> children;  // of a map: key, value, key, value
  bool operator==(const Value&) const = default;
};

Value some_value(int depth) {
  Value v;
  v.kind = static_cast<Value::Kind>(*rc::gen::inRange(0, depth == 0 ? 7 : 9));
  uint64_t number = *rc::gen::arbitrary<uint64_t>() >> *rc::gen::inRange(0, 64);
  switch (v.kind) {
    case Value::kNil:
      break;
    case Value::kBool:
      v.number = number & 1;
      break;
    case Value::kUint:
      v.number = number;
      break;
    case Value::kNegative:
      v.number = static_cast<uint64_t>(-1 - static_cast<int64_t>(number >> 1));
      break;
    case Value::kFloat:
      // The oracle writes whole numbers as integers, which the format allows; ours keeps the type.
      v.real = *rc::gen::arbitrary<double>();
      if (v.real == std::trunc(v.real)) v.real = 0.5;
      break;
    case Value::kText:
    case Value::kBinary: {
      // The lengths around which the header changes.
      size_t size = *rc::gen::element<size_t>(0, 1, 15, 16, 31, 32, 255, 256, 300, 65535, 65536);
      if (!*rc::gen::inRange(0, 4))
        v.text.assign(size, 'x');
      else
        v.text = *rc::gen::arbitrary<std::string>();
      break;
    }
    case Value::kArray:
    case Value::kMap: {
      size_t n = *rc::gen::element<size_t>(0, 1, 2, 3, 15, 16, 17);
      for (size_t i = 0; i < (v.kind == Value::kMap ? 2 * n : n); ++i) v.children.push_back(some_value(depth - 1));
      break;
    }
  }
  return v;
}

void write(MsgWriter& w, const Value& v) {
  switch (v.kind) {
    case Value::kNil:
      return w.nil();
    case Value::kBool:
      return w.boolean(v.number != 0);
    case Value::kUint:
      return w.uint(v.number);
    case Value::kNegative:
      return w.sint(static_cast<int64_t>(v.number));
    case Value::kFloat:
      return w.f64(v.real);
    case Value::kText:
      return w.str(v.text);
    case Value::kBinary:
      return w.bin(v.text);
    case Value::kArray:
      w.array(static_cast<uint32_t>(v.children.size()));
      break;
    case Value::kMap:
      w.map(static_cast<uint32_t>(v.children.size() / 2));
      break;
  }
  for (const Value& c : v.children) write(w, c);
}

Value read(MsgReader& r) {
  Value v;
  size_t children = 0;
  switch (r.peek()) {
    case Type::kNil:
      r.nil();
      break;
    case Type::kBool:
      v.kind = Value::kBool, v.number = r.boolean();
      break;
    case Type::kUint:
      v.kind = Value::kUint, v.number = r.uint();
      break;
    case Type::kNegative:
      v.kind = Value::kNegative, v.number = static_cast<uint64_t>(r.sint());
      break;
    case Type::kFloat:
      v.kind = Value::kFloat, v.real = r.f64();
      break;
    case Type::kString:
      v.kind = Value::kText, v.text = r.bytes();
      break;
    case Type::kBinary:
      v.kind = Value::kBinary, v.text = r.bytes();
      break;
    case Type::kArray:
      v.kind = Value::kArray, children = r.array();
      break;
    case Type::kMap:
      v.kind = Value::kMap, children = size_t{2} * r.map();
      break;
    default:
      r.fail();
  }
  for (size_t i = 0; i < children && r.ok(); ++i) v.children.push_back(read(r));
  return v;
}

void oracle_write(msgpack::packer<msgpack::sbuffer>& p, const Value& v) {
  auto size = static_cast<uint32_t>(v.text.size());
  switch (v.kind) {
    case Value::kNil:
      p.pack_nil();
      break;
    case Value::kBool:
      v.number ? p.pack_true() : p.pack_false();
      break;
    case Value::kUint:
      p.pack_uint64(v.number);
      break;
    case Value::kNegative:
      p.pack_int64(static_cast<int64_t>(v.number));
      break;
    case Value::kFloat:
      p.pack_double(v.real);
      break;
    case Value::kText:
      p.pack_str(size).pack_str_body(v.text.data(), size);
      break;
    case Value::kBinary:
      p.pack_bin(size).pack_bin_body(v.text.data(), size);
      break;
    case Value::kArray:
      p.pack_array(static_cast<uint32_t>(v.children.size()));
      break;
    case Value::kMap:
      p.pack_map(static_cast<uint32_t>(v.children.size() / 2));
      break;
  }
  for (const Value& c : v.children) oracle_write(p, c);
}

Value oracle_read(const msgpack::object& o) {
  Value v;
  switch (o.type) {
    case msgpack::type::NIL:
      break;
    case msgpack::type::BOOLEAN:
      v.kind = Value::kBool, v.number = o.via.boolean;
      break;
    case msgpack::type::POSITIVE_INTEGER:
      v.kind = Value::kUint, v.number = o.via.u64;
      break;
    case msgpack::type::NEGATIVE_INTEGER:
      v.kind = Value::kNegative, v.number = static_cast<uint64_t>(o.via.i64);
      break;
    case msgpack::type::FLOAT32:
    case msgpack::type::FLOAT64:
      v.kind = Value::kFloat, v.real = o.via.f64;
      break;
    case msgpack::type::STR:
      v.kind = Value::kText, v.text.assign(o.via.str.ptr, o.via.str.size);
      break;
    case msgpack::type::BIN:
      v.kind = Value::kBinary, v.text.assign(o.via.bin.ptr, o.via.bin.size);
      break;
    case msgpack::type::ARRAY:
      v.kind = Value::kArray;
      for (uint32_t i = 0; i < o.via.array.size; ++i) v.children.push_back(oracle_read(o.via.array.ptr[i]));
      break;
    case msgpack::type::MAP:
      v.kind = Value::kMap;
      for (uint32_t i = 0; i < o.via.map.size; ++i) {
        v.children.push_back(oracle_read(o.via.map.ptr[i].key));
        v.children.push_back(oracle_read(o.via.map.ptr[i].val));
      }
      break;
    default:
      ADD_FAILURE() << "unexpected type";
  }
  return v;
}

std::string written(const Value& v) {
  std::string out;
  MsgWriter w(out);
  write(w, v);
  return out;
}

RC_GTEST_PROP(Msgpack, WritesTheBytesOfTheOracle, ()) {
  Value v = some_value(2);
  msgpack::sbuffer expected;
  msgpack::packer<msgpack::sbuffer> packer(expected);
  oracle_write(packer, v);
  RC_ASSERT(written(v) == std::string(expected.data(), expected.size()));
}

RC_GTEST_PROP(Msgpack, OracleReadsWhatWeWriteAndWeReadItBack, ()) {
  Value v = some_value(2);
  std::string bytes = written(v);
  msgpack::object_handle handle = msgpack::unpack(bytes.data(), bytes.size());
  RC_ASSERT(oracle_read(handle.get()) == v);
  MsgReader r(bytes), skipper(bytes);
  RC_ASSERT(read(r) == v);
  RC_ASSERT(r.done());
  skipper.skip();
  RC_ASSERT(skipper.done());
}

RC_GTEST_PROP(Msgpack, EveryTruncationFailsAndStaysFailed, ()) {
  Value v = some_value(1);
  std::string bytes = written(v);
  size_t step = bytes.size() > 4000 ? 997 : 1;
  for (size_t n = 0; n < bytes.size(); n += step) {
    std::string cut = bytes.substr(0, n);
    MsgReader r(cut), skipper(cut);
    read(r);
    RC_ASSERT(!r.ok());
    RC_ASSERT(r.peek() == Type::kEnd);
    RC_ASSERT(r.bytes().empty());
    skipper.skip();
    RC_ASSERT(!skipper.ok());
  }
}

// Random bytes: where the oracle finds a value, skip() ends at the same place, and where it finds none, skip() fails.
RC_GTEST_PROP(Msgpack, SkipAgreesWithTheOracleOnRandomBytes, (const std::vector<uint8_t>& random)) {
  std::string bytes(random.begin(), random.end());
  MsgReader typed(bytes), r(bytes);
  read(typed);
  r.skip();
  size_t end = 0;
  msgpack::null_visitor nothing;  // a parser that builds nothing, so that it allocates nothing for false claims
  bool valid = msgpack::parse(bytes.data(), bytes.size(), end, nothing);
  RC_ASSERT(r.ok() == valid);
  if (valid) RC_ASSERT(bytes.size() - r.rest().size() == end);
}

TEST(Msgpack, ClaimsBeyondTheInputFail) {
  for (std::string header : {"\xdd", "\xdf", "\xc6", "\xdb", "\xc9"}) {
    std::string bytes = header + "\xff\xff\xff\xff" + "abcd";
    MsgReader skipper(bytes), r(bytes);
    skipper.skip();
    EXPECT_FALSE(skipper.ok());
    EXPECT_EQ(header == "\xdd" ? r.array() : header == "\xdf" ? r.map() : r.bytes().size(), 0u);
    EXPECT_FALSE(r.ok());
  }
  std::string pairs = std::string("\xdf\0\0\0\3", 5) + "abcde";  // three pairs need six bytes
  MsgReader r(pairs);
  EXPECT_EQ(r.map(), 0u);
  EXPECT_FALSE(r.ok());
}

TEST(Msgpack, DepthIsBounded) {
  std::string deep(40, '\x91');
  deep += '\xc0';
  MsgReader r(deep), enough(deep);
  r.skip();
  EXPECT_FALSE(r.ok());
  enough.skip(40);
  EXPECT_TRUE(enough.done());
  std::string bomb(1'000'000, '\x91');
  MsgReader b(bomb);
  b.skip();
  EXPECT_FALSE(b.ok());
}

TEST(Msgpack, TheWrongTypeFailsForGood) {
  const std::string text = "\xa1x";
  MsgReader r(text);
  EXPECT_EQ(r.uint(), 0u);
  EXPECT_FALSE(r.ok());
  EXPECT_TRUE(r.bytes().empty());
  EXPECT_FALSE(r.done());
  std::string large;
  MsgWriter(large).uint(uint64_t{1} << 63);
  MsgReader too_large(large);
  EXPECT_EQ(too_large.sint(), 0);
  EXPECT_FALSE(too_large.ok());
}

TEST(Msgpack, BoundaryNumbersRoundTrip) {
  for (int64_t n :
       {int64_t{0}, int64_t{127}, int64_t{128}, int64_t{-1}, int64_t{-32}, int64_t{-33}, int64_t{-128}, int64_t{-129},
        int64_t{-32768}, int64_t{-32769}, int64_t{INT32_MIN}, int64_t{INT32_MIN} - 1, INT64_MIN, INT64_MAX,
        int64_t{65535}, int64_t{65536}, int64_t{UINT32_MAX}, int64_t{UINT32_MAX} + 1}) {
    std::string bytes;
    MsgWriter(bytes).sint(n);
    MsgReader r(bytes);
    EXPECT_EQ(r.sint(), n);
    EXPECT_TRUE(r.done());
    msgpack::object_handle handle = msgpack::unpack(bytes.data(), bytes.size());
    EXPECT_EQ(handle.get().as<int64_t>(), n);
  }
  std::string single = std::string("\xca\x3f\x80\0\0", 5);
  MsgReader r(single);
  EXPECT_EQ(r.f64(), 1.0);
}

}  // namespace
}  // namespace cartwheel
