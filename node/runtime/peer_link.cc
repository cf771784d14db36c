#include "node/runtime/peer_link.h"

#include <algorithm>
#include <utility>

#include "node/core/membership/control_message.h"
#include "node/core/message.h"
#include "node/runtime/frame.h"
#include "node/runtime/log.h"

namespace cartwheel::node {

namespace {

constexpr int64_t kBackoffMinMs = 50;
constexpr int64_t kBackoffMaxMs = 1000;
constexpr int64_t kGreetingMs = 2000;  // from the first packet to the other side's hello

}  // namespace

// The connection of a link. It outlives being dropped by the link until libuv has closed it.
class PeerLink::Stream final : public ShardConnection {
 public:
  Stream(Shard& shard, PeerLink* link) : ShardConnection(shard, Door::kPeer, false), link_(link) {}
  using TcpStream::connect;
  void forget_link() { link_ = nullptr; }
  void end_turn() override {
    if (link_ != nullptr) link_->end_turn();
    flush();
  }

 private:
  void on_connected() override {
    append_frame(output(), FrameKind::kHello, 0, encode(shard_.hello()));
    shard_.mark_dirty(*this);
  }

  void on_read(std::string_view bytes) override {
    decoder_.feed(bytes);
    Frame frame;
    FrameDecoder::Outcome outcome = FrameDecoder::Outcome::kNeedMore;
    while (!closing() && (outcome = decoder_.next(frame)) == FrameDecoder::Outcome::kFrame) {
      if (greeted_ || frame.kind != FrameKind::kHello) {
        close("sent a frame where none belongs");
        return;
      }
      const Result<Hello> hello = check(frame.payload);
      if (!hello.ok()) {
        close(hello.status().message());
        return;
      }
      greeted_ = true;
      if (link_ != nullptr) link_->greeted(*hello);
    }
    if (outcome == FrameDecoder::Outcome::kError) close(decoder_.error());
    decoder_.park();
  }

  Result<Hello> check(std::string_view payload) const {
    const NodeContext& node = shard_.node();
    auto hello = decode_hello(payload);
    if (!hello.ok()) return hello;
    if (hello->cluster != node.cluster()) {
      return Status::InvalidArgument("belongs to cluster '" + hello->cluster + "', this is '" + node.cluster() + "'");
    }
    if (hello->process == node.process) return Status::InvalidArgument("is this process itself");
    if (!hello->refusal.empty()) {
      if (link_ != nullptr) shard_.on_refused(link_->peer_, hello->epoch, hello->refusal);
      return Status::InvalidArgument("does not talk to this node: " + hello->refusal);
    }
    const std::string& expected = shard_.config().nodes[link_ == nullptr ? node.self : link_->peer_].name;
    if (hello->node != expected) {
      return Status::InvalidArgument("is node '" + hello->node + "', not '" + expected + "'");
    }
    return hello;
  }

  void on_closed(const std::string& reason) override {
    ShardConnection::on_closed(reason);
    if (link_ == nullptr) return;
    link_->stream_ = nullptr;
    link_->lost(reason);
  }

  PeerLink* link_;
  FrameDecoder decoder_;
  bool greeted_ = false;
};

PeerLink::PeerLink(Shard& shard, NodeIndex peer) : shard_(shard), peer_(peer) {
  CHECK(uv_timer_init(shard.loop(), &timer_) == 0);
  CHECK(uv_timer_init(shard.loop(), &window_) == 0);
  timer_.data = window_.data = this;
  resolve_.data = this;
}

PeerLink::~PeerLink() {
  CHECK(closed_);
}

void PeerLink::begin() {
  try_connect();
}

void PeerLink::hurry() {
  if (closed_ || stream_ != nullptr || resolving_) return;
  failures_ = 0;
  uv_timer_stop(&timer_);
  try_connect();
}

void PeerLink::close() {
  if (closed_) return;
  release();
  closed_ = true;
  const bool greeted = std::exchange(up_, false);
  if (resolving_) uv_cancel(reinterpret_cast<uv_req_t*>(&resolve_));
  if (stream_ != nullptr) {
    stream_->forget_link();
    if (greeted) stream_->flush();
    stream_->close("the link is not needed any more");
    stream_ = nullptr;
  }
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&window_), nullptr);
}

void PeerLink::send(uint8_t stripe, std::string_view message) {
  if (!up_ || message.size() + 2 > limits::kFrameBytes || unsent() + message.size() > limits::kPeerOutputBytes) {
    ++dropped_;
    return;
  }
  if (held_ && stripe != kControlStripe) {
    held_->add(stripe, message, is_awaited(message), shard_.now().instant);
    if (held_->full()) release();
  } else {
    ++sent_;
    append_frame(stream_->output(), FrameKind::kStripeMessage, stripe, message);
    if (held_) region_.add_plain(message.size() + kFrameHeaderBytes);
  }
  shard_.mark_dirty(*stream_);
}

void PeerLink::release() {
  if (!held_ || held_->messages() == 0) return;
  sent_ += held_->messages();
  std::string& output = stream_->output();
  const size_t before = output.size();
  const std::string frames = held_->take();
  if (writer_) {
    writer_->append(output, frames);
  } else {
    output.append(frames);
  }
  ++region_.batches;
  region_.message_bytes += frames.size();
  region_.sent_bytes += output.size() - before;
  shard_.mark_dirty(*stream_);
}

