#include "node/runtime/inspection.h"

#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/limits.h"
#include "node/runtime/explanation.h"

namespace cartwheel::node {

namespace {

using Json = nlohmann::ordered_json;

// Bytes of the request, as text or as binary; nothing if there are none.
std::optional<std::string> bytes_of(const Json& request, const char* name) {
  const auto it = request.find(name);
  if (it == request.end()) return std::nullopt;
  if (it->is_string()) return it->get<std::string>();
  if (!it->is_binary()) return std::nullopt;
  return std::string(it->get_binary().begin(), it->get_binary().end());
}

std::string lag_document(Shard& shard, const std::map<std::pair<NodeIndex, NodeIndex>, OriginLag>& lags) {
  const ClusterConfig& config = shard.config();
  const NodeInfo& self = config.nodes[shard.node().self];
  const auto known = [&](NodeIndex n) { return n < config.nodes.size(); };
  Json views = Json::array();
  for (const auto& [pair, lag] : lags) {
    views.push_back({{"replica", known(lag.replica) ? config.nodes[lag.replica].name : "unknown"},
                     {"region", known(lag.replica) ? config.nodes[lag.replica].region : "unknown"},
                     {"origin", known(lag.origin) ? config.nodes[lag.origin].name : "unknown"},
                     {"origin_region", known(lag.origin) ? config.nodes[lag.origin].region : "unknown"},
                     {"dots", lag.dots},
                     {"seconds", lag.seconds}});
  }
  std::string out;
  Json::to_msgpack(
      Json{{"node", self.name}, {"region", self.region}, {"epoch", config.epoch}, {"missing", std::move(views)}}, out);
  return out;
}

void answer_lag(Shard& shard, AdminDone done) {
  struct Gathering {
    std::mutex mutex;
    std::map<std::pair<NodeIndex, NodeIndex>, OriginLag> lags;
    size_t missing = 0;
    AdminDone done;
  };
  auto gathering = std::make_shared<Gathering>();
  gathering->missing = shard.node().shards.size();
  gathering->done = std::move(done);
  for (auto& each : shard.node().shards) {
    each->post([&shard, gathering, at = each.get()] {
      std::vector<OriginLag> found;
      at->for_each_stripe([&](Stripe& stripe) {
        for (const OriginLag& lag : stripe.origin_lag(at->now())) found.push_back(lag);
      });
      const std::lock_guard lock(gathering->mutex);
      for (const OriginLag& lag : found) {
        auto [it, first] = gathering->lags.try_emplace({lag.replica, lag.origin}, lag);
        if (first) continue;
        it->second.dots += lag.dots;
        it->second.seconds = std::max(it->second.seconds, lag.seconds);
      }
      if (--gathering->missing > 0) return;
      shard.post([&shard, gathering] { gathering->done({}, lag_document(shard, gathering->lags)); });
    });
  }
}

void answer_explain(Shard& shard, const Json& request, AdminDone done) {
  const ClusterConfig& config = shard.config();
  const auto name = bytes_of(request, "keyspace");
  const auto key = bytes_of(request, "key");
  const auto field = bytes_of(request, "field");
  if (!name || !key) return done(Status::InvalidArgument("explain needs a keyspace and a key"), {});
  if (key->empty() || key->size() > limits::kKeyBytes || (field && field->size() > limits::kNameBytes)) {
    return done(Status(Code::kTooLarge, "the key or the field is empty or too long"), {});
  }
  const int keyspace = config.keyspace_named(*name);
  if (keyspace < 0) return done(Status(Code::kNotFound, "there is no keyspace '" + *name + "'"), {});
  const uint32_t arc = arc_of(*key, config.partitions);
  const uint32_t stripe = arc % config.stripes;
  Shard& at = shard.node().shard_of_stripe(stripe);
  at.post([&shard, &at, stripe, arc, keyspace = static_cast<uint16_t>(keyspace), key = *key, field,
           done = std::move(done)] {
    Explanation explanation(at.config());
    const auto summary = at.stripe(stripe).look_at(
        keyspace, key, field,
        [&](std::string_view path, const crdt::Leaf& leaf) { return explanation.add(path, leaf); });
    std::string document;
    if (summary.ok()) {
      document = explanation.document(*summary, at.node().self, arc, !field.has_value(), at.now().wall);
    }
    shard.post([done, status = summary.status(), document = std::move(document)]() mutable {
      done(status, std::move(document));
    });
  });
}

}  // namespace

bool answer_inspection(Shard& shard, std::string_view request, AdminDone& done) {
  const Json parsed = Json::from_msgpack(request, true, false);
  if (!parsed.is_object()) return false;
  const auto op = bytes_of(parsed, "op");
  if (op == "lag") {
    answer_lag(shard, std::move(done));
  } else if (op == "explain") {
    answer_explain(shard, parsed, std::move(done));
  } else {
    return false;
  }
  return true;
}

}  // namespace cartwheel::node
