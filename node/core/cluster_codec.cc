#include "node/core/cluster_codec.h"

#include <algorithm>
#include <cmath>

#include "base/codec.h"

namespace cartwheel::node {

namespace {

constexpr uint8_t kFormat = 1;

void put_indexes(Encoder& out, const std::vector<NodeIndex>& indexes) {
  out.varint(indexes.size());
  for (NodeIndex n : indexes) out.varint(n);
}

void put_replicas(Encoder& out, const std::map<std::string, uint32_t>& replicas) {
  out.varint(replicas.size());
  for (const auto& [region, copies] : replicas) {
    out.bytes(region);
    out.varint(copies);
  }
}

void put_node(Encoder& out, const NodeInfo& node) {
  out.bytes(node.name);
  out.bytes(node.region);
  out.bytes(node.zone);
  out.varint(static_cast<uint64_t>(std::llround(node.capacity * 1000)));
  for (const Address* address : {&node.rpc, &node.resp, &node.http}) {
    out.bytes(address->host);
    out.u16(address->port);
  }
  out.u64(node.identity);
  out.varint(node.lives);
  out.u8(static_cast<uint8_t>(node.state));
}

void put_keyspace(Encoder& out, const Keyspace& keyspace) {
  out.bytes(keyspace.name);
  out.varint(static_cast<uint64_t>(keyspace.select));
  out.bytes(keyspace.kind);
  put_replicas(out, keyspace.replicas);
  out.bytes(keyspace.read.to_string());
  out.bytes(keyspace.write.to_string());
  out.varint(static_cast<uint64_t>(keyspace.default_ttl_ms));
  out.u8(static_cast<uint8_t>(static_cast<uint8_t>(keyspace.durability) | (keyspace.fallbacks ? 2 : 0)));
  out.u8(keyspace.dropped ? 1 : 0);
}

void put_assignment(Encoder& out, const Assignment& assignment) {
  for (const auto& owners : assignment.owners) put_indexes(out, owners);
  out.varint(assignment.moves.size());
  for (const auto& [arc, move] : assignment.moves) {
    out.varint(arc);
    out.u8(static_cast<uint8_t>(move.stage));
    out.varint(move.since);
    put_indexes(out, move.others);
  }
  out.varint(assignment.fences.size());
  for (const auto& [arc, epoch] : assignment.fences) {
    out.varint(arc);
    out.varint(epoch);
  }
}

// Reads with what is known of the configuration so far.
class ConfigReader {
 public:
  explicit ConfigReader(std::string_view bytes) : in_(bytes) {}

  Result<ClusterConfig> read() {
    if (in_.u8() != kFormat) in_.fail();
    config_.name = in_.bytes();
    config_.epoch = in_.varint();
    config_.partitions = small(65536);
    config_.stripes = small(64);
    uint32_t p = config_.partitions;
    if (p == 0 || (p & (p - 1)) != 0 || config_.stripes == 0) in_.fail();
    for (size_t n = in_.count(8); n > 0 && in_.ok(); --n) config_.nodes.push_back(node());
    for (size_t n = in_.count(1); n > 0 && in_.ok(); --n) config_.regions.emplace_back(in_.bytes());
    for (const NodeInfo& each : config_.nodes) require(is_region(each.region));
    for (size_t n = in_.count(8); n > 0 && in_.ok(); --n) {
      config_.keyspaces.push_back(keyspace());
      config_.assignments.push_back(assignment());
    }
    config_.voters = indexes();
    config_.next_voters = indexes();
    for (size_t n = in_.count(8); n > 0 && in_.ok(); --n) config_.changes.push_back(change());
    require(!config_.nodes.empty() && config_.nodes.size() < kNoNode);
    if (!in_.done()) return Status::Corruption("a cluster configuration does not decode");
    return std::move(config_);
  }

