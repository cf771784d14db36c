// A small cluster of stripes over memory engines and a perfect network, moved by hand: for tests of the core that need
// no faults. tests/sim has the faults.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "node/core/stripe.h"
#include "storage/memory_engine.h"

namespace cartwheel::node {

// A set keeps no expiry that was there.
inline Operation op(Verb verb, std::string key, std::vector<std::string> args = {}, int64_t number = 0) {
  Operation o;
  o.verb = verb;
  o.key = std::move(key);
  o.args = std::move(args);
  o.number = number;
  if (verb == Verb::kSet) o.expiry.kind = Expiry::Kind::kNone;
  return o;
}

class StripeCluster {
 public:
  // `regions[i]` nodes in region i, every one a replica of the one keyspace, or `copies` of each region, with `level`
  // for reads and writes.
  StripeCluster(const std::vector<uint32_t>& regions, const std::string& level, StripeOptions options = {},
                uint32_t partitions = 8, uint32_t copies = 0) {
    config_.name = "test";
    config_.partitions = partitions;
    Keyspace keyspace;
    keyspace.name = "carts";
    keyspace.read = keyspace.write = *Level::parse(level);
    for (size_t r = 0; r < regions.size(); ++r) {
      std::string region = "r" + std::to_string(r);
      keyspace.replicas[region] = copies > 0 ? copies : regions[r];
      for (uint32_t i = 0; i < regions[r]; ++i) {
        NodeInfo node;
        node.name = region + "-" + std::to_string(i);
        node.region = region;
        config_.nodes.push_back(node);
      }
    }
    config_.keyspaces.push_back(keyspace);
    CHECK(finish(config_).ok());
    for (NodeIndex n = 0; n < config_.nodes.size(); ++n) {
      engines_.push_back(std::make_unique<storage::MemoryEngine>());
      stripes_.push_back(nullptr);
      options.self = n;
      options.seed = n + 1;
      options.boot_id = "boot";
      options_.push_back(options);
      boot(n);
    }
    run(Duration::seconds(2));
  }

  // Told of every message that is sent, if set.
  std::function<void(NodeIndex from, const Output::Message&)> on_message;
  // What node n had for the operator so far.
  const std::vector<Output::Event>& events(NodeIndex n) { return events_[n]; }
  // Which messages are lost, if set.
  std::function<bool(const Output::Message&)> drop;

  Stripe& operator[](NodeIndex n) { return *stripes_[n]; }
  storage::MemoryEngine& engine(NodeIndex n) { return *engines_[n]; }
  const ClusterConfig& config() const { return config_; }
  Now now() const { return now_; }
  size_t size() const { return stripes_.size(); }

  // Cuts both directions between two nodes, or heals them.
  void cut(NodeIndex a, NodeIndex b, bool is_cut = true) {
    for (auto link : {std::pair(a, b), std::pair(b, a)}) {
      if (is_cut)
        cuts_.insert(link);
      else
        cuts_.erase(link);
    }
  }
  void boot(NodeIndex n) {
    stripes_[n] = std::make_unique<Stripe>(std::make_shared<const ClusterConfig>(config_), options_[n], *engines_[n]);
    CHECK(stripes_[n]->start(now_).ok());
    settle(n);
  }
  void kill(NodeIndex n) { stripes_[n].reset(); }
  // Node n does nothing until it goes on; what is sent to it waits.
  void stand_still(NodeIndex n) { still_.insert(n); }
  void go_on(NodeIndex n) {
    still_.erase(n);
    network_.insert(network_.begin(), held_.begin(), held_.end());
    held_.clear();
    deliver();
  }
  void wipe(NodeIndex n) {
    kill(n);
    engines_[n] = std::make_unique<storage::MemoryEngine>();
  }

  void run(Duration time, int64_t step_ms = 10) {
    for (Instant end = now_.instant + time; now_.instant < end;) {
      now_.instant = now_.instant + Duration::millis(step_ms);
      now_.wall.ms += step_ms;
      for (NodeIndex n = 0; n < stripes_.size(); ++n) {
        if (stripes_[n] == nullptr || still_.contains(n)) continue;
        stripes_[n]->on_tick(now_);
        settle(n);
      }
      deliver();
    }
  }

  void submit(NodeIndex n, Operation operation, ReplyCallback callback) {
    Request request;
    request.operation = std::move(operation);
    stripes_[n]->on_request(std::move(request), std::move(callback), now_);
  }
  // Carries `operation` out at node n and waits for its reply.
  Reply call(NodeIndex n, Operation operation) {
    std::optional<Reply> reply;
    submit(n, std::move(operation), [&](Reply r) { reply = std::move(r); });
    settle(n);
    deliver();
    for (int i = 0; !reply && i < 500; ++i) run(Duration::millis(10));
    CHECK(reply.has_value());
    return *reply;
  }

  // Ends the turn of node n.
  void settle(NodeIndex n) {
    Output output = stripes_[n]->take_output();
    CHECK(write_to(*engines_[n], output).ok());
    if (output.sync) CHECK(engines_[n]->sync().ok());
    for (auto& event : output.events) events_[n].push_back(std::move(event));
    for (auto& m : output.messages) {
      if (on_message) on_message(n, m);
      if (!cuts_.contains({n, m.to}) && !(drop && drop(m))) network_.push_back({n, std::move(m)});
    }
    for (auto& a : output.answers) a.callback(std::move(a.reply));
  }
  void deliver() {
    while (!network_.empty()) {
      auto [from, message] = std::move(network_.front());
      network_.pop_front();
      if (stripes_[message.to] == nullptr) continue;
      if (still_.contains(message.to)) {
        held_.push_back({from, std::move(message)});
        continue;
      }
      stripes_[message.to]->on_message(from, message.bytes, now_);
      settle(message.to);
    }
  }
  // Whether all nodes hold the same state.
  bool converged() {
    for (uint32_t arc = 0; arc < config_.partitions; ++arc) {
      for (auto& stripe : stripes_) {
        if (*stripe->canonical_state(0, arc, now_.wall) != *stripes_[0]->canonical_state(0, arc, now_.wall))
          return false;
      }
    }
    return true;
  }

 private:
  ClusterConfig config_;
  std::vector<StripeOptions> options_;
  std::vector<std::unique_ptr<storage::MemoryEngine>> engines_;
  std::vector<std::unique_ptr<Stripe>> stripes_;
  std::deque<std::pair<NodeIndex, Output::Message>> network_, held_;
  std::map<NodeIndex, std::vector<Output::Event>> events_;
  std::set<NodeIndex> still_;
  std::set<std::pair<NodeIndex, NodeIndex>> cuts_;
  Now now_{{1'000'000}, {1'700'000'000'000}};
};

}  // namespace cartwheel::node
