#include "node/runtime/explain_command.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <map>

#include "node/core/cluster.h"
#include "node/runtime/explanation.h"
#include "node/runtime/json_reading.h"
#include "node/runtime/setting_text.h"

namespace cartwheel::node {

namespace {

// "2026-03-01T12:00:00.250Z", or "-" where there is no time.
std::string time_text(const Json& ms) {
  if (!ms.is_number_integer() || ms.get<int64_t>() < 0) return "-";
  return utc_text(WallTime{ms.get<int64_t>()});
}

// Bytes as text, in place of what MessagePack has.
void make_readable(Json& each) {
  if (each.is_object()) {
    for (const char* name : {"time_ms", "expires_at_ms", "at_ms"}) {
      if (each.contains(name)) each[std::string(name).substr(0, std::string(name).size() - 3)] = time_text(each[name]);
    }
    if (const Json& value = member(each, "value"); value.is_binary()) {
      const auto& bytes = value.get_binary();
      const bool truncated = number(each, "bytes") > static_cast<int64_t>(bytes.size());
      each["value"] = readable_bytes({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
      each["truncated"] = truncated;
    }
    // Numbers of 64 bits, which not every reader of JSON keeps exactly.
    for (const char* name : {"epoch", "digest"}) {
      if (each.contains(name) && (each.contains("seq") || each.contains("digest"))) each[name] = each[name].dump();
    }
    each.erase("path");
  }
  if (each.is_structured()) {
    for (Json& inner : each) make_readable(inner);
  }
}

// The answer with the names and texts that people read.
Json readable(const MemberAnswer& answer) {
  Json replica = {{"node", answer.name}, {"region", answer.region}};
  Json document = answer.status.ok() ? Json::from_msgpack(answer.document, true, false) : Json();
  if (!document.is_object()) {
    replica["error"] = answer.status.ok() ? "its answer does not decode" : answer.status.message();
    return replica;
  }
  make_readable(document);
  for (const auto& [name, value] : document.items()) {
    if (name != "node" && name != "region") replica[name] = value;
  }
  return replica;
}

// By place, the digest that each replica's leaf has. Where a replica's answer was full, an absence says nothing.
std::map<std::string, std::map<std::string, std::string>> digests_of(const Json& replicas) {
  std::map<std::string, std::map<std::string, std::string>> digests;
  for (const Json& replica : replicas) {
    for (const Json& leaf : member(replica, "leaves")) {
      digests[word(leaf, "where")][word(replica, "node")] = word(leaf, "digest");
    }
  }
  return digests;
}

// Marks the leaves that not all replicas which answered have alike; names the places.
Json mark_differences(Json& replicas) {
  const auto digests = digests_of(replicas);
  size_t answered = 0;
  bool full = false;
  for (const Json& replica : replicas) {
    answered += !replica.contains("error");
    full = full || number(replica, "leaves_left_out") > 0;
  }
  Json places = Json::array();
  std::map<std::string, bool> differs;
  for (const auto& [where, by_node] : digests) {
    const auto& first = by_node.begin()->second;
    const bool same =
        std::all_of(by_node.begin(), by_node.end(), [&first](const auto& each) { return each.second == first; });
    differs[where] = !same || (!full && by_node.size() < answered);
    if (differs[where]) places.push_back(where);
  }
  for (Json& replica : replicas) {
    if (!replica.contains("leaves") || !replica["leaves"].is_array()) continue;
    for (Json& leaf : replica["leaves"]) {
      if (leaf.is_object()) leaf["differs"] = differs[word(leaf, "where")];
    }
  }
  return places;
}

std::string quoted(const Json& value) {
  std::string text = "\"" + word(value, "value") + "\"";
  if (member(value, "truncated") == true) text += "… (" + std::to_string(number(value, "bytes")) + " bytes)";
  return text;
}

std::string leaf_text(const Json& leaf) {
  const Json& shown = member(leaf, "shown");
  const bool expiry = word(leaf, "where") == "expiry";
  std::string text = "    " + word(leaf, "where");
  if (shown.contains("never")) {
    text += " = never";
  } else if (shown.contains("at_ms")) {
    text += " = " + word(shown, "at");
  } else if (!shown.is_null()) {
    text += " = " + quoted(shown);
  }
  if (member(leaf, "hidden") == true && !expiry) text += "   [does not show]";
  if (member(leaf, "differs") == true) text += "   [the replicas differ]";
  text += "\n      why: " + word(leaf, "why") + "\n";
  const auto actor = [](const Json& each) {
    return word(each, "node") + " epoch " + word(each, "epoch") + " seq " + std::to_string(number(each, "seq"));
  };
  for (const Json& value : member(leaf, "values")) {
    text += std::string(member(value, "wins") == true ? "    * " : "      ") + actor(value);
    if (!member(value, "time_ms").is_null()) {
      text += " at " + word(value, "time") + " +" + std::to_string(number(value, "time_count"));
    }
    if (!expiry && word(leaf, "where").rfind("element", 0) != 0) text += ": " + quoted(value);
    text += "\n";
  }
  for (const Json& chain : member(leaf, "chains")) {
    text += "      " + actor(chain) + ": increments " + std::to_string(number(chain, "total")) + ", of which reset " +
            std::to_string(number(chain, "base")) + "\n";
  }
  if (const int64_t more = number(leaf, "values_left_out") + number(leaf, "chains_left_out"); more > 0) {
    text += "      and " + std::to_string(more) + " more\n";
  }
  if (number(leaf, "resets") > 0) text += "      resets remembered: " + std::to_string(number(leaf, "resets")) + "\n";
  return text;
}

// What stands behind a replica's name.
std::string replica_text(const Json& replica) {
  std::string text;
  if (replica.contains("error")) return text + "no answer: " + word(replica, "error") + "\n";
  if (member(replica, "found") != true) return text + "stores nothing of it\n";
  text += word(replica, "type");
  if (!member(replica, "expires_at_ms").is_null()) {
    text += (member(replica, "expired") == true ? ", expired at " : ", expires at ") + word(replica, "expires_at");
  }
  text += "\n";
  for (const Json& leaf : member(replica, "leaves")) text += leaf_text(leaf);
  if (const int64_t more = number(replica, "leaves_left_out"); more > 0) {
    text += "    and " + std::to_string(more) + " leaves more; name a field to see one of them\n";
  }
  return text;
}

int complain(const std::string& message, int exit_code) {
  std::fprintf(stderr, "cartwheel: %s\n", message.c_str());
  return exit_code;
}

}  // namespace

Result<ExplainTarget> find_replicas(std::string_view describe, const std::string& keyspace, const std::string& key) {
  const Json document = Json::from_msgpack(describe, true, false);
  const int64_t partitions = number(document, "partitions");
  if (partitions < 1 || partitions > 65536 || (partitions & (partitions - 1)) != 0) {
    return Status::Corruption("the answer to describe does not decode");
  }
  for (const Json& each : member(document, "keyspaces")) {
    const bool wanted = keyspace.empty() ? member(each, "select") == 0 : word(each, "name") == keyspace;
    if (!wanted) continue;
    ExplainTarget target{word(each, "name"), arc_of(key, static_cast<uint32_t>(partitions)), {}};
    const auto take = [&](const Json& names) {
      for (const Json& name : names) {
        if (!name.is_string()) continue;
        const auto text = name.get<std::string>();
        if (std::count(target.replicas.begin(), target.replicas.end(), text) == 0) target.replicas.push_back(text);
      }
    };
    const Json& owners = member(each, "owners");
    if (!owners.is_array() || owners.size() <= target.arc) return Status::Corruption("describe names no owners");
    take(owners[target.arc]);
    take(member(member(member(each, "moves"), std::to_string(target.arc).c_str()), "others"));
    return target;
  }
  return Status(Code::kNotFound, keyspace.empty() ? "there is no keyspace with select 0: name one with --keyspace"
                                                  : "there is no keyspace '" + keyspace + "'");
}

ClusterReport report_explain(const ExplainTarget& target, const ClusterCommand& command,
                             const std::vector<MemberAnswer>& answers) {
  Json replicas = Json::array(), unreachable = Json::array();
  bool found = false;
  for (const MemberAnswer& each : answers) {
    replicas.push_back(readable(each));
    if (replicas.back().contains("error")) unreachable.push_back(each.name);
    found = found || member(replicas.back(), "found") == true;
  }
  const Json differences = mark_differences(replicas);
  ClusterReport report;
  if (unreachable.size() == answers.size()) {
    report.exit_code = kExitUnreachable;
  } else if (!found) {
    report.exit_code = kExitFailed;
  }
  if (command.json) {
    Json shown = {{"keyspace", target.keyspace}, {"key", readable_bytes(command.key)}};
    shown["field"] = command.field ? Json(readable_bytes(*command.field)) : Json(nullptr);
    shown["arc"] = target.arc;
    shown["found"] = found;
    shown["agree"] = differences.empty();
    shown["differences"] = differences;
    shown["replicas"] = std::move(replicas);
    shown["unreachable"] = unreachable;
    report.text = shown.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
    return report;
  }
  report.text = "key \"" + readable_bytes(command.key) + "\"";
  if (command.field) report.text += ", field \"" + readable_bytes(*command.field) + "\"";
  report.text += " of keyspace " + target.keyspace + ", arc " + std::to_string(target.arc) + ": ";
  report.text += !found                ? "no replica that answered stores anything of it\n"
                 : differences.empty() ? "the replicas that answered agree\n"
                                       : "the replicas differ\n";
  std::map<std::string, std::string> first_with;  // a text, and who was the first to have it
  for (const Json& replica : replicas) {
    if (!found && !replica.contains("error")) continue;
    const std::string text = replica_text(replica), name = word(replica, "node");
    const auto [known, first] = first_with.try_emplace(text, name);
    report.text += "  " + name + " (" + word(replica, "region") +
                   "): " + (first || replica.contains("error") ? text : "as " + known->second + "\n");
  }
  return report;
}

int run_explain_command(const ClusterCommand& command) {
  const auto describe = describe_cluster(command.at);
  if (!describe.ok()) {
    return complain(describe.status().message(), describe.status().code() == Code::kInvalidArgument ? kExitUsage
                                                 : describe.status().code() == Code::kIo            ? kExitUnreachable
                                                                                                    : kExitFailed);
  }
  const auto target = find_replicas(*describe, command.keyspace, command.key);
  if (!target.ok()) return complain(target.status().message(), kExitFailed);
  std::vector<MemberAnswer> members = members_of(*describe, target->replicas);
  Json request = {{"op", "explain"}, {"keyspace", target->keyspace}};
  request["key"] = Json::binary({command.key.begin(), command.key.end()});
  if (command.field) request["field"] = Json::binary({command.field->begin(), command.field->end()});
  std::string bytes;
  Json::to_msgpack(request, bytes);
  ask_members(members, bytes);
  const ClusterReport report = report_explain(*target, command, members);
  std::fputs(report.text.c_str(), report.exit_code == kExitOk || command.json ? stdout : stderr);
  return report.exit_code;
}

}  // namespace cartwheel::node
