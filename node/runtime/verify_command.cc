#include "node/runtime/verify_command.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <set>
#include <thread>

#include "node/runtime/json_reading.h"
#include "node/runtime/setting_text.h"
#include "node/runtime/text_table.h"

namespace cartwheel::node {

namespace {

using Clock = std::chrono::steady_clock;
using State = PartitionView::State;
using std::chrono::milliseconds;

constexpr milliseconds kLookLimit{30'000};  // for writes under way to arrive everywhere
constexpr milliseconds kRepairLimit{600'000};
constexpr milliseconds kBetweenLooks{300};
constexpr size_t kShownKeys = 100;  // of one partition

// A keyspace that is to be compared.
struct Wanted {
  std::string name;
  std::vector<std::set<std::string>> owners;  // by arc
};

Json decoded(const MemberAnswer& answer) {
  return answer.status.ok() ? Json::from_msgpack(answer.document, true, false) : Json();
}

std::string request_of(const Json& request) {
  std::string bytes;
  Json::to_msgpack(request, bytes);
  return bytes;
}

const char* name_of(State state) {
  switch (state) {
    case State::kEqual:
      return "equal";
    case State::kBehind:
      return "behind";
    case State::kDiffers:
      return "differs";
    case State::kNoTree:
      return "no_tree";
    case State::kMissing:
      return "missing";
  }
  return "?";
}

const char* reason_of(State state) {
  switch (state) {
    case State::kEqual:
      return "equal";
    case State::kBehind:
      return "a replica lacks writes that another one has";
    case State::kDiffers:
      return "the replicas have seen the same writes, and hold different data";
    case State::kNoTree:
      return "a replica is still looking through its rows";
    case State::kMissing:
      return "not all replicas could be asked";
  }
  return "?";
}

// The keyspaces by their index.
Result<std::map<int64_t, Wanted>> keyspaces_of(const Json& describe, const std::string& only) {
  std::map<int64_t, Wanted> wanted;
  for (const Json& each : describe.value("keyspaces", Json::array())) {
    if (!each.is_object() || !each.contains("index")) continue;
    const std::string name = word(each, "name");
    if (!only.empty() && name != only) continue;
    Wanted& keyspace = wanted[static_cast<int64_t>(count(each, "index"))];
    keyspace.name = name;
    for (const Json& owners : each.value("owners", Json::array())) {
      std::set<std::string>& names = keyspace.owners.emplace_back();
      for (const Json& owner : owners) {
        if (owner.is_string()) names.insert(owner.get<std::string>());
      }
    }
  }
  if (!only.empty() && wanted.empty()) return Status(Code::kNotFound, "there is no keyspace '" + only + "'");
  return wanted;
}

struct Cluster {
  std::vector<MemberAnswer> members;
  std::map<int64_t, Wanted> keyspaces;

  size_t owners(std::pair<int64_t, int64_t> id) const {
    return keyspaces.at(id.first).owners[static_cast<size_t>(id.second)].size();
  }
};

Result<Cluster> look_at_cluster(const ClusterCommand& command) {
  auto describe = describe_cluster(command.at);
  if (!describe.ok()) return describe.status();
  const Json document = Json::from_msgpack(*describe, true, false);
  if (!document.is_object()) return Status(Code::kCorruption, "an answer that does not decode");
  Cluster cluster;
  cluster.members = members_of(*describe);
  auto keyspaces = keyspaces_of(document, command.keyspace);
  if (!keyspaces.ok()) return keyspaces.status();
  cluster.keyspaces = std::move(*keyspaces);
  return cluster;
}

int complain(const Status& status) {
  std::fprintf(stderr, "cartwheel: %s\n", status.message().c_str());
  if (status.code() == Code::kInvalidArgument) return kExitUsage;
  return status.code() == Code::kIo ? kExitUnreachable : kExitFailed;
}

// Which keys of a partition the replicas disagree about, by their trees' buckets: at most kShownKeys.
std::vector<std::string> differing_keys(std::vector<MemberAnswer> replicas, std::pair<int64_t, int64_t> id) {
  const Json where = {{"keyspace", id.first}, {"arc", id.second}};
  auto ask = [&](Json request) {
    request.update(where);
    for (MemberAnswer& each : replicas) each.status = Status(), each.document.clear();
    ask_members(replicas, request_of(request));
    std::vector<Json> answers;
    answers.reserve(replicas.size());
    for (const MemberAnswer& each : replicas) answers.push_back(decoded(each));
    return answers;
  };
  std::map<size_t, std::set<uint64_t>> hashes;
  for (const Json& answer : ask({{"op", "buckets"}})) {
    if (!answer.is_object()) continue;
    const Json buckets = answer.value("buckets", Json::array());
    for (size_t b = 0; b < buckets.size(); ++b)
      hashes[b].insert(buckets[b].is_number_unsigned() ? buckets[b].get<uint64_t>() : 0);
  }
  std::set<std::string> keys;
  for (const auto& [bucket, values] : hashes) {
    if (values.size() < 2 || keys.size() >= kShownKeys) continue;
    std::map<std::string, std::multiset<uint64_t>> digests;
    size_t asked = 0;
    for (const Json& answer : ask({{"op", "bucket_keys"}, {"bucket", bucket}})) {
      if (!answer.is_object()) continue;
      ++asked;
      for (const Json& row : answer.value("keys", Json::array())) {
        if (!row.is_array() || row.size() != 2 || !row[0].is_binary() || !row[1].is_number_unsigned()) continue;
        digests[std::string(row[0].get_binary().begin(), row[0].get_binary().end())].insert(row[1].get<uint64_t>());
      }
    }
    for (const auto& [key, found] : digests) {
      const bool same = found.size() == asked && *found.begin() == *found.rbegin();
      if (!same && keys.size() < kShownKeys) keys.insert(key);
    }
  }
  return {keys.begin(), keys.end()};
}

struct Verdict {
  bool equal = true;
  uint64_t partitions = 0, keys = 0, copies = 0;
  std::vector<std::string> unreachable;
  PartitionViews differing;
};

// What was found equal at an earlier look.
using Equal = std::map<std::pair<int64_t, int64_t>, PartitionView>;

Verdict judge(const Cluster& cluster, PartitionViews views, Equal& equal) {
  Verdict verdict;
  for (const MemberAnswer& each : cluster.members) {
    if (!decoded(each).is_object()) verdict.unreachable.push_back(each.name);
  }
  for (const auto& [keyspace, wanted] : cluster.keyspaces) {
    for (size_t arc = 0; arc < wanted.owners.size(); ++arc) {
      const std::pair id(keyspace, static_cast<int64_t>(arc));
      auto before = equal.find(id);
      PartitionView& view = before != equal.end() ? before->second : views[id];
      // Who is about to own it is not compared yet.
      const auto& to_be = wanted.owners[arc];
      std::erase_if(view.replicas, [&](const auto& replica) { return !to_be.contains(replica.node); });
      ++verdict.partitions;
      uint64_t most = 0;
      for (const auto& replica : view.replicas) most = std::max(most, replica.keys);
      verdict.keys += most;
      verdict.copies += view.replicas.size();
      if (before != equal.end()) continue;
      if (view.state(cluster.owners(id)) == State::kEqual)
        equal[id] = std::move(view);
      else
        verdict.differing[id] = std::move(view);
    }
  }
  verdict.equal = verdict.differing.empty();
  return verdict;
}

std::string quoted(const std::string& key) {
  return Json(key).dump(-1, ' ', false, Json::error_handler_t::replace);
}

void report(const Cluster& cluster, const Verdict& verdict, bool json) {
  const std::string as_of = utc_text(
      WallTime{std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count()});
  Json differing = Json::array();
  std::string text;
  for (const auto& [id, view] : verdict.differing) {
    const Wanted& wanted = cluster.keyspaces.at(id.first);
    const State state = view.state(cluster.owners(id));
    Json nodes = Json::array();
    std::string names;
    std::vector<MemberAnswer> replicas;
    for (const auto& replica : view.replicas) {
      nodes.push_back({{"node", replica.node}, {"region", replica.region}, {"keys", replica.keys}});
      names += (names.empty() ? "" : ", ") + replica.node;
      for (const MemberAnswer& member : cluster.members) {
        if (member.name == replica.node) replicas.push_back(member);
      }
    }
    std::vector<std::string> keys;
    if (state == State::kDiffers) keys = differing_keys(std::move(replicas), id);
    Json shown = Json::array();
    for (const std::string& key : keys) shown.push_back(key);
    differing.push_back(
        {{"keyspace", wanted.name}, {"arc", id.second}, {"reason", name_of(state)}, {"nodes", nodes}, {"keys", shown}});
    text += "keyspace " + wanted.name + ", arc " + std::to_string(id.second) + " (" + names + "): " + reason_of(state) +
            "\n";
    for (const std::string& key : keys) text += "  key " + quoted(key) + "\n";
  }
  if (json) {
    const Json document = {
        {"equal", verdict.equal},           {"as_of", as_of},       {"partitions", verdict.partitions},
        {"copies", verdict.copies},         {"keys", verdict.keys}, {"unreachable", verdict.unreachable},
        {"differing", std::move(differing)}};
    std::printf("%s\n", document.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
    return;
  }
  for (const std::string& name : verdict.unreachable) text += "no answer from " + name + "\n";
  if (verdict.equal) {
    text += "equal as of " + as_of + ": " + std::to_string(verdict.keys) + " keys in " +
            std::to_string(verdict.partitions) + " partitions, " + std::to_string(verdict.copies) +
            " copies compared\n";
  } else {
    text += std::to_string(verdict.differing.size()) + " of " + std::to_string(verdict.partitions) +
            " partitions are not equal on all replicas\n";
  }
  std::fputs(text.c_str(), stdout);
}

std::optional<milliseconds> limit_of(const ClusterCommand& command, milliseconds otherwise) {
  if (command.timeout.empty()) return otherwise;
  const auto ms = parse_duration(command.timeout);
  return ms ? std::optional(milliseconds(*ms)) : std::nullopt;
}

// What all members say of their comparisons.
struct Progress {
  uint64_t pairs = 0, equal = 0, to_build = 0, keys_repaired = 0, leaves_repaired = 0, bytes = 0, rotten = 0,
           quarantined = 0, alarms = 0;
  std::vector<std::string> unreachable, paused;
  std::string refused;  // why a member refused to answer
  bool done() const {
    return equal == pairs && to_build == 0 && quarantined == 0 && alarms == 0 && unreachable.empty();
  }
};

Progress ask_progress(std::vector<MemberAnswer>& members, const Json& request, Json* nodes) {
  for (MemberAnswer& each : members) each.status = Status(), each.document.clear();
  ask_members(members, request_of(request));
  Progress sum;
  *nodes = Json::array();
  for (const MemberAnswer& each : members) {
    const Json answer = decoded(each);
    if (!answer.is_object()) {
      if (each.status.code() == Code::kInvalidArgument) sum.refused = each.status.message();
      sum.unreachable.push_back(each.name);
      continue;
    }
    if (answer.value("paused", false)) sum.paused.push_back(each.name);
    sum.pairs += count(answer, "pairs");
    sum.equal += count(answer, "equal");
    sum.to_build += count(answer, "trees_to_build");
    sum.keys_repaired += count(answer, "keys_repaired");
    sum.leaves_repaired += count(answer, "leaves_repaired");
    sum.bytes += count(answer, "bytes_sent");
    sum.rotten += count(answer, "rotten_partitions");
    sum.quarantined += count(answer, "quarantined");
    sum.alarms += count(answer, "alarms");
    nodes->push_back(answer);
  }
  return sum;
}

// What was repaired between two looks.
Json document_of(const Progress& now, const Progress& first, const Json& nodes) {
  return {{"done", now.done()},
          {"pairs", now.pairs},
          {"equal", now.equal},
          {"trees_to_build", now.to_build},
          {"quarantined", now.quarantined},
          {"alarms", now.alarms},
          {"keys_repaired", now.keys_repaired - std::min(now.keys_repaired, first.keys_repaired)},
          {"leaves_repaired", now.leaves_repaired - std::min(now.leaves_repaired, first.leaves_repaired)},
          {"bytes_sent", now.bytes - std::min(now.bytes, first.bytes)},
          {"unreachable", now.unreachable},
          {"paused", now.paused},
          {"nodes", nodes}};
}

// Without --now: who has compared what since when.
int show_repair(Cluster& cluster, const Json& request, bool json) {
  Json nodes;
  const Progress progress = ask_progress(cluster.members, request, &nodes);
  if (!progress.refused.empty()) return complain(Status::InvalidArgument(progress.refused));
  if (json) {
    std::printf("%s\n", document_of(progress, {}, nodes).dump(2, ' ', false, Json::error_handler_t::replace).c_str());
  } else {
    TextTable table({"NODE", "REGION", "TREES", "TO BUILD", "COMPARES", "ALL EQUAL SINCE", "KEYS REPAIRED", "SENT",
                     "ROTTEN", "QUARANTINED", "ALARMS"});
    for (const Json& node : nodes) {
      const auto since = node.find("equal_since_ms");
      const std::string equal = count(node, "pairs") == 0 ? "-"
                                : since == node.end()
                                    ? "not yet"
                                    : utc_text(WallTime{static_cast<int64_t>(count(node, "equal_since_ms"))});
      table.add({word(node, "node"), word(node, "region"), std::to_string(count(node, "trees")),
                 std::to_string(count(node, "trees_to_build")), std::to_string(count(node, "pairs")), equal,
                 std::to_string(count(node, "keys_repaired")), std::to_string(count(node, "bytes_sent")) + " B",
                 std::to_string(count(node, "rotten_partitions")), std::to_string(count(node, "quarantined")),
                 std::to_string(count(node, "alarms"))});
    }
    std::string text = table.text();
    for (const std::string& name : progress.paused) text += "paused at " + name + "\n";
    for (const std::string& name : progress.unreachable) text += "no answer from " + name + "\n";
    std::fputs(text.c_str(), stdout);
  }
  return progress.unreachable.empty() ? kExitOk : kExitUnhealthy;
}

}  // namespace

State PartitionView::state(size_t owners) const {
  if (replicas.size() < owners || replicas.empty()) return State::kMissing;
  bool clocks = true, trees = true;
  for (const Replica& each : replicas) {
    if (!each.ready && owners > 1) return State::kNoTree;
    clocks &= each.clock == replicas[0].clock;
    trees &= each.tree == replicas[0].tree;
  }
  if (!clocks) return State::kBehind;
  return trees ? State::kEqual : State::kDiffers;
}

PartitionViews views_of(const std::vector<MemberAnswer>& answers) {
  PartitionViews views;
  for (const MemberAnswer& each : answers) {
    const Json answer = decoded(each);
    const auto partitions = answer.is_object() ? answer.find("partitions") : answer.end();
    if (!answer.is_object() || partitions == answer.end()) continue;
    for (const Json& row : *partitions) {
      const bool sound = row.is_array() && row.size() == 6 && row[0].is_number_unsigned() &&
                         row[1].is_number_unsigned() && row[2].is_boolean() && row[3].is_number_unsigned() &&
                         row[4].is_number_unsigned() && row[5].is_number_unsigned();
      if (!sound) continue;
      views[{row[0].get<int64_t>(), row[1].get<int64_t>()}].replicas.push_back(
          {each.name, each.region, row[3].get<uint64_t>(), row[4].get<uint64_t>(), row[5].get<uint64_t>(),
           row[2].get<bool>()});
    }
  }
  return views;
}

int run_verify_command(const ClusterCommand& command) {
  auto cluster = look_at_cluster(command);
  if (!cluster.ok()) return complain(cluster.status());
  const auto limit = limit_of(command, kLookLimit);
  if (!limit) return complain(Status::InvalidArgument("'" + command.timeout + "' is not a time such as 90s"));
  const std::string request = request_of({{"op", "digests"}});
  const auto end = Clock::now() + *limit;
  Verdict verdict;
  Equal equal;
  // What differs because writes are under way is looked at again.
  for (;;) {
    for (MemberAnswer& each : cluster->members) each.status = Status(), each.document.clear();
    ask_members(cluster->members, request);
    verdict = judge(*cluster, views_of(cluster->members), equal);
    const bool may_pass = std::any_of(verdict.differing.begin(), verdict.differing.end(), [&](const auto& entry) {
      const State state = entry.second.state(cluster->owners(entry.first));
      return state == State::kBehind || state == State::kNoTree ||
             (state == State::kMissing && verdict.unreachable.empty());
    });
    if (verdict.equal || !may_pass || Clock::now() >= end) break;
    std::this_thread::sleep_for(kBetweenLooks);
  }
  report(*cluster, verdict, command.json);
  return verdict.equal ? kExitOk : kExitUnhealthy;
}

int run_repair_command(const ClusterCommand& command) {
  auto cluster = look_at_cluster(command);
  if (!cluster.ok()) return complain(cluster.status());
  const auto limit = limit_of(command, kRepairLimit);
  if (!limit) return complain(Status::InvalidArgument("'" + command.timeout + "' is not a time such as 90s"));
  Json request = {{"op", "tree_repair"}};
  if (!command.keyspace.empty()) request["keyspace"] = static_cast<uint64_t>(cluster->keyspaces.begin()->first);
  if (!command.region.empty()) request["region"] = command.region;
  if (command.pause || command.resume) request["pause"] = command.pause;
  if (!command.now) return show_repair(*cluster, request, command.json);
  request["begin"] = true;
  if (command.accept_losses) request["accept_losses"] = true;
  Json nodes;
  const auto begin = Clock::now();
  const Progress first = ask_progress(cluster->members, request, &nodes);
  if (!first.refused.empty()) return complain(Status::InvalidArgument(first.refused));
  if (!first.paused.empty()) {
    return complain(Status(Code::kUnavailable, "the repair is paused at " + first.paused.front() + "; see --resume"));
  }
  request.erase("begin");
  request.erase("accept_losses");
  Progress progress = first;
  const auto end = Clock::now() + *limit;
  const bool tells = !command.json && isatty(STDERR_FILENO) != 0;
  while (!progress.done() && progress.unreachable.empty() && Clock::now() < end) {
    std::this_thread::sleep_for(kBetweenLooks);
    progress = ask_progress(cluster->members, request, &nodes);
    if (tells) {
      const auto passed = std::chrono::duration<double>(Clock::now() - begin).count();
      const double left = progress.equal == 0 ? 0
                                              : passed / static_cast<double>(progress.equal) *
                                                    static_cast<double>(progress.pairs - progress.equal);
      std::fprintf(stderr, "\r%llu of %llu comparisons done, %llu trees to build, about %.0f s left ",
                   static_cast<unsigned long long>(progress.equal), static_cast<unsigned long long>(progress.pairs),
                   static_cast<unsigned long long>(progress.to_build), left);
    }
  }
  if (tells) std::fputs("\n", stderr);
  const Json document = document_of(progress, first, nodes);
  if (command.json) {
    std::printf("%s\n", document.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
  } else {
    for (const std::string& name : progress.unreachable) {
      std::printf("no answer from %s: nothing can be compared with it\n", name.c_str());
    }
    std::printf("%s: %llu of %llu comparisons found equal, %llu keys repaired, %llu bytes sent\n",
                progress.done() ? "done" : "not done", static_cast<unsigned long long>(progress.equal),
                static_cast<unsigned long long>(progress.pairs),
                static_cast<unsigned long long>(count(document, "keys_repaired")),
                static_cast<unsigned long long>(count(document, "bytes_sent")));
  }
  return progress.done() ? kExitOk : kExitUnhealthy;
}

}  // namespace cartwheel::node
