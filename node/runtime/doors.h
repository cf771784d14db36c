// The doors of a shard: hosts the sans-IO sessions of RESP, HTTP and RPC on sockets, and gives them the node as their
// backend. The connections of other nodes come in by the RPC port too: their hello says so, and they move to the shard
// that it hints at.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "node/fronts/http/session.h"
#include "node/fronts/resp/backend.h"
#include "node/fronts/rpc/backend.h"
#include "node/runtime/shard.h"

namespace cartwheel::node {

class RespDoor final : public resp::Backend {
 public:
  explicit RespDoor(Shard& shard) : shard_(shard) {}
  void submit(Request request, ReplyCallback done) override { shard_.submit(std::move(request), std::move(done)); }
  const ClusterConfig& cluster() const override { return shard_.config(); }
  Now now() const override { return shard_.now(); }
  resp::ServerInfo info() const override;

 private:
  Shard& shard_;
};

class HttpDoor final : public HttpBackend {
 public:
  explicit HttpDoor(Shard& shard) : shard_(shard) {}
  void metrics(MetricsCallback done) override { shard_.collect(std::move(done)); }

 private:
  Shard& shard_;
};

class RpcDoor final : public RpcBackend {
 public:
  explicit RpcDoor(Shard& shard) : shard_(shard) {}
  void submit(Request request, ReplyCallback done) override { shard_.submit(std::move(request), std::move(done)); }
  void metrics(MetricsCallback done) override { shard_.collect(std::move(done)); }
  void admin(std::string_view request, AdminDone done) override;
  const ClusterConfig& cluster() const override { return shard_.config(); }
  Now now() const override { return shard_.now(); }

 private:
  Shard& shard_;
};

// One per shard; outlives its connections and the answers to their operations.
class Doors {
 public:
  explicit Doors(Shard& shard) : resp(shard), http(shard), rpc(shard) {}
  RespDoor resp;
  HttpDoor http;
  RpcDoor rpc;
};

// Serves the connected socket `fd`, which it owns from now on. REQUIRES: on the shard's thread; not Door::kPeer.
void open_connection(Shard& shard, Door door, int fd);

}  // namespace cartwheel::node
