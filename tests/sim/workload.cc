#include "tests/sim/workload.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace cartwheel::sim {

using node::Expiry;
using node::Level;
using node::Operation;
using node::Verb;

namespace {

Operation operation(Verb verb, std::string key, std::vector<std::string> args = {}, int64_t number = 0) {
  Operation op;
  op.verb = verb;
  op.key = std::move(key);
  op.args = std::move(args);
  op.number = number;
  if (verb == Verb::kSet) op.expiry.kind = Expiry::Kind::kNone;  // as Redis has it
  return op;
}

}  // namespace

Workload::Workload(SimWorld& world, WorkloadOptions options, uint64_t seed)
    : world_(world), options_(std::move(options)), rng_(seed), session_rng_(~seed) {
  if (options_.weights.empty()) options_.weights.assign(kFamilies, 1);
  options_.weights.resize(kFamilies, 0);
  for (uint32_t i = 0; i < options_.clients; ++i) {
    clients_.emplace_back();
    clients_.back().region = i % world.config().regions.size();
    if (session_rng_.chance(options_.tokens)) clients_.back().session = ++last_session_;
  }
}

void Workload::start() {
  active_ = true;
  for (size_t i = 0; i < clients_.size(); ++i) next(i);
}

void Workload::next(size_t client) {
  int64_t pause = 1 + static_cast<int64_t>(rng_.below(static_cast<uint64_t>(2 * options_.think_us)));
  world_.queue().after(pause, [this, client] {
    if (active_) issue(client);
  });
}

node::NodeIndex Workload::pick_node(const Client& client) {
  const auto& nodes = world_.config().nodes;
  size_t region = rng_.chance(options_.other_region) ? rng_.below(world_.config().regions.size()) : client.region;
  std::vector<node::NodeIndex> candidates;
  for (node::NodeIndex n = 0; n < nodes.size(); ++n) {
    if (nodes[n].region == world_.config().regions[region] && !nodes[n].removed()) candidates.push_back(n);
  }
  while (candidates.empty()) {  // everybody has left the region
    auto n = static_cast<node::NodeIndex>(rng_.below(nodes.size()));
    if (!nodes[n].removed()) candidates.push_back(n);
  }
  return candidates[rng_.below(candidates.size())];
}

std::optional<Level> Workload::pick_level() {
  if (!rng_.chance(options_.other_level)) return {};
  static const char* const kLevels[] = {"one", "two", "quorum", "all", "local_one", "local_quorum", "each_quorum"};
  Level level = Level::parse(kLevels[rng_.below(7)]).value();
  level.primaries = options_.primary_level > 0 && rng_.chance(options_.primary_level);
  return level;
}

void Workload::issue(size_t number) {
  Client& client = clients_[number];
  uint64_t sum = 0;
  for (uint32_t weight : options_.weights) sum += weight;
  uint64_t ticket = rng_.below(sum);
  uint32_t family = 0;
  while (ticket >= options_.weights[family]) ticket -= options_.weights[family++];

  uint16_t keyspace = pick_keyspace();
  Operation op;
  switch (family) {
    case kSet:
      op = set_operation();
      break;
    case kCounter:
      op = counter_operation();
      break;
    case kSession:
      keyspace = 0;  // a session's life is tracked in one keyspace
      op = session_operation(client, number);
      break;
    case kCart:
      op = cart_operation();
      break;
    case kString:
      op = string_operation();
      break;
    case kFlag:
      op = flag_operation();
      break;
    default:
      op = arc_wide_operation();
      break;
  }
  Duration timeout =
      Duration::millis(options_.timeout_min_ms + static_cast<int64_t>(rng_.below(rng_.chance(0.2) ? 200 : 3000)));
  node::NodeIndex at = pick_node(client);
  if (client.session != 0 && session_rng_.chance(0.4)) {
    at = static_cast<node::NodeIndex>(session_rng_.below(world_.config().nodes.size()));
    if (world_.config().nodes[at].removed()) at = pick_node(client);
  }
  if (client.session != 0 && !client.last_set.empty() && session_rng_.chance(0.4)) {
    op = operation(Verb::kSetAll, client.last_set);
    keyspace = client.last_keyspace;
  }
  if (op.verb == Verb::kSetAdd || op.verb == Verb::kSetRemove) {
    client.last_set = op.key;
    client.last_keyspace = keyspace;
  }
  ClientSession session = session_of(client, keyspace, op);
  world_.submit(
      at, keyspace, std::move(op), pick_level(), timeout,
      [this, number](const OpRecord& done) {
        learn(clients_[number], done);
        next(number);
      },
      std::move(session));
}

