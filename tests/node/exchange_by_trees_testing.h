// A cluster of three with one partition and a log of one record: node 2 was away while some was written, and asks for a
// full exchange. What it asks can be held back, so that something happens between its request and the snapshot.
// And histories that need just such a moment; each returns what is wrong, or nothing.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "node/core/message.h"
#include "tests/node/stripe_cluster.h"

namespace cartwheel::node {

inline constexpr NodeIndex kOthers[] = {0, 1};  // than node 2

class ReturnBeyondTheLog {
 public:
  explicit ReturnBeyondTheLog(StripeOptions options = quick()) : cluster({3}, "one", options, 1) {
    cluster.on_message = [this](NodeIndex from, const Output::Message&) { from_ = from; };
    cluster.drop = [this](const Output::Message& m) {
      const auto type = message_type(m.bytes);
      if (holds_ && from_ == 2 && type == MessageType::kExchange && ExchangeMessage::decode(m.bytes)->step == 0) {
        held_ = m;
        return true;
      }
      if (type == MessageType::kExchangeReply) exchange_bytes += m.bytes.size();
      return lose && lose(from_, m.to, *type);
    };
  }
  static StripeOptions quick() {
    StripeOptions options;
    options.log_entries = 1;
    options.tree_interval = Duration::seconds(100'000);  // or it would mend what is looked for
    options.read_repair_bytes_per_second = 1;
    return options;
  }

  // Node 2 is away while `edits` happen. Returns once it asks, which is held back; nobody else can be its source than
  // `source`, if there is one.
  void away(const std::function<void()>& edits, NodeIndex source = kNoNode) {
    for (NodeIndex n : kOthers) cluster.cut(2, n);
    cluster.run(Duration::seconds(3));
    edits();
    holds_ = true;
    for (NodeIndex n : kOthers) {
      if (source == kNoNode || n == source) cluster.cut(2, n, false);
    }
    for (int i = 0; held_.bytes.empty() && i < 1000; ++i) cluster.run(Duration::millis(10));
    CHECK(!held_.bytes.empty());
  }
  NodeIndex source() const { return held_.to; }
  // What was asked comes to the source.
  void let_go() {
    holds_ = false;
    cluster[held_.to].on_message(2, held_.bytes, cluster.now());
    cluster.settle(held_.to);
    cluster.deliver();
  }
  void finish() {
    lose = nullptr;
    for (NodeIndex n : kOthers) cluster.cut(2, n, false);
    cluster.cut(0, 1, false);
    cluster.run(Duration::seconds(15));
  }
  // Until a join has begun at node 2, and not ended.
  bool run_into_the_join() {
    for (int i = 0; i < 2000; ++i) {
      if (auto mark = cluster.engine(2).get(stage_row({0, 0}, UINT64_MAX), &ignored_); mark.ok() && *mark) return true;
      cluster.run(Duration::millis(1), 1);
    }
    return false;
  }
  const StripeStats& stats() { return cluster[2].stats(); }

  std::string elements(NodeIndex n, const std::string& key) {
    std::string all;
    for (const Value& value : cluster.call(n, op(Verb::kSetAll, key)).value.list) all += value.bytes + " ";
    return all;
  }
  // "" if all replicas show what is `wanted`, and have the same state.
  std::string differs(const std::string& key, const std::string& wanted) {
    for (NodeIndex n = 0; n < 3; ++n) {
      if (elements(n, key) != wanted) return "node " + std::to_string(n) + " shows " + elements(n, key);
    }
    return cluster.converged() ? "" : "the replicas differ";
  }

  StripeCluster cluster;
  std::function<bool(NodeIndex from, NodeIndex to, MessageType type)> lose;
  uint64_t exchange_bytes = 0;  // of replies

 private:
  NodeIndex from_ = 0;
  bool holds_ = false;
  Output::Message held_{};
  std::string ignored_;
};

inline void write_keys(StripeCluster& cluster, int keys, const std::string& value = "v") {
  for (int i = 0; i < keys; ++i) cluster.call(0, op(Verb::kSet, "k" + std::to_string(i), {value}));
}

// An element comes to node 2 after it has asked; the source removes it before it takes its snapshot, and node 2 hears
// of that by the exchange alone. The set itself looks as before. Node 2 may be restarted while it joins.
inline std::string dead_in_the_window(bool restarts) {
  StripeOptions options = ReturnBeyondTheLog::quick();
  options.catch_up_chunk_bytes = 100;
  ReturnBeyondTheLog run(options);
  run.cluster.call(0, op(Verb::kSetAdd, "set", {"stays"}));
  run.cluster.run(Duration::seconds(2));
  run.away([&] { write_keys(run.cluster, 40); });
  run.cluster.call(run.source(), op(Verb::kSetAdd, "set", {"late"}));
  if (run.elements(2, "set") != "late stays ") return "the element did not come";
  run.lose = [](NodeIndex, NodeIndex to, MessageType type) { return to == 2 && type == MessageType::kWrite; };
  run.cluster.call(run.source(), op(Verb::kSetRemove, "set", {"late"}));
  run.let_go();
  if (run.stats().full_exchanges_by_trees != 1 || run.stats().full_exchange_buckets > 45) return "not by trees";
  if (restarts) {
    if (!run.run_into_the_join()) return "there was no join";
    run.cluster.kill(2);
    run.cluster.boot(2);
  }
  run.finish();
  return run.differs("set", "stays ");
}

// A counter that does not show anything at either side, and of which the source remembers the reset: an increment that
// is late must find it at node 2.
inline std::string late_increment_of_a_reset_counter() {
  ReturnBeyondTheLog run;
  write_keys(run.cluster, 20);
  run.cluster.run(Duration::seconds(2));
  run.away(
      [&] {
        run.cluster.call(1, op(Verb::kIncrement, "count", {}, 1));
        run.cluster.cut(0, 1);
        run.cluster.call(0, op(Verb::kDelete, "count"));
        run.cluster.call(1, op(Verb::kIncrement, "count", {}, 5));
        write_keys(run.cluster, 5, "w");
      },
      0);
  run.let_go();
  run.cluster.run(Duration::seconds(2));
  if (run.stats().full_exchanges_by_trees != 1 || run.stats().full_exchange_buckets > 5) return "not by trees";
  run.cluster.cut(2, 1, false);
  run.finish();
  for (NodeIndex n = 0; n < 3; ++n) {
    const std::string shown = run.cluster.call(n, op(Verb::kGet, "count")).value.bytes;
    if (shown != "5") return "node " + std::to_string(n) + " counts " + shown;
  }
  return run.cluster.converged() ? "" : "the replicas differ";
}

// Anything at any node, before node 2 leaves, while it is away, between its request and the snapshot, and while it
// joins; some deltas are lost, and it may be restarted. Nothing of all that may leave a difference. A third of the
// histories are about what comes and goes meanwhile, another third about counters that are reset while it is away.
inline std::string random_history(uint64_t seed) {
  enum Kind : uint64_t { kAll, kElements, kCounters };
  Rng rng(seed);
  const Kind kind = static_cast<Kind>(seed % 3);
  StripeOptions options = ReturnBeyondTheLog::quick();
  options.catch_up_chunk_bytes = 1 + rng.below(600);
  if (kind == kCounters) options.log_entries = 6;  // what comes at the end comes by catch-up
  ReturnBeyondTheLog run(options);
  const uint64_t keys = 1 + rng.below(kind == kAll ? 30 : 4);
  auto random_op = [&] {
    const std::string name = std::to_string(rng.below(keys)), item = "i" + std::to_string(rng.below(3));
    const int64_t number = static_cast<int64_t>(1 + rng.below(9));
    const uint64_t choice = kind == kElements ? rng.below(2) : kind == kCounters ? 2 + rng.below(3) : rng.below(9);
    switch (choice) {
      case 0:
        return op(Verb::kSetAdd, "set" + name, {item});
      case 1:
        return op(Verb::kSetRemove, "set" + name, {item});
      case 2:
        return op(Verb::kIncrement, "count" + name, {}, number);
      case 3:
        return op(Verb::kDelete, "count" + name);
      case 4:
        return op(Verb::kMapIncrement, "map" + name, {item}, number);
      case 5:
        return op(Verb::kMapSet, "map" + name, {item, std::to_string(number)});
      case 6:
        return op(Verb::kMapRemove, "map" + name, {item});
      case 7:
        return op(Verb::kDelete, "map" + name);
      default:
        return op(Verb::kSet, "count" + name, {std::to_string(number)});
    }
  };
  auto work = [&](uint64_t ops, uint64_t nodes) {
    for (; ops > 0; --ops) run.cluster.call(static_cast<NodeIndex>(rng.below(nodes)), random_op());
  };
  const double lost = rng.uniform();
  auto loses = [&](NodeIndex, NodeIndex, MessageType type) { return type == MessageType::kWrite && rng.chance(lost); };
  if (kind != kCounters) work(rng.below(30), 3);
  run.cluster.run(Duration::seconds(2));
  auto meanwhile = [&] {
    write_keys(run.cluster, 10);
    if (kind == kAll && rng.chance(0.5)) run.lose = loses;
    if (kind != kElements) work(rng.below(6), 2);
    if (kind == kCounters) run.cluster.cut(0, 1);
    if (kind != kElements) work(rng.below(6), 2);
  };
  run.away(meanwhile, kind == kCounters ? NodeIndex{0} : kNoNode);
  run.lose = loses;
  work(rng.below(12), kind == kCounters ? 2 : 3);
  run.let_go();
  if (rng.chance(0.5) && run.run_into_the_join()) {
    work(rng.below(4), 3);
    if (rng.chance(0.5)) {
      run.cluster.kill(2);
      run.cluster.boot(2);
    }
  }
  work(rng.below(4), 3);
  run.lose = nullptr;
  run.cluster.run(Duration::seconds(1));
  run.cluster.cut(2, 1, false);
  run.cluster.run(Duration::seconds(2));
  run.finish();
  return run.cluster.converged() ? "" : "seed " + std::to_string(seed) + ": the replicas differ";
}

}  // namespace cartwheel::node
