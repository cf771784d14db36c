#include "node/core/cluster.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "base/limits.h"
#include "node/core/ring_plan.h"

namespace cartwheel::node {
namespace {

constexpr size_t kMaxNameBytes = 63;
constexpr uint32_t kMaxPartitions = 65536, kMaxStripes = 64;

// Names stand in logs, metrics and file names, so they are plain; empty when `name` is fine, else what is wrong.
std::string wrong_name(const std::string& name) {
  if (name.empty()) return "must not be empty";
  if (name.size() > kMaxNameBytes) return "is longer than " + std::to_string(kMaxNameBytes) + " bytes";
  for (char c : name) {
    bool allowed =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    if (!allowed) return "may only have letters, digits, '.', '_' and '-'";
  }
  return "";
}

std::string in_quotes(const std::string& s) {
  return "'" + s + "'";
}

std::string count_of(uint64_t n, const char* what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

std::map<std::string, uint32_t> nodes_per_region(const ClusterConfig& config) {
  std::map<std::string, uint32_t> sizes;
  for (const NodeInfo& n : config.nodes) sizes[n.region] += n.removed() ? 0 : 1;
  return sizes;
}

Problem check_cluster(const ClusterConfig& config, bool from_file) {
  auto bad = [](const char* key, std::string message) {
    return Problem{Status::InvalidArgument(std::move(message)), Problem::Part::kCluster, 0, key};
  };
  if (auto wrong = wrong_name(config.name); !wrong.empty()) {
    return bad("cluster", "cluster name " + in_quotes(config.name) + " " + wrong);
  }
  uint32_t p = config.partitions;
  if (p < 1 || p > kMaxPartitions || (p & (p - 1)) != 0) {
    return bad("partitions", "partitions must be a power of two from 1 to 65536, not " + std::to_string(p));
  }
  if (config.stripes < 1 || config.stripes > kMaxStripes) {
    return bad("stripes", "stripes must be from 1 to 64, not " + std::to_string(config.stripes));
  }
  if (config.stripes > p) {
    return bad("stripes", count_of(config.stripes, "stripe") + " for " + count_of(p, "partition") +
                              ": some stripes would own nothing");
  }
  if (config.nodes.empty()) return bad("node", "the cluster has no nodes");
  if (config.nodes.size() >= kNoNode) return bad("node", "more than 65534 nodes");
  if (config.keyspaces.empty() && from_file) return bad("keyspace", "the cluster has no keyspaces");
  return {};
}

Problem check_nodes(const ClusterConfig& config) {
  std::set<std::string> names;
  std::map<std::string, std::string> addresses;  // → whose it is
  for (size_t i = 0; i < config.nodes.size(); ++i) {
    const NodeInfo& n = config.nodes[i];
    if (n.removed()) continue;
    auto bad = [&](const char* key, const std::string& message) {
      return Problem{Status::InvalidArgument("node " + in_quotes(n.name) + ": " + message), Problem::Part::kNode, i,
                     key};
    };
    if (auto wrong = wrong_name(n.name); !wrong.empty()) return bad("name", "name " + wrong);
    if (!names.insert(n.name).second) return bad("name", "there are two nodes of this name");
    if (auto wrong = wrong_name(n.region); !wrong.empty())
      return bad("region", "region " + in_quotes(n.region) + " " + wrong);
    if (auto wrong = n.zone.empty() ? "" : wrong_name(n.zone); !wrong.empty()) {
      return bad("zone", "zone " + in_quotes(n.zone) + " " + wrong);
    }
    if (!(n.capacity >= kMinCapacity && n.capacity <= kMaxCapacity)) {
      return bad("capacity", "capacity must be from 0.001 to 1000000");
    }
    for (auto [door, address] : {std::pair("rpc", &n.rpc), std::pair("resp", &n.resp), std::pair("http", &n.http)}) {
      if (address->port == 0) continue;  // closed
      std::string owner = std::string(door) + " of node " + in_quotes(n.name);
      if (auto [it, fresh] = addresses.emplace(address->to_string(), owner); !fresh) {
        return bad(door, std::string(door) + " address " + it->first + " is also " + it->second);
      }
    }
  }
  return {};
}

Problem check_keyspace(const ClusterConfig& config, size_t index, const std::map<std::string, uint32_t>& sizes) {
  const Keyspace& k = config.keyspaces[index];
  auto bad = [&](const char* key, const std::string& message, Code code = Code::kInvalidArgument) {
    return Problem{Status(code, "keyspace " + in_quotes(k.name) + ": " + message), Problem::Part::kKeyspace, index,
                   key};
  };
  if (auto wrong = wrong_name(k.name); !wrong.empty()) return bad("name", "name " + wrong);
  if (k.select < 0) return bad("select", "select must be 0 or more");
  for (size_t i = 0; i < index; ++i) {
    const Keyspace& other = config.keyspaces[i];
    if (other.dropped) continue;
    if (other.name == k.name) return bad("name", "there are two keyspaces of this name");
    if (other.select == k.select) {
      return bad("select", "select " + std::to_string(k.select) + " is also that of keyspace " + in_quotes(other.name));
    }
  }
  if (k.kind == "strong") {
    return bad("kind", "kind 'strong' is not available in this version, only 'eventual'", Code::kUnsupported);
  }
  if (k.kind != "eventual") return bad("kind", "kind " + in_quotes(k.kind) + " is unknown, it must be 'eventual'");
  if (k.replicas.empty()) return bad("replicas", "no replicas in any region");
  for (const auto& [region, replicas] : k.replicas) {
    auto size = sizes.find(region);
    if (size == sizes.end())
      return bad("replicas", "replicas in region " + in_quotes(region) + ", which no node is in");
    if (replicas == 0) {
      return bad("replicas", "0 replicas in region " + in_quotes(region) + "; leave out a region that holds nothing");
    }
    if (replicas > size->second) {
      return bad("replicas", count_of(replicas, "replica") + " in region " + in_quotes(region) + ", which has " +
                                 count_of(size->second, "node"));
    }
  }
  std::vector<uint32_t> replicas;
  for (const auto& [region, size] : sizes) {
    auto it = k.replicas.find(region);
    replicas.push_back(it == k.replicas.end() ? 0 : it->second);
  }
  for (auto [key, level] : {std::pair("read", &k.read), std::pair("write", &k.write)}) {
    if (level->kind == Level::Kind::kCount && level->count == 0)
      return bad(key, std::string(key) + " level of 0 replicas");
    for (size_t local = 0; local < replicas.size(); ++local) {
      if (replicas[local] == 0) continue;  // requests there are forwarded to a region that has replicas
      if (auto need = need_of(*level, replicas, local); !need.ok()) {
        return bad(key, std::string(key) + " " + need.status().message());
      }
    }
  }
  if (k.default_ttl_ms < 0) return bad("default_ttl", "default_ttl must not be negative");
  if (k.default_ttl_ms > limits::kTtlMs) return bad("default_ttl", "default_ttl is longer than ten years");
  return {};
}

Result<Assignment> assign(const ClusterConfig& config, const Keyspace& keyspace) {
  Assignment assignment;
  assignment.owners.resize(config.partitions);
  for (const auto& [region, replicas] : keyspace.replicas) {  // in the order of region names
    std::vector<Candidate> candidates;
    for (size_t i = 0; i < config.nodes.size(); ++i) {
      const NodeInfo& n = config.nodes[i];
      if (n.region == region) candidates.push_back({static_cast<NodeIndex>(i), n.zone, n.capacity});
    }
    auto placed = assign_region(candidates, config.partitions, replicas, {});
    if (!placed.ok()) return placed.status();
    for (uint32_t a = 0; a < config.partitions; ++a) {
      std::copy(placed->at(a).begin(), placed->at(a).end(), std::back_inserter(assignment.owners[a]));
    }
  }
  return assignment;
}

}  // namespace

NodeIndex ClusterConfig::node(std::string_view node_name) const {
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].name == node_name && !nodes[i].removed()) return static_cast<NodeIndex>(i);
  }
  return kNoNode;
}

