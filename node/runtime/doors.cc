#include "node/runtime/doors.h"

#include <sys/resource.h>
#include <unistd.h>

#include <utility>

#include "node/fronts/resp/session.h"
#include "node/fronts/rpc/session.h"
#include "node/runtime/batch_codec.h"
#include "node/runtime/control.h"
#include "node/runtime/frame.h"
#include "node/runtime/inspection.h"
#include "node/runtime/process_info.h"
#include "node/runtime/verification.h"
#include "node/runtime/version.h"

namespace cartwheel::node {

namespace {

constexpr Duration kHelloTimeout = Duration::seconds(10);

// A session that takes bytes and gives bytes, on a socket. The output stays in the session while the socket is full, so
// that the session sees that its peer does not read, and stops by itself.
template <typename Session>
class ByteConnection : public ShardConnection {
 public:
  ByteConnection(Shard& shard, Door door) : ShardConnection(shard, door, true) {}

  void begin(int fd) {
    const Status status = adopt(fd);
    if (!status.ok()) {
      close(status.message());
      return;
    }
    session_ = make();
    session_->set_on_output([this] { shard_.mark_dirty(*this); });
  }

  void end_turn() override {
    if (!session_) return;
    // Before its output is taken: a session that stopped because of that has commands left, and is to go on with them.
    stalled_ = stalled_ || session_->paused();
    if (unsent() == 0 && session_->has_output()) {
      output() = session_->take_output();
      note_answer();
      flush();
    }
    if (closing()) return;
    if (stalled_ && unsent() == 0) {
      resume(*session_);
      stalled_ = session_->paused();
    }
    if (session_->has_output() && unsent() == 0) shard_.mark_dirty(*this);
    set_reading(!stalled_ && !last_call());
    if (is_to_close() && is_idle(*session_) && !session_->has_output() && unsent() == 0) {
      close("the node leaves the cluster");
    } else if (session_->want_close() && !session_->has_output() && unsent() == 0) {
      close("done");
    }
  }

  bool is_client() const override { return door() == Door::kResp; }  // whoever watches the node by HTTP goes on

 protected:
  virtual std::unique_ptr<Session> make() = 0;
  virtual void resume(Session&) {}
  virtual bool is_idle(const Session&) const { return true; }

 private:
  void on_read(std::string_view bytes) override {
    session_->receive(bytes);
    shard_.mark_dirty(*this);
  }
  void on_drained() override { shard_.mark_dirty(*this); }

  std::unique_ptr<Session> session_;
  bool stalled_ = false;
};

class RespConnection final : public ByteConnection<resp::RespSession> {
 public:
  explicit RespConnection(Shard& shard) : ByteConnection(shard, Door::kResp) {}

 private:
  std::unique_ptr<resp::RespSession> make() override {
    const uint64_t id = shard_.node().connection_ids.fetch_add(1, std::memory_order_relaxed) + 1;
    return std::make_unique<resp::RespSession>(shard_.doors().resp, id, peer_name(), local_name());
  }
  void resume(resp::RespSession& session) override { session.resume(); }
  bool is_idle(const resp::RespSession& session) const override { return session.idle(); }
};

class HttpConnection final : public ByteConnection<HttpSession> {
 public:
  explicit HttpConnection(Shard& shard) : ByteConnection(shard, Door::kHttp) {}

 private:
  std::unique_ptr<HttpSession> make() override { return std::make_unique<HttpSession>(shard_.doors().http); }
};

// Whoever connected to the RPC port:
//   hello expected ──(a node's hello)→ peer, here or on the shard of the hint
//                  ──(a client's hello)→ client
class RpcConnection final : public ShardConnection {
 public:
  explicit RpcConnection(Shard& shard) : ShardConnection(shard, Door::kRpc, true) {}

  void begin(int fd) {
    from_ = shard_.now().instant;
    const Status status = adopt(fd);
    if (!status.ok()) {
      close(status.message());
      return;
    }
    shard_.expect_progress();
  }

