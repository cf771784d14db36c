// What the tree exchange costs, in a cluster of two in one process: `tree_figures KEYS DIFFERENCES [PARTITIONS
// [LOSER]]` makes so many keys on two nodes, takes DIFFERENCES of them away at one of them (0, which asks, or 1, which
// is asked), and prints the bytes and the processor time with which they are found and come back; and beside it what it
// takes to stream as many keys to a wiped node by full exchange. As a test it runs small, and fails beyond the bounds
// of docs/benchmarks.md.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>

#include "base/hash.h"
#include "base/rng.h"
#include "tests/node/stripe_cluster.h"

using namespace cartwheel;
using namespace cartwheel::node;

namespace {

constexpr double kBytesPerDifference = 1500;  // beside keys and values

std::string key_of(uint64_t i) {
  return "session:" + std::to_string(i);
}

uint64_t bytes_sent(StripeCluster& cluster) {
  return cluster[0].stats().tree_bytes_sent + cluster[1].stats().tree_bytes_sent;
}

void fill(StripeCluster& cluster, uint64_t keys) {
  const std::string value(100, 'v');
  for (uint64_t i = 0; i < keys; ++i) {
    Operation set;
    set.verb = Verb::kSet;
    set.key = key_of(i);
    set.args = {value};
    set.expiry.kind = Expiry::Kind::kNone;
    CHECK(cluster.call(0, std::move(set)).status.ok());
  }
  cluster.run(Duration::seconds(2));
}

struct Took {
  double processor;  // seconds of this process
  Duration virtual_time;
};

// Runs until `done`, looking every 10 ms.
Took run_until(StripeCluster& cluster, const std::function<bool()>& done) {
  const std::clock_t begin = std::clock();
  const Instant since = cluster.now().instant;
  for (int i = 0; i < 100'000 && !done(); ++i) cluster.run(Duration::millis(10));
  return {static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC, cluster.now().instant - since};
}

// Of `keys` keys to a node that has nothing, from the start of its life.
Took stream(uint64_t keys, const StripeOptions& options, uint32_t partitions) {
  StripeOptions without_log = options;
  without_log.log_entries = 1;
  StripeCluster cluster({2}, "one", without_log, partitions);
  fill(cluster, keys);
  cluster.wipe(1);
  cluster.boot(1);
  return run_until(cluster, [&] { return cluster[1].stats().keys == keys; });
}

bool all_equal(StripeCluster& cluster) {
  for (NodeIndex n = 0; n < 2; ++n) {
    const TreeProgress progress = cluster[n].tree_progress();
    if (progress.trees_to_build > 0 || progress.equal != progress.pairs) return false;
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  const uint64_t keys = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 20'000;
  const uint64_t differences = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 100;
  const auto partitions = static_cast<uint32_t>(argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 64);
  const NodeIndex loser = argc > 4 && std::strtoul(argv[4], nullptr, 10) == 0 ? 0 : 1;
  StripeOptions options;
  options.cache_bytes = 64 << 20;
  options.sweep_interval = Duration::seconds(24 * 3600);
  StripeCluster cluster({2}, "one", options, partitions);
  fill(cluster, keys);
  cluster.kill(loser);
  Rng rng(1);
  uint64_t lost = 0, row_bytes = 0;
  for (std::set<uint64_t> gone; gone.size() < std::min(differences, keys);) {
    const uint64_t i = rng.below(keys);
    if (!gone.insert(i).second) continue;
    const uint64_t hash = hash64(key_of(i));
    const std::string row =
        header_row(object_base({0, arc_of_hash(hash, cluster.config().partitions)}, hash, key_of(i)));
    std::string stored;
    CHECK(*cluster.engine(loser).get(row, &stored));
    row_bytes += stored.size() + key_of(i).size();
    storage::WriteBatch batch;
    batch.erase(row);
    CHECK(cluster.engine(loser).write(std::move(batch)).ok());
    ++lost;
  }
  cluster.boot(loser);
  const uint64_t before = bytes_sent(cluster);
  // Nothing is compared before all trees are there.
  for (NodeIndex n = 0; n < 2; ++n) cluster[n].pause_repair(true, cluster.now());
  run_until(cluster, [&] { return cluster[loser].tree_progress().trees_to_build == 0; });
  // Nor while a life's first sweep looks at all keys, whether replicas differ or not.
  cluster.run(Duration::seconds(static_cast<int64_t>(2 + keys / 20'000)));
  for (NodeIndex n = 0; n < 2; ++n) {
    cluster[n].pause_repair(false, cluster.now());
    cluster[n].repair_now(cluster.now());
  }
  const Took took = run_until(cluster, [&] { return all_equal(cluster); });
  const uint64_t sent = bytes_sent(cluster) - before;
  const uint64_t repaired = cluster[1].stats().tree_keys_repaired + cluster[0].stats().tree_keys_repaired;
  const double each =
      static_cast<double>(sent - std::min(sent, row_bytes)) / static_cast<double>(std::max<uint64_t>(lost, 1));
  std::printf(
      "%llu keys, %llu lost, %llu repaired: %llu bytes sent, %.0f per difference beside keys and values; %.2f s of "
      "processor, %lld ms of virtual time\n",
      static_cast<unsigned long long>(keys), static_cast<unsigned long long>(lost),
      static_cast<unsigned long long>(repaired), static_cast<unsigned long long>(sent), each, took.processor,
      static_cast<long long>(took.virtual_time.us / 1000));
  const Took streamed = stream(lost, options, partitions);
  std::printf(
      "as many keys by full exchange: %.2f s of processor, %lld ms of virtual time; the trees took %.2f times that\n",
      streamed.processor, static_cast<long long>(streamed.virtual_time.us / 1000), took.processor / streamed.processor);
  // All equal: one more round costs next to nothing.
  const uint64_t idle = bytes_sent(cluster);
  for (NodeIndex n = 0; n < 2; ++n) cluster[n].repair_now(cluster.now());
  cluster.run(Duration::millis(500));
  std::printf("equal: %llu bytes a round\n", static_cast<unsigned long long>(bytes_sent(cluster) - idle));
  const bool good =
      repaired == lost && all_equal(cluster) && each <= kBytesPerDifference && bytes_sent(cluster) - idle <= 128;
  if (!good) std::printf("FAILED: beyond the bounds\n");
  return good ? 0 : 1;
}
