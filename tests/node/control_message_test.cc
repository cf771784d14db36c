#include "node/core/membership/control_message.h"

#include <gtest/gtest.h>

namespace cartwheel::node {
namespace {

std::vector<ControlMessage> examples() {
  ControlMessage have(ControlType::kHave), report(ControlType::kReport);
  have.epoch = 300;
  have.identity = 0x123456789abcdef0;
  have.formation = 7;
  have.settled = have.asks = true;
  report.report.ring.epoch = 12;
  report.report.ring.leftovers = 3;
  report.report.ring.steps[{1, 65535}] = {{1, 65535}, 9, true};
  report.report.ring.steps[{0, 4}] = {{0, 4}, 11, false};
  report.report.keys = 1'000'000;
  report.report.draining = true;
  report.report.ring.departed = true;
  report.report.quarantined = 5;
  report.report.alarms = 200;
  return {have,
          ControlMessage(ControlType::kFetch),
          ControlMessage(ControlType::kConfig, "a configuration"),
          ControlMessage(ControlType::kAskReport),
          report,
          ControlMessage(ControlType::kPaxos, std::string("\0\1", 2)),
          ControlMessage(ControlType::kGossip, "")};
}

TEST(ControlMessage, EveryTypeComesBackAsItWas) {
  for (const ControlMessage& message : examples()) {
    const std::string bytes = message.encode();
    const auto back = ControlMessage::decode(bytes);
    ASSERT_TRUE(back.ok()) << static_cast<int>(message.type);
    EXPECT_EQ(back->type, message.type);
    EXPECT_EQ(back->body, message.body);
    EXPECT_EQ(back->epoch, message.epoch);
    EXPECT_EQ(back->identity, message.identity);
    EXPECT_EQ(back->formation, message.formation);
    EXPECT_EQ(back->settled, message.settled);
    EXPECT_EQ(back->votes, message.votes);
    EXPECT_EQ(back->asks, message.asks);
    EXPECT_EQ(back->report.ring.steps, message.report.ring.steps);
    EXPECT_EQ(back->report.draining, message.report.draining);
    EXPECT_EQ(back->report.ring.departed, message.report.ring.departed);
    EXPECT_EQ(back->report.quarantined, message.report.quarantined);
    EXPECT_EQ(back->report.alarms, message.report.alarms);
    EXPECT_EQ(back->encode(), bytes);
  }
}

TEST(ControlMessage, TruncatedOrExtendedMessagesDoNotDecode) {
  for (const ControlMessage& message : examples()) {
    const bool has_end = message.type != ControlType::kConfig && message.type != ControlType::kPaxos &&
                         message.type != ControlType::kGossip;  // the others end where their body does
    const std::string bytes = message.encode();
    if (!has_end) continue;
    for (size_t n = 0; n < bytes.size(); ++n) {
      EXPECT_FALSE(ControlMessage::decode(std::string_view(bytes).substr(0, n)).ok())
          << n << " bytes of " << bytes.size();
    }
    EXPECT_FALSE(ControlMessage::decode(bytes + "x").ok());
  }
}

TEST(ControlMessage, UnknownTypesAndFlagsAreRefused) {
  for (int type : {0, 8, 255}) EXPECT_FALSE(ControlMessage::decode(std::string(1, static_cast<char>(type))).ok());
  std::string have = ControlMessage(ControlType::kHave).encode();
  have.back() = 8;
  EXPECT_FALSE(ControlMessage::decode(have).ok());
}

}  // namespace
}  // namespace cartwheel::node
