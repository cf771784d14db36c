#include "node/runtime/acceptor.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "node/runtime/doors.h"

namespace cartwheel::node {

namespace {

constexpr int kBacklog = 1024;
constexpr int kAcceptsPerTurn = 64;      // then the connections that exist are served first
constexpr uint64_t kPauseMs = 100;       // without file descriptors left
constexpr uint64_t kPeerReserve = 1024;  // the RPC port takes so many more, so that clients cannot shut out nodes

}  // namespace

namespace {

Result<int> bind_socket(const Address& address, int type) {
  addrinfo hints{};
  hints.ai_socktype = type;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found)) {
    return Status::Io("cannot listen on " + address.to_string() + ": " + gai_strerror(error));
  }
  const int fd = socket(found->ai_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  bool ok = fd >= 0;
  if (ok && type == SOCK_STREAM) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ok = ok && bind(fd, found->ai_addr, found->ai_addrlen) == 0;
  const int error = errno;
  freeaddrinfo(found);
  if (ok) return fd;
  if (fd >= 0) ::close(fd);
  return Status::Io("cannot listen on " + address.to_string() + ": " + std::strerror(error));
}

}  // namespace

Result<int> bind_to(const Address& address) {
  return bind_socket(address, SOCK_STREAM);
}

Result<int> bind_udp(const Address& address) {
  return bind_socket(address, SOCK_DGRAM);
}

uint16_t port_of(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6*>(&address)->sin6_port
                                             : reinterpret_cast<const sockaddr_in*>(&address)->sin_port);
}

Acceptor::Acceptor(Shard& shard, Door door, int fd) : shard_(shard), door_(door), fd_(fd) {}

Acceptor::~Acceptor() {
  if (fd_ >= 0) ::close(fd_);
}

Status Acceptor::start() {
  if (listen(fd_, kBacklog) != 0) return Status::Io(std::string("listen: ") + std::strerror(errno));
  uv_poll_init_socket(shard_.loop(), &poll_, fd_);
  uv_timer_init(shard_.loop(), &pause_timer_);
  poll_.data = pause_timer_.data = this;
  started_ = true;
  uv_poll_start(&poll_, UV_READABLE, [](uv_poll_t* h, int, int) { static_cast<Acceptor*>(h->data)->on_readable(); });
  return {};
}

void Acceptor::close() {
  if (!started_) return;
  started_ = false;
  uv_poll_stop(&poll_);
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&pause_timer_), nullptr);
  ::close(fd_);
  fd_ = -1;
}

void Acceptor::on_readable() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    const int fd = accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      hand_out(fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      pause();  // the socket stays readable: without a pause the loop would spin
      return;
    } else if (errno != EINTR && errno != ECONNABORTED) {
      return;
    }
  }
}

void Acceptor::hand_out(int fd) {
  NodeContext& node = shard_.node();
  const auto door = static_cast<size_t>(door_);
  const uint64_t limit = limits::kConnections + (door_ == Door::kRpc ? kPeerReserve : 0);
  if (node.connections.load(std::memory_order_relaxed) >= limit) {
    node.refused[door].fetch_add(1, std::memory_order_relaxed);
    if (door_ == Door::kResp) {
      static constexpr std::string_view kFull = "-ERR max number of clients reached\r\n";
      (void)!::send(fd, kFull.data(), kFull.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    ::close(fd);
    return;
  }
  node.accepted[door].fetch_add(1, std::memory_order_relaxed);
  Shard& target = *node.shards[next_];
  next_ = (next_ + 1) % node.shards.size();
  if (&target == &shard_) {
    open_connection(target, door_, fd);
  } else {
    target.post([&target, door = door_, fd] { open_connection(target, door, fd); });
  }
}

void Acceptor::pause() {
  uv_poll_stop(&poll_);
  uv_timer_start(
      &pause_timer_,
      [](uv_timer_t* timer) {
        auto* self = static_cast<Acceptor*>(timer->data);
        uv_poll_start(&self->poll_, UV_READABLE,
                      [](uv_poll_t* h, int, int) { static_cast<Acceptor*>(h->data)->on_readable(); });
      },
      kPauseMs, 0);
}

}  // namespace cartwheel::node