 private:
  void require(bool holds) {
    if (!holds) in_.fail();
  }
  uint32_t small(uint64_t most) {
    uint64_t v = in_.varint();
    require(v <= most);
    return static_cast<uint32_t>(v);
  }
  uint8_t byte_up_to(uint8_t most) {
    uint8_t v = in_.u8();
    require(v <= most);
    return v;
  }
  bool is_region(const std::string& name) const {
    return std::find(config_.regions.begin(), config_.regions.end(), name) != config_.regions.end();
  }
  NodeIndex index() {
    uint64_t n = in_.varint();
    require(n < config_.nodes.size());
    return static_cast<NodeIndex>(n);
  }
  std::vector<NodeIndex> indexes() {
    std::vector<NodeIndex> list;
    for (size_t n = in_.count(1); n > 0 && in_.ok(); --n) list.push_back(index());
    return list;
  }
  NodeIndex index_or_none() {
    uint16_t n = in_.u16();
    require(n == kNoNode || n < config_.nodes.size());
    return n;
  }
  uint32_t arc() {
    uint64_t a = in_.varint();
    require(a < config_.partitions);
    return static_cast<uint32_t>(a);
  }
  std::map<std::string, uint32_t> replicas() {
    std::map<std::string, uint32_t> out;
    for (size_t n = in_.count(2); n > 0 && in_.ok(); --n) {
      std::string region(in_.bytes());
      require(is_region(region));
      out[region] = small(1000);
    }
    return out;
  }
  Level level() {
    auto parsed = Level::parse(in_.bytes());
    require(parsed.ok());
    return parsed.ok() ? *parsed : Level();
  }
  NodeInfo node() {
    NodeInfo node;
    node.name = in_.bytes();
    node.region = in_.bytes();
    node.zone = in_.bytes();
    node.capacity = static_cast<double>(in_.varint()) / 1000;
    require(node.capacity >= kMinCapacity && node.capacity <= kMaxCapacity);
    for (Address* address : {&node.rpc, &node.resp, &node.http}) {
      address->host = in_.bytes();
      address->port = in_.u16();
    }
    node.identity = in_.u64();
    node.lives = small(UINT32_MAX);
    node.state = static_cast<NodeInfo::State>(byte_up_to(2));
    return node;
  }
  Keyspace keyspace() {
    Keyspace k;
    k.name = in_.bytes();
    k.select = static_cast<int>(small(INT32_MAX));
    k.kind = in_.bytes();
    k.replicas = replicas();
    k.read = level();
    k.write = level();
    uint64_t ttl = in_.varint();
    require(ttl <= INT64_MAX);
    k.default_ttl_ms = static_cast<int64_t>(ttl);
    const uint8_t flags = byte_up_to(3);
    k.durability = static_cast<Keyspace::Durability>(flags & 1);
    k.fallbacks = (flags & 2) != 0;
    k.dropped = byte_up_to(1) == 1;
    return k;
  }
  Assignment assignment() {
    Assignment a;
    for (uint32_t n = 0; n < config_.partitions && in_.ok(); ++n) a.owners.push_back(indexes());
    for (size_t n = in_.count(4); n > 0 && in_.ok(); --n) {
      uint32_t at = arc();
      Move move;
      move.stage = static_cast<Stage>(byte_up_to(4));
      require(move.stage >= Stage::kLoad);
      move.since = in_.varint();
      move.others = indexes();
      a.moves[at] = std::move(move);
    }
    for (size_t n = in_.count(2); n > 0 && in_.ok(); --n) {
      uint32_t at = arc();
      a.fences[at] = in_.varint();
    }
    return a;
  }
  RingChange change() {
    RingChange c;
    c.id = in_.varint();
    c.kind = static_cast<RingChange::Kind>(byte_up_to(5));
    c.node = index_or_none();
    c.other = index_or_none();
    c.keyspace = in_.u16();
    c.replicas = replicas();
    c.arcs = small(UINT32_MAX);
    c.planned = byte_up_to(1) == 1;
    bool of_node = c.kind <= RingChange::Kind::kReplace;
    require(c.kind >= RingChange::Kind::kJoin && (!of_node || c.node != kNoNode));
    require(c.kind != RingChange::Kind::kReplace || c.other != kNoNode);
    require(c.kind != RingChange::Kind::kReplicas || c.keyspace < config_.keyspaces.size());
    return c;
  }

  Decoder in_;
  ClusterConfig config_;
};

}  // namespace

std::string encode_config(const ClusterConfig& config) {
  std::string bytes;
  Encoder out(bytes);
  out.u8(kFormat);
  out.bytes(config.name);
  out.varint(config.epoch);
  out.varint(config.partitions);
  out.varint(config.stripes);
  out.varint(config.nodes.size());
  for (const NodeInfo& node : config.nodes) put_node(out, node);
  out.varint(config.regions.size());
  for (const std::string& region : config.regions) out.bytes(region);
  out.varint(config.keyspaces.size());
  for (size_t k = 0; k < config.keyspaces.size(); ++k) {
    put_keyspace(out, config.keyspaces[k]);
    put_assignment(out, config.assignments[k]);
  }
  put_indexes(out, config.voters);
  put_indexes(out, config.next_voters);
  out.varint(config.changes.size());
  for (const RingChange& c : config.changes) {
    out.varint(c.id);
    out.u8(static_cast<uint8_t>(c.kind));
    out.u16(c.node);
    out.u16(c.other);
    out.u16(c.keyspace);
    put_replicas(out, c.replicas);
    out.varint(c.arcs);
    out.u8(c.planned ? 1 : 0);
  }
  return bytes;
}

Result<ClusterConfig> decode_config(std::string_view bytes) {
  auto config = ConfigReader(bytes).read();
  if (config.ok() && encode_config(*config) != bytes) {
    return Status::Corruption("a cluster configuration is not encoded as it should be");
  }
  return config;
}

}  // namespace cartwheel::node
