// What the return of a node costs: `catch_up_figures KEYS SECONDS RATE` makes so many keys on three nodes, lets one be
// down for SECONDS while RATE cart edits a second go on, and prints the bytes of catch-up with which it gets what it
// missed, beside the bytes of the deltas themselves. As a test it runs small, with two numbers of keys, and fails
// beyond the bound of docs/benchmarks.md.
#include <cstdio>
#include <cstdlib>

#include "base/rng.h"
#include "node/core/message.h"
#include "tests/node/stripe_cluster.h"

using namespace cartwheel;
using namespace cartwheel::node;

namespace {

constexpr double kBound = 1.2;  // of the deltas

Operation edit(Rng& rng, uint64_t keys) {
  Operation operation;
  operation.verb = Verb::kMapSet;
  operation.key = "cart:" + std::to_string(rng.below(keys));
  operation.args = {"sku-" + std::to_string(100'000 + rng.below(20)), std::to_string(1 + rng.below(9))};
  return operation;
}

// The ratio of what catch-up sent to what was missed.
double measure(uint64_t keys, int seconds, int rate) {
  StripeOptions options;
  options.cache_bytes = 64 << 20;
  StripeCluster cluster({3}, "quorum", options, 64);
  Rng rng(7);
  for (uint64_t i = 0; i < keys; ++i) {
    Operation set = edit(rng, keys);
    set.key = "cart:" + std::to_string(i);
    CHECK(cluster.call(0, std::move(set)).status.ok());
  }
  cluster.run(Duration::seconds(2));
  cluster.kill(2);
  cluster.run(Duration::seconds(3));
  uint64_t missed = 0, deltas = 0, catch_up = 0, rest = 0;
  bool away = true;
  cluster.on_message = [&](NodeIndex, const Output::Message& m) {
    const auto type = message_type(m.bytes);
    if (away && type == MessageType::kWrite && m.to == 1) {
      missed += WriteMessage::decode(m.bytes)->delta.size();
      ++deltas;
    }
    if (away) return;
    if (type == MessageType::kCatchUp || type == MessageType::kCatchUpReply)
      catch_up += m.bytes.size();
    else if (type == MessageType::kExchangeReply)
      rest += m.bytes.size();
  };
  for (int i = 0; i < seconds * 100; ++i) {
    for (int k = 0; k < rate / 100; ++k) CHECK(cluster.call(0, edit(rng, keys)).status.ok());
    cluster.run(Duration::millis(10));
  }
  away = false;
  cluster.boot(2);
  for (int i = 0; i < 10'000 && !cluster.converged(); ++i) cluster.run(Duration::millis(100));
  CHECK(cluster.converged());
  const double ratio = static_cast<double>(catch_up + rest) / static_cast<double>(missed);
  std::printf(
      "%llu keys, %d s away: %llu deltas of %llu bytes missed, %llu bytes of catch-up (%.3f), %llu of full exchange\n",
      static_cast<unsigned long long>(keys), seconds, static_cast<unsigned long long>(deltas),
      static_cast<unsigned long long>(missed), static_cast<unsigned long long>(catch_up), ratio,
      static_cast<unsigned long long>(rest));
  return ratio;
}

}  // namespace

int main(int argc, char** argv) {
  auto argument = [&](int i, int otherwise) { return argc > i ? std::atoi(argv[i]) : otherwise; };
  if (argc > 1)
    return measure(std::strtoull(argv[1], nullptr, 10), argument(2, 60), argument(3, 1000)) <= kBound ? 0 : 1;
  const bool good = measure(1'000, 10, 500) <= kBound && measure(10'000, 10, 500) <= kBound;
  if (!good) std::printf("FAILED: beyond the bound\n");
  return good ? 0 : 1;
}
