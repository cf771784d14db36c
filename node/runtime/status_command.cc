#include "node/runtime/status_command.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "node/runtime/cluster_file.h"
#include "node/runtime/json_reading.h"
#include "node/runtime/rpc_call.h"
#include "node/runtime/text_table.h"

namespace cartwheel::node {

namespace {

using Clock = std::chrono::steady_clock;

std::string duration_text(int64_t seconds) {
  if (seconds < 120) return std::to_string(seconds) + "s";
  if (seconds < 7200) return std::to_string(seconds / 60) + "m";
  if (seconds < 48 * 3600) return std::to_string(seconds / 3600) + "h";
  return std::to_string(seconds / 86400) + "d";
}

// "0" when the node has everything that its peers said to have.
std::string lag_text(const Json& node) {
  int64_t dots = 0, seconds = 0;
  for (const Json& peer : member(node, "peers")) {
    dots += number(peer, "lag_dots");
    if (number(peer, "lag_dots") > 0) seconds = std::max(seconds, number(peer, "lag_seconds"));
  }
  if (dots == 0) return "0";
  return std::to_string(dots) + (dots == 1 ? " write, " : " writes, ") + duration_text(seconds);
}

std::string peers_text(const Json& node) {
  size_t all = 0, reachable = 0;
  for (const Json& peer : member(node, "peers")) {
    ++all;
    if (member(peer, "reachable") == true) ++reachable;
  }
  return std::to_string(reachable) + "/" + std::to_string(all);
}

}  // namespace

StatusReport report_status(const std::string& cluster, const std::vector<NodeAnswer>& answers, bool json) {
  Json nodes = Json::array();
  TextTable rows({"NODE", "REGION", "ZONE", "STATE", "KEYS", "LAG", "PEERS", "UPTIME", "ADDRESS"});
  size_t reached = 0, ready = 0;
  std::string trouble;
  for (const NodeAnswer& answer : answers) {
    Json node = answer.status.ok() ? Json::from_msgpack(answer.document, true, false) : Json();
    std::string error = answer.status.message();
    if (answer.status.ok() && !node.is_object()) error = "an answer that does not decode";
    if (!error.empty()) {
      rows.add(
          {answer.name, answer.region, answer.zone, "unreachable", "-", "-", "-", "-", answer.address + "  " + error});
      nodes.push_back({{"name", answer.name},
                       {"region", answer.region},
                       {"zone", answer.zone},
                       {"state", "unreachable"},
                       {"rpc", answer.address},
                       {"error", error}});
      continue;
    }
    ++reached;
    const std::string state = word(node, "state");
    if (state == "ready") ++ready;
    rows.add({answer.name, answer.region, answer.zone, state, std::to_string(number(node, "keys")), lag_text(node),
              peers_text(node), duration_text(number(node, "uptime_seconds")), answer.address});
    if (const int64_t n = number(node, "quarantined"); n > 0)
      trouble += answer.name + ": " + quarantined_text(n) + "\n";
    if (const int64_t n = number(node, "alarms"); n > 0) trouble += answer.name + ": " + alarms_text(n) + "\n";
    node["rpc"] = answer.address;
    nodes.push_back(std::move(node));
  }
  StatusReport report;
  const bool healthy = ready == answers.size();
  report.exit_code = healthy ? kExitOk : reached == 0 ? kExitUnreachable : kExitUnhealthy;
  if (json) {
    const Json document = {{"cluster", cluster}, {"healthy", healthy}, {"nodes", nodes}};
    report.text = document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  } else {
    report.text = rows.text() + "cluster " + cluster + ": " + std::to_string(ready) + " of " +
                  std::to_string(answers.size()) + " nodes ready" + (healthy ? "" : ", not healthy") + "\n" + trouble;
  }
  return report;
}

int run_status(const StatusOptions& options) {
  const auto config = load_cluster_file(options.cluster_file);
  if (!config.ok()) {
    std::fprintf(stderr, "cartwheel: %s\n", config.status().message().c_str());
    return kExitUsage;
  }
  std::vector<NodeAnswer> answers;
  std::string names;
  for (const NodeInfo& node : config->nodes) {
    names += (names.empty() ? "" : ", ") + node.name;
    if (!options.node.empty() && node.name != options.node) continue;
    answers.push_back({node.name, node.region, node.zone, node.rpc.to_string(), {}, {}});
  }
  if (answers.empty()) {
    std::fprintf(stderr, "cartwheel: node '%s' is not in %s, there are: %s\n", options.node.c_str(),
                 options.cluster_file.c_str(), names.c_str());
    return kExitUsage;
  }
  const auto deadline = Clock::now() + std::chrono::milliseconds(options.timeout_ms);
  std::vector<std::thread> threads;
  threads.reserve(answers.size());
  for (NodeAnswer& answer : answers) {
    threads.emplace_back([&answer, &config, deadline] {
      auto document = call_node(config->nodes[config->node(answer.name)].rpc, config->name, "status", {}, deadline);
      answer.status = document.status();
      if (document.ok()) answer.document = std::move(document).value();
    });
  }
  for (std::thread& thread : threads) thread.join();
  const StatusReport report = report_status(config->name, answers, options.json);
  std::fputs(report.text.c_str(), stdout);
  return report.exit_code;
}

}  // namespace cartwheel::node
