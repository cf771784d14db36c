#include "client/bench/options.h"

#include <gtest/gtest.h>

namespace cartwheel::bench {
namespace {

ParsedOptions parsed(std::vector<std::string> words) {
  words.insert(words.begin(), "bench");
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  return parse_options(static_cast<int>(argv.size()), argv.data());
}

TEST(Options, DefaultsFollowTheMix) {
  const auto get = parsed({});
  ASSERT_TRUE(get.options);
  EXPECT_EQ(get.options->shape.keys, 100'000u);
  EXPECT_EQ(get.options->shape.value_size, 1024u);
  EXPECT_EQ(parsed({"--mix", "cart"}).options->shape.value_size, 64u);
  EXPECT_EQ(parsed({"--mix", "sadd"}).options->shape.keys, 1u);
}

TEST(Options, TargetsAndProcessesRepeat) {
  const auto out = parsed({"--target", "a:1", "--target", "[::1]:2", "--pid", "7", "--pid", "8"});
  ASSERT_TRUE(out.options);
  ASSERT_EQ(out.options->targets.size(), 2u);
  EXPECT_EQ(out.options->targets[1].host, "::1");
  EXPECT_EQ(out.options->targets[1].port, "2");
  EXPECT_EQ(out.options->pids, (std::vector<int>{7, 8}));
}

TEST(Options, RefusesWhatItCannotDo) {
  const std::vector<std::vector<std::string>> wrong = {{"--target", "nohost"},
                                                       {"--target", ":1"},
                                                       {"--protocol", "smtp"},
                                                       {"--clients", "0"},
                                                       {"--pipeline", "-1"},
                                                       {"--mix", "rename"},
                                                       {"--distribution", "normal"},
                                                       {"--requests", "0"},
                                                       {"--rate", "0"},
                                                       {"--requests", "1", "--duration", "1"},
                                                       {"--requests", "1", "--rate", "5"},
                                                       {"--threads", "3", "--clients", "2"},
                                                       {"--keys", "0"},
                                                       {"--protocol", "rpc"},
                                                       {"--unknown"},
                                                       {"--pid", "-3"}};
  for (const auto& words : wrong) {
    const auto out = parsed(words);
    EXPECT_FALSE(out.options) << words[0] << " " << words.back();
    EXPECT_NE(out.exit_code, 0) << words[0];
  }
}

TEST(Options, RpcNeedsAKeyspaceAndHasNoWait) {
  EXPECT_TRUE(parsed({"--protocol", "rpc", "--keyspace", "carts", "--mix", "session"}).options);
  EXPECT_FALSE(parsed({"--protocol", "rpc", "--keyspace", "carts", "--mix", "set-wait"}).options);
}

TEST(Options, HelpEndsWithoutAnError) {
  const auto out = parsed({"--help"});
  EXPECT_FALSE(out.options);
  EXPECT_EQ(out.exit_code, 0);
}

}  // namespace
}  // namespace cartwheel::bench
