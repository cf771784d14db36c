#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/msgpack.h"
#include "base/rng.h"
#include "node/runtime/frame.h"

namespace cartwheel::node {
namespace {

struct Seen {
  FrameKind kind;
  uint8_t stripe;
  std::string payload;
  friend bool operator==(const Seen&, const Seen&) = default;
};

// Feeds `pieces`, each from memory that is overwritten afterwards, as a read buffer is.
std::vector<Seen> decode(FrameDecoder& decoder, const std::vector<std::string>& pieces, bool* error = nullptr) {
  std::vector<Seen> seen;
  for (const std::string& piece : pieces) {
    std::string slab = piece;
    decoder.feed(slab);
    Frame frame;
    FrameDecoder::Outcome outcome;
    while ((outcome = decoder.next(frame)) == FrameDecoder::Outcome::kFrame) {
      seen.push_back({frame.kind, frame.stripe, std::string(frame.payload)});
    }
    decoder.park();
    slab.assign(slab.size(), '\xee');
    if (error != nullptr) *error = outcome == FrameDecoder::Outcome::kError;
    if (outcome == FrameDecoder::Outcome::kError) break;
  }
  return seen;
}

std::vector<Seen> examples() {
  return {{FrameKind::kHello, 0, "hi"},
          {FrameKind::kStripeMessage, 3, ""},
          {FrameKind::kStripeMessage, 255, std::string("\0\xff", 2)},
          {FrameKind::kRequest, 0, std::string(300, 'x')},
          {FrameKind::kReply, 0, "r"},
          {FrameKind::kBatch, 0, "b"}};
}

std::string bytes_of(const std::vector<Seen>& frames) {
  std::string bytes;
  for (const Seen& frame : frames) append_frame(bytes, frame.kind, frame.stripe, frame.payload);
  return bytes;
}

TEST(FrameDecoder, SplitsAtEveryPairOfBytesGiveTheSameFrames) {
  const std::string bytes = bytes_of(examples());
  for (size_t i = 0; i <= bytes.size(); ++i) {
    for (size_t j = i; j <= bytes.size(); j += 7) {
      FrameDecoder decoder;
      EXPECT_EQ(decode(decoder, {bytes.substr(0, i), bytes.substr(i, j - i), bytes.substr(j)}), examples())
          << "split at " << i << " and " << j;
      EXPECT_EQ(decoder.buffered(), 0u);
    }
  }
}

TEST(FrameDecoder, ByteByByteGivesTheSameFrames) {
  std::vector<std::string> pieces;
  for (char c : bytes_of(examples())) pieces.emplace_back(1, c);
  FrameDecoder decoder;
  EXPECT_EQ(decode(decoder, pieces), examples());
}

TEST(FrameDecoder, ATruncatedFrameIsNotGivenOut) {
  const std::string bytes = bytes_of({{FrameKind::kRequest, 0, "abc"}});
  for (size_t n = 0; n < bytes.size(); ++n) {
    FrameDecoder decoder;
    EXPECT_TRUE(decode(decoder, {bytes.substr(0, n)}).empty());
    EXPECT_EQ(decoder.rest(), bytes.substr(0, n));
  }
}

TEST(FrameDecoder, ALengthAboveTheLimitIsRefusedAsSoonAsItIsThere) {
  for (uint32_t length : {uint32_t{kHelloFrameBytes} - 3, uint32_t{0x7fffffff}, uint32_t{0xffffffff}}) {
    FrameDecoder decoder;
    bool error = false;
    std::string header;
    for (int shift = 24; shift >= 0; shift -= 8) header.push_back(static_cast<char>(length >> shift));
    decode(decoder, {header}, &error);
    EXPECT_TRUE(error) << length;
    EXPECT_NE(decoder.error().find("the limit here is 65536"), std::string::npos) << decoder.error();
  }
  // The largest frame that is allowed, and then a larger one after the limit was raised.
  FrameDecoder decoder;
  EXPECT_EQ(decode(decoder, {bytes_of({{FrameKind::kHello, 0, std::string(kHelloFrameBytes - 6, 'h')}})}).size(), 1u);
  decoder.set_limit(limits::kFrameBytes);
  EXPECT_EQ(decode(decoder, {bytes_of({{FrameKind::kRequest, 0, std::string(kHelloFrameBytes, 'h')}})}).size(), 1u);
}

TEST(FrameDecoder, ShortLengthsAndUnknownKindsAreErrorsForGood) {
  for (const std::string& bad :
       {std::string("\0\0\0\0", 4), std::string("\0\0\0\1", 4), std::string("\0\0\0\2\5", 5)}) {
    FrameDecoder decoder;
    bool error = false;
    decode(decoder, {bad}, &error);
    EXPECT_TRUE(error);
    Frame frame;
    decoder.feed(bytes_of(examples()));
    EXPECT_EQ(decoder.next(frame), FrameDecoder::Outcome::kError);
  }
}

TEST(FrameDecoder, RandomBytesNeverCrash) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    FrameDecoder decoder(1024);
    std::vector<std::string> pieces(rng.below(20));
    for (std::string& piece : pieces) {
      piece.resize(rng.below(40));
      for (char& c : piece) c = static_cast<char>(rng.below(4) == 0 ? rng.below(256) : rng.below(3));
    }
    decode(decoder, pieces);
    EXPECT_LE(decoder.buffered(), 20u * 40u);
  }
}

TEST(Hello, SurvivesTheRoundTrip) {
  Hello hello;
  hello.cluster = "shop";
  hello.node = "eu-1";
  hello.shard = 3;
  hello.process = 0xffffffffffffffffull;
  hello.epoch = 9;
  hello.rpc_host = "10.0.0.1";
  hello.rpc_port = 7101;
  hello.refusal = "no member";
  hello.offers = Hello::kReadsBatches;
  const Result<Hello> back = decode_hello(encode(hello));
  ASSERT_TRUE(back.ok()) << back.status().to_string();
  EXPECT_EQ(back->cluster, "shop");
  EXPECT_EQ(back->node, "eu-1");
  EXPECT_EQ(back->shard, 3u);
  EXPECT_EQ(back->process, 0xffffffffffffffffull);
  EXPECT_EQ(back->epoch, 9u);
  EXPECT_EQ(back->rpc_host, "10.0.0.1");
  EXPECT_EQ(back->rpc_port, 7101);
  EXPECT_EQ(back->refusal, "no member");
  EXPECT_EQ(back->offers, Hello::kReadsBatches);
}

TEST(Hello, AnotherVersionIsNamedWhateverElseItHolds) {
  std::string other;
  MsgWriter writer(other);
  writer.array(2);
  writer.uint(7);
  writer.nil();
  const Result<Hello> result = decode_hello(other);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().message(), "protocol version 7, this node speaks 1");
}

TEST(Hello, LaterElementsAreIgnoredAndTruncationIsNot) {
  std::string longer;
  MsgWriter writer(longer);
  writer.array(11);
  writer.uint(1);
  writer.str("shop");
  writer.str("");
  writer.uint(0);
  writer.uint(9);
  writer.uint(1);
  writer.str("");
  writer.uint(0);
  writer.str("");
  writer.uint(uint64_t{1} << 40);
  writer.map(0);
  EXPECT_TRUE(decode_hello(longer).ok());
  for (size_t n = 0; n < longer.size(); ++n) EXPECT_FALSE(decode_hello(longer.substr(0, n)).ok()) << n;
  EXPECT_FALSE(decode_hello(longer + "x").ok());
}

}  // namespace
}  // namespace cartwheel::node