  // A connection whose hello another shard has read; `rest` is what came behind it.
  void begin_peer(int fd, NodeIndex peer, const Address& address, const std::string& rest) {
    const Status status = adopt(fd);
    if (!status.ok()) {
      close(status.message());
      return;
    }
    become_peer(peer, address);
    if (!rest.empty()) on_read(rest);
  }

  void end_turn() override {
    flush();
    if (closing() || !client_) return;
    set_reading(!client_->paused() && !last_call() && unsent() < limits::kConnectionOutputBytes / 4);
    if (unsent() > limits::kConnectionOutputBytes) {
      close("does not read its replies");
    } else if (client_->want_close() && unsent() == 0) {
      close(client_->close_reason());
    } else if (is_to_close() && client_->in_flight() == 0 && unsent() == 0) {
      close("the node leaves the cluster");
    }
  }

  bool is_client() const override { return client_ != nullptr; }

  void on_config() override {
    if (client_) client_->on_config();
    // Who comes again is told why.
    if (state_ == State::kPeer && shard_.config().nodes[peer_].removed()) close("was removed from the cluster");
  }

  std::optional<Instant> expires() const override {
    if (state_ != State::kHello) return std::nullopt;
    return from_ + kHelloTimeout;
  }

 private:
  enum class State { kHello, kPeer, kClient, kMoved };

  void on_read(std::string_view bytes) override {
    decoder_.feed(bytes);
    Frame frame;
    FrameDecoder::Outcome outcome = FrameDecoder::Outcome::kNeedMore;
    while (!closing() && (outcome = decoder_.next(frame)) == FrameDecoder::Outcome::kFrame) on_frame(frame);
    if (!closing() && outcome == FrameDecoder::Outcome::kError) refuse(decoder_.error());
    decoder_.park();
    if (state_ == State::kClient) shard_.mark_dirty(*this);
  }

  void on_frame(const Frame& frame) {
    if (state_ == State::kHello && frame.kind == FrameKind::kHello) {
      on_hello(frame.payload);
    } else if (state_ == State::kPeer && frame.kind == FrameKind::kStripeMessage) {
      shard_.on_peer_message(frame.stripe, peer_, frame.payload);
    } else if (state_ == State::kPeer && frame.kind == FrameKind::kBatch && shard_.node().region_links.compress) {
      on_batch(frame.payload);
    } else if (state_ == State::kClient && frame.kind == FrameKind::kRequest) {
      client_->receive(frame.payload);
    } else {
      refuse("a frame of kind " + std::to_string(static_cast<int>(frame.kind)) + " where none belongs");
    }
  }

  void on_hello(std::string_view payload) {
    const NodeContext& node = shard_.node();
    auto hello = decode_hello(payload);
    if (!hello.ok()) {
      refuse(hello.status().message());
      return;
    }
    const bool client = hello->node.empty();
    if (hello->cluster != node.cluster() && !(client && hello->cluster.empty())) {
      say_hello();  // so that the other side can tell its people what is wrong, too
      refuse("belongs to cluster '" + hello->cluster + "', this is '" + node.cluster() + "'");
      return;
    }
    if (client) {
      state_ = State::kClient;
      decoder_.set_limit(limits::kRequestBytes);
      say_hello();
      client_ = std::make_unique<RpcSession>(shard_.doors().rpc, [this](std::string_view reply) { on_reply(reply); });
      return;
    }
    const NodeIndex peer = shard_.config().node(hello->node);
    if (peer == kNoNode) {
      const std::string reason = "node '" + hello->node + "' is no member of cluster '" + node.cluster() + "'";
      say_hello(reason);
      refuse(reason);
    } else if (peer == node.self) {
      refuse("calls itself '" + hello->node + "', which is this node");
    } else {
      Shard& target = *shard_.node().shards[hello->shard % node.shards.size()];
      if (&target == &shard_) {
        become_peer(peer, {hello->rpc_host, hello->rpc_port});
      } else {
        move_to(target, peer, {hello->rpc_host, hello->rpc_port});
      }
    }
  }

