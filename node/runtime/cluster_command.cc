#include "node/runtime/cluster_command.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <thread>

#include "node/runtime/explain_command.h"
#include "node/runtime/json_reading.h"
#include "node/runtime/lag_command.h"
#include "node/runtime/rpc_call.h"
#include "node/runtime/setting_text.h"
#include "node/runtime/text_table.h"
#include "node/runtime/verify_command.h"

namespace cartwheel::node {

namespace {

using Clock = std::chrono::steady_clock;
using Kind = ClusterCommand::Kind;
using std::chrono::milliseconds;

constexpr milliseconds kCallLimit{15'000};  // a change waits for a majority of the voters
constexpr milliseconds kBetweenLooks{500};
constexpr milliseconds kWaitLimit{60'000};
constexpr milliseconds kDepartureLimit = std::chrono::hours(24 * 365);  // of a command that nobody told a limit

int complain(const std::string& message, int exit_code) {
  std::fprintf(stderr, "cartwheel: %s\n", message.c_str());
  return exit_code;
}

int exit_code_of(const Status& status) {
  return status.code() == Code::kIo ? kExitUnreachable : kExitFailed;
}

std::string bytes_text(int64_t bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1000 && unit + 1 < std::size(units)) value /= 1000, ++unit;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
  return text;
}

std::string replicas_text(const Json& replicas) {
  std::string text;
  for (const auto& [region, copies] : replicas.items()) {
    text += (text.empty() ? "" : ",") + region + "=" + copies.dump();
  }
  return text;
}

// "nothing moves", or how far the change of the ring is.
std::string moving_text(const Json& document) {
  const Json& moving = member(document, "moving");
  const Json& changes = member(document, "changes");
  std::string text;
  if (number(moving, "arcs") > 0) {
    text = std::to_string(number(moving, "arcs")) + " of " + std::to_string(number(moving, "arcs_of_change")) +
           " arcs are moving, " + bytes_text(number(moving, "bytes_done")) + " of " +
           bytes_text(number(moving, "bytes_to_do")) + " loaded";
  } else if (number(moving, "leftovers") > 0) {
    text = std::to_string(number(moving, "leftovers")) + " arcs wait to be dropped by their old owners";
  } else {
    text = "nothing moves";
  }
  for (const Json& change : changes) {
    text += std::string("\n") + (member(change, "running") == true ? "running: " : "waiting: ") + word(change, "kind");
    if (change.contains("node")) text += " " + word(change, "node");
    if (change.contains("replaces")) text += " for " + word(change, "replaces");
    if (change.contains("keyspace")) text += " of keyspace " + word(change, "keyspace");
  }
  return text + "\n";
}

std::string members_text(const Json& document) {
  TextTable table({"NODE", "REGION", "ZONE", "STATE", "VOTER", "ARCS", "KEYS", "DISK", "EPOCH", "RPC", "RESP"});
  for (const Json& each : member(document, "members")) {
    const Json& load = member(each, "load");
    const bool told = load.contains("keys");
    const Json& addresses = member(each, "addresses");
    table.add({word(each, "name"), word(each, "region"), word(each, "zone"), word(each, "state"),
               member(each, "voter") == true ? "yes" : "-", std::to_string(number(load, "arcs")),
               told ? std::to_string(number(load, "keys")) : "-", told ? bytes_text(number(load, "disk_bytes")) : "-",
               told ? std::to_string(number(each, "epoch")) : "-", word(addresses, "rpc"), word(addresses, "resp")});
  }
  return table.text();
}

// Partitions that are out of service or wait for an operator; nothing where all is well.
std::string trouble_text(const Json& document) {
  std::string text;
  for (const Json& each : member(document, "members")) {
    const int64_t quarantined = number(each, "quarantined"), alarms = number(each, "alarms");
    if (quarantined > 0) text += word(each, "name") + ": " + quarantined_text(quarantined) + "\n";
    if (alarms > 0) text += word(each, "name") + ": " + alarms_text(alarms) + "\n";
  }
  return text;
}

std::string keyspaces_text(const Json& document) {
  TextTable table({"KEYSPACE", "SELECT", "KIND", "REPLICAS", "READ", "WRITE", "TTL", "DURABILITY", "FALLBACKS"});
  for (const Json& each : member(document, "keyspaces")) {
    const int64_t ttl = number(each, "default_ttl_ms");
    table.add({word(each, "name"), std::to_string(number(each, "select")), word(each, "kind"),
               replicas_text(member(each, "replicas")), word(each, "read"), word(each, "write"),
               ttl == 0 ? "none" : std::to_string(ttl) + "ms", word(each, "durability"), word(each, "fallbacks")});
  }
  return table.text();
}

// Arcs per node of one keyspace: how many it owns, and of how many it is the first owner.
Json shares_of(const Json& document, const Json& keyspace) {
  Json regions = Json::object();
  for (const Json& each : member(document, "members")) {
    if (!member(keyspace, "replicas").contains(word(each, "region"))) continue;
    regions[word(each, "region")][word(each, "name")] = {{"arcs", 0}, {"first", 0}};
  }
  for (const Json& owners : member(keyspace, "owners")) {
    for (auto& [region, nodes] : regions.items()) {
      bool first = true;
      for (const Json& owner : owners) {
        const std::string name = owner.is_string() ? owner.get<std::string>() : "";
        if (!nodes.contains(name)) continue;
        nodes[name]["arcs"] = nodes[name]["arcs"].get<int64_t>() + 1;
        if (std::exchange(first, false)) nodes[name]["first"] = nodes[name]["first"].get<int64_t>() + 1;
      }
    }
  }
  Json result = Json::array();
  for (const auto& [region, nodes] : regions.items()) {
    int64_t most = 0, all = 0;
    for (const auto& [name, share] : nodes.items()) {
      most = std::max(most, share["arcs"].get<int64_t>());
      all += share["arcs"].get<int64_t>();
    }
    const double mean = nodes.empty() ? 0 : static_cast<double>(all) / static_cast<double>(nodes.size());
    result.push_back(
        {{"region", region}, {"nodes", nodes}, {"max_over_mean", mean == 0 ? 0.0 : static_cast<double>(most) / mean}});
  }
  return result;
}

Json ring_of(const Json& document) {
  Json keyspaces = Json::array();
  for (const Json& each : member(document, "keyspaces")) {
    keyspaces.push_back({{"name", word(each, "name")},
                         {"shares", shares_of(document, each)},
                         {"owners", member(each, "owners")},
                         {"moves", member(each, "moves")}});
  }
  return {{"epoch", number(document, "epoch")},
          {"partitions", number(document, "partitions")},
          {"moving", member(document, "moving")},
          {"changes", member(document, "changes")},
          {"keyspaces", keyspaces}};
}

std::string ring_text(const Json& document) {
  TextTable table({"KEYSPACE", "REGION", "NODE", "ARCS", "FIRST OF"});
  std::string evenness;
  for (const Json& keyspace : member(document, "keyspaces")) {
    for (const Json& region : shares_of(document, keyspace)) {
      for (const auto& [name, share] : region["nodes"].items()) {
        table.add({word(keyspace, "name"), word(region, "region"), name, share["arcs"].dump(), share["first"].dump()});
      }
      char line[256];
      std::snprintf(line, sizeof line, "%s in %s: max/mean %.4f\n", word(keyspace, "name").c_str(),
                    word(region, "region").c_str(), region["max_over_mean"].get<double>());
      evenness += line;
    }
  }
  return table.text() + evenness + moving_text(document);
}

Result<std::string> ask(const ClusterCommand& command, const Json& request) {
  const auto address = parse_address(command.at);
  if (!address) return Status::InvalidArgument("--at '" + command.at + "' is not HOST:PORT");
  std::string bytes;
  Json::to_msgpack(request, bytes);
  auto answer = call_node(*address, "", "admin", bytes, Clock::now() + kCallLimit);
  if (answer.ok() || answer.status().code() != Code::kIo) return answer;
  return Status::Io(command.at + ": " + answer.status().message());
}

Result<Json> describe(const ClusterCommand& command) {
  auto answer = ask(command, {{"op", "describe"}});
  if (!answer.ok()) return answer.status();
  Json document = Json::from_msgpack(*answer, true, false);
  if (!document.is_object()) return Status::Corruption("the answer of " + command.at + " does not decode");
  return document;
}

// The limit that was given, of a number of seconds or a duration; `otherwise` if none was.
Result<milliseconds> limit_of(const std::string& text, milliseconds otherwise) {
  if (text.empty()) return otherwise;
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  const auto ms = parse_duration(plain ? text + "s" : text);
  if (!ms) return Status::InvalidArgument("--timeout '" + text + "' is not a duration such as 60s");
  return milliseconds(*ms);
}

int look(const ClusterCommand& command) {
  auto address = parse_address(command.at);
  if (!address) return complain("--at '" + command.at + "' is not HOST:PORT", kExitUsage);
  auto answer = ask(command, {{"op", "describe"}});
  if (!answer.ok()) return complain(answer.status().message(), exit_code_of(answer.status()));
  const ClusterReport report = report_cluster(command.kind, *answer, command.json);
  std::fputs(report.text.c_str(), stdout);
  return report.exit_code;
}

int wait_ready(const ClusterCommand& command) {
  auto limit = limit_of(command.timeout, kWaitLimit);
  if (!limit.ok()) return complain(limit.status().message(), kExitUsage);
  const auto deadline = Clock::now() + *limit;
  Status last;
  while (true) {
    auto document = describe(command);
    last = document.status();
    if (document.ok() && member(*document, "ready") == true) {
      if (command.json)
        std::printf("{\"ready\": true, \"epoch\": %lld}\n", static_cast<long long>(number(*document, "epoch")));
      return kExitOk;
    }
    if (!last.ok() && last.code() == Code::kInvalidArgument) return complain(last.message(), kExitUsage);
    if (Clock::now() >= deadline) {
      if (!last.ok()) return complain(last.message(), exit_code_of(last));
      std::fputs((members_text(*document) + moving_text(*document)).c_str(), stderr);
      return complain("not ready after " + std::to_string(limit->count() / 1000) + " s", kExitUnhealthy);
    }
    std::this_thread::sleep_for(std::min(kBetweenLooks, std::chrono::ceil<milliseconds>(deadline - Clock::now())));
  }
}

bool confirmed(const ClusterCommand& command, const std::string& question) {
  if (command.yes || !isatty(STDIN_FILENO)) return true;
  std::fprintf(stderr, "%s [y/N] ", question.c_str());
  std::string line;
  return std::getline(std::cin, line) && (line == "y" || line == "yes");
}

// One line about how far the change is, over the last one on a terminal, below it elsewhere when it has changed.
class Progress {
 public:
  void show(const Json& document) {
    const Json& moving = member(document, "moving");
    const int64_t all = number(moving, "arcs_of_change"), left = number(moving, "arcs");
    if (all == 0) return line("waits for its turn");
    const double part = static_cast<double>(all - left) / static_cast<double>(all);
    std::string bar(20, '.');
    std::fill_n(bar.begin(), static_cast<size_t>(part * 20), '#');
    std::string text = "[" + bar + "] " + std::to_string(all - left) + " of " + std::to_string(all) + " arcs, " +
                       bytes_text(number(moving, "bytes_done")) + " loaded";
    const auto passed = std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - begin_).count();
    if (part > 0.02 && left > 0) {
      text += ", about " + std::to_string(static_cast<int64_t>(static_cast<double>(passed) * (1 - part) / part)) +
              " s left";
    }
    line(text);
  }
  void end() {
    if (!last_.empty() && isatty(STDERR_FILENO)) std::fputs("\n", stderr);
  }

 private:
  void line(const std::string& text) {
    if (text == last_) return;
    const bool terminal = isatty(STDERR_FILENO);
    std::fprintf(stderr, terminal ? "\r\033[K%s" : "%s\n", text.c_str());
    last_ = text;
  }
  const Clock::time_point begin_ = Clock::now();
  std::string last_;
};

// Until the node is no member any more. The node that is asked may be the one that leaves: then it stops answering.
int await_departure(const ClusterCommand& command) {
  auto limit = limit_of(command.timeout, kDepartureLimit);
  if (!limit.ok()) return complain(limit.status().message(), kExitUsage);
  const auto begin = Clock::now();
  Progress progress;
  while (true) {
    auto document = describe(command);
    if (!document.ok()) {
      progress.end();
      return complain(document.status().message(), exit_code_of(document.status()));
    }
    const Json& members = member(*document, "members");
    const auto found = std::find_if(members.begin(), members.end(),
                                    [&](const Json& each) { return word(each, "name") == command.name; });
    if (found == members.end()) {
      progress.end();
      if (command.json) {
        std::printf("{\"left\": \"%s\", \"epoch\": %lld}\n", command.name.c_str(),
                    static_cast<long long>(number(*document, "epoch")));
      } else {
        std::printf("%s has left the cluster\n", command.name.c_str());
      }
      return kExitOk;
    }
    if (word(*found, "state") == "up") {
      progress.end();
      return complain("the change was given up: " + command.name + " stays", kExitFailed);
    }
    progress.show(*document);
    if (Clock::now() - begin >= *limit) {
      progress.end();
      return complain("still leaving; the change goes on", kExitUnhealthy);
    }
    std::this_thread::sleep_for(kBetweenLooks);
  }
}

Result<Json> keyspace_request(const ClusterCommand& command) {
  Json request = {{"op", command.kind == Kind::kKeyspaceCreate ? "keyspace-create" : "keyspace-alter"},
                  {"name", command.name}};
  if (command.select) request["select"] = *command.select;
  for (auto [name, value] :
       {std::pair("read", &command.read), std::pair("write", &command.write),
        std::pair("default_ttl", &command.default_ttl), std::pair("durability", &command.durability),
        std::pair("fallbacks", &command.fallbacks), std::pair("kind", &command.kind_name)}) {
    if (!value->empty()) request[name] = *value;
  }
  if (command.replicas.empty()) return request;
  Json replicas = Json::object();
  std::string_view rest = command.replicas;
  while (!rest.empty()) {
    const std::string_view part = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    const size_t equals = part.find('=');
    const std::string copies(equals == std::string_view::npos ? "" : part.substr(equals + 1));
    const bool digits =
        !copies.empty() && copies.size() < 5 && copies.find_first_not_of("0123456789") == std::string::npos;
    if (!digits || equals == 0) {
      return Status::InvalidArgument("--replicas '" + command.replicas + "' is not like eu=3,us=3");
    }
    replicas[std::string(part.substr(0, equals))] = static_cast<uint64_t>(std::stoul(copies));
  }
  request["replicas"] = std::move(replicas);
  return request;
}

int change(const ClusterCommand& command) {
  Json request;
  std::string question;
  switch (command.kind) {
    case Kind::kDecommission:
    case Kind::kLeave:
      request = {{"op", "leave"}, {"node", command.name}, {"dead", command.dead}};
      question = command.dead ? "Remove the dead node " + command.name + " for good?"
                              : "Move everything away from " + command.name + " and remove it?";
      break;
    case Kind::kRebalance:
      request = {{"op", "rebalance"}};
      break;
    case Kind::kCancel:
      request = {{"op", "cancel"}};
      break;
    case Kind::kKeyspaceDrop:
      request = {{"op", "keyspace-drop"}, {"name", command.name}};
      question = "Drop keyspace " + command.name + " and all its data?";
      break;
    default: {
      auto keyspace = keyspace_request(command);
      if (!keyspace.ok()) return complain(keyspace.status().message(), kExitUsage);
      request = *std::move(keyspace);
    }
  }
  if (!question.empty() && !confirmed(command, question)) return complain("nothing was changed", kExitFailed);
  auto answer = ask(command, request);
  if (!answer.ok()) return complain(answer.status().message(), exit_code_of(answer.status()));
  if (command.kind == Kind::kDecommission) return await_departure(command);
  const Json document = Json::from_msgpack(*answer, true, false);
  if (command.json) {
    std::printf("%s\n", document.dump().c_str());
  } else {
    std::printf("done, epoch %lld\n", static_cast<long long>(number(document, "epoch")));
  }
  return kExitOk;
}

}  // namespace

std::string quarantined_text(int64_t partitions) {
  return std::to_string(partitions) + (partitions == 1 ? " partition is" : " partitions are") +
         " quarantined, because rows cannot be read: look at its disk; they are rebuilt from other replicas, or wait "
         "for 'cartwheel repair --now --accept-losses'";
}

std::string alarms_text(int64_t partitions) {
  return std::to_string(partitions) + (partitions == 1 ? " partition waits" : " partitions wait") +
         ", because an exchange would remove most of what is there: see 'cartwheel repair'";
}

ClusterReport report_cluster(Kind kind, std::string_view answer, bool json) {
  const Json document = Json::from_msgpack(answer, true, false);
  if (!document.is_object()) return {"cartwheel: an answer that does not decode\n", kExitFailed};
  Json shown = document;
  std::string text;
  switch (kind) {
    case Kind::kRing:
      shown = ring_of(document);
      text = ring_text(document);
      break;
    case Kind::kKeyspaces:
      shown = {{"epoch", number(document, "epoch")}, {"keyspaces", member(document, "keyspaces")}};
      for (Json& each : shown["keyspaces"]) each.erase("owners"), each.erase("moves");
      text = keyspaces_text(document);
      break;
    case Kind::kMembers:
      shown = {{"epoch", number(document, "epoch")}, {"members", member(document, "members")}};
      text = members_text(document);
      break;
    default:
      shown.erase("keyspaces");
      text = members_text(document) + "cluster " + word(document, "cluster") + ", epoch " +
             std::to_string(number(document, "epoch")) + ": " +
             (member(document, "ready") == true ? "ready" : "not ready") + ", " + moving_text(document) +
             trouble_text(document);
  }
  ClusterReport report;
  report.text = json ? shown.dump(2, ' ', false, Json::error_handler_t::replace) + "\n" : text;
  const Json& members = member(document, "members");
  const bool healthy = std::all_of(members.begin(), members.end(), [](const Json& each) {
    const std::string state = word(each, "state");
    return (state == "up" || state == "leaving") && member(each, "ready") == true;
  });
  if (kind == Kind::kStatus && !healthy) report.exit_code = kExitUnhealthy;
  return report;
}

int run_cluster_command(const ClusterCommand& command) {
  switch (command.kind) {
    case Kind::kStatus:
    case Kind::kMembers:
    case Kind::kRing:
    case Kind::kKeyspaces:
      return look(command);
    case Kind::kWait:
      return wait_ready(command);
    case Kind::kLag:
      return run_lag_command(command);
    case Kind::kExplain:
      return run_explain_command(command);
    case Kind::kVerify:
      return run_verify_command(command);
    case Kind::kRepair:
      return run_repair_command(command);
    default:
      return change(command);
  }
}

}  // namespace cartwheel::node
