#include "node/core/cluster_codec.h"

#include <gtest/gtest.h>

#include "base/rng.h"

namespace cartwheel::node {
namespace {

// Any configuration that holds together: what matters here is that every field comes back.
ClusterConfig random_config(Rng& rng) {
  ClusterConfig config;
  config.name = "c" + std::to_string(rng.below(100));
  config.epoch = rng.chance(0.2) ? rng.next() : 1 + rng.below(1000);
  config.partitions = 1u << rng.below(5);
  config.stripes = 1 + static_cast<uint32_t>(rng.below(64));
  const size_t regions = 1 + rng.below(3), nodes = 1 + rng.below(6);
  for (size_t i = 0; i < regions; ++i) config.regions.push_back("r" + std::to_string(i));
  auto region = [&] { return config.regions[rng.below(regions)]; };
  auto node = [&] { return static_cast<NodeIndex>(rng.below(nodes)); };
  auto some = [&] {
    std::vector<NodeIndex> list;
    for (size_t i = rng.below(4); i > 0; --i) list.push_back(node());
    return list;
  };
  auto replicas = [&] {
    std::map<std::string, uint32_t> map;
    for (size_t i = rng.below(3); i > 0; --i) map[region()] = static_cast<uint32_t>(rng.below(1001));
    return map;
  };
  for (size_t i = 0; i < nodes; ++i) {
    NodeInfo info;
    info.name = "n" + std::to_string(i);
    info.region = region();
    info.zone = rng.chance(0.5) ? "" : "z";
    info.capacity = static_cast<double>(1 + rng.below(1'000'000)) / 1000;
    info.rpc = {"host", static_cast<uint16_t>(rng.next())};
    info.http = {"::1", static_cast<uint16_t>(rng.next())};
    info.identity = rng.chance(0.2) ? 0 : rng.next();
    info.lives = static_cast<uint32_t>(rng.next() >> rng.below(64));
    info.state = static_cast<NodeInfo::State>(rng.below(3));
    config.nodes.push_back(info);
  }
  for (size_t k = rng.below(3); k > 0; --k) {
    Keyspace keyspace;
    keyspace.name = "k" + std::to_string(k);
    keyspace.select = static_cast<int>(rng.below(1 << 20));
    keyspace.replicas = replicas();
    keyspace.read = {Level::Kind::kCount, 1 + static_cast<uint32_t>(rng.below(5))};
    keyspace.write = {Level::Kind::kEachQuorum, 0};
    keyspace.default_ttl_ms = static_cast<int64_t>(rng.below(INT64_MAX));
    keyspace.durability = rng.chance(0.5) ? Keyspace::Durability::kAlways : Keyspace::Durability::kOs;
    keyspace.dropped = rng.chance(0.2);
    config.keyspaces.push_back(keyspace);
    Assignment assignment;
    for (uint32_t arc = 0; arc < config.partitions; ++arc) {
      assignment.owners.push_back(some());
      if (rng.chance(0.3)) assignment.moves[arc] = {static_cast<Stage>(1 + rng.below(3)), rng.next(), some()};
      if (rng.chance(0.3)) assignment.fences[arc] = rng.next();
    }
    config.assignments.push_back(assignment);
  }
  config.voters = some();
  config.next_voters = some();
  for (size_t i = rng.below(3); i > 0; --i) {
    RingChange change;
    change.id = rng.next();
    change.kind =
        config.keyspaces.empty() ? RingChange::Kind::kRebalance : static_cast<RingChange::Kind>(1 + rng.below(5));
    change.node = node();
    change.other = node();
    change.replicas = replicas();
    change.arcs = static_cast<uint32_t>(rng.next());
    change.planned = rng.chance(0.5);
    config.changes.push_back(change);
  }
  return config;
}

TEST(ClusterCodec, RandomConfigurationsComeBackAsTheyWere) {
  Rng rng(1);
  for (int run = 0; run < 2000; ++run) {
    const ClusterConfig config = random_config(rng);
    const std::string bytes = encode_config(config);
    const auto back = decode_config(bytes);
    ASSERT_TRUE(back.ok()) << "run " << run;
    ASSERT_EQ(encode_config(*back), bytes) << "run " << run;
    ASSERT_EQ(back->assignments, config.assignments);
    ASSERT_EQ(back->changes, config.changes);
    ASSERT_EQ(back->voters, config.voters);
    ASSERT_EQ(back->next_voters, config.next_voters);
    for (size_t n = 0; n < config.nodes.size(); ++n) {
      ASSERT_EQ(back->nodes[n].capacity, config.nodes[n].capacity);
      ASSERT_EQ(back->nodes[n].identity, config.nodes[n].identity);
      ASSERT_EQ(back->nodes[n].state, config.nodes[n].state);
    }
  }
}

TEST(ClusterCodec, NoTruncationDecodesAndNothingMayFollow) {
  Rng rng(2);
  for (int run = 0; run < 30; ++run) {
    const std::string bytes = encode_config(random_config(rng));
    for (size_t n = 0; n < bytes.size(); ++n) {
      ASSERT_FALSE(decode_config(std::string_view(bytes).substr(0, n)).ok()) << n << " of " << bytes.size();
    }
    ASSERT_FALSE(decode_config(bytes + std::string(1, '\0')).ok());
  }
}

// What decodes is what was encoded: one configuration has one encoding, so that equal bytes are equal configurations.
TEST(ClusterCodec, WhateverDecodesEncodesToTheSameBytes) {
  Rng rng(3);
  size_t decoded = 0;
  for (int run = 0; run < 20000; ++run) {
    std::string bytes = encode_config(random_config(rng));
    bytes[rng.below(bytes.size())] = static_cast<char>(rng.next());
    const auto back = decode_config(bytes);
    if (!back.ok()) continue;
    ++decoded;
    ASSERT_EQ(encode_config(*back), bytes);
  }
  EXPECT_GT(decoded, 1000u);
}

}  // namespace
}  // namespace cartwheel::node
