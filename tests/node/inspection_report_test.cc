// What `cartwheel lag` and `cartwheel explain` print, and what a node tells of a leaf.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "crdt/types.h"
#include "node/runtime/explain_command.h"
#include "node/runtime/explanation.h"
#include "node/runtime/lag_command.h"

namespace cartwheel::node {
namespace {

using Json = nlohmann::json;

std::string packed(const Json& document) {
  std::string bytes;
  Json::to_msgpack(document, bytes);
  return bytes;
}

const Json kDescribe = {{"epoch", 3},
                        {"partitions", 2},
                        {"members",
                         {{{"name", "eu-1"}, {"region", "eu"}, {"addresses", {{"rpc", "h:1"}}}},
                          {{"name", "us-1"}, {"region", "us"}, {"addresses", {{"rpc", "h:2"}}}}}},
                        {"keyspaces",
                         {{{"name", "carts"},
                           {"select", 0},
                           {"replicas", {{"eu", 1}, {"us", 1}}},
                           {"owners", {{"eu-1", "us-1"}, {"eu-1"}}},
                           {"moves", {{"1", {{"others", {"us-1"}}}}}}}}}};

Json missing(const char* replica, const char* region, int dots, int seconds) {
  return {{"replica", replica},    {"region", region}, {"origin", "eu-1"},
          {"origin_region", "eu"}, {"dots", dots},     {"seconds", seconds}};
}

TEST(LagReport, TheWorstReplicaOfEachRegionByWhoeverKnowsMost) {
  std::vector<MemberAnswer> answers = {
      {"eu-1", "eu", "h:1", {}, packed({{"missing", {missing("us-1", "us", 5, 2), missing("us-2", "us", 4, 9)}}})},
      {"us-1", "us", "h:2", {}, packed({{"missing", {missing("us-1", "us", 3, 7)}}})},
      {"us-2", "us", "h:3", Status::Io("connection refused"), {}}};
  const ClusterReport report = report_lag(packed(kDescribe), answers, true);
  EXPECT_EQ(report.exit_code, kExitOk);
  const Json document = Json::parse(report.text);
  EXPECT_EQ(document["unreachable"], Json({"us-2"}));
  ASSERT_EQ(document["regions"].size(), 4u);  // each region of each origin
  EXPECT_EQ(document["regions"][2], Json({{"region", "us"},
                                          {"origin", "eu-1"},
                                          {"origin_region", "eu"},
                                          {"dots", 5},
                                          {"seconds", 9},
                                          {"replica", "us-1"}}));
  EXPECT_EQ(document["regions"][0]["dots"], 0);
  EXPECT_EQ(document["regions"][0]["replica"], nullptr);
  EXPECT_NE(report_lag(packed(kDescribe), answers, false).text.find("no answer from us-2 (h:3): connection refused"),
            std::string::npos);
}

TEST(LagReport, StrangeAnswersAreNoAnswers) {
  EXPECT_EQ(report_lag("\xc1", {}, false).exit_code, kExitFailed);
  const MemberAnswer odd{"us-1", "us", "h:2", {}, packed({{"missing", {1, "x", {{"dots", "many"}}}}})};
  EXPECT_EQ(report_lag(packed(kDescribe), {odd, {"eu-1", "eu", "h:1", {}, "\xc1"}}, true).exit_code, kExitOk);
}

TEST(ExplainReport, FindsTheReplicasOfAKey) {
  std::vector<std::string> keys = {"", ""};  // one of each arc
  for (int i = 0; keys[0].empty() || keys[1].empty(); ++i)
    keys[arc_of("k" + std::to_string(i), 2)] = "k" + std::to_string(i);
  EXPECT_EQ(find_replicas(packed(kDescribe), "", keys[0])->replicas, (std::vector<std::string>{"eu-1", "us-1"}));
  EXPECT_EQ(find_replicas(packed(kDescribe), "carts", keys[1])->replicas, (std::vector<std::string>{"eu-1", "us-1"}));
  EXPECT_EQ(find_replicas(packed(kDescribe), "goods", keys[0]).status().code(), Code::kNotFound);
  EXPECT_EQ(find_replicas("\xc1", "", "k").status().code(), Code::kCorruption);
}

class Explained : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"eu-1", "us-1"}) {
      NodeInfo info;
      info.name = name;
      info.region = std::string(name).substr(0, 2);
      config_.nodes.push_back(info);
    }
  }
  crdt::Dot dot(NodeIndex node, uint64_t seq) const { return {{actor_node_id(config_, node), 1}, seq}; }
  // What the node tells of one leaf.
  Json leaf(std::string_view path, const crdt::Leaf& leaf, std::optional<crdt::Tag> root = crdt::Tag::kString) {
    Explanation explanation(config_);
    EXPECT_TRUE(explanation.add(path, leaf));
    return Json::from_msgpack(explanation.document({1, root, {}}, 0, 0, true, {1000}))["leaves"][0];
  }
  ClusterConfig config_;
  const std::string string_ = crdt::path_step(crdt::Tag::kString);
};

