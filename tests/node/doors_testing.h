// What the tests of the HTTP and RPC doors share: a cluster, metrics with everything in them, and a scripted backend.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "node/fronts/http/session.h"
#include "node/fronts/rpc/backend.h"

namespace cartwheel::node::testing {

inline ClusterConfig doors_cluster() {
  ClusterConfig config;
  config.name = "shop";
  config.epoch = 7;
  config.partitions = 4;
  for (const char* name : {"eu-1", "eu-2", "us-1"}) {
    NodeInfo node;
    node.name = name;
    node.region = std::string(name).substr(0, 2);
    node.zone = "a";
    node.rpc = {"127.0.0.1", 7101};
    config.nodes.push_back(node);
  }
  config.regions = {"eu", "us"};
  for (const char* name : {"carts", "sessions"}) {
    Keyspace keyspace;
    keyspace.name = name;
    keyspace.select = static_cast<int>(config.keyspaces.size());
    keyspace.replicas = {{"eu", 2}, {"us", 1}};
    config.keyspaces.push_back(keyspace);
    config.assignments.emplace_back();
    config.assignments.back().owners = {{0, 1, 2}, {1, 0, 2}, {0, 1, 2}, {1, 0, 2}};
  }
  return config;
}

inline Metrics doors_metrics() {
  Metrics m;
  m.cluster = "shop";
  m.node = "eu-1";
  m.region = "eu";
  m.zone = "a";
  m.version = "0.1.0";
  m.config_epoch = 7;
  m.shards = 2;
  m.stripes = 2;
  m.partitions = 64;
  m.ready = true;
  m.uptime_seconds = 61;
  m.stripe.keys = 12;
  m.stripe.reads = 1000;
  m.stripe.writes = 500;
  m.peers.push_back({.name = "eu-2", .region = "eu", .connected = true, .reachable = true, .dots = 3, .seconds = 2});
  m.peers.push_back({.name = "us-1", .region = "us", .dots = 44, .dots_there = 5, .seconds = 9});
  for (uint64_t us : {10, 16, 17, 900, 5'000'000}) m.write_latency.add(us);
  m.process_cpu_seconds = 1.25;
  return m;
}

// Keeps what the sessions ask until the test answers, or answers at once.
class FakeBackend : public HttpBackend, public RpcBackend {
 public:
  struct Submitted {
    Request request;
    ReplyCallback done;
  };

  void metrics(MetricsCallback done) override {
    if (hold)
      held_metrics.push_back(std::move(done));
    else
      done(current);
  }
  void submit(Request request, ReplyCallback done) override {
    if (answer) {
      requests.push_back(request);
      return done(answer(request));
    }
    submitted.push_back({std::move(request), std::move(done)});
  }
  const ClusterConfig& cluster() const override { return config; }
  Now now() const override { return {{5'000'000}, {1'700'000'000'000}}; }

  ClusterConfig config = doors_cluster();
  Metrics current = doors_metrics();
  bool hold = false;
  std::deque<MetricsCallback> held_metrics;
  std::function<Reply(const Request&)> answer;  // unset: requests wait in `submitted`
  std::deque<Submitted> submitted;
  std::vector<Request> requests;
};

}  // namespace cartwheel::node::testing