// What the client's token demands, which it carries as text.
ClientSession Workload::session_of(const Client& client, uint16_t keyspace, const Operation& op) {
  if (client.session == 0) return {};
  node::SessionToken token;
  if (!client.token.empty()) {
    auto parsed = node::SessionToken::parse(client.token, world_.config().name);
    CHECK(parsed.ok());
    token = std::move(*parsed);
  }
  auto demand =
      std::make_shared<node::SessionDemand>(token.demand(keyspace, node::arc_of_operation(world_.config(), op)));
  demand->policy = static_cast<node::SessionPolicy>(session_rng_.below(3));
  return {client.session, std::move(demand)};
}

void Workload::learn(Client& client, const OpRecord& done) {
  if (client.session == 0) return;
  if (done.reply.seen != nullptr && done.outcome == Outcome::kOk) {
    node::SessionToken token;
    if (!client.token.empty()) token = *node::SessionToken::parse(client.token, world_.config().name);
    token.add(*done.reply.seen);
    client.token = token.text(world_.config().name);
    CHECK(client.token.size() <= node::kTokenBytes);
  }
  // What it demands may be lost for ever: then it begins anew.
  bool refused = done.reply.status.message().starts_with("session token");
  client.refused = refused ? client.refused + 1 : 0;
  if (client.refused < 4) return;
  client.refused = 0;
  client.token.clear();
  client.session = ++last_session_;
}

std::vector<uint64_t> Workload::probe() {
  std::vector<uint64_t> ids;
  for (node::NodeIndex n = 0; n < world_.config().nodes.size(); ++n) {
    if (world_.config().nodes[n].removed()) continue;
    for (uint16_t keyspace = 0; keyspace < world_.config().keyspaces.size(); ++keyspace) {
      ids.push_back(world_.submit(n, keyspace, operation(Verb::kSetAdd, hot_or_cold("set"), {unique('u')})));
      ids.push_back(world_.submit(n, keyspace, operation(Verb::kSetAll, hot_or_cold("set"))));
    }
  }
  return ids;
}

// Few keys get most of the traffic, so that writes are concurrent; others are touched once or twice.
std::string Workload::hot_or_cold(const std::string& family) {
  return family + ":" + std::to_string(rng_.chance(0.8) ? rng_.below(3) : 3 + rng_.below(40));
}

std::string Workload::value() {
  std::string text = unique('v') + ";";
  if (options_.big_bytes > 0 && rng_.chance(0.3)) text.append(rng_.below(options_.big_bytes), 'x');
  return text;
}

Expiry Workload::expiry_in(int64_t ms) {
  // The low digits are a serial number: an expiry names its operation.
  int64_t at = world_.wall().ms + ms;
  return {Expiry::Kind::kAt, {at - at % 1'000 + static_cast<int64_t>(++serial_ % 1'000)}};
}

std::string Workload::known_element(const std::string& key) {
  auto& known = elements_[key];
  if (known.empty() || rng_.chance(0.1)) return "hot" + std::to_string(rng_.below(4));
  return known[known.size() - 1 - rng_.below(std::min<size_t>(known.size(), 12))];
}

Operation Workload::set_operation() {
  std::string key = hot_or_cold("set");
  uint64_t dice = rng_.below(10);
  if (dice < 4) {
    std::vector<std::string> elements{unique('u')};
    elements_[key].push_back(elements[0]);
    if (rng_.chance(0.3)) elements.push_back("hot" + std::to_string(rng_.below(4)));
    return operation(Verb::kSetAdd, key, std::move(elements));
  }
  if (dice < 6) return operation(Verb::kSetRemove, key, {known_element(key)});
  if (dice < 9) return operation(Verb::kSetAll, key);
  if (rng_.chance(0.5)) return operation(Verb::kSetHas, key, {known_element(key), "hot1"});
  return operation(Verb::kSetSize, key);
}

Operation Workload::counter_operation() {
  std::string key = hot_or_cold("counter");
  if (rng_.chance(0.3)) return operation(Verb::kGet, key);
  int64_t amount = static_cast<int64_t>(++serial_);
  return operation(Verb::kIncrement, key, {}, rng_.chance(0.2) ? -amount : amount);
}