TEST_F(Explained, TheTieRuleIsNamedByThePartThatDecides) {
  crdt::Leaf by_time{{{dot(0, 1), {5 << 16}, "a"}, {dot(1, 1), {4 << 16}, "z"}}, {}, {}};
  EXPECT_NE(leaf(string_, by_time)["why"].get<std::string>().find("the latest hybrid time"), std::string::npos);
  EXPECT_EQ(leaf(string_, by_time)["values"][0]["wins"], true);
  EXPECT_EQ(leaf(string_, by_time)["values"][0]["node"], "eu-1");
  crdt::Leaf by_actor{{{dot(0, 1), {5 << 16}, "a"}, {dot(1, 1), {5 << 16}, "z"}}, {}, {}};
  EXPECT_NE(leaf(string_, by_actor)["why"].get<std::string>().find("the greater actor"), std::string::npos);
  crdt::Leaf by_bytes{{{dot(0, 1), {5 << 16}, "a"}, {dot(0, 2), {5 << 16}, "b"}}, {}, {}};
  EXPECT_NE(leaf(string_, by_bytes)["why"].get<std::string>().find("the greater bytes"), std::string::npos);
  EXPECT_EQ(leaf(string_, by_bytes)["values"][1]["wins"], true);
  // Of another type than the key shows.
  EXPECT_EQ(leaf(string_, by_time, crdt::Tag::kElement)["hidden"], true);
  EXPECT_EQ(leaf(string_, by_time)["hidden"], false);
}

TEST_F(Explained, FlagsCountersAndExpiries) {
  const crdt::Leaf both{{{dot(0, 1), {}, "1"}, {dot(1, 1), {}, "0"}}, {}, {}};
  const auto shown = [&](crdt::Tag tag) {
    const Json value = leaf(crdt::path_step(tag), both, tag)["shown"]["value"];
    return std::string(value.get_binary().begin(), value.get_binary().end());
  };
  EXPECT_EQ(shown(crdt::Tag::kFlagEnableWins), "on");
  EXPECT_EQ(shown(crdt::Tag::kFlagDisableWins), "off");
  crdt::Leaf counter;
  counter.chains = {{dot(0, 1).actor, {3, 1, 7, 2, 1}}, {dot(1, 1).actor, {1, 1, 4, 0, 0}}};
  const Json told = leaf(string_, counter);
  EXPECT_EQ(told["chains"][0]["total"], 7);
  EXPECT_EQ(told["chains"][0]["base"], 2);
  EXPECT_NE(told["why"].get<std::string>().find("the increments of 2 actors, 9 in all"), std::string::npos);
  EXPECT_EQ(leaf(crdt::path_step(crdt::Tag::kExpiry), {{{dot(0, 1), {}, ""}}, {}, {}})["shown"]["never"], true);
}

