#include "node/runtime/cluster_file.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/rng.h"

namespace cartwheel::node {
namespace {

const std::string kSample = R"(cluster = "shop"
partitions = 64
[[node]]
name = "eu-1"
region = "eu"
zone = "a"
rpc  = "127.0.0.1:7101"     # MessagePack RPC
resp = "127.0.0.1:6401"     # Redis protocol
http = "127.0.0.1:8101"
[[node]]
name = "us-1"
region = "us"
rpc  = "[::1]:7201"
capacity = 2
[[keyspace]]
name = "carts"
select = 3                   # the RESP database number
kind = "eventual"
replicas = { eu = 1, us = 1 }
read = "local_quorum"
write = "each_quorum"
default_ttl = "30m"
durability = "always"
[[keyspace]]
name = "sessions"
replicas = { eu = 1 }
read = 1
)";

std::string replaced(const std::string& what, const std::string& with) {
  std::string text = kSample;
  size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), with);
}

TEST(ClusterFile, TheSampleSaysWhatItSays) {
  auto c = parse_cluster(kSample, "shop.toml");
  ASSERT_TRUE(c.ok()) << c.status().to_string();
  EXPECT_EQ(c->name, "shop");
  EXPECT_EQ(c->partitions, 64u);
  EXPECT_EQ(c->stripes, 1u);
  EXPECT_EQ(c->epoch, 1u);
  EXPECT_EQ(c->regions, (std::vector<std::string>{"eu", "us"}));
  ASSERT_EQ(c->nodes.size(), 2u);
  EXPECT_EQ(c->nodes[0].name, "eu-1");
  EXPECT_EQ(c->nodes[0].zone, "a");
  EXPECT_EQ(c->nodes[0].capacity, 1.0);
  EXPECT_EQ(c->nodes[0].rpc, (Address{"127.0.0.1", 7101}));
  EXPECT_EQ(c->nodes[0].resp, (Address{"127.0.0.1", 6401}));
  EXPECT_EQ(c->nodes[0].http, (Address{"127.0.0.1", 8101}));
  EXPECT_EQ(c->nodes[1].zone, "");
  EXPECT_EQ(c->nodes[1].capacity, 2.0);
  EXPECT_EQ(c->nodes[1].rpc, (Address{"::1", 7201}));
  EXPECT_EQ(c->nodes[1].resp.port, 0);
  ASSERT_EQ(c->keyspaces.size(), 2u);
  const Keyspace &carts = c->keyspaces[0], &sessions = c->keyspaces[1];
  EXPECT_EQ(carts.name, "carts");
  EXPECT_EQ(carts.select, 3);
  EXPECT_EQ(carts.replicas, (std::map<std::string, uint32_t>{{"eu", 1}, {"us", 1}}));
  EXPECT_EQ(carts.read, Level::parse("local_quorum").value());
  EXPECT_EQ(carts.write, Level::parse("each_quorum").value());
  EXPECT_EQ(carts.default_ttl_ms, 30 * 60'000);
  EXPECT_EQ(carts.durability, Keyspace::Durability::kAlways);
  EXPECT_EQ(sessions.select, 0);
  EXPECT_EQ(sessions.read, Level::parse("one").value());
  EXPECT_EQ(sessions.write, Level::parse("local_quorum").value());
  EXPECT_EQ(sessions.default_ttl_ms, 0);
  EXPECT_EQ(sessions.durability, Keyspace::Durability::kOs);
  ASSERT_EQ(c->assignments.size(), 2u);
  EXPECT_EQ(c->assignments[0].owners.size(), 64u);
}

TEST(ClusterFile, PartitionsAreThousandAndTwentyFourUnlessSaid) {
  auto c = parse_cluster(replaced("partitions = 64\n", "\n"), "f");
  ASSERT_TRUE(c.ok()) << c.status().to_string();
  EXPECT_EQ(c->partitions, 1024u);
}

TEST(ClusterFile, DurationsHaveUnitsOrAreSeconds) {
  const std::pair<const char*, int64_t> cases[] = {
      {"\"0\"", 0},   {"\"250ms\"", 250}, {"\"90s\"", 90'000}, {"\"1h\"", 3600'000}, {"\"7d\"", 604'800'000},
      {"45", 45'000}, {"0", 0},           {"\"0s\"", 0}};
  for (auto [text, ms] : cases) {
    auto c = parse_cluster(replaced("\"30m\"", text), "f");
    ASSERT_TRUE(c.ok()) << text << c.status().to_string();
    EXPECT_EQ(c->keyspaces[0].default_ttl_ms, ms) << text;
  }
}

struct Broken {
  const char *what, *with, *error;  // how `error` begins after the name of the file
};

TEST(ClusterFile, EveryMistakeNamesItsLineAndReason) {
  const Broken table[] = {
      {"cluster = \"shop\"", "", ":1:1: missing key 'cluster'"},
      {"cluster = \"shop\"", "cluster = 7", ":1:11: cluster must be a text, not an integer"},
      {"cluster = \"shop\"", "cluster = \"a b\"", ":1:11: cluster name 'a b' may only have"},
      {"cluster = \"shop\"", "cluster = \"shop", ":1:"},
      {"cluster = \"shop\"", "cluster = \"shop\"\ncluster = \"x\"", ":2:"},
      {"partitions = 64", "partition = 64", ":2:1: unknown key 'partition'; did you mean 'partitions'?"},
      {"partitions = 64", "frobnicate = 64", ":2:1: unknown key 'frobnicate'"},
      {"partitions = 64", "partitions = 63", ":2:14: partitions must be a power of two from 1 to 65536, not 63"},
      {"partitions = 64", "partitions = -1", ":2:14: 'partitions' is out of range: -1"},
      {"partitions = 64", "partitions = \"64\"", ":2:14: partitions must be an integer, not a text"},
      {"partitions = 64", "partitions = 99999999999", ":2:14: 'partitions' is out of range"},
      {"partitions = 64", "partitions = 2\nstripes = 4", ":3:11: 4 stripes for 2 partitions"},
      {"[[node]]\nname = \"eu-1\"", "[node]\nname = \"eu-1\"", ":"},
      {"name = \"eu-1\"", "nmae = \"eu-1\"", ":4:1: unknown key 'nmae' in [[node]]; did you mean 'name'?"},
      {"name = \"eu-1\"\n", "\n", ":3:1: missing key 'name'"},
      {"name = \"eu-1\"", "name = \"us-1\"", ":11:8: node 'us-1': there are two nodes of this name"},
      {"name = \"eu-1\"", "name = \"\"", ":4:8: node '': name must not be empty"},
      {"name = \"eu-1\"", "name = [\"eu-1\"]", ":4:8: name must be a text, not a list"},
      {"zone = \"a\"", "zone = true", ":6:8: zone must be a text, not a boolean"},
      {"127.0.0.1:7101", "127.0.0.1", ":7:8: rpc address '127.0.0.1' is not \"host:port\""},
      {"127.0.0.1:7101", "127.0.0.1:77777", ":7:8: rpc address '127.0.0.1:77777' is not \"host:port\""},
      {"127.0.0.1:7101", ":7101", ":7:8: rpc address ':7101' is not"},
      {"127.0.0.1:7101", "::1:7101", ":7:8: rpc address '::1:7101' is not"},
      {"127.0.0.1:7101", "localhost:0", ":7:8: rpc address 'localhost:0' has port 0"},
      {"127.0.0.1:7101", "a\\nb:1", ":7:8: rpc address 'a?b:1' is not"},
      {"127.0.0.1:6401", "127.0.0.1:7101", ":8:8: node 'eu-1': resp address 127.0.0.1:7101 is also rpc of node 'eu-1'"},
      {"rpc  = \"[::1]:7201\"\n", "\n", ":10:1: missing key 'rpc'"},
      {"capacity = 2", "capacity = \"2\"", ":14:12: capacity must be a number, not a text"},
      {"capacity = 2", "capacity = 0", ":14:12: node 'us-1': capacity must be from 0.001"},
      {"capacity = 2", "capacity = nan", ":14:12: node 'us-1': capacity must be from 0.001"},
      {"select = 3", "select = 0", ":24:1: keyspace 'sessions': select 0 is also that of keyspace 'carts'"},
      {"select = 3", "select = 2.5", ":17:10: select must be an integer, not a number with a fraction"},
      {"\"eventual\"", "\"strong\"", ":18:8: keyspace 'carts': kind 'strong' is not available in this version"},
      {"{ eu = 1, us = 1 }", "{ eu = 4, us = 1 }",
       ":19:12: keyspace 'carts': 4 replicas in region 'eu', which has 1 node"},
      {"{ eu = 1, us = 1 }", "{ eu = 1, ap = 1 }", ":19:12: keyspace 'carts': replicas in region 'ap', which no node"},
      {"{ eu = 1, us = 1 }", "{ eu = \"1\" }", ":19:19: eu must be an integer, not a text"},
      {"{ eu = 1, us = 1 }", "3", ":19:12: replicas must be a table such as { eu = 3 }, not an integer"},
      {"replicas = { eu = 1, us = 1 }\n", "\n", ":15:1: missing key 'replicas'"},
      {"\"local_quorum\"", "\"lokal_quorum\"", ":20:8: read: 'lokal_quorum' is not a level (one, two"},
      {"\"local_quorum\"", "3", ":20:8: keyspace 'carts': read level three needs more replicas"},
      {"\"each_quorum\"", "1979-05-27", ":21:9: write must be a level or a number of replicas, not a date or time"},
      {"\"30m\"", "\"30 minutes\"", ":22:15: default_ttl '30 minutes' is not a duration"},
      {"\"30m\"", "-5", ":22:15: keyspace 'carts': default_ttl must not be negative"},
      {"\"30m\"", "9223372036854775807", ":22:15: keyspace 'carts': default_ttl is longer than ten years"},
      {"\"30m\"", "\"9223372036854775807d\"", ":22:15: default_ttl '9223372036854775807d' is not a duration"},
      {"\"always\"", "\"fsync\"", ":23:14: durability 'fsync' is unknown"},
      {"read = 1", "reads = 1", ":27:1: unknown key 'reads' in [[keyspace]]; did you mean 'read'?"},
  };
  for (const Broken& b : table) {
    SCOPED_TRACE(std::string(b.what) + " -> " + b.with);
    auto c = parse_cluster(replaced(b.what, b.with), "shop.toml");
    ASSERT_FALSE(c.ok());
    std::string message = c.status().message(), expected = std::string("shop.toml") + b.error;
    EXPECT_EQ(message.substr(0, expected.size()), expected) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
    bool strong = std::string(b.with) == "\"strong\"";
    EXPECT_EQ(c.status().code(), strong ? Code::kUnsupported : Code::kInvalidArgument);
  }
}

TEST(ClusterFile, TablesThatAreNotListsAreExplained) {
  auto c = parse_cluster("cluster = \"x\"\n[node]\nname = \"n\"\n", "f");
  ASSERT_FALSE(c.ok());
  EXPECT_EQ(c.status().message(), "f:2:1: 'node' must be written as [[node]], once for each");
  c = parse_cluster("cluster = \"x\"\nnode = [1]\n", "f");
  EXPECT_EQ(c.status().message(), "f:2:9: node must be a table, not an integer");
  c = parse_cluster("", "f");
  EXPECT_EQ(c.status().message(), "f:1:1: missing key 'cluster'");
  c = parse_cluster("cluster = \"x\"\n", "f");
  EXPECT_EQ(c.status().message(), "f:1:1: the cluster has no nodes");
}

// Whatever the bytes, the answer is a configuration or one line.
TEST(ClusterFile, EveryPrefixAndDamagedFileIsAnswered) {
  for (size_t n = 0; n < kSample.size(); ++n) {
    auto c = parse_cluster(kSample.substr(0, n), "f");
    EXPECT_TRUE(c.ok() || c.status().message().substr(0, 2) == "f:") << n;
  }
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    Rng rng(seed);
    std::string text = kSample;
    for (uint64_t i = 1 + rng.below(4); i > 0; --i) text[rng.below(text.size())] = static_cast<char>(rng.below(256));
    auto c = parse_cluster(text, "f");
    if (c.ok()) continue;
    EXPECT_EQ(c.status().message().substr(0, 2), "f:") << "seed " << seed;
    EXPECT_EQ(c.status().message().find('\n'), std::string::npos) << "seed " << seed;
  }
  EXPECT_EQ(parse_cluster("[%]\n", "f").status().message().substr(0, 6), "f:1:2:");
  EXPECT_FALSE(parse_cluster("a = " + std::string(100'000, '['), "f").ok());
  EXPECT_FALSE(parse_cluster(std::string(5 << 20, '#'), "f").ok());
}

TEST(ClusterFile, LoadsFromDiskAndNamesThePath) {
  std::string path = (std::filesystem::path(::testing::TempDir()) /
                      ("cartwheel_cluster_" + std::to_string(reinterpret_cast<uintptr_t>(&path)) + ".toml"))
                         .string();
  EXPECT_EQ(load_cluster_file(path).status().code(), Code::kIo);
  EXPECT_NE(load_cluster_file(path).status().message().find(path), std::string::npos);
  EXPECT_EQ(load_cluster_file(::testing::TempDir()).status().code(), Code::kIo);
  std::ofstream(path) << kSample;
  auto c = load_cluster_file(path);
  EXPECT_TRUE(c.ok()) << c.status().to_string();
  std::ofstream(path) << replaced("partitions", "partitons");
  EXPECT_EQ(load_cluster_file(path).status().message(),
            path + ":2:1: unknown key 'partitons'; did you mean 'partitions'?");
  std::remove(path.c_str());
}

}  // namespace
}  // namespace cartwheel::node