size_t ClusterConfig::region(std::string_view region_name) const {
  auto it = std::find(regions.begin(), regions.end(), region_name);
  CHECK(it != regions.end());
  return static_cast<size_t>(it - regions.begin());
}

int ClusterConfig::keyspace_of_select(int64_t select) const {
  for (size_t i = 0; i < keyspaces.size(); ++i) {
    if (keyspaces[i].select == select && !keyspaces[i].dropped) return static_cast<int>(i);
  }
  return -1;
}

int ClusterConfig::keyspace_named(std::string_view keyspace_name) const {
  for (size_t i = 0; i < keyspaces.size(); ++i) {
    if (keyspaces[i].name == keyspace_name && !keyspaces[i].dropped) return static_cast<int>(i);
  }
  return -1;
}

std::string_view to_string(Stage stage) {
  switch (stage) {
    case Stage::kLoad:
      return "load";
    case Stage::kWriteBoth:
      return "write_both";
    case Stage::kReadNew:
      return "read_new";
    case Stage::kDrain:
      return "drain";
  }
  return "?";
}

std::string_view to_string(RingChange::Kind kind) {
  switch (kind) {
    case RingChange::Kind::kJoin:
      return "join";
    case RingChange::Kind::kLeave:
      return "leave";
    case RingChange::Kind::kReplace:
      return "replace";
    case RingChange::Kind::kRebalance:
      return "rebalance";
    case RingChange::Kind::kReplicas:
      return "replicas";
  }
  return "?";
}

uint32_t actor_node_id(const ClusterConfig& config, NodeIndex node) {
  return static_cast<uint32_t>(hash64(config.nodes[node].name, hash64(config.name)));
}

Problem check(const ClusterConfig& config, bool from_file) {
  if (Problem p = check_cluster(config, from_file); !p.status.ok()) return p;
  if (Problem p = check_nodes(config); !p.status.ok()) return p;
  const auto sizes = nodes_per_region(config);
  for (size_t i = 0; i < config.keyspaces.size(); ++i) {
    if (config.keyspaces[i].dropped) continue;
    if (Problem p = check_keyspace(config, i, sizes); !p.status.ok()) return p;
  }
  return {};
}

Status finish(ClusterConfig& config) {
  RETURN_IF_ERROR(check(config).status);
  std::sort(config.nodes.begin(), config.nodes.end(),
            [](const NodeInfo& a, const NodeInfo& b) { return a.name < b.name; });
  config.regions.clear();
  for (const auto& [region, size] : nodes_per_region(config)) config.regions.push_back(region);
  config.assignments.clear();
  for (const Keyspace& k : config.keyspaces) {
    auto assignment = assign(config, k);
    if (!assignment.ok()) return assignment.status();
    config.assignments.push_back(std::move(*assignment));
  }
  config.voters = choose_voters(config);
  return Status::Ok();
}

}  // namespace cartwheel::node
