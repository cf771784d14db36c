#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/limits.h"
#include "base/rng.h"
#include "node/fronts/resp/parser.h"
#include "tests/node/resp_text.h"

namespace cartwheel::resp {
namespace {

using test::resp_command;

struct Parsed {
  std::vector<std::vector<std::string>> commands;
  std::string error;
  friend bool operator==(const Parsed&, const Parsed&) = default;
};

void drain(RespParser& parser, Parsed& parsed) {
  while (true) {
    RespParser::Outcome outcome = parser.next();
    if (outcome == RespParser::Outcome::kError) parsed.error = parser.error();
    if (outcome != RespParser::Outcome::kCommand) return;
    parsed.commands.emplace_back(parser.arguments().begin(), parser.arguments().end());
  }
}

Parsed parse(const std::vector<std::string>& pieces) {
  RespParser parser;
  Parsed parsed;
  for (const std::string& piece : pieces) {
    std::string bytes = piece;  // gone before the next piece: nothing of it may be referred to then
    parser.feed(bytes);
    drain(parser, parsed);
    parser.park();
    bytes.assign(bytes.size(), '#');
  }
  return parsed;
}

const std::vector<std::string>& inputs() {
  static const std::vector<std::string> inputs = {
      resp_command("GET key"),
      resp_command("SET key value EX 10") + resp_command("GET key") + resp_command("PING"),
      resp_command(std::vector<std::string>{std::string("\0\r\n", 3), "", "*3\r\n$1\r\n"}),
      "PING\r\nGET k\nSET k \"a b\\x41\\n\" \r\n\r\n" + resp_command("GET k") + "ECHO 'it\\'s'\r\n",
      "*0\r\n*-1\r\n*-7\r\n" + resp_command("PING"),
      "*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPONG\r\n",
      "*10\r\n"
      "$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n$1\r\nd\r\n$1\r\ne\r\n$1\r\nf\r\n$1\r\ng\r\n$1\r\nh\r\n$1\r\ni\r\n$11\r\nhello "
      "world\r\n",
      "*a\r\n",
      "*01\r\n$4\r\nPING\r\n",
      "*1\r\n:4\r\n",
      "*1\r\n$-1\r\n",
      "*1\r\n$\r\n",
      resp_command("PING") + "*2\r\n$4\r\nPING\r\n$x\r\n",
      "*99999999999999999999\r\n",
      "*65537\r\n",
      "*1\r\n$33554433\r\n",
      "ECHO \"open\r\n",
      "ECHO 'a'b\r\n",
  };
  return inputs;
}

TEST(RespParser, OutcomeDoesNotDependOnOneCutAnywhere) {
  for (const std::string& input : inputs()) {
    Parsed whole = parse({input});
    for (size_t cut = 0; cut <= input.size(); ++cut) {
      ASSERT_EQ(parse({input.substr(0, cut), input.substr(cut)}), whole) << input << " cut at " << cut;
    }
  }
}

TEST(RespParser, OutcomeDoesNotDependOnTwoCutsAnywhere) {
  for (const std::string& input : inputs()) {
    Parsed whole = parse({input});
    for (size_t a = 0; a <= input.size(); ++a) {
      for (size_t b = a; b <= input.size(); ++b) {
        ASSERT_EQ(parse({input.substr(0, a), input.substr(a, b - a), input.substr(b)}), whole) << input;
      }
    }
  }
}

TEST(RespParser, SingleBytesGiveTheSameCommands) {
  for (const std::string& input : inputs()) {
    std::vector<std::string> bytes;
    for (char c : input) bytes.emplace_back(1, c);
    EXPECT_EQ(parse(bytes), parse({input})) << input;
  }
}

TEST(RespParser, CommandsWithAnyBytesComeBackWhole) {
  for (uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    std::vector<std::vector<std::string>> commands;
    std::string input;
    for (size_t n = rng.below(8); n-- > 0;) {
      std::vector<std::string> command(1 + rng.below(5));
      for (std::string& argument : command) {
        argument.resize(rng.below(rng.chance(0.1) ? 3000 : 12));
        for (char& c : argument) c = static_cast<char>(rng.chance(0.3) ? "\r\n$*"[rng.below(4)] : rng.next());
      }
      input += resp_command(command);
      commands.push_back(std::move(command));
    }
    std::vector<std::string> pieces;
    for (size_t i = 0; i < input.size();) {
      size_t length = 1 + rng.below(rng.chance(0.5) ? 3 : 700);
      pieces.push_back(input.substr(i, length));
      i += length;
    }
    Parsed parsed = parse(pieces);
    EXPECT_EQ(parsed.commands, commands);
    EXPECT_EQ(parsed.error, "");
  }
}

TEST(RespParser, WordsItsErrorsAsRedis) {
  auto error_of = [](const std::string& input) { return parse({input}).error; };
  EXPECT_EQ(error_of("*x\r\n"), "Protocol error: invalid multibulk length");
  EXPECT_EQ(error_of("*2147483648\r\n"), "Protocol error: invalid multibulk length");
  EXPECT_EQ(error_of("*1\r\n$-1\r\n"), "Protocol error: invalid bulk length");
  EXPECT_EQ(error_of("*1\r\n$99999999999\r\n"), "Protocol error: invalid bulk length");
  EXPECT_EQ(error_of("*1\r\nx"), "Protocol error: expected '$', got 'x'");
  EXPECT_EQ(error_of(std::string(limits::kRespInlineBytes + 1, 'x')), "Protocol error: too big inline request");
  EXPECT_EQ(error_of("*" + std::string(limits::kRespInlineBytes + 1, '1')),
            "Protocol error: too big mbulk count string");
  EXPECT_EQ(error_of("*1\r\n$" + std::string(limits::kRespInlineBytes + 1, '1')),
            "Protocol error: too big bulk count string");
  EXPECT_EQ(error_of("GET \"x\r\n"), "Protocol error: unbalanced quotes in request");
}

TEST(RespParser, RefusesARequestBeyondTheLimitBeforeItsBytesCome) {
  std::string value(limits::kRequestBytes / 2, 'v');
  std::string bulk = "$" + std::to_string(value.size()) + "\r\n";
  Parsed parsed = parse({"*3\r\n" + bulk + value + "\r\n" + bulk});
  EXPECT_EQ(parsed.error, "Protocol error: too big request");
}

TEST(RespParser, StaysInErrorWhateverFollows) {
  Parsed parsed = parse({"*x\r\n", resp_command("PING")});
  EXPECT_TRUE(parsed.commands.empty());
  EXPECT_NE(parsed.error, "");
}

TEST(RespParser, KeepsNothingThatIsOnlyClaimed) {
  RespParser parser;
  std::string claim = "*60000\r\n$30000000\r\nab";
  parser.feed(claim);
  EXPECT_EQ(parser.next(), RespParser::Outcome::kNeedMore);
  parser.park();
  EXPECT_EQ(parser.buffered(), claim.size());
}

}  // namespace
}  // namespace cartwheel::resp
