#include "base/codec.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <vector>

namespace cartwheel {
namespace {

// One field of a record; `kind` says how it is written.
struct Field {
  int kind;
  uint64_t number;
  std::string text;
};

void write(Encoder& e, const Field& f) {
  switch (f.kind) {
    case 0:
      return e.u8(static_cast<uint8_t>(f.number));
    case 1:
      return e.u16(static_cast<uint16_t>(f.number));
    case 2:
      return e.u32(static_cast<uint32_t>(f.number));
    case 3:
      return e.u64(f.number);
    case 4:
      return e.varint(f.number);
    case 5:
      return e.zigzag(static_cast<int64_t>(f.number));
    default:
      return e.bytes(f.text);
  }
}

bool reads_back(Decoder& d, const Field& f) {
  switch (f.kind) {
    case 0:
      return d.u8() == static_cast<uint8_t>(f.number);
    case 1:
      return d.u16() == static_cast<uint16_t>(f.number);
    case 2:
      return d.u32() == static_cast<uint32_t>(f.number);
    case 3:
      return d.u64() == f.number;
    case 4:
      return d.varint() == f.number;
    case 5:
      return d.zigzag() == static_cast<int64_t>(f.number);
    default:
      return d.bytes() == f.text;
  }
}

std::vector<Field> some_record() {
  std::vector<Field> record;
  size_t n = *rc::gen::inRange<size_t>(0, 12);
  for (size_t i = 0; i < n; ++i) {
    // Shifted, so that every length of a varint is as likely.
    uint64_t number = *rc::gen::arbitrary<uint64_t>() >> *rc::gen::inRange(0, 64);
    if (*rc::gen::arbitrary<bool>()) number = ~number;
    record.push_back({*rc::gen::inRange(0, 7), number, *rc::gen::arbitrary<std::string>()});
  }
  return record;
}

std::string encoded(const std::vector<Field>& record) {
  std::string out;
  Encoder e(out);
  for (const Field& f : record) write(e, f);
  return out;
}

RC_GTEST_PROP(Codec, WhatIsWrittenIsRead, ()) {
  auto record = some_record();
  std::string bytes = encoded(record);
  Decoder d(bytes);
  for (const Field& f : record) RC_ASSERT(reads_back(d, f));
  RC_ASSERT(d.done());
}

RC_GTEST_PROP(Codec, EveryTruncationFailsAndStaysFailed, ()) {
  auto record = some_record();
  std::string bytes = encoded(record);
  for (size_t n = 0; n < bytes.size(); ++n) {
    std::string cut = bytes.substr(0, n);  // its own memory, so that the sanitizers see a read past the end
    Decoder d(cut);
    for (const Field& f : record) reads_back(d, f);
    RC_ASSERT(!d.ok());
    RC_ASSERT(!d.done());
    RC_ASSERT(d.u64() == 0u);
    RC_ASSERT(d.bytes().empty());
    RC_ASSERT(d.rest().empty());
  }
}

RC_GTEST_PROP(Codec, RandomBytesNeverCrashNorYieldMoreThanTheyAre, (const std::string& bytes)) {
  Decoder d(bytes);
  while (d.ok() && !d.done()) {
    size_t left = d.rest().size();
    switch (*rc::gen::inRange(0, 5)) {
      case 0:
        d.varint();
        break;
      case 1:
        RC_ASSERT(d.bytes().size() < left);
        break;
      case 2:
        RC_ASSERT(d.count(3) * 3 <= left);
        break;
      case 3:
        d.u32();
        break;
      default:
        d.zigzag();
        break;
    }
    RC_ASSERT(d.rest().size() < left);
  }
}

RC_GTEST_PROP(Codec, OneNumberHasOneVarint, (uint64_t number)) {
  std::string bytes;
  Encoder(bytes).varint(number);
  bytes.back() = static_cast<char>(bytes.back() | 0x80);
  bytes.push_back(0);  // the same number, one byte longer
  Decoder d(bytes);
  d.varint();
  RC_ASSERT(!d.ok());
}

RC_GTEST_PROP(Codec, FixedWidthIntegersSortLikeTheirBytes, (uint64_t a, uint64_t b)) {
  std::string x, y;
  Encoder(x).u64(a);
  Encoder(y).u64(b);
  RC_ASSERT((a < b) == (x < y));
}

TEST(Codec, VarintsOfMoreThan64BitsFail) {
  std::string max(9, '\xff');
  std::string fits_bytes = max + '\x01', over_bytes = max + '\x02', eleven = std::string(10, '\xff') + '\x01';
  Decoder largest(fits_bytes), over(over_bytes), longer(eleven);
  EXPECT_EQ(largest.varint(), UINT64_MAX);
  EXPECT_TRUE(largest.done());
  over.varint();
  EXPECT_FALSE(over.ok());
  longer.varint();
  EXPECT_FALSE(longer.ok());
}

TEST(Codec, ClaimsBeyondTheInputFailBeforeAnythingIsAllocated) {
  for (uint64_t claim : {uint64_t{5}, uint64_t{1} << 32, UINT64_MAX}) {
    std::string bytes;
    Encoder e(bytes);
    e.varint(claim);
    e.raw("abcd");
    Decoder text(bytes), elements(bytes), free(bytes);
    EXPECT_TRUE(text.bytes().empty());
    EXPECT_FALSE(text.ok());
    EXPECT_EQ(elements.count(1), 0u);
    EXPECT_FALSE(elements.ok());
    EXPECT_EQ(free.count(0), 0u) << "elements of no bytes count as one";
    EXPECT_FALSE(free.ok());
  }
  std::string two;
  Encoder(two).varint(2);
  two += "abcd";
  Decoder fits(two), too_many(two);
  EXPECT_EQ(fits.count(2), 2u);
  EXPECT_EQ(too_many.count(3), 0u);
}

}  // namespace
}  // namespace cartwheel
