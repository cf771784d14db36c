#include "client/bench/resp_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace cartwheel::bench {
namespace {

struct Seen {
  ReplyKind kind;
  std::string text;
  friend bool operator==(const Seen&, const Seen&) = default;
};
void PrintTo(const Seen& s, std::ostream* out) {
  *out << static_cast<int>(s.kind) << ":" << s.text;
}

class Collector : public ReplySink {
 public:
  void on_reply(const Reply& reply) override { seen.push_back({reply.kind, std::string(reply.text)}); }
  std::vector<Seen> seen;
};

constexpr ReplyKind kValue = ReplyKind::kValue;
constexpr ReplyKind kNil = ReplyKind::kNil;
constexpr ReplyKind kError = ReplyKind::kError;

// Replies of every shape in one stream, with the bytes of a header inside a string.
const std::string kStream =
    "+OK\r\n"
    ":1234\r\n"
    "-ERR unknown command 'x'\r\n"
    "$-1\r\n"
    "$0\r\n\r\n"
    "$9\r\n$3\r\n-a\r\nb\r\n"
    "*-1\r\n"
    "*0\r\n"
    "*2\r\n$3\r\nabc\r\n*3\r\n:1\r\n$-1\r\n*1\r\n+deep\r\n"
    "%1\r\n+k\r\n~2\r\n:1\r\n:2\r\n"
    ">2\r\n+invalidate\r\n$1\r\nk\r\n"
    "|1\r\n+ttl\r\n:3\r\n-WRONGTYPE no\r\n"
    "*1\r\n-ERR inside\r\n"
    "_\r\n,3.5\r\n#t\r\n"
    "!8\r\nERR bulk\r\n"
    "+end\r\n";

std::vector<Seen> expected(bool capture) {
  const auto string = [&](const char* text) { return Seen{kValue, capture ? text : ""}; };
  return {{kValue, "OK"},
          {kValue, "1234"},
          {kError, "ERR unknown command 'x'"},
          {kNil, ""},
          string(""),
          string("$3\r\n-a\r\nb"),
          {kNil, ""},
          {kValue, ""},
          {kValue, ""},
          {kValue, ""},
          {kError, "WRONGTYPE no"},
          {kValue, ""},
          {kNil, ""},
          {kValue, "3.5"},
          {kValue, "t"},
          {kError, "ERR bulk"},
          {kValue, "end"}};
}

TEST(RespReader, CountsTheSameRepliesHoweverTheBytesAreSplitInTwo) {
  for (const bool capture : {false, true}) {
    for (size_t cut = 0; cut <= kStream.size(); ++cut) {
      RespReader reader(capture);
      Collector sink;
      ASSERT_TRUE(reader.feed(kStream.substr(0, cut), sink)) << "cut " << cut;
      ASSERT_TRUE(reader.feed(kStream.substr(cut), sink)) << "cut " << cut;
      ASSERT_EQ(sink.seen, expected(capture)) << "cut " << cut;
    }
  }
}

TEST(RespReader, CountsTheSameRepliesInPiecesOfEverySize) {
  for (const bool capture : {false, true}) {
    for (size_t piece = 1; piece < 40; ++piece) {
      RespReader reader(capture);
      Collector sink;
      for (size_t at = 0; at < kStream.size(); at += piece) ASSERT_TRUE(reader.feed(kStream.substr(at, piece), sink));
      ASSERT_EQ(sink.seen, expected(capture)) << "pieces of " << piece;
    }
  }
}

TEST(RespReader, ReportsAReplyOnlyWithItsLastByte) {
  const std::string reply = "*2\r\n$3\r\nabc\r\n*1\r\n$2\r\nxy\r\n";
  RespReader reader(true);
  Collector sink;
  ASSERT_TRUE(reader.feed(reply.substr(0, reply.size() - 1), sink));
  EXPECT_TRUE(sink.seen.empty());
  ASSERT_TRUE(reader.feed(reply.substr(reply.size() - 1), sink));
  EXPECT_EQ(sink.seen.size(), 1u);
}

TEST(RespReader, KeepsTheBeginningOfALongError) {
  RespReader reader(false);
  Collector sink;
  ASSERT_TRUE(reader.feed("-ERR " + std::string(10'000, 'x') + "\r\n", sink));
  ASSERT_EQ(sink.seen.size(), 1u);
  EXPECT_EQ(sink.seen[0].text.size(), 256u);
}

TEST(RespReader, RefusesWhatIsNoReply) {
  for (const char* bad : {"HTTP/1.1 400\r\n", "\r\n", "+no carriage return\n", "$x\r\n", "$-2\r\n", "*-7\r\n",
                          "$99999999999999999999\r\n", "*9223372036854775807\r\n", "$\r\n", ":"}) {
    RespReader reader(false);
    Collector sink;
    const std::string bytes = std::string(bad) == ":" ? ":" + std::string(100'000, '1') : bad;
    EXPECT_FALSE(reader.feed(bytes, sink)) << bad;
    EXPECT_TRUE(sink.seen.empty()) << bad;
  }
}

}  // namespace
}  // namespace cartwheel::bench
