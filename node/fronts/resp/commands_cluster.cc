// CLUSTER, as far as cluster-aware clients need it to start: who the nodes are. Cartwheel has no slots: keys are placed
// by another hash, on several nodes each, and any node answers for any key, so no node ever answers MOVED or ASK. The
// slots that clients count in are spread over the members of this node's region (of all regions where it has none with
// a RESP door), so that their requests spread, too.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "base/hash.h"
#include "node/fronts/resp/call.h"
#include "node/fronts/resp/commands.h"
#include "node/fronts/resp/errors.h"

namespace cartwheel::resp {

namespace {

constexpr uint32_t kSlots = 16384;

// The slot of a key: CRC-16/XMODEM of it, or of what stands in its first braces, as the Redis cluster specification
// says (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/).
uint32_t slot_of(std::string_view key) {
  const size_t open = key.find('{');
  if (open != std::string_view::npos) {
    const size_t close = key.find('}', open + 1);
    if (close != std::string_view::npos && close > open + 1) key = key.substr(open + 1, close - open - 1);
  }
  uint32_t crc = 0;
  for (char c : key) {
    crc ^= static_cast<uint32_t>(static_cast<uint8_t>(c)) << 8;
    for (int bit = 0; bit < 8; ++bit) crc = ((crc << 1) ^ ((crc & 0x8000) != 0 ? 0x1021u : 0u)) & 0xffff;
  }
  return crc % kSlots;
}

// 40 hex digits, as clients expect, that stay the same as long as the node does.
std::string id_of(const node::NodeInfo& info) {
  char text[41];
  std::snprintf(text, sizeof text, "%016llx%016llx%08x", static_cast<unsigned long long>(hash64(info.name)),
                static_cast<unsigned long long>(info.identity), static_cast<unsigned>(hash64(info.region) >> 32));
  return text;
}

struct Share {
  const node::NodeInfo* info;
  uint32_t first, last;  // slots
};

std::vector<Share> shares(const Call& call) {
  const node::ClusterConfig& config = call.session.backend().cluster();
  const std::string region = call.session.backend().info().region;
  std::vector<Share> found;
  for (bool local : {true, false}) {
    for (const node::NodeInfo& info : config.nodes) {
      if (info.state == node::NodeInfo::State::kMember && info.resp.port != 0 && (!local || info.region == region)) {
        found.push_back({&info, 0, 0});
      }
    }
    if (!found.empty()) break;
  }
  const auto count = static_cast<uint32_t>(found.size());
  for (uint32_t i = 0; i < count; ++i) {
    found[i].first = kSlots * i / count;
    found[i].last = kSlots * (i + 1) / count - 1;
  }
  return found;
}

void slots(Call& call) {
  const std::vector<Share> all = shares(call);
  call.out.array(all.size());
  for (const Share& share : all) {
    call.out.array(3);
    call.out.integer(share.first);
    call.out.integer(share.last);
    call.out.array(4);
    call.out.bulk(share.info->resp.host);
    call.out.integer(share.info->resp.port);
    call.out.bulk(id_of(*share.info));
    call.out.array(0);
  }
}

void shards(Call& call) {
  const std::vector<Share> all = shares(call);
  call.out.array(all.size());
  for (const Share& share : all) {
    call.out.map(2);
    call.out.bulk("slots");
    call.out.array(2);
    call.out.integer(share.first);
    call.out.integer(share.last);
    call.out.bulk("nodes");
    call.out.array(1);
    call.out.map(7);
    for (auto [name, value] : {std::pair("id", id_of(*share.info)), std::pair("ip", share.info->resp.host),
                               std::pair("endpoint", share.info->resp.host), std::pair("role", std::string("master")),
                               std::pair("health", std::string("online"))}) {
      call.out.bulk(name);
      call.out.bulk(value);
    }
    call.out.bulk("port");
    call.out.integer(share.info->resp.port);
    call.out.bulk("replication-offset");
    call.out.integer(0);
  }
}

void nodes(Call& call) {
  const std::string self = call.session.backend().info().node;
  std::string text;
  for (const Share& share : shares(call)) {
    const node::NodeInfo& info = *share.info;
    text += id_of(info) + " " + info.resp.host + ":" + std::to_string(info.resp.port) + "@" +
            std::to_string(info.rpc.port) + (info.name == self ? " myself,master" : " master") + " - 0 0 1 connected " +
            std::to_string(share.first) + "-" + std::to_string(share.last) + "\n";
  }
  call.out.verbatim(text);
}

void my_id(Call& call) {
  const node::ClusterConfig& config = call.session.backend().cluster();
  const node::NodeIndex self = config.node(call.session.backend().info().node);
  if (self == node::kNoNode) return call.error("ERR this node is not a member any more");
  call.out.bulk(id_of(config.nodes[self]));
}

void key_slot(Call& call) {
  call.out.integer(slot_of(call[2]));
}

void cluster_info(Call& call) {
  const node::ClusterConfig& config = call.session.backend().cluster();
  const size_t count = shares(call).size();
  const std::string members = std::to_string(count), epoch = std::to_string(config.epoch);
  call.out.verbatim(
      "cluster_enabled:1\r\ncluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\n"
      "cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:" +
      members + "\r\ncluster_size:" + members + "\r\ncluster_current_epoch:" + epoch + "\r\ncluster_my_epoch:" + epoch +
      "\r\n");
}

void cluster(Call& call) {
  call.error(wrong_arity(call.command.name));
}

using C = Command;

const Command kCommands[] = {
    {"cluster", -2, C::kContainer, 0, 0, 0, cluster, "subcommand", "What cluster-aware clients ask.", ""},
    {"cluster|info", 2, C::kAnytime, 0, 0, 0, cluster_info, "", "Returns that the cluster works, and its epoch.", ""},
    {"cluster|keyslot", 3, C::kAnytime, 0, 0, 0, key_slot, "key", "Returns the slot that clients count a key in.",
     "Slots have nothing to do with where a key is kept."},
    {"cluster|myid", 2, C::kAnytime, 0, 0, 0, my_id, "", "Returns the node's id.", ""},
    {"cluster|nodes", 2, C::kAnytime, 0, 0, 0, nodes, "", "Returns the members of the region, in Redis' text form.",
     ""},
    {"cluster|shards", 2, C::kAnytime, 0, 0, 0, shards, "", "Returns the members of the region, each with slots.",
     "Any node answers for any key: nobody is redirected."},
    {"cluster|slots", 2, C::kAnytime, 0, 0, 0, slots, "", "Returns slots and the members of the region that take them.",
     "Any node answers for any key: nobody is redirected."},
};

}  // namespace

std::span<const Command> cluster_commands() {
  return kCommands;
}

}  // namespace cartwheel::resp
