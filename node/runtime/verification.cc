#include "node/runtime/verification.h"

#include <algorithm>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/limits.h"
#include "node/core/partition_tree.h"

namespace cartwheel::node {

namespace {

using Json = nlohmann::ordered_json;

std::string packed(const Json& document) {
  std::string out;
  Json::to_msgpack(document, out);
  return out;
}

std::string op_of(const Json& request) {
  const auto it = request.find("op");
  return it != request.end() && it->is_string() ? it->get<std::string>() : "";
}

// A number of the request up to `most`, or nothing.
std::optional<uint64_t> number_of(const Json& request, const char* name, uint64_t most) {
  const auto it = request.find(name);
  if (it == request.end() || !it->is_number_unsigned() || it->get<uint64_t>() > most) return std::nullopt;
  return it->get<uint64_t>();
}

std::optional<bool> boolean_of(const Json& request, const char* name) {
  const auto it = request.find(name);
  return it != request.end() && it->is_boolean() ? std::optional(it->get<bool>()) : std::nullopt;
}

// What every answer begins with. REQUIRES: on the shard's thread.
Json head(Shard& shard) {
  const ClusterConfig& config = shard.config();
  const NodeInfo& self = config.nodes[shard.node().self];
  return {{"node", self.name}, {"region", self.region}, {"epoch", config.epoch}};
}

// Has every shard do `visit` for each of its stripes, on its own thread and one after the other, then calls `end` here.
template <typename State>
void gather(Shard& shard, std::shared_ptr<State> state, std::function<void(State&, Stripe&, Now)> visit,
            std::function<void(State&)> end) {
  struct Round {
    std::mutex mutex;
    size_t missing;
  };
  auto round = std::make_shared<Round>();
  round->missing = shard.node().shards.size();
  for (auto& each : shard.node().shards) {
    each->post([&shard, round, state, visit, end, at = each.get()] {
      const std::lock_guard lock(round->mutex);
      at->for_each_stripe([&](Stripe& stripe) { visit(*state, stripe, at->now()); });
      if (--round->missing == 0) shard.post([state, end] { end(*state); });
    });
  }
}

void answer_digests(Shard& shard, const AdminDone& done) {
  using Rows = std::vector<PartitionDigest>;
  gather<Rows>(
      shard, std::make_shared<Rows>(),
      [](Rows& rows, Stripe& stripe, Now) {
        for (const PartitionDigest& digest : stripe.partition_digests()) rows.push_back(digest);
      },
      [&shard, done](Rows& rows) {
        Json document = head(shard);
        Json& list = document["partitions"] = Json::array();
        for (const PartitionDigest& row : rows) {
          list.push_back(
              Json::array({row.partition.keyspace, row.partition.arc, row.ready, row.clock, row.tree, row.keys}));
        }
        done({}, packed(document));
      });
}

// What is asked of the repair, and about which part of it.
struct RepairRequest {
  bool begin = false, accept_losses = false;
  std::optional<bool> pause;
  std::optional<uint16_t> keyspace;
  std::optional<size_t> region;
};

void answer_repair(Shard& shard, const RepairRequest& request, const AdminDone& done) {
  struct Sum {
    TreeProgress progress;
    StripeStats stats;
  };
  gather<Sum>(
      shard, std::make_shared<Sum>(),
      [request](Sum& sum, Stripe& stripe, Now now) {
        if (request.pause) stripe.pause_repair(*request.pause, now);
        if (request.begin && request.accept_losses) stripe.accept_losses(now);
        if (request.begin) stripe.repair_now(now, request.region);
        const TreeProgress part = stripe.tree_progress(request.keyspace, request.region);
        sum.progress.paused |= part.paused;
        sum.progress.trees += part.trees;
        sum.progress.trees_to_build += part.trees_to_build;
        sum.progress.pairs += part.pairs;
        sum.progress.equal += part.equal;
        sum.progress.never_compared |= part.never_compared;
        sum.progress.oldest = std::min(sum.progress.oldest, part.oldest);
        add(sum.stats, stripe.stats());
      },
      [&shard, done](Sum& sum) {
        Json document = head(shard);
        document["paused"] = sum.progress.paused;
        document["trees"] = sum.progress.trees;
        document["trees_to_build"] = sum.progress.trees_to_build;
        document["pairs"] = sum.progress.pairs;
        document["equal"] = sum.progress.equal;
        if (!sum.progress.never_compared && sum.progress.oldest.ms != INT64_MAX) {
          document["equal_since_ms"] = sum.progress.oldest.ms;
        }
        document["differences"] = sum.stats.tree_differences;
        document["keys_repaired"] = sum.stats.tree_keys_repaired;
        document["leaves_repaired"] = sum.stats.tree_leaves_repaired;
        document["bytes_sent"] = sum.stats.tree_bytes_sent;
        document["rotten_partitions"] = sum.stats.rotten_partitions;
        document["unreadable_scans"] = sum.stats.unreadable_scans;
        document["quarantined"] = sum.stats.quarantined;
        document["alarms"] = sum.stats.alarmed;
        done({}, packed(document));
      });
}

// "buckets" and "bucket_keys" of one partition, by the shard that has it.
void answer_partition(Shard& shard, const Json& request, bool keys, AdminDone done) {
  const ClusterConfig& config = shard.config();
  const auto keyspace = number_of(request, "keyspace", UINT16_MAX);
  const auto arc = number_of(request, "arc", UINT16_MAX);
  const auto bucket = number_of(request, "bucket", PartitionTree::kBuckets - 1);
  if (!keyspace || !arc || *keyspace >= config.keyspaces.size() || *arc >= config.partitions || (keys && !bucket)) {
    return done(Status::InvalidArgument("this asks about a keyspace, an arc or a bucket that there is not"), {});
  }
  const PartitionId id{static_cast<uint16_t>(*keyspace), static_cast<uint32_t>(*arc)};
  const uint32_t stripe = id.arc % config.stripes;
  Shard& at = shard.node().shard_of_stripe(stripe);
  at.post([&shard, &at, stripe, id, keys, bucket, done = std::move(done)] {
    Json document = head(at);
    Status status;
    if (keys) {
      auto found = at.stripe(stripe).bucket_keys(id, static_cast<uint32_t>(*bucket), limits::kVerifiedKeys);
      status = found.status();
      Json& list = document["keys"] = Json::array();
      for (const auto& [key, digest] : found.ok() ? *found : std::vector<std::pair<std::string, uint64_t>>()) {
        list.push_back(Json::array({Json::binary(std::vector<uint8_t>(key.begin(), key.end())), digest}));
      }
    } else {
      auto hashes = at.stripe(stripe).bucket_hashes(id);
      status = hashes.status();
      document["buckets"] = hashes.ok() ? Json(*hashes) : Json::array();
    }
    shard.post([done, status, bytes = packed(document)] { done(status, status.ok() ? bytes : std::string()); });
  });
}

}  // namespace

bool answer_verification(Shard& shard, std::string_view request, AdminDone& done) {
  const Json parsed = Json::from_msgpack(request, true, false);
  if (!parsed.is_object()) return false;
  const std::string op = op_of(parsed);
  if (op == "digests") {
    answer_digests(shard, done);
  } else if (op == "tree_repair") {
    RepairRequest wanted;
    wanted.begin = boolean_of(parsed, "begin").value_or(false);
    wanted.accept_losses = boolean_of(parsed, "accept_losses").value_or(false);
    wanted.pause = boolean_of(parsed, "pause");
    if (const auto keyspace = number_of(parsed, "keyspace", UINT16_MAX))
      wanted.keyspace = static_cast<uint16_t>(*keyspace);
    if (const auto region = parsed.find("region"); region != parsed.end()) {
      const auto& known = shard.config().regions;
      const auto it = std::find(known.begin(), known.end(), region->is_string() ? region->get<std::string>() : "");
      if (it == known.end()) {
        done(Status::InvalidArgument("there is no region " + region->dump()), {});
        return true;
      }
      wanted.region = static_cast<size_t>(it - known.begin());
    }
    answer_repair(shard, wanted, done);
  } else if (op == "buckets" || op == "bucket_keys") {
    answer_partition(shard, parsed, op == "bucket_keys", std::move(done));
  } else {
    return false;
  }
  return true;
}

}  // namespace cartwheel::node