Operation Workload::session_operation(Client& client, size_t number) {
  std::string key;
  if (client.sessions.empty() || rng_.chance(0.2)) {
    key = "session:" + std::to_string(number) + ":" + std::to_string(++serial_);
    client.sessions[key] = 0;
  } else {
    auto it = client.sessions.begin();
    std::advance(it, static_cast<int64_t>(rng_.below(client.sessions.size())));
    key = it->first;
  }
  if (client.sessions[key] != 0 && rng_.chance(0.5)) return operation(Verb::kGet, key);
  bool create = client.sessions[key] == 0 || rng_.chance(0.1);
  Expiry expiry = expiry_in(1'000 + static_cast<int64_t>(rng_.below(static_cast<uint64_t>(2 * options_.ttl_ms))));
  if (!create && rng_.chance(0.3)) expiry.at.ms += 36'000'000;  // "remember me": outlives any cut and any grace
  expiry.at.ms = std::max(expiry.at.ms, client.sessions[key] + 1 + static_cast<int64_t>(rng_.below(50)));
  client.sessions[key] = expiry.at.ms;
  Operation op = create ? operation(Verb::kSet, key, {value()}) : operation(Verb::kExpire, key);
  op.expiry = expiry;
  return op;
}

Operation Workload::cart_operation() {
  std::string key = hot_or_cold("cart");
  uint64_t dice = rng_.below(20);
  std::string field = rng_.chance(0.6) ? "item" + std::to_string(rng_.below(4)) : known_element(key);
  if (dice < 6) {
    std::vector<std::string> args{field, value()};
    if (rng_.chance(0.3)) {
      args.push_back(unique('f'));
      elements_[key].push_back(args.back());
      args.push_back(value());
    }
    return operation(Verb::kMapSet, key, std::move(args));
  }
  if (dice < 9)
    return operation(Verb::kMapIncrement, key, {"count" + std::to_string(rng_.below(3))},
                     static_cast<int64_t>(++serial_));
  if (dice < 11) return operation(Verb::kMapRemove, key, {field});
  if (dice < 12) return operation(Verb::kMapRemove, key, {"count" + std::to_string(rng_.below(3)), field});
  if (dice < 13) return operation(Verb::kDelete, key);
  if (dice < 16) return operation(Verb::kMapAll, key);
  if (dice < 17) return operation(Verb::kMapGet, key, {field, "count0"});
  if (dice < 18) return operation(Verb::kMapLength, key);
  if (dice < 19) return operation(Verb::kMapKeys, key);
  Operation scan = operation(Verb::kMapScan, key, {""});
  scan.count = 10;
  return scan;
}

// Strings as Redis has them, with everything that may happen to one, and other types' verbs on the same keys.
Operation Workload::string_operation() {
  std::string key = hot_or_cold("string");
  uint64_t dice = rng_.below(24);
  int64_t ttl = 1 + static_cast<int64_t>(rng_.below(static_cast<uint64_t>(options_.ttl_ms)));
  if (dice < 6) {
    Operation op = operation(Verb::kSet, key, {rng_.chance(0.3) ? std::to_string(rng_.below(1000)) : value()});
    op.want_old = rng_.chance(0.2);
    if (rng_.chance(0.4))
      op.expiry = expiry_in(ttl);
    else if (rng_.chance(0.3))
      op.expiry.kind = Expiry::Kind::kKeep;
    return op;
  }
  if (dice < 10) return operation(Verb::kIncrement, key, {}, static_cast<int64_t>(++serial_));
  if (dice < 12) return operation(Verb::kDelete, key);
  if (dice < 13) return operation(Verb::kGetDelete, key);
  if (dice < 15) {
    Operation op = operation(dice < 14 ? Verb::kExpire : Verb::kGetExpire, key);
    op.expiry = rng_.chance(0.3) ? Expiry{Expiry::Kind::kNone, {}} : expiry_in(ttl);
    return op;
  }
  if (dice < 16) return operation(Verb::kSetAdd, key, {unique('u')});
  if (dice < 17) return operation(Verb::kMapSet, key, {"field", value()});
  if (dice < 18) return operation(Verb::kType, key);
  if (dice < 19) return operation(Verb::kTtl, key);
  if (dice < 20) return operation(Verb::kExists, key);
  return operation(Verb::kGet, key);
}

Operation Workload::flag_operation() {
  bool enable_wins = rng_.chance(0.5);
  std::string key = hot_or_cold(enable_wins ? "flag-ew" : "flag-dw");
  if (rng_.chance(0.4)) return operation(Verb::kFlagGet, key);
  if (rng_.chance(0.1)) return operation(Verb::kDelete, key);
  return operation(Verb::kFlagSet, key, {enable_wins ? "ew" : "dw"}, static_cast<int64_t>(rng_.below(2)));
}

Operation Workload::arc_wide_operation() {
  if (rng_.chance(0.3)) {
    return operation(Verb::kCountKeys, "", {}, static_cast<int64_t>(rng_.below(world_.config().partitions)));
  }
  Operation scan = operation(Verb::kScanKeys, "", {"", ""}, static_cast<int64_t>(rng_.below(1ull << 52)));
  scan.count = 1 + static_cast<uint32_t>(rng_.below(20));
  return scan;
}

}  // namespace cartwheel::sim