TEST_F(Explained, TheAnswerIsBounded) {
  crdt::Leaf wide;
  for (uint64_t i = 1; i <= 1000; ++i) wide.entries.push_back({dot(0, i), {i}, std::string(1000, 'x')});
  Explanation explanation(config_);
  size_t added = 0;
  while (added < 100'000 && explanation.add(crdt::field_path("f" + std::to_string(added)), wide)) ++added;
  EXPECT_LE(added, limits::kExplainedLeaves);
  const std::string bytes = explanation.document({100'000, crdt::Tag::kField, 500}, 0, 0, true, {1000});
  EXPECT_LT(bytes.size(), 3 * limits::kExplainedAnswer);
  const Json document = Json::from_msgpack(bytes);
  EXPECT_EQ(document["leaves_left_out"], 100'000 - added);
  EXPECT_EQ(document["leaves"][0]["values_left_out"], 1000 - limits::kExplainedWrites);
  EXPECT_EQ(document["leaves"][0]["values"][0]["bytes"], 1000);
  EXPECT_EQ(document["expired"], true);
}

TEST_F(Explained, DifferencesAreMarkedAndAbsenceIsOne) {
  const auto answer = [&](const char* value) {
    Explanation explanation(config_);
    if (value != nullptr) explanation.add(string_, {{{dot(0, *value == 'a' ? 1u : 2u), {5}, value}}, {}, {}});
    const KeySummary summary{
        value != nullptr ? 1u : 0u, value != nullptr ? std::optional(crdt::Tag::kString) : std::nullopt, {}};
    return MemberAnswer{"n", "eu", "h:1", {}, explanation.document(summary, 0, 0, true, {1000})};
  };
  ClusterCommand command;
  command.key = "k";
  command.json = true;
  const auto agree = [&](std::vector<MemberAnswer> answers) {
    for (size_t i = 0; i < answers.size(); ++i) answers[i].name = "n" + std::to_string(i);
    return Json::parse(report_explain({"carts", 0, {}}, command, answers).text);
  };
  EXPECT_EQ(agree({answer("a"), answer("a")})["agree"], true);
  EXPECT_EQ(agree({answer("a"), answer("b")})["differences"], Json({"string"}));
  EXPECT_EQ(agree({answer("a"), answer(nullptr)})["differences"], Json({"string"}));
  EXPECT_EQ(agree({answer("a"), {"x", "eu", "h:2", Status::Io("gone"), {}}})["unreachable"], Json({"n1"}));
  EXPECT_EQ(report_explain({"carts", 0, {}}, command, {answer(nullptr)}).exit_code, kExitFailed);
  EXPECT_EQ(report_explain({"carts", 0, {}}, command, {{"x", "eu", "h:2", Status::Io("gone"), {}}}).exit_code,
            kExitUnreachable);
  command.json = false;
  std::vector<MemberAnswer> equal = {answer("a"), answer("a")};
  equal[0].name = "n0";
  EXPECT_NE(report_explain({"carts", 0, {}}, command, equal).text.find("n (eu): as n0\n"), std::string::npos);
  const MemberAnswer odd{
      "x", "eu", "h", {}, packed({{"found", true}, {"leaves", {1, {{"values", {7}}}}}, {"type", 3}})};
  EXPECT_EQ(report_explain({"carts", 0, {}}, command, {odd}).exit_code, kExitOk);
}

TEST(ReadableBytes, OneLineWhateverTheBytes) {
  EXPECT_EQ(readable_bytes("a \"b\" \\ \n"), "a \\\"b\\\" \\\\ \\x0a");
  EXPECT_EQ(readable_bytes("caf\xc3\xa9"), "caf\xc3\xa9");
  EXPECT_EQ(readable_bytes("\xc3"), "\\xc3");                    // cut off
  EXPECT_EQ(readable_bytes("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(readable_bytes("\xc2\x9b"), "\\xc2\\x9b");           // would control a terminal
  EXPECT_EQ(readable_path(crdt::field_path("a")), "field \"a\"");
  EXPECT_EQ(readable_path(crdt::path_step(crdt::Tag::kElement, "x")), "element \"x\"");
}

}  // namespace
}  // namespace cartwheel::node
