#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <map>

#include "node/runtime/log.h"
#include "node/runtime/options.h"

namespace cartwheel::node {
namespace {

Environment environment_of(std::map<std::string, std::string> variables) {
  return [variables](const std::string& name) -> std::optional<std::string> {
    const auto it = variables.find(name);
    if (it == variables.end()) return std::nullopt;
    return it->second;
  };
}

class Settings : public ::testing::Test {
 protected:
  std::string file(const std::string& content) {
    std::ofstream(path_) << content;
    return path_;
  }
  void TearDown() override { std::remove(path_.c_str()); }
  std::string path_ = ::testing::TempDir() + "cartwheel_settings_" +
                      ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".toml";
};

const std::vector<std::string> kServe = {"serve", "--cluster-file", "c.toml", "--node", "eu-1", "--data-dir", "d"};

TEST_F(Settings, FlagsWinOverTheEnvironmentAndThatOverTheFile) {
  const std::string path = file("cache-mb = 1\nnode = \"file\"\nlog-level = \"error\"\ndata-dir = \"file\"\n");
  const CommandLine line = parse_command_line(
      {"serve", "--config", path, "--node", "flag"},
      environment_of(
          {{"CARTWHEEL_NODE", "variable"}, {"CARTWHEEL_DATA_DIR", "variable"}, {"CARTWHEEL_CLUSTER_FILE", "v"}}));
  ASSERT_EQ(line.command, CommandLine::Command::kServe) << line.text;
  EXPECT_EQ(line.serve.node, "flag");
  EXPECT_EQ(line.serve.data_dir, "variable");
  EXPECT_EQ(line.serve.cluster_file, "v");
  EXPECT_EQ(line.serve.cache_mb, 1u);
  EXPECT_EQ(line.serve.log_level, "error");
  EXPECT_EQ(line.serve.log_format, "text");
}

TEST_F(Settings, LinksToOtherRegions) {
  std::vector<std::string> arguments = kServe;
  CommandLine line = parse_command_line(arguments, environment_of({}));
  EXPECT_EQ(line.serve.wan_window_ms, 5u);
  EXPECT_EQ(line.serve.wan_batch_kb, 64u);
  EXPECT_EQ(line.serve.wan_compression, "zstd");
  arguments.insert(arguments.end(), {"--wan-window-ms", "0", "--config", file("wan-batch-kb = 16\n")});
  line = parse_command_line(arguments, environment_of({{"CARTWHEEL_WAN_COMPRESSION", "none"}}));
  ASSERT_EQ(line.command, CommandLine::Command::kServe) << line.text;
  EXPECT_EQ(line.serve.wan_window_ms, 0u);
  EXPECT_EQ(line.serve.wan_batch_kb, 16u);
  EXPECT_EQ(line.serve.wan_compression, "none");
  EXPECT_EQ(parse_command_line(arguments, environment_of({{"CARTWHEEL_WAN_COMPRESSION", "lz4"}})).exit_code, 2);
}

TEST_F(Settings, MistakesInTheFileNameFileAndLine) {
  for (const auto& [content, expected] : std::map<std::string, std::string>{
           {"node = \"a\"\nnodes = 3\n", ":2: unknown setting 'nodes', there are: cluster-file"},
           {"cache-mb = \"lots\"\n", ":1: "},
           {"node = [1]\n", ":1: 'node' must be a text, a number or a boolean"},
           {"node = \n", ":1: "}}) {
    const std::string path = file(content);
    const CommandLine line = parse_command_line({"serve", "--config", path}, environment_of({}));
    EXPECT_EQ(line.exit_code, 2);
    EXPECT_NE(line.text.find(path + expected), std::string::npos) << line.text;
  }
}

TEST_F(Settings, AWrongValueInTheEnvironmentNamesTheVariable) {
  const CommandLine line = parse_command_line(kServe, environment_of({{"CARTWHEEL_SHARDS", "0"}}));
  EXPECT_EQ(line.exit_code, 2);
  EXPECT_NE(line.text.find("CARTWHEEL_SHARDS: "), std::string::npos) << line.text;
}

TEST_F(Settings, WrongUsageIsTwoAndHelpIsZero) {
  for (const std::vector<std::string>& wrong : std::vector<std::vector<std::string>>{
           {},
           {"serv"},
           {"serve"},
           {"serve", "--cluster-file", "c", "--node", "n"},
           {"status"},
           {"version", "x"},
           {"serve", "--cluster-file", "c", "--node", "n", "--data-dir", "d", "--log-level", "loud"}}) {
    const CommandLine line = parse_command_line(wrong, environment_of({}));
    EXPECT_EQ(line.exit_code, 2);
    EXPECT_FALSE(line.text.empty());
  }
  EXPECT_NE(parse_command_line({"serve"}, environment_of({})).text.find("--data-dir is missing"), std::string::npos);
  EXPECT_NE(parse_command_line({"serve", "--help"}, environment_of({})).text.find("--data-dir"), std::string::npos);
  EXPECT_EQ(parse_command_line({"serve", "--help"}, environment_of({})).exit_code, 0);
  EXPECT_NE(parse_command_line({"--help"}, environment_of({})).text.find("status"), std::string::npos);
  EXPECT_EQ(parse_command_line({"version"}, environment_of({})).command, CommandLine::Command::kVersion);
}

TEST_F(Settings, ExplainTakesAKeyAndPerhapsAField) {
  const auto parse = [](std::vector<std::string> arguments) {
    return parse_command_line(arguments, [](const std::string&) { return std::nullopt; });
  };
  const CommandLine whole = parse({"explain", "cart:7", "--at", "h:1"});
  EXPECT_EQ(whole.command, CommandLine::Command::kCluster);
  EXPECT_EQ(whole.cluster.kind, ClusterCommand::Kind::kExplain);
  EXPECT_EQ(whole.cluster.key, "cart:7");
  EXPECT_FALSE(whole.cluster.field.has_value());
  const CommandLine part = parse({"explain", "cart:7", "apples", "--at", "h:1", "--keyspace", "carts", "--json"});
  EXPECT_EQ(part.cluster.field, "apples");
  EXPECT_EQ(part.cluster.keyspace, "carts");
  EXPECT_TRUE(part.cluster.json);
  EXPECT_EQ(parse({"explain", "--at", "h:1"}).exit_code, 2);
  EXPECT_EQ(parse({"lag"}).exit_code, 2);
  EXPECT_EQ(parse({"lag", "--at", "h:1"}).cluster.kind, ClusterCommand::Kind::kLag);
}

TEST_F(Settings, StatusTakesTheClusterFileFromTheEnvironmentToo) {
  const CommandLine line =
      parse_command_line({"status", "--json"}, environment_of({{"CARTWHEEL_CLUSTER_FILE", "shop.toml"}}));
  ASSERT_EQ(line.command, CommandLine::Command::kStatus) << line.text;
  EXPECT_EQ(line.status.cluster_file, "shop.toml");
  EXPECT_TRUE(line.status.json);
}

TEST(Log, ValuesCannotForgeALine) {
  EXPECT_EQ(logs::render(logs::Format::kText, "eu-1", "client said", {{"name", "a\nlevel=error \"x\""}, {"n", "7"}}),
            R"(node=eu-1 msg="client said" name="a\u000alevel=error \"x\"" n=7)");
  EXPECT_EQ(logs::render(logs::Format::kJson, "eu-1", "hi", {{"k", "v\xff"}}),
            R"("node":"eu-1","msg":"hi","k":"v\u00ff")");
}

}  // namespace
}  // namespace cartwheel::node
