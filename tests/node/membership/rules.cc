#include "tests/node/membership/rules.h"

#include "base/check.h"
#include "node/core/cluster_codec.h"
#include "node/core/membership/membership.h"

namespace cartwheel::node::member_model {

namespace {

constexpr Instant kNow{1'000'000};

// Members a, b and c with identities 1, 2 and 3, all of them voters; nothing is left to do.
ClusterConfig three() {
  auto info = [](const char* name, uint64_t identity) {
    NodeInfo node;
    node.name = name;
    node.region = "eu";
    node.rpc = {"127.0.0.1", static_cast<uint16_t>(identity)};
    node.identity = identity;
    return node;
  };
  ClusterConfig config = new_cluster("shop", 8, 1, info("a", 1)).value();
  NodeIndex index = 0;
  CHECK(join(config, info("b", 2), &index).ok());
  CHECK(join(config, info("c", 3), &index).ok());
  while (advance(config, {})) {
  }
  CHECK(config.voters.size() == 3 && config.changes.empty());
  return config;
}

Membership machine(const ClusterConfig& config, NodeIndex self, uint64_t identity) {
  return Membership({.self = self, .identity = identity, .life = 1, .seed = 1},
                    std::make_shared<const ClusterConfig>(config), "");
}

// The bodies of the messages of consensus that `m` wants to send.
std::vector<std::string> paxos_messages(Membership& m) {
  std::vector<std::string> found;
  for (const auto& message : m.take_output().messages) {
    auto decoded = ControlMessage::decode(message.bytes);
    if (decoded.ok() && decoded->type == ControlType::kPaxos) found.push_back(decoded->body);
  }
  return found;
}

paxos::Ballot first_ballot(uint64_t identity) {
  ClusterConfig config = three();
  config.nodes[1].identity = identity;
  config.nodes[1].lives = static_cast<uint32_t>(identity - 1);
  Membership m = machine(config, 1, identity);
  (void)m.take_output();
  m.change(
      rebalance, false, Duration::seconds(1), [](const Status&, const Membership::ConfigPtr&) {}, kNow);
  const std::vector<std::string> sent = paxos_messages(m);
  CHECK(!sent.empty());
  return paxos::Request::decode(sent[0])->ballot;
}

}  // namespace

bool answers_known_generations_only() {
  const ClusterConfig config = three();
  Membership m = machine(config, 1, 2);
  (void)m.take_output();
  auto ask = [&](uint64_t generation) {
    const paxos::Request request{paxos::MessageType::kPrepare, "config", generation, {1, 0, 7}, {}, {}};
    m.on_message(0, ControlMessage(ControlType::kPaxos, request.encode()).encode(), kNow);
    return paxos_messages(m).size();
  };
  CHECK(ask(config.epoch) == 1);
  return ask(config.epoch + 1) == 0;
}

bool ballots_tell_directories_apart() {
  return first_ballot(2) != first_ballot(3);
}

bool forgets_replaced_directories() {
  ClusterConfig config = three();
  Membership m = machine(config, 0, 1);
  m.on_peer(1, true, kNow);
  ControlMessage have(ControlType::kHave);
  have.epoch = config.epoch;
  have.identity = 2;
  m.on_message(1, have.encode(), kNow);
  CHECK(!m.busy());
  config.nodes[1].identity = 9;
  ++config.nodes[1].lives;
  ++config.epoch;
  m.on_message(2, ControlMessage(ControlType::kConfig, encode_config(config)).encode(), kNow);
  m.on_liveness(1, false, kNow);
  CHECK(m.config()->epoch == config.epoch);
  return !m.busy();
}

}  // namespace cartwheel::node::member_model
