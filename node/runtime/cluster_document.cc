#include "node/runtime/cluster_document.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace cartwheel::node {

namespace {

using Json = nlohmann::ordered_json;

std::string state_of(const NodeInfo& info, const MemberView& view) {
  if (view.gossip == "left") return "left";
  if (view.gossip == "suspect") return "suspect";
  if (view.unreachable) return "unreachable";
  if (!view.alive) return "down";
  return info.state == NodeInfo::State::kLeaving ? "leaving" : "up";
}

Json change_document(const ClusterConfig& config, const RingChange& change) {
  Json document = {{"id", change.id},
                   {"kind", std::string(to_string(change.kind))},
                   {"running", change.planned},
                   {"arcs", change.arcs}};
  if (change.node != kNoNode) document["node"] = config.nodes[change.node].name;
  if (change.other != kNoNode) document["replaces"] = config.nodes[change.other].name;
  if (change.kind == RingChange::Kind::kReplicas) document["keyspace"] = config.keyspaces[change.keyspace].name;
  return document;
}

Json keyspace_document(const ClusterConfig& config, size_t k) {
  const Keyspace& keyspace = config.keyspaces[k];
  const Assignment& assignment = config.assignments[k];
  Json replicas = Json::object();
  for (const auto& [region, copies] : keyspace.replicas) replicas[region] = copies;
  Json arcs = Json::array();
  for (uint32_t arc = 0; arc < config.partitions; ++arc) {
    Json owners = Json::array();
    for (NodeIndex n : assignment.owners[arc]) owners.push_back(config.nodes[n].name);
    arcs.push_back(std::move(owners));
  }
  Json moves = Json::object();
  for (const auto& [arc, move] : assignment.moves) {
    Json others = Json::array();
    for (NodeIndex n : move.others) others.push_back(config.nodes[n].name);
    moves[std::to_string(arc)] = {{"stage", std::string(to_string(move.stage))}, {"others", others}};
  }
  return {{"name", keyspace.name},
          {"index", k},
          {"select", keyspace.select},
          {"kind", keyspace.kind},
          {"replicas", replicas},
          {"read", keyspace.read.to_string()},
          {"write", keyspace.write.to_string()},
          {"default_ttl_ms", keyspace.default_ttl_ms},
          {"durability", keyspace.durability == Keyspace::Durability::kAlways ? "always" : "os"},
          {"fallbacks", keyspace.fallbacks ? "on" : "off"},
          {"owners", arcs},
          {"moves", moves}};
}

}  // namespace

std::string cluster_document(AdminHost& host) {
  const Membership& membership = host.membership();
  const ClusterConfig& config = *membership.config();
  std::vector<uint64_t> arcs(config.nodes.size(), 0);
  Json keyspaces = Json::array();
  for (size_t k = 0; k < config.keyspaces.size(); ++k) {
    if (config.keyspaces[k].dropped) continue;
    keyspaces.push_back(keyspace_document(config, k));
    for (const auto& owners : config.assignments[k].owners) {
      for (NodeIndex n : owners) ++arcs[n];
    }
  }
  bool ready = membership.formed() && !membership.busy();
  uint64_t done = 0, to_do = 0, leftovers = 0, quarantined = 0, alarms = 0;
  Json members = Json::array();
  for (NodeIndex n = 0; n < config.nodes.size(); ++n) {
    const NodeInfo& info = config.nodes[n];
    if (info.removed()) continue;
    const MemberView view = host.view_of(n);
    const std::string state = state_of(info, view);
    Json load = {{"arcs", arcs[n]}};
    Json member = {{"name", info.name},
                   {"region", info.region},
                   {"zone", info.zone},
                   {"capacity", info.capacity},
                   {"state", state},
                   {"voter", std::count(config.voters.begin(), config.voters.end(), n) > 0},
                   {"gossip", view.gossip},
                   {"addresses",
                    {{"rpc", info.rpc.to_string()}, {"resp", info.resp.to_string()}, {"http", info.http.to_string()}}}};
    const auto found = membership.reports().find(n);
    const bool reports = found != membership.reports().end() && view.alive;
    ready = ready && state == "up" && reports && found->second.second.ready;
    if (reports) {
      const MemberReport& report = found->second.second;
      member["epoch"] = report.ring.epoch;
      member["ready"] = report.ready;
      member["uptime_seconds"] = report.uptime_seconds;
      member["quarantined"] = report.quarantined;
      member["alarms"] = report.alarms;
      quarantined += report.quarantined;
      alarms += report.alarms;
      load["keys"] = report.keys;
      load["disk_bytes"] = report.disk_bytes;
      load["memory_bytes"] = report.memory_bytes;
      done += report.bytes_done;
      to_do += report.bytes_to_do;
      leftovers += report.ring.leftovers;
      ready = ready && report.ring.leftovers == 0 && report.ring.epoch >= config.epoch;
    }
    member["load"] = std::move(load);
    members.push_back(std::move(member));
  }
  Json changes = Json::array();
  uint32_t planned = 0;
  for (const RingChange& change : config.changes) {
    changes.push_back(change_document(config, change));
    if (change.planned) planned = change.arcs;
  }
  Json document = {{"cluster", config.name},
                   {"epoch", config.epoch},
                   {"partitions", config.partitions},
                   {"stripes", config.stripes},
                   {"asked", config.nodes[host.self()].name},
                   {"ready", ready},
                   {"members", members},
                   {"moving",
                    {{"arcs", moving_arcs(config)},
                     {"arcs_of_change", planned},
                     {"bytes_done", done},
                     {"bytes_to_do", to_do},
                     {"leftovers", leftovers}}},
                   {"changes", changes},
                   {"quarantined", quarantined},
                   {"alarms", alarms},
                   {"keyspaces", keyspaces}};
  std::string out;
  Json::to_msgpack(document, out);
  return out;
}

}  // namespace cartwheel::node
