// What holds for every row of the table of commands.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>

#include "node/fronts/resp/commands.h"
#include "node/fronts/resp/errors.h"
#include "node/fronts/resp/session.h"
#include "tests/node/model_backend.h"
#include "tests/node/resp_text.h"

namespace cartwheel::resp {
namespace {

using node::ModelBackend;
using test::resp_command;

std::vector<std::string> name_words(const Command& command) {
  std::string name(command.name);
  size_t bar = name.find('|');
  if (bar == std::string::npos) return {name};
  return {name.substr(0, bar), name.substr(bar + 1)};
}

template <typename F>
void for_each_command(F f) {
  for (const CommandGroup& group : command_groups()) {
    for (const Command& command : group.commands) f(command);
  }
}

TEST(RespCommands, EachIsFoundByItsNameInAnyCase) {
  std::set<std::string_view> names;
  for_each_command([&](const Command& command) {
    EXPECT_TRUE(names.insert(command.name).second) << command.name;
    EXPECT_EQ(command_named(command.name), &command);
    EXPECT_EQ(command_named(upper(command.name)), &command);
    EXPECT_EQ(command_named(std::string(command.name) + "x"), nullptr);
  });
  EXPECT_EQ(command_named(""), nullptr);
  EXPECT_EQ(command_named(std::string_view("get\0", 4)), nullptr);
}

TEST(RespCommands, EachRefusesAWrongNumberOfArguments) {
  ModelBackend backend;
  RespSession session(backend, 1, "a", "b");
  for_each_command([&](const Command& command) {
    std::vector<std::string> words = name_words(command);
    if (command.has(Command::kContainer) || command.arity == -static_cast<int>(words.size())) return;
    std::string expected = "-ERR wrong number of arguments for '" + std::string(command.name) + "' command\r\n";
    size_t right = static_cast<size_t>(std::abs(command.arity));
    std::vector<std::string> few = words, many = words;
    few.resize(std::max(right - 1, words.size()), "1");
    many.resize(right + 1, "1");
    if (few.size() < right) {
      session.receive(resp_command(few));
      EXPECT_EQ(session.take_output(), expected);
    }
    if (command.arity > 0) {
      session.receive(resp_command(many));
      EXPECT_EQ(session.take_output(), expected);
    }
  });
  EXPECT_EQ(backend.submitted(), 0u);
}

// Whatever the arguments are: one well-formed reply for each command, in both protocols.
TEST(RespCommands, EachGivesOneReplyToAnyArguments) {
  const char* const kArguments[] = {"key", "0", "1", "-1", "x", "", "EX", "GET", "MATCH", "COUNT", "AUTH", "on", "100"};
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    for_each_command([&](const Command& command) {
      if (command.name == "quit") return;
      ModelBackend backend;
      RespSession session(backend, 1, "a", "b");
      if (seed % 2 == 1) session.receive(resp_command("HELLO 3"));
      session.take_output();
      std::vector<std::string> words = name_words(command);
      for (size_t n = rng.below(6); n-- > 0;) words.emplace_back(kArguments[rng.below(std::size(kArguments))]);
      session.receive(resp_command(words));
      std::string output = session.take_output();
      size_t at = 0;
      EXPECT_TRUE(test::read_reply(output, at).has_value()) << command.name << ": " << output;
      EXPECT_EQ(at, output.size()) << command.name << ": " << output;
      session.receive(resp_command("ECHO end"));
      EXPECT_EQ(session.take_output(), "$3\r\nend\r\n");
    });
  }
}

TEST(RespCommands, CountAndListLeaveOutWhatIsRefused) {
  ModelBackend backend;
  RespSession session(backend, 1, "a", "b");
  session.receive(resp_command("COMMAND LIST"));
  std::string output = session.take_output();
  size_t at = 0;
  test::RespReply list = *test::read_reply(output, at);
  session.receive(resp_command("COMMAND COUNT"));
  EXPECT_EQ(session.take_output(), ":" + std::to_string(list.children.size()) + "\r\n");
  EXPECT_EQ(output.find("setnx"), std::string::npos);
  session.receive(resp_command("COMMAND INFO setnx nope"));
  EXPECT_EQ(session.take_output(), "*2\r\n$-1\r\n$-1\r\n");
}

TEST(RespCommands, UnknownOnesAreNamedWithWhatIsKnownOfThem) {
  ModelBackend backend;
  RespSession session(backend, 1, "a", "b");
  session.receive(resp_command("FOO a b"));
  EXPECT_EQ(session.take_output(), "-ERR unknown command 'FOO', with args beginning with: 'a' 'b' \r\n");
  session.receive(resp_command("MULTI"));
  EXPECT_TRUE(session.take_output().starts_with(
      "-ERR unknown command 'MULTI', with args beginning with: (Cartwheel has no transactions"));
}

// Run with CARTWHEEL_WRITE_DOCS=1 to rewrite the page.
TEST(RespCommands, DocumentIsRenderedFromTheTable) {
  std::string path = CARTWHEEL_SOURCE_DIR "/docs/resp.md";
  if (getenv("CARTWHEEL_WRITE_DOCS") != nullptr) std::ofstream(path) << commands_as_markdown();
  std::ifstream in(path);
  std::string document((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  EXPECT_EQ(document, commands_as_markdown()) << "docs/resp.md is not up to date: run with CARTWHEEL_WRITE_DOCS=1";
}

}  // namespace
}  // namespace cartwheel::resp
