// What a stripe has for the operator becomes lines of the log, and not too many of them.
#include "node/runtime/event_log.h"

#include <gtest/gtest.h>

namespace cartwheel::node {
namespace {

using Kind = Output::Event::Kind;

ClusterConfig config() {
  ClusterConfig config;
  config.keyspaces.resize(1);
  config.keyspaces[0].name = "carts";
  config.nodes.resize(2);
  config.nodes[1].name = "eu-2";
  return config;
}

Output with(size_t events) {
  Output output;
  for (size_t i = 0; i < events; ++i) {
    output.events.push_back({Kind::kQuarantined, {0, static_cast<uint32_t>(i)}, kNoNode, "a bad row"});
  }
  return output;
}

TEST(EventLog, ALineNamesThePartitionTheOtherNodeAndTheReason) {
  EventLog log;
  Output output = with(1);
  output.events.push_back({Kind::kRebuilt, {0, 0}, 1, ""});
  const auto lines = log.lines(output, config(), Instant{0});
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0].level, logs::Level::kWarning);
  EXPECT_EQ(lines[0].keyspace, "carts");
  EXPECT_EQ(lines[0].arc, "0");
  EXPECT_EQ(lines[0].reason, "a bad row");
  EXPECT_EQ(lines[1].level, logs::Level::kInfo);
  EXPECT_EQ(lines[1].node, "eu-2");
}

TEST(EventLog, ABurstIsCutAndCountedWhenItsWindowIsOver) {
  EventLog log;
  Output many = with(Output::kEventsMax);
  many.events_left_out = 100;
  EXPECT_EQ(log.lines(many, config(), Instant{0}).size(), EventLog::kBurst);
  EXPECT_TRUE(log.lines(with(3), config(), Instant{1}).empty());
  const auto after = log.lines({}, config(), Instant{} + EventLog::kWindow);
  ASSERT_EQ(after.size(), 1u);
  const uint64_t left_out = Output::kEventsMax + 100 + 3 - EventLog::kBurst;
  EXPECT_EQ(after[0].message.find(std::to_string(left_out) + " more"), 0u) << after[0].message;
  EXPECT_TRUE(log.lines({}, config(), Instant{} + EventLog::kWindow).empty());
  EXPECT_EQ(log.lines(with(3), config(), Instant{} + EventLog::kWindow).size(), 3u);
}

}  // namespace
}  // namespace cartwheel::node
