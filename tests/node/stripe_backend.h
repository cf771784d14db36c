// A RESP backend on one real stripe over the memory engine: the core behind the door, without a network.
#pragma once

#include "node/core/stripe.h"
#include "node/fronts/resp/backend.h"
#include "storage/memory_engine.h"

namespace cartwheel::node {

class StripeBackend : public resp::Backend {
 public:
  // Keyspaces with select 0 and 1, of 16 partitions, one replica.
  StripeBackend() {
    config_.name = "stripe";
    config_.partitions = 16;
    NodeInfo node;
    node.name = "stripe-1";
    node.region = "here";
    config_.nodes = {node};
    for (int i = 0; i < 2; ++i) {
      Keyspace keyspace;
      keyspace.name = i == 0 ? "zero" : "one";
      keyspace.select = i;
      keyspace.replicas = {{"here", 1}};
      keyspace.read = keyspace.write = *Level::parse("one");
      config_.keyspaces.push_back(keyspace);
    }
    CHECK(finish(config_).ok());
    stripe_ = std::make_unique<Stripe>(std::make_shared<const ClusterConfig>(config_), StripeOptions{}, engine_);
    CHECK(stripe_->start(now_).ok());
    end_turn();
  }

  void submit(Request request, ReplyCallback done) override {
    stripe_->on_request(std::move(request), std::move(done), now_);
    end_turn();
  }
  const ClusterConfig& cluster() const override { return config_; }
  Now now() const override { return now_; }
  resp::ServerInfo info() const override {
    resp::ServerInfo info;
    info.version = "0.0.0";
    info.node = "stripe-1";
    info.port = 6379;
    return info;
  }
  void set_now(Now now) { now_ = now; }

 private:
  void end_turn() {
    Output output = stripe_->take_output();
    CHECK(engine_.write(output.batch).ok());
    CHECK(engine_.sync().ok());
    for (auto& answer : output.answers) answer.callback(std::move(answer.reply));
  }

  ClusterConfig config_;
  Now now_{{0}, {1'700'000'000'000}};
  storage::MemoryEngine engine_;
  std::unique_ptr<Stripe> stripe_;
};

}  // namespace cartwheel::node
