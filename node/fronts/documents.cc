#include "node/fronts/documents.h"

#include <nlohmann/json.hpp>

namespace cartwheel::node {

namespace {

using Json = nlohmann::ordered_json;

Json stats_document(const StripeStats& s) {
  return {{"reads", s.reads},
          {"writes", s.writes},
          {"forwards", s.forwards},
          {"unavailable", s.unavailable},
          {"unknown_outcomes", s.unknown_outcomes},
          {"overloaded", s.overloaded},
          {"deltas_sent", s.deltas_sent},
          {"deltas_applied", s.deltas_applied},
          {"deltas_skipped", s.deltas_skipped},
          {"catch_ups", s.catch_ups},
          {"catch_up_deltas", s.catch_up_deltas},
          {"full_exchanges", s.full_exchanges},
          {"full_exchange_objects", s.full_exchange_objects},
          {"full_exchanges_by_trees", s.full_exchanges_by_trees},
          {"fallback_counted", s.fallback_counted},
          {"fallback_deltas", s.fallback_deltas},
          {"quorum_read_mismatches", s.quorum_read_mismatches},
          {"read_repair_told", s.read_repair_told},
          {"read_repair_dropped", s.read_repair_dropped},
          {"read_repair_catch_ups", s.read_repair_catch_ups},
          {"shared_reads", s.shared_reads},
          {"hedges", s.hedges},
          {"hedges_won", s.hedges_won},
          {"hedges_refused", s.hedges_refused},
          {"probes", s.probes},
          {"rejected_messages", s.rejected_messages},
          {"unknown_messages", s.unknown_messages},
          {"expired_objects", s.expired_objects},
          {"loaded_rows", s.loaded_rows},
          {"loaded_bytes", s.loaded_bytes},
          {"cache_hits", s.cache_hits},
          {"cache_misses", s.cache_misses},
          {"cache_bytes", s.cache_bytes},
          {"log_entries", s.log_entries},
          {"clock_rows", s.clock_rows},
          {"folded_lives", s.folded_lives},
          {"pending_operations", s.pending_operations},
          {"partitions", s.partitions}};
}

Json status_document(const Metrics& m) {
  Json peers = Json::array();
  for (const PeerMetrics& peer : m.peers) {
    peers.push_back({{"name", peer.name},
                     {"region", peer.region},
                     {"connected", peer.connected},
                     {"reachable", peer.reachable},
                     {"lag_dots", peer.dots},
                     {"lag_seconds", peer.seconds},
                     {"ahead_dots", peer.dots_there},
                     {"output_bytes", peer.output_bytes}});
  }
  Json doors = Json::object();
  for (size_t i = 0; i < kDoors; ++i) doors[kDoorNames[i]] = {{"connections", m.doors[i].connections}};
  return {{"cluster", m.cluster},
          {"name", m.node},
          {"region", m.region},
          {"zone", m.zone},
          {"version", m.version},
          {"epoch", m.config_epoch},
          {"state", state_name(m)},
          {"uptime_seconds", m.uptime_seconds},
          {"keys", m.stripe.keys},
          {"quarantined", m.stripe.quarantined},
          {"alarms", m.stripe.alarmed},
          {"shards", m.shards},
          {"stripes", m.stripes},
          {"partitions", m.partitions},
          {"resident_bytes", m.process_resident_bytes},
          {"disk_bytes", m.engine_disk_bytes},
          {"stats", stats_document(m.stripe)},
          {"doors", doors},
          {"peers", peers}};
}

Json topology_document(const ClusterConfig& config) {
  Json nodes = Json::array();
  for (const NodeInfo& node : config.nodes) {
    nodes.push_back({{"name", node.name},
                     {"region", node.region},
                     {"zone", node.zone},
                     {"rpc", node.rpc.to_string()},
                     {"resp", node.resp.to_string()},
                     {"http", node.http.to_string()},
                     {"state", node.removed()                            ? "removed"
                               : node.state == NodeInfo::State::kLeaving ? "leaving"
                                                                         : "member"}});
  }
  Json keyspaces = Json::array();
  for (size_t i = 0; i < config.keyspaces.size(); ++i) {
    const Keyspace& keyspace = config.keyspaces[i];
    if (keyspace.dropped) continue;
    Json replicas = Json::object();
    for (const auto& [region, copies] : keyspace.replicas) replicas[region] = copies;
    Json owners = Json::array();
    if (i < config.assignments.size()) {
      for (const auto& arc : config.assignments[i].owners) owners.push_back(arc);
    }
    keyspaces.push_back({{"name", keyspace.name},
                         {"select", keyspace.select},
                         {"kind", keyspace.kind},
                         {"read", keyspace.read.to_string()},
                         {"write", keyspace.write.to_string()},
                         {"default_ttl_ms", keyspace.default_ttl_ms},
                         {"replicas", replicas},
                         {"owners", owners}});
  }
  return {{"cluster", config.name},    {"epoch", config.epoch}, {"partitions", config.partitions},
          {"stripes", config.stripes}, {"nodes", nodes},        {"keyspaces", keyspaces}};
}

std::string to_msgpack(const Json& document) {
  std::string out;
  Json::to_msgpack(document, out);
  return out;
}

}  // namespace

const char* state_name(const Metrics& metrics) {
  return metrics.draining ? "draining" : metrics.ready ? "ready" : "not_ready";
}

std::string status_json(const Metrics& metrics) {
  // Names come from a file that people write; whatever bytes are in them, the document is valid UTF-8.
  return status_document(metrics).dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string status_msgpack(const Metrics& metrics) {
  return to_msgpack(status_document(metrics));
}

std::string topology_msgpack(const ClusterConfig& config) {
  return to_msgpack(topology_document(config));
}

}  // namespace cartwheel::node
