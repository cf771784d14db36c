#include "node/runtime/admin.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "node/core/cluster_codec.h"
#include "node/runtime/cluster_document.h"
#include "node/runtime/setting_text.h"

namespace cartwheel::node {

namespace {

using Json = nlohmann::ordered_json;

constexpr Duration kReportWait = Duration::seconds(1);  // for nodes that do not answer
constexpr Duration kChangeTimeout = Duration::seconds(10);

// A text of the request, or "".
std::string text(const Json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}
bool flag(const Json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_boolean() && it->get<bool>();
}
uint64_t number(const Json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_number_unsigned() ? it->get<uint64_t>() : 0;
}

std::string packed(const Json& document) {
  std::string out;
  Json::to_msgpack(document, out);
  return out;
}

Result<Address> address_of(const Json& node, const char* name) {
  const std::string host = text(node, (std::string(name) + "_host").c_str());
  const uint64_t port = number(node, (std::string(name) + "_port").c_str());
  if (port > UINT16_MAX || host.size() > 255) {
    return Status::InvalidArgument(std::string("the address '") + name + "' of the joining node is out of range");
  }
  return Address{host, static_cast<uint16_t>(port)};
}

Result<NodeInfo> node_of(const Json& request) {
  const auto it = request.find("node");
  if (it == request.end() || !it->is_object()) return Status::InvalidArgument("a join without 'node'");
  NodeInfo info;
  info.name = text(*it, "name");
  info.region = text(*it, "region");
  info.zone = text(*it, "zone");
  info.capacity = static_cast<double>(number(*it, "capacity_thousandths")) / 1000;
  info.identity = number(*it, "identity");
  if (info.identity == 0) return Status::InvalidArgument("a join without an identity");
  for (auto [field, name] :
       {std::pair(&info.rpc, "rpc"), std::pair(&info.resp, "resp"), std::pair(&info.http, "http")}) {
    auto address = address_of(*it, name);
    if (!address.ok()) return address.status();
    *field = *address;
  }
  return info;
}

// The node of this data directory, or kNoNode.
NodeIndex known(const ClusterConfig& config, uint64_t identity) {
  for (NodeIndex n = 0; n < config.nodes.size(); ++n) {
    if (config.nodes[n].identity == identity) return n;
  }
  return kNoNode;
}

// Takes from the request what it says of a keyspace; what it does not name stays.
Status take_fields(const Json& request, Keyspace& keyspace) {
  if (const auto it = request.find("select"); it != request.end()) {
    if (!it->is_number_unsigned() || it->get<uint64_t>() > INT32_MAX) {
      return Status::InvalidArgument("select is a number from 0 on");
    }
    keyspace.select = it->get<int>();
  }
  if (const auto it = request.find("replicas"); it != request.end()) {
    keyspace.replicas.clear();
    if (!it->is_object()) return Status::InvalidArgument("replicas is a map from regions to numbers");
    for (const auto& [region, copies] : it->items()) {
      if (!copies.is_number_unsigned() || copies.get<uint64_t>() > 1000) {
        return Status::InvalidArgument("the replicas of region '" + region + "' are no number up to 1000");
      }
      keyspace.replicas[region] = copies.get<uint32_t>();
    }
  }
  for (auto [name, level] : {std::pair("read", &keyspace.read), std::pair("write", &keyspace.write)}) {
    if (request.find(name) == request.end()) continue;
    auto parsed = Level::parse(text(request, name));
    if (!parsed.ok()) return parsed.status();
    *level = *parsed;
  }
  if (request.find("default_ttl") != request.end()) {
    const auto ms = parse_duration(text(request, "default_ttl"));
    if (!ms) return Status::InvalidArgument("default_ttl is a number and one of ms, s, m, h, d");
    keyspace.default_ttl_ms = *ms;
  }
  if (const std::string durability = text(request, "durability"); !durability.empty()) {
    if (durability != "os" && durability != "always") {
      return Status::InvalidArgument("durability is 'os' or 'always', not '" + durability + "'");
    }
    keyspace.durability = durability == "always" ? Keyspace::Durability::kAlways : Keyspace::Durability::kOs;
  }
  if (const std::string fallbacks = text(request, "fallbacks"); !fallbacks.empty()) {
    if (fallbacks != "on" && fallbacks != "off") {
      return Status::InvalidArgument("fallbacks is 'on' or 'off', not '" + fallbacks + "'");
    }
    keyspace.fallbacks = fallbacks == "on";
  }
  if (const std::string kind = text(request, "kind"); !kind.empty()) keyspace.kind = kind;
  return Status::Ok();
}

Status create_from(const Json& request, ClusterConfig& config) {
  Keyspace keyspace;
  keyspace.name = text(request, "name");
  RETURN_IF_ERROR(take_fields(request, keyspace));
  return create_keyspace(config, std::move(keyspace));
}

Status alter_by(const Json& request, ClusterConfig& config) {
  const std::string name = text(request, "name");
  const int index = config.keyspace_named(name);
  if (index < 0) return {Code::kNotFound, "there is no keyspace '" + name + "'"};
  Keyspace keyspace = config.keyspaces[static_cast<size_t>(index)];
  RETURN_IF_ERROR(take_fields(request, keyspace));
  return alter_keyspace(config, keyspace);
}

void change(AdminHost& host, Membership::Edit edit, bool repeatable, AdminDone done) {
  host.membership().change(
      std::move(edit), repeatable, kChangeTimeout,
      [done = std::move(done)](const Status& status, const Membership::ConfigPtr& config) {
        done(status, status.ok() ? packed({{"epoch", config->epoch}}) : std::string());
      },
      host.now());
}

// A node wants to be a member, or is one and starts again: perhaps with other addresses.
void answer_join(AdminHost& host, const Json& parsed, AdminDone done) {
  const ClusterConfig& config = *host.membership().config();
  auto wanted = node_of(parsed);
  if (!wanted.ok()) return done(wanted.status(), {});
  if (const std::string cluster = text(parsed, "cluster"); cluster != config.name) {
    return done(Status::InvalidArgument("this is cluster '" + config.name + "', not '" + cluster + "'"), {});
  }
  std::string dead = text(parsed, "replace");
  if (dead.empty() && flag(parsed, "replace_dead") && config.node(wanted->name) != kNoNode) dead = wanted->name;
  const bool member = known(config, wanted->identity) != kNoNode;
  if (!dead.empty() && !member) {
    const NodeIndex old = config.node(dead);
    if (old != kNoNode && host.view_of(old).alive) {
      return done(Status::InvalidArgument("node '" + dead + "' is alive: only a dead node can be replaced"), {});
    }
  }
  Membership::Edit edit = [info = *wanted, dead](ClusterConfig& next) -> Status {
    NodeIndex index = known(next, info.identity);
    if (index == kNoNode && !dead.empty()) return replace(next, dead, info, &index);
    const uint64_t epoch = next.epoch;
    RETURN_IF_ERROR(node::join(next, info, &index));
    return next.epoch == epoch ? update_node(next, index, info) : Status::Ok();
  };
  host.membership().change(
      std::move(edit), /*repeatable=*/true, kChangeTimeout,
      [identity = wanted->identity, done = std::move(done)](const Status& status, const Membership::ConfigPtr& now) {
        if (!status.ok()) return done(status, {});
        const std::string bytes = encode_config(*now);
        done(status,
             packed({{"index", known(*now, identity)}, {"config", Json::binary({bytes.begin(), bytes.end()})}}));
      },
      host.now());
}

}  // namespace

void Admin::on_request(std::string_view request, AdminDone done) {
  const Json parsed = Json::from_msgpack(request, true, false);
  if (!parsed.is_object()) return done(Status::InvalidArgument("an admin request is a map"), {});
  const std::string op = text(parsed, "op");
  const std::string node = text(parsed, "node");
  if (op == "describe") {
    describing_.push_back({host_.now(), std::move(done)});
    host_.membership().ask_reports(host_.now());
  } else if (op == "join") {
    answer_join(host_, parsed, std::move(done));
  } else if (op == "leave") {
    const bool dead = flag(parsed, "dead");
    const NodeIndex index = host_.membership().config()->node(node);
    if (dead && index != kNoNode && host_.view_of(index).alive) {
      return done(Status::InvalidArgument("node '" + node + "' is alive: it can leave by 'cartwheel decommission'"),
                  {});
    }
    change(
        host_, [node, dead](ClusterConfig& config) { return leave(config, node, dead); }, false, std::move(done));
  } else if (op == "rebalance") {
    change(host_, rebalance, false, std::move(done));
  } else if (op == "cancel") {
    change(host_, cancel, false, std::move(done));
  } else if (op == "keyspace-create") {
    change(
        host_, [parsed](ClusterConfig& config) { return create_from(parsed, config); }, false, std::move(done));
  } else if (op == "keyspace-alter") {
    change(
        host_, [parsed](ClusterConfig& config) { return alter_by(parsed, config); }, false, std::move(done));
  } else if (op == "keyspace-drop") {
    change(
        host_, [name = text(parsed, "name")](ClusterConfig& config) { return drop_keyspace(config, name); }, false,
        std::move(done));
  } else {
    done(Status(Code::kUnsupported, "this version has no admin request '" + op + "'"), {});
  }
}

void Admin::tick() {
  if (describing_.empty()) return;
  const Membership& membership = host_.membership();
  const Instant now = host_.now();
  describing_.remove_if([&](const Describing& waiting) {
    bool all = true;
    for (NodeIndex n = 0; n < membership.config()->nodes.size(); ++n) {
      if (n != host_.self() && (!membership.is_up(n) || membership.config()->nodes[n].removed())) continue;
      const auto report = membership.reports().find(n);
      all = all && report != membership.reports().end() && report->second.first >= waiting.since;
    }
    if (!all && now - waiting.since < kReportWait) return false;
    waiting.done({}, cluster_document(host_));
    return true;
  });
}

}  // namespace cartwheel::node
