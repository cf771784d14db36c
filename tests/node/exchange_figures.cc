// What the return of a node that was away beyond the log costs: `exchange_figures KEYS PERMILLE [PARTITIONS]` makes so
// many keys on two nodes, cuts one off while so many of a thousand are written anew, and prints the bytes of the full
// exchanges by hash trees with which they come back, both directions; and beside it those of a whole exchange of the
// same partitions, to a wiped node. As a test it runs small, and fails beyond the bounds of docs/benchmarks.md.
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "base/rng.h"
#include "node/core/message.h"
#include "tests/node/stripe_cluster.h"

using namespace cartwheel;
using namespace cartwheel::node;

namespace {

Operation set(uint64_t i, char fill) {
  Operation operation;
  operation.verb = Verb::kSet;
  operation.key = "session:" + std::to_string(i);
  operation.args = {std::string(100, fill)};
  operation.expiry.kind = Expiry::Kind::kNone;
  return operation;
}

struct Cost {
  uint64_t bytes = 0, rows_bytes = 0, buckets = 0, keys = 0;
  double processor = 0;
};

// Runs until node 1 has all, and tells what that took.
Cost come_back(StripeCluster& cluster) {
  Cost cost;
  cluster.on_message = [&](NodeIndex, const Output::Message& m) {
    const auto type = message_type(m.bytes);
    if (type == MessageType::kExchangeReply) {
      auto reply = ExchangeReplyMessage::decode(m.bytes);
      for (const auto& row : reply->rows) cost.rows_bytes += row.key.size() + row.path.size() + row.leaf.size();
    }
    if (type == MessageType::kExchange || type == MessageType::kExchangeReply) cost.bytes += m.bytes.size();
  };
  const std::clock_t begin = std::clock();
  auto behind = [&] {
    for (uint32_t arc = 0; arc < cluster.config().partitions; ++arc) {
      if (!cluster[1].clock(0, arc).covers(cluster[0].clock(0, arc))) return true;
    }
    return false;
  };
  for (int i = 0; i < 100'000 && behind(); ++i) cluster.run(Duration::millis(10));
  CHECK(!behind());
  cost.processor = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
  cost.buckets = cluster[1].stats().full_exchange_buckets;
  cost.keys = cluster[1].stats().full_exchange_objects;
  cluster.on_message = nullptr;
  return cost;
}

// How much of a whole exchange one by trees takes.
double measure(uint64_t keys, uint64_t permille, uint32_t partitions) {
  StripeOptions options;
  options.cache_bytes = 64 << 20;
  options.log_entries = 1;
  options.tree_interval = Duration::seconds(100'000);  // not a part of it
  StripeCluster cluster({2}, "one", options, partitions);
  for (uint64_t i = 0; i < keys; ++i) CHECK(cluster.call(0, set(i, 'v')).status.ok());
  cluster.run(Duration::seconds(2));
  for (int i = 0; i < 100'000 && cluster[1].tree_progress().trees_to_build > 0; ++i) cluster.run(Duration::millis(10));
  cluster.cut(0, 1);
  cluster.run(Duration::seconds(3));
  Rng rng(1);
  const uint64_t changes = std::max<uint64_t>(1, keys * permille / 1000);
  std::set<uint64_t> changed;
  while (changed.size() < changes) changed.insert(rng.below(keys));
  for (uint64_t i : changed) CHECK(cluster.call(0, set(i, 'w')).status.ok());
  cluster.cut(0, 1, false);
  const Cost trees = come_back(cluster);
  CHECK(cluster.converged());
  CHECK(cluster[1].stats().full_exchanges_by_trees == cluster[1].stats().full_exchanges);
  cluster.wipe(1);
  cluster.run(Duration::seconds(3));
  cluster.boot(1);
  const Cost whole = come_back(cluster);
  CHECK(cluster.converged());
  const double share = static_cast<double>(trees.bytes) / static_cast<double>(whole.bytes);
  std::printf(
      "%llu keys in %u partitions, %llu changed: %llu bytes by trees (%llu of rows; %llu buckets, %llu keys, %.2f s of "
      "processor), %llu bytes whole (%.2f s): %.4f\n",
      static_cast<unsigned long long>(keys), partitions, static_cast<unsigned long long>(changes),
      static_cast<unsigned long long>(trees.bytes), static_cast<unsigned long long>(trees.rows_bytes),
      static_cast<unsigned long long>(trees.buckets), static_cast<unsigned long long>(trees.keys), trees.processor,
      static_cast<unsigned long long>(whole.bytes), whole.processor, share);
  return share;
}

}  // namespace

int main(int argc, char** argv) {
  auto argument = [&](int i, uint64_t otherwise) { return argc > i ? std::strtoull(argv[i], nullptr, 10) : otherwise; };
  if (argc > 1) return measure(argument(1, 0), argument(2, 10), static_cast<uint32_t>(argument(3, 64))) < 1 ? 0 : 1;
  const bool good = measure(20'000, 10, 16) <= 0.12 && measure(20'000, 100, 16) <= 0.35;
  if (!good) std::printf("FAILED: beyond the bounds\n");
  return good ? 0 : 1;
}
