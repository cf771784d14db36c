// What `cartwheel verify` makes of the members' answers.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "node/runtime/verify_command.h"

namespace cartwheel::node {
namespace {

using Json = nlohmann::ordered_json;
using State = PartitionView::State;

MemberAnswer answer(const std::string& name, const Json& document) {
  MemberAnswer member{name, "eu", "127.0.0.1:1", Status(), {}};
  Json::to_msgpack(document, member.document);
  return member;
}

Json row(uint64_t arc, uint64_t clock, uint64_t tree, bool ready = true) {
  return Json::array({0u, arc, ready, clock, tree, 7u});
}

TEST(VerifyReport, PutsTheReplicasOfEachPartitionTogether) {
  const auto views = views_of({answer("eu-1", {{"partitions", {row(0, 1, 2), row(1, 1, 2)}}}),
                               answer("eu-2", {{"partitions", Json::array({row(1, 1, 2)})}})});
  ASSERT_EQ(views.size(), 2u);
  EXPECT_EQ(views.at({0, 0}).state(1), State::kEqual);
  EXPECT_EQ(views.at({0, 0}).state(2), State::kMissing) << "another owner did not name it";
  EXPECT_EQ(views.at({0, 1}).state(2), State::kEqual);
  EXPECT_EQ(views.at({0, 1}).replicas[1].keys, 7u);
}

TEST(VerifyReport, TellsWritesUnderWayFromContentThatDiffers) {
  const auto state_of = [](const Json& a, const Json& b) {
    return views_of(
               {answer("eu-1", {{"partitions", Json::array({a})}}), answer("eu-2", {{"partitions", Json::array({b})}})})
        .at({0, 0})
        .state(2);
  };
  EXPECT_EQ(state_of(row(0, 1, 2), row(0, 1, 2)), State::kEqual);
  EXPECT_EQ(state_of(row(0, 1, 2), row(0, 1, 3)), State::kDiffers);
  EXPECT_EQ(state_of(row(0, 1, 2), row(0, 9, 3)), State::kBehind);
  EXPECT_EQ(state_of(row(0, 1, 2), row(0, 9, 2)), State::kBehind);
  EXPECT_EQ(state_of(row(0, 1, 2), row(0, 1, 2, false)), State::kNoTree);
}

TEST(VerifyReport, WhatDoesNotDecodeCountsAsNoAnswer) {
  MemberAnswer garbage{"eu-1", "eu", "127.0.0.1:1", Status(), "\xc1\xc1"};
  MemberAnswer silent{"eu-2", "eu", "127.0.0.1:1", Status::Io("no"), {}};
  const auto views = views_of({garbage, silent, answer("eu-3", {{"partitions", 5}}), answer("eu-4", Json::array()),
                               answer("eu-5", {{"partitions", {row(0, 1, 2), Json::array({1, 2}), "x", nullptr}}})});
  ASSERT_EQ(views.size(), 1u);
  EXPECT_EQ(views.at({0, 0}).replicas.size(), 1u);
}

}  // namespace
}  // namespace cartwheel::node
