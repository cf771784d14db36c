#include "node/runtime/enroll.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "node/core/cluster_codec.h"
#include "node/core/ring_plan.h"
#include "node/runtime/log.h"
#include "node/runtime/rpc_call.h"

namespace cartwheel::node {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::chrono::milliseconds kCallLimit{12'000};  // a change of the configuration may take ten seconds
constexpr std::chrono::milliseconds kLookLimit{1'000};   // of a member that only asks whether it still is one
constexpr size_t kLooks = 3;
constexpr uint64_t kRetryMinMs = 200, kRetryMaxMs = 2'000;

uint64_t new_identity() {
  std::random_device device;
  const uint64_t identity = uint64_t{device()} << 32 | device();
  return identity == 0 ? 1 : identity;
}

std::string in_quotes(const std::string& text) {
  return "'" + text + "'";
}

// What a member says to a node that wants to be one, or to go on being one.
struct Admission {
  ClusterConfig config;
  NodeIndex self;
};

std::string join_request(const EnrollOptions& options, const NodeInfo& node) {
  Json info = {{"name", node.name},
               {"region", node.region},
               {"zone", node.zone},
               {"capacity_thousandths", static_cast<uint64_t>(std::llround(node.capacity * 1000))},
               {"identity", node.identity}};
  for (auto [name, address] :
       {std::pair("rpc", &node.rpc), std::pair("resp", &node.resp), std::pair("http", &node.http)}) {
    info[std::string(name) + "_host"] = address->host;
    info[std::string(name) + "_port"] = address->port;
  }
  std::string out;
  Json::to_msgpack({{"op", "join"},
                    {"cluster", options.cluster},
                    {"node", info},
                    {"replace", options.replace},
                    {"replace_dead", options.replace_dead}},
                   out);
  return out;
}

Result<Admission> ask(const EnrollOptions& options, const NodeInfo& node, const Address& address,
                      std::chrono::milliseconds limit) {
  auto answer = call_node(address, options.cluster, "admin", join_request(options, node),
                          std::chrono::steady_clock::now() + limit);
  if (!answer.ok()) return answer.status();
  const Json document = Json::from_msgpack(*answer, true, false);
  const auto bytes = document.find("config");
  const auto index = document.find("index");
  if (!document.is_object() || bytes == document.end() || !bytes->is_binary() || index == document.end() ||
      !index->is_number_unsigned()) {
    return Status::Corruption("the answer of " + address.to_string() + " does not decode");
  }
  auto config = decode_config({reinterpret_cast<const char*>(bytes->get_binary().data()), bytes->get_binary().size()});
  if (!config.ok()) return config.status();
  const auto self = index->get<uint64_t>();
  if (self >= config->nodes.size()) return Status::Corruption("the answer names a node that is not there");
  return Admission{*std::move(config), static_cast<NodeIndex>(self)};
}

// Whether asking somebody else, or again, may help.
bool may_retry(const Status& status) {
  return status.code() == Code::kIo || status.code() == Code::kUnavailable || status.code() == Code::kUnknownOutcome ||
         status.code() == Code::kOverloaded || status.code() == Code::kShuttingDown;
}

Result<Enrollment> from_state(NodeState state, const std::string& data_dir) {
  auto config = decode_config(state.config);
  if (!config.ok() || state.self >= config->nodes.size()) {
    return Status::Corruption(data_dir + "/MEMBER holds a configuration that does not decode");
  }
  const NodeInfo& me = config->nodes[state.self];
  if (me.removed()) {
    return Status::InvalidArgument("node " + in_quotes(me.name) + " was removed from cluster " +
                                   in_quotes(config->name) + ": " + data_dir + " can be deleted");
  }
  Enrollment result;
  result.wanted = me;
  result.self = state.self;
  result.config = *std::move(config);
  result.state = std::move(state);
  ++result.state.starts;
  return result;
}

// Of what a command line says of a node, the parts that were given.
void take_given(const EnrollOptions& options, NodeInfo& wanted) {
  const NodeInfo& given = options.node;
  if (options.has_zone) wanted.zone = given.zone;
  if (options.has_capacity) wanted.capacity = given.capacity;
  for (auto [from, to] : {std::pair(&given.rpc, &wanted.rpc), std::pair(&given.resp, &wanted.resp),
                          std::pair(&given.http, &wanted.http)}) {
    if (!from->host.empty()) *to = *from;
  }
}

// A member starts again: the others may know better, and should know its addresses before they look for it.
Status look_around(const EnrollOptions& options, Enrollment& enrollment) {
  std::vector<Address> ask_whom = options.join;
  for (NodeIndex n = 0; n < enrollment.config.nodes.size(); ++n) {
    const NodeInfo& info = enrollment.config.nodes[n];
    if (n != enrollment.self && !info.removed()) ask_whom.push_back(info.rpc);
  }
  if (ask_whom.size() > kLooks) ask_whom.resize(kLooks);
  for (const Address& address : ask_whom) {
    EnrollOptions look = options;
    look.cluster = enrollment.config.name;
    auto admission = ask(look, enrollment.wanted, address, kLookLimit);
    if (admission.ok()) {
      if (admission->config.epoch > enrollment.config.epoch && admission->self == enrollment.self) {
        enrollment.config = std::move(admission->config);
      }
      return Status::Ok();
    }
    if (!may_retry(admission.status())) return admission.status();
  }
  return Status::Ok();  // nobody is there: it may be the first one to come back
}

Result<Enrollment> restart(const EnrollOptions& options, NodeState state) {
  auto enrollment = from_state(std::move(state), options.data_dir);
  if (!enrollment.ok()) return enrollment.status();
  const NodeInfo& me = enrollment->config.nodes[enrollment->self];
  const std::string& cluster = enrollment->config.name;
  if ((!options.node.name.empty() && options.node.name != me.name) ||
      (!options.cluster.empty() && options.cluster != cluster) ||
      (!options.node.region.empty() && options.node.region != me.region)) {
    return Status::InvalidArgument(options.data_dir + " belongs to node " + in_quotes(me.name) + " of region " +
                                   in_quotes(me.region) + " in cluster " + in_quotes(cluster) +
                                   ", which is not what the command line says");
  }
  take_given(options, enrollment->wanted);
  enrollment->seeds = options.join;
  RETURN_IF_ERROR(look_around(options, *enrollment));
  return enrollment;
}

Result<Enrollment> bootstrap(const EnrollOptions& options, NodeState state) {
  auto config = new_cluster(options.cluster, options.partitions, options.stripes, options.node);
  if (!config.ok()) return config.status();
  Enrollment result;
  config->nodes[0].identity = state.identity;
  config->nodes[0].lives = 1;
  result.wanted = config->nodes[0];
  result.self = 0;
  state.self = 0;
  result.config = *std::move(config);
  state.config = encode_config(result.config);
  // It must not begin once more, and with another identity, after a crash.
  RETURN_IF_ERROR(write_node_state(options.data_dir, state));
  ++state.starts;
  result.state = std::move(state);
  return result;
}

Result<Enrollment> join(const EnrollOptions& options, NodeState state) {
  NodeInfo node = options.node;
  node.identity = state.identity;
  RETURN_IF_ERROR(write_node_state(options.data_dir, state));  // who asks again must be who has asked
  std::string last;
  for (uint64_t round = 0;; ++round) {
    for (const Address& address : options.join) {
      auto admission = ask(options, node, address, kCallLimit);
      if (admission.ok()) {
        Enrollment result;
        result.wanted = node;
        result.self = state.self = admission->self;
        result.config = std::move(admission->config);
        state.config = encode_config(result.config);
        RETURN_IF_ERROR(write_node_state(options.data_dir, state));
        ++state.starts;
        result.state = std::move(state);
        return result;
      }
      if (!may_retry(admission.status())) return admission.status();
      const std::string reason = address.to_string() + ": " + admission.status().message();
      if (reason != last) logs::warning("cannot join yet", {{"reason", reason}});
      last = reason;
    }
    if (!options.wait(std::min(kRetryMinMs << std::min<uint64_t>(round, 8), kRetryMaxMs))) {
      return Status(Code::kShuttingDown, "stopped while it was trying to join");
    }
  }
}

}  // namespace

Result<Enrollment> enroll_from_file(const ClusterConfig& file, const std::string& name, const std::string& data_dir) {
  auto found = read_node_state(data_dir);
  if (!found.ok()) return found.status();
  const NodeInfo& mine = file.nodes[file.node(name)];
  Enrollment result;
  if (*found && !(*found)->config.empty()) {
    auto known = from_state(**std::move(found), data_dir);
    if (!known.ok()) return known.status();
    result = *std::move(known);
    const NodeInfo& me = result.config.nodes[result.self];
    if (me.name != name || result.config.name != file.name) {
      return Status::InvalidArgument(data_dir + " belongs to node " + in_quotes(me.name) + " of cluster " +
                                     in_quotes(result.config.name) + ", not to " + in_quotes(name) + " of " +
                                     in_quotes(file.name));
    }
  } else {
    result.config = file;
    result.self = file.node(name);
    if (*found) result.state = **std::move(found);
    if (result.state.identity == 0) result.state.identity = new_identity();
    result.state.self = result.self;
    ++result.state.starts;
    result.wanted = mine;
  }
  result.wanted.rpc = mine.rpc;
  result.wanted.resp = mine.resp;
  result.wanted.http = mine.http;
  result.file_addresses.resize(result.config.nodes.size());
  for (NodeIndex n = 0; n < result.config.nodes.size(); ++n) {
    const NodeIndex there = file.node(result.config.nodes[n].name);
    if (there != kNoNode && !result.config.nodes[n].removed()) result.file_addresses[n] = file.nodes[there].rpc;
  }
  return result;
}

Result<Enrollment> enroll(const EnrollOptions& options) {
  auto found = read_node_state(options.data_dir);
  if (!found.ok()) return found.status();
  NodeState state;
  if (*found) state = **std::move(found);
  if (!state.config.empty()) return restart(options, std::move(state));
  if (state.identity == 0) state.identity = new_identity();
  if (!options.bootstrap && options.join.empty()) {
    return Status::InvalidArgument(options.data_dir +
                                   " belongs to no member yet: give --join HOST:PORT of a member, --bootstrap for the "
                                   "first node of a new cluster, or --cluster-file");
  }
  if (options.cluster.empty() || options.node.name.empty() || options.node.region.empty() ||
      options.node.rpc.host.empty()) {
    return Status::InvalidArgument("a new member needs --cluster, --name, --region and --rpc");
  }
  return options.bootstrap ? bootstrap(options, std::move(state)) : join(options, std::move(state));
}

}  // namespace cartwheel::node
