#include "node/core/cluster.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "base/limits.h"

namespace cartwheel::node {
namespace {

// Two regions of three nodes, names deliberately out of order.
ClusterConfig shop() {
  ClusterConfig c;
  c.name = "shop";
  c.partitions = 64;
  uint16_t port = 7000;
  for (const char* region : {"us", "eu"}) {
    for (int i = 3; i >= 1; --i) {
      NodeInfo n;
      n.name = std::string(region) + "-" + std::to_string(i);
      n.region = region;
      n.zone = std::string(1, static_cast<char>('a' + i));
      n.rpc = {"127.0.0.1", ++port};
      n.resp = {"127.0.0.1", ++port};
      c.nodes.push_back(n);
    }
  }
  Keyspace carts;
  carts.name = "carts";
  carts.replicas = {{"eu", 3}, {"us", 2}};
  Keyspace sessions;
  sessions.name = "sessions";
  sessions.select = 5;
  sessions.replicas = {{"eu", 1}};
  c.keyspaces = {carts, sessions};
  return c;
}

TEST(Cluster, FinishSortsNodesAndDerivesRegionsAndAssignments) {
  ClusterConfig c = shop();
  ASSERT_TRUE(finish(c).ok());
  EXPECT_EQ(c.nodes.front().name, "eu-1");
  EXPECT_EQ(c.nodes.back().name, "us-3");
  EXPECT_EQ(c.regions, (std::vector<std::string>{"eu", "us"}));
  ASSERT_EQ(c.assignments.size(), 2u);
  ASSERT_EQ(c.assignments[0].owners.size(), 64u);
  for (const auto& arc : c.assignments[0].owners) {
    ASSERT_EQ(arc.size(), 5u);
    for (size_t i = 0; i < arc.size(); ++i) EXPECT_EQ(c.nodes[arc[i]].region, i < 3 ? "eu" : "us");
    EXPECT_EQ(std::set<NodeIndex>(arc.begin(), arc.end()).size(), 5u);
  }
  for (const auto& arc : c.assignments[1].owners) {
    ASSERT_EQ(arc.size(), 1u);
    EXPECT_EQ(c.nodes[arc[0]].region, "eu");
  }
}

TEST(Cluster, FinishTwiceIsFinishOnceAndTheOrderOfNodesDoesNotMatter) {
  ClusterConfig a = shop(), b = shop();
  std::reverse(b.nodes.begin(), b.nodes.end());
  ASSERT_TRUE(finish(a).ok());
  ASSERT_TRUE(finish(b).ok());
  ASSERT_TRUE(finish(b).ok());
  EXPECT_EQ(b.regions, a.regions);
  for (size_t k = 0; k < 2; ++k) EXPECT_EQ(b.assignments[k].owners, a.assignments[k].owners);
}

TEST(Cluster, FindsNodesRegionsAndKeyspaces) {
  ClusterConfig c = shop();
  ASSERT_TRUE(finish(c).ok());
  for (NodeIndex i = 0; i < c.nodes.size(); ++i) EXPECT_EQ(c.node(c.nodes[i].name), i);
  EXPECT_EQ(c.node("eu-4"), kNoNode);
  EXPECT_EQ(c.node(""), kNoNode);
  EXPECT_EQ(c.region("eu"), 0u);
  EXPECT_EQ(c.region("us"), 1u);
  EXPECT_EQ(c.keyspace_of_select(0), 0);
  EXPECT_EQ(c.keyspace_of_select(5), 1);
  EXPECT_EQ(c.keyspace_of_select(1), -1);
  EXPECT_EQ(c.keyspace_of_select(-1), -1);
  EXPECT_EQ(c.keyspace_of_select((1ll << 32) + 5), -1);
}

TEST(Cluster, ArcsAreRangesOfTheHashSpace) {
  EXPECT_EQ(arc_of_hash(UINT64_MAX, 1), 0u);
  EXPECT_EQ(arc_of_hash(0, 64), 0u);
  EXPECT_EQ(arc_of_hash(UINT64_MAX, 64), 63u);
  EXPECT_EQ(arc_of_hash(1ull << 63, 2), 1u);
  EXPECT_EQ(arc_of_hash((1ull << 63) - 1, 2), 0u);
  EXPECT_EQ(arc_of_hash(UINT64_MAX, 65536), 65535u);
}

struct Mistake {
  const char* what;  // a part of the message
  std::function<void(ClusterConfig&)> make;
  Problem::Part part;
  const char* key;
  Code code = Code::kInvalidArgument;
};

TEST(Cluster, EveryMistakeIsNamed) {
  using Part = Problem::Part;
  using C = ClusterConfig&;
  const Mistake mistakes[] = {
      {"cluster name '' must not be empty", [](C c) { c.name = ""; }, Part::kCluster, "cluster"},
      {"letters, digits", [](C c) { c.name = "my shop"; }, Part::kCluster, "cluster"},
      {"power of two", [](C c) { c.partitions = 0; }, Part::kCluster, "partitions"},
      {"not 48", [](C c) { c.partitions = 48; }, Part::kCluster, "partitions"},
      {"not 131072", [](C c) { c.partitions = 131072; }, Part::kCluster, "partitions"},
      {"stripes must be from 1 to 64, not 0", [](C c) { c.stripes = 0; }, Part::kCluster, "stripes"},
      {"not 65", [](C c) { c.stripes = 65; }, Part::kCluster, "stripes"},
      {"4 stripes for 2 partitions", [](C c) { c.stripes = 4, c.partitions = 2; }, Part::kCluster, "stripes"},
      {"no nodes", [](C c) { c.nodes.clear(); }, Part::kCluster, "node"},
      {"no keyspaces", [](C c) { c.keyspaces.clear(); }, Part::kCluster, "keyspace"},
      {"node '': name must not be empty", [](C c) { c.nodes[1].name = ""; }, Part::kNode, "name"},
      {"node 'a/b': name may only", [](C c) { c.nodes[1].name = "a/b"; }, Part::kNode, "name"},
      {"longer than 63", [](C c) { c.nodes[1].name = std::string(64, 'x'); }, Part::kNode, "name"},
      {"two nodes of this name", [](C c) { c.nodes[1].name = c.nodes[0].name; }, Part::kNode, "name"},
      {"region '' must not be empty", [](C c) { c.nodes[1].region = ""; }, Part::kNode, "region"},
      {"zone 'a b' may only", [](C c) { c.nodes[1].zone = "a b"; }, Part::kNode, "zone"},
      {"capacity must be", [](C c) { c.nodes[1].capacity = 0; }, Part::kNode, "capacity"},
      {"resp address 127.0.0.1:7001 is also rpc of node 'us-3'", [](C c) { c.nodes[1].resp = c.nodes[0].rpc; },
       Part::kNode, "resp"},
      {"http address 127.0.0.1:7003 is also rpc of node 'us-2'", [](C c) { c.nodes[1].http = c.nodes[1].rpc; },
       Part::kNode, "http"},
      {"keyspace '': name must not", [](C c) { c.keyspaces[1].name = ""; }, Part::kKeyspace, "name"},
      {"two keyspaces of this name", [](C c) { c.keyspaces[1].name = "carts"; }, Part::kKeyspace, "name"},
      {"select 0 is also that of keyspace 'carts'", [](C c) { c.keyspaces[1].select = 0; }, Part::kKeyspace, "select"},
      {"select must be 0 or more", [](C c) { c.keyspaces[1].select = -1; }, Part::kKeyspace, "select"},
      {"'strong' is not available in this version", [](C c) { c.keyspaces[1].kind = "strong"; }, Part::kKeyspace,
       "kind", Code::kUnsupported},
      {"kind 'Eventual' is unknown", [](C c) { c.keyspaces[1].kind = "Eventual"; }, Part::kKeyspace, "kind"},
      {"no replicas in any region", [](C c) { c.keyspaces[1].replicas.clear(); }, Part::kKeyspace, "replicas"},
      {"region 'ap', which no node is in", [](C c) { c.keyspaces[1].replicas["ap"] = 1; }, Part::kKeyspace, "replicas"},
      {"0 replicas in region 'us'", [](C c) { c.keyspaces[1].replicas["us"] = 0; }, Part::kKeyspace, "replicas"},
      {"keyspace 'sessions': 4 replicas in region 'eu', which has 3 nodes",
       [](C c) { c.keyspaces[1].replicas["eu"] = 4; }, Part::kKeyspace, "replicas"},
      {"read level two needs more replicas",
       [](C c) {
         c.keyspaces[1].read = {Level::Kind::kCount, 2};
       },
       Part::kKeyspace, "read"},
      {"write level of 0 replicas",
       [](C c) {
         c.keyspaces[1].write = {Level::Kind::kCount, 0};
       },
       Part::kKeyspace, "write"},
      {"must not be negative", [](C c) { c.keyspaces[1].default_ttl_ms = -1; }, Part::kKeyspace, "default_ttl"},
      {"longer than ten years", [](C c) { c.keyspaces[1].default_ttl_ms = limits::kTtlMs + 1; }, Part::kKeyspace,
       "default_ttl"},
  };
  for (const Mistake& m : mistakes) {
    SCOPED_TRACE(m.what);
    ClusterConfig c = shop();
    m.make(c);
    Problem p = check(c);
    ASSERT_FALSE(p.status.ok());
    EXPECT_EQ(p.status.code(), m.code);
    EXPECT_NE(p.status.message().find(m.what), std::string::npos) << p.status.message();
    EXPECT_EQ(p.part, m.part);
    EXPECT_EQ(p.key, m.key);
    EXPECT_EQ(p.index, m.part == Part::kCluster ? 0u : 1u);
    EXPECT_EQ(finish(c), p.status);
  }
}

TEST(Cluster, BoundsAreAllowed) {
  ClusterConfig c = shop();
  c.name = std::string(63, 'x');
  c.partitions = 1;
  c.nodes[0].zone = "";
  c.nodes[0].capacity = 0.001;
  c.nodes[1].capacity = 1e6;
  c.keyspaces[0].read.kind = Level::Kind::kAll;
  c.keyspaces[0].default_ttl_ms = limits::kTtlMs;
  // Closed doors are alike and not the same address.
  for (NodeInfo& n : c.nodes) n.rpc = n.resp = n.http = {"127.0.0.1", 0};
  EXPECT_TRUE(finish(c).ok());
  c.partitions = 65536;
  c.stripes = 64;
  EXPECT_TRUE(finish(c).ok());
}

}  // namespace
}  // namespace cartwheel::node