  void on_batch(std::string_view payload) {
    if (!batches_) batches_ = std::make_unique<BatchReader>();
    const Status status = batches_->read(payload, [this](const Frame& message) {
      if (!closing()) shard_.on_peer_message(message.stripe, peer_, message.payload);
    });
    if (status.ok()) return;
    shard_.on_rejected_batch();
    refuse(status.message());
  }

  void become_peer(NodeIndex peer, const Address& address) {
    state_ = State::kPeer;
    door_ = Door::kPeer;
    peer_ = peer;
    decoder_.set_limit(limits::kFrameBytes + 4);
    say_hello();
    shard_.on_peer_arrived(peer, address);
  }

  void move_to(Shard& target, NodeIndex peer, const Address& address) {
    state_ = State::kMoved;
    const int fd = duplicate_fd();
    if (fd < 0) {
      refuse("no more file descriptors");
      return;
    }
    target.post([&target, fd, peer, address, rest = std::string(decoder_.rest())] {
      (new RpcConnection(target))->begin_peer(fd, peer, address, rest);
    });
    close("moved to its shard");
  }

  void say_hello(const std::string& refusal = {}) {
    Hello hello = shard_.hello();
    hello.refusal = refusal;
    append_frame(output(), FrameKind::kHello, 0, encode(hello));
    shard_.mark_dirty(*this);
  }

  void on_reply(std::string_view payload) {
    if (closing()) return;
    append_frame(output(), FrameKind::kReply, 0, payload);
    note_answer();
    shard_.mark_dirty(*this);
  }

  void on_drained() override { shard_.mark_dirty(*this); }

  void refuse(const std::string& reason) {
    shard_.log_refused(peer_name(), reason);
    flush();  // what was answered before
    close(reason);
  }

  State state_ = State::kHello;
  Instant from_;
  NodeIndex peer_ = kNoNode;
  FrameDecoder decoder_;
  std::unique_ptr<BatchReader> batches_;  // from a peer's first batch on
  std::unique_ptr<RpcSession> client_;
};

}  // namespace

resp::ServerInfo RespDoor::info() const {
  const NodeContext& node = shard_.node();
  resp::ServerInfo info;
  info.version = kVersion;
  info.cluster = node.cluster();
  info.node = node.node().name;
  info.region = node.node().region;
  info.port = node.ports[static_cast<size_t>(Door::kResp)];
  info.process_id = static_cast<uint64_t>(getpid());
  info.uptime_seconds = static_cast<uint64_t>((shard_.now().instant - node.started).us / 1'000'000);
  info.connected_clients = node.connections.load(std::memory_order_relaxed);
  info.connections_received = node.accepted[static_cast<size_t>(Door::kResp)].load(std::memory_order_relaxed);
  uint64_t keys = 0;
  for (const auto& shard : node.shards) {
    info.commands_processed += shard->commands();
    keys += shard->keys();
  }
  const ProcessInfo process = process_info();
  info.used_memory_bytes = process.resident_bytes;
  info.cpu_system_seconds = process.system_seconds;
  info.cpu_user_seconds = process.user_seconds;
  // The stripes count the keys of all keyspaces together.
  const std::vector<Keyspace>& keyspaces = shard_.config().keyspaces;
  if (keyspaces.size() == 1) info.keys.emplace_back(keyspaces[0].select, keys);
  return info;
}

void RpcDoor::admin(std::string_view request, AdminDone done) {
  if (answer_inspection(shard_, request, done) || answer_verification(shard_, request, done)) return;
  Control* control = shard_.node().control;
  if (control == nullptr) return RpcBackend::admin(request, std::move(done));
  control->admin(std::string(request), [this, done = std::move(done)](const Status& status, std::string document) {
    shard_.post([done, status, document = std::move(document)]() mutable { done(status, std::move(document)); });
  });
}

void open_connection(Shard& shard, Door door, int fd) {
  switch (door) {
    case Door::kResp:
      (new RespConnection(shard))->begin(fd);
      break;
    case Door::kHttp:
      (new HttpConnection(shard))->begin(fd);
      break;
    case Door::kRpc:
    case Door::kPeer:
      (new RpcConnection(shard))->begin(fd);
      break;
  }
}

}  // namespace cartwheel::node
