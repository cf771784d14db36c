#include "node/runtime/lag_command.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

#include "node/runtime/json_reading.h"
#include "node/runtime/text_table.h"

namespace cartwheel::node {

namespace {

struct Missing {
  int64_t dots = 0, seconds = 0;
};
struct Row {
  std::string origin_region;
  std::map<std::string, Missing> replicas = {};  // those of which something is missing
};
using Rows = std::map<std::pair<std::string, std::string>, Row>;  // by region and origin

// Every region with replicas, and every node of a region of the same keyspace.
Rows pairs_of(const Json& document) {
  Rows rows;
  for (const Json& keyspace : member(document, "keyspaces")) {
    const Json& replicas = member(keyspace, "replicas");
    if (!replicas.is_object()) continue;
    for (const Json& origin : member(document, "members")) {
      if (!replicas.contains(word(origin, "region"))) continue;
      for (const auto& [region, copies] : replicas.items()) {
        rows.try_emplace({region, word(origin, "name")}, Row{word(origin, "region")});
      }
    }
  }
  return rows;
}

// The replica that lacks most; of several, the one that has lacked for longest.
std::pair<std::string, Missing> worst_of(const Row& row) {
  std::pair<std::string, Missing> worst;
  for (const auto& [name, missing] : row.replicas) {
    if (std::pair(missing.dots, missing.seconds) > std::pair(worst.second.dots, worst.second.seconds)) {
      worst = {name, missing};
    }
  }
  return worst;
}

}  // namespace

ClusterReport report_lag(std::string_view describe, const std::vector<MemberAnswer>& answers, bool json) {
  const Json document = Json::from_msgpack(describe, true, false);
  if (!document.is_object()) return {"cartwheel: an answer that does not decode\n", kExitFailed};
  Rows rows = pairs_of(document);
  Json unreachable = Json::array();
  std::string silent;
  for (const MemberAnswer& each : answers) {
    const Json answer = each.status.ok() ? Json::from_msgpack(each.document, true, false) : Json();
    if (!answer.is_object()) {
      unreachable.push_back(each.name);
      silent += "no answer from " + each.name + " (" + each.address +
                "): " + (each.status.ok() ? "it does not decode" : each.status.message()) + "\n";
      continue;
    }
    for (const Json& view : member(answer, "missing")) {
      Row& row = rows.try_emplace({word(view, "region"), word(view, "origin")}, Row{word(view, "origin_region")})
                     .first->second;
      Missing& missing = row.replicas[word(view, "replica")];
      missing.dots = std::max(missing.dots, number(view, "dots"));
      missing.seconds = std::max(missing.seconds, number(view, "seconds"));
    }
  }
  TextTable table({"REGION", "ORIGIN", "ORIGIN REGION", "DOTS", "SECONDS", "REPLICA"});
  Json regions = Json::array();
  for (const auto& [pair, row] : rows) {
    const auto [replica, missing] = worst_of(row);
    int64_t seconds = 0;
    for (const auto& [name, one] : row.replicas) seconds = std::max(seconds, one.seconds);
    regions.push_back({{"region", pair.first},
                       {"origin", pair.second},
                       {"origin_region", row.origin_region},
                       {"dots", missing.dots},
                       {"seconds", seconds},
                       {"replica", replica.empty() ? Json(nullptr) : Json(replica)}});
    table.add({pair.first, pair.second, row.origin_region, std::to_string(missing.dots), std::to_string(seconds),
               replica.empty() ? "-" : replica});
  }
  if (json) {
    const Json shown = {
        {"epoch", member(document, "epoch")}, {"regions", std::move(regions)}, {"unreachable", unreachable}};
    return {shown.dump(2, ' ', false, Json::error_handler_t::replace) + "\n", kExitOk};
  }
  return {table.text() + silent, kExitOk};
}

int run_lag_command(const ClusterCommand& command) {
  const auto describe = describe_cluster(command.at);
  if (!describe.ok()) {
    std::fprintf(stderr, "cartwheel: %s\n", describe.status().message().c_str());
    return describe.status().code() == Code::kInvalidArgument ? kExitUsage
           : describe.status().code() == Code::kIo            ? kExitUnreachable
                                                              : kExitFailed;
  }
  std::vector<MemberAnswer> members = members_of(*describe);
  std::string request;
  Json::to_msgpack(Json{{"op", "lag"}}, request);
  ask_members(members, request);
  const ClusterReport report = report_lag(*describe, members, command.json);
  std::fputs(report.text.c_str(), stdout);
  return report.exit_code;
}

}  // namespace cartwheel::node
