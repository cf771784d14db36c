#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "node/runtime/status_command.h"

namespace cartwheel::node {
namespace {

using Json = nlohmann::json;

NodeAnswer answer(const std::string& name, const Json& document) {
  std::string bytes;
  Json::to_msgpack(document, bytes);
  return {name, "eu", "a", "127.0.0.1:1", {}, bytes};
}

const Json kReady = {{"state", "ready"},
                     {"keys", 12},
                     {"uptime_seconds", 200},
                     {"peers",
                      {{{"reachable", true}, {"lag_dots", 3}, {"lag_seconds", 5}},
                       {{"reachable", false}, {"lag_dots", 0}, {"lag_seconds", 90}}}}};

TEST(StatusReport, ATableOfNodesWithTheirLag) {
  const StatusReport report = report_status("shop", {answer("eu-1", kReady)}, false);
  EXPECT_EQ(report.exit_code, kExitOk);
  EXPECT_EQ(report.text,
            "NODE  REGION  ZONE  STATE  KEYS  LAG           PEERS  UPTIME  ADDRESS\n"
            "eu-1  eu      a     ready  12    3 writes, 5s  1/2    3m      127.0.0.1:1\n"
            "cluster shop: 1 of 1 nodes ready\n");
}

TEST(StatusReport, PartitionsInTroubleAreShownWhereThereAreAny) {
  Json troubled = kReady;
  troubled["quarantined"] = 3;
  troubled["alarms"] = 1;
  const std::string text = report_status("shop", {answer("eu-1", troubled), answer("eu-2", kReady)}, false).text;
  EXPECT_NE(text.find("eu-1: 3 partitions are quarantined"), std::string::npos) << text;
  EXPECT_NE(text.find("eu-1: 1 partition waits"), std::string::npos) << text;
  EXPECT_EQ(text.find("eu-2: "), std::string::npos) << text;
  const Json members = {{{"name", "eu-1"}, {"state", "up"}, {"ready", true}, {"quarantined", 3}, {"alarms", 0}}};
  const Json cluster = {{"cluster", "shop"}, {"epoch", 7}, {"ready", true}, {"members", members}};
  std::string bytes;
  Json::to_msgpack(cluster, bytes);
  const std::string shown = report_cluster(ClusterCommand::Kind::kStatus, bytes, false).text;
  EXPECT_NE(shown.find("\neu-1: 3 partitions are quarantined"), std::string::npos) << shown;
  EXPECT_EQ(shown.find("waits"), std::string::npos) << shown;
  EXPECT_EQ(Json::parse(report_cluster(ClusterCommand::Kind::kStatus, bytes, true).text)["members"][0]["quarantined"],
            3);
}

TEST(StatusReport, ExitCodesTellUnreachableFromUnhealthy) {
  const NodeAnswer gone{"eu-2", "eu", "b", "127.0.0.1:2", Status::Io("connection refused"), {}};
  EXPECT_EQ(report_status("shop", {gone, gone}, false).exit_code, kExitUnreachable);
  const StatusReport mixed = report_status("shop", {answer("eu-1", kReady), gone}, false);
  EXPECT_EQ(mixed.exit_code, kExitUnhealthy);
  EXPECT_NE(mixed.text.find("unreachable"), std::string::npos);
  EXPECT_NE(mixed.text.find("connection refused"), std::string::npos);
  EXPECT_EQ(report_status("shop", {answer("eu-1", {{"state", "draining"}})}, false).exit_code, kExitUnhealthy);
}

TEST(StatusReport, AnswersThatDoNotDecodeAreNoAnswers) {
  for (const std::string& bytes : {std::string(), std::string("\xc1"), std::string("\x93\x01"), std::string("\x01")}) {
    EXPECT_EQ(report_status("shop", {{"eu-1", "eu", "a", "x", {}, bytes}}, false).exit_code, kExitUnreachable);
  }
  // Members of other types than expected, as another version or a stranger may send them.
  const Json odd = {{"state", 7}, {"keys", "many"}, {"uptime_seconds", nullptr}, {"peers", 3}};
  EXPECT_EQ(report_status("shop", {answer("eu-1", odd)}, false).exit_code, kExitUnhealthy);
  EXPECT_EQ(report_status("shop", {answer("eu-1", {{"state", "ready"}, {"peers", {1, "x"}}})}, true).exit_code,
            kExitOk);
}

TEST(StatusReport, JsonHasTheNodesOwnDocuments) {
  const NodeAnswer gone{"eu-2", "eu", "b", "127.0.0.1:2", Status::Io("connection refused"), {}};
  const Json document = Json::parse(report_status("shop", {answer("eu-1", kReady), gone}, true).text);
  EXPECT_EQ(document["cluster"], "shop");
  EXPECT_EQ(document["healthy"], false);
  EXPECT_EQ(document["nodes"][0]["peers"][0]["lag_dots"], 3);
  EXPECT_EQ(document["nodes"][1]["error"], "connection refused");
}

}  // namespace
}  // namespace cartwheel::node