void PeerLink::end_turn() {
  if (!held_ || held_->messages() == 0) return;
  if (held_->due(shard_.now().instant)) {
    release();
  } else if (!uv_is_active(reinterpret_cast<uv_handle_t*>(&window_))) {
    arm_window(*held_->deadline());
  }
}

// Rounded up, so that it is due when the timer fires; if it is not, because what was held then has gone meanwhile, the
// end of that turn arms it again.
void PeerLink::arm_window(Instant deadline) {
  uv_update_time(shard_.loop());
  const int64_t us = std::max<int64_t>(0, deadline.us - static_cast<int64_t>(uv_hrtime() / 1000));
  uv_timer_start(
      &window_,
      [](uv_timer_t* timer) {
        auto* self = static_cast<PeerLink*>(timer->data);
        if (self->stream_ != nullptr) self->shard_.mark_dirty(*self->stream_);
      },
      static_cast<uint64_t>(us + 999) / 1000, 0);
}

size_t PeerLink::unsent() const {
  return (stream_ == nullptr ? 0 : stream_->unsent()) + (held_ ? held_->bytes() : 0);
}

void PeerLink::add_to(PeerMetrics& metrics) const {
  metrics.messages_sent += sent_;
  metrics.messages_dropped += dropped_;
  metrics.output_bytes += unsent();
  metrics.between_regions.add(region_);
  metrics.connected = metrics.connected && up_;
}

void PeerLink::try_also(const Address& address) {
  also_ = address;
  tries_ = 1;  // which is it
  if (!up_) hurry();
}

// Where the peer should be, then in turn where it may be too. Whoever is found at a seed under another name closes, but
// has learned where this node is, and comes by itself.
const Address& PeerLink::next_address() {
  const Address& known = shard_.node().address_of(shard_.config(), peer_);
  std::vector<const Address*> others;
  if (!also_.host.empty() && also_ != known) others.push_back(&also_);
  for (const Address& seed : shard_.node().seeds) others.push_back(&seed);
  const size_t turn = tries_++ % (others.size() + 1);
  if (turn == 0) return known;
  return *others[turn - 1];
}

void PeerLink::try_connect() {
  if (closed_ || stream_ != nullptr || resolving_) return;
  const Address& address = next_address();
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (uv_ip4_addr(address.host.c_str(), address.port, &v4) == 0) {
    connect_to(reinterpret_cast<const sockaddr*>(&v4));
    return;
  }
  if (uv_ip6_addr(address.host.c_str(), address.port, &v6) == 0) {
    connect_to(reinterpret_cast<const sockaddr*>(&v6));
    return;
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  resolving_ = true;
  const int error = uv_getaddrinfo(
      shard_.loop(), &resolve_,
      [](uv_getaddrinfo_t* request, int status, addrinfo* found) {
        auto* self = static_cast<PeerLink*>(request->data);
        self->resolving_ = false;
        if (!self->closed_) {
          if (status == 0) {
            self->connect_to(found->ai_addr);
          } else {
            self->lost(uv_strerror(status));
          }
        }
        uv_freeaddrinfo(found);
      },
      address.host.c_str(), std::to_string(address.port).c_str(), &hints);
  if (error != 0) {
    resolving_ = false;
    lost(uv_strerror(error));
  }
}

void PeerLink::connect_to(const sockaddr* address) {
  stream_ = new Stream(shard_, this);
  arm(kGreetingMs);
  const Status status = stream_->connect(address);
  if (!status.ok()) stream_->close(status.message());
}

void PeerLink::greeted(const Hello& hello) {
  const NodeContext& node = shard_.node();
  if (shard_.config().nodes[peer_].region != node.node().region) {
    held_.emplace(node.region_links.batches);
    if (node.region_links.compress && (hello.offers & Hello::kReadsBatches) != 0) {
      writer_ = std::make_unique<BatchWriter>();
    }
  }
  up_ = true;
  failures_ = 0;
  uv_timer_stop(&timer_);
  if (shard_.number() == 0) logs::info("peer connected", {{"peer", shard_.config().nodes[peer_].name}});
  last_reason_.clear();
  shard_.on_peer_connection(peer_, true);
}

void PeerLink::lost(const std::string& reason) {
  if (closed_) return;
  if (held_) dropped_ += held_->messages();
  held_.reset();
  writer_.reset();
  uv_timer_stop(&window_);
  if (up_) {
    up_ = false;
    shard_.on_peer_connection(peer_, false);
  }
  if (shard_.number() == 0 && reason != last_reason_) {
    logs::warning("peer not connected", {{"peer", shard_.config().nodes[peer_].name},
                                         {"address", shard_.config().nodes[peer_].rpc.to_string()},
                                         {"reason", reason}});
  }
  last_reason_ = reason;
  const int64_t most = std::min(kBackoffMaxMs, kBackoffMinMs << std::min(failures_++, 10));
  arm(most / 2 + static_cast<int64_t>(shard_.rng().below(static_cast<uint64_t>(most / 2) + 1)));
}

void PeerLink::arm(int64_t delay_ms) {
  uv_timer_start(
      &timer_,
      [](uv_timer_t* timer) {
        auto* self = static_cast<PeerLink*>(timer->data);
        if (self->stream_ != nullptr) {
          self->stream_->close("did not answer in time");
        } else {
          self->try_connect();
        }
      },
      static_cast<uint64_t>(delay_ms), 0);
}

}  // namespace cartwheel::node
