#include "node/runtime/rpc_call.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "client/cpp/rpc_codec.h"
#include "node/runtime/frame.h"

namespace cartwheel::node {

namespace {

using Clock = std::chrono::steady_clock;

// A blocking connection of which every step ends by one deadline.
class Call {
 public:
  explicit Call(Clock::time_point deadline) : deadline_(deadline) {}
  ~Call() {
    if (fd_ >= 0) ::close(fd_);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  Status connect(const Address& address) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int error = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found)) {
      return Status::Io(gai_strerror(error));
    }
    fd_ = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const bool pending = fd_ >= 0 && ::connect(fd_, found->ai_addr, found->ai_addrlen) != 0;
    const int error = pending ? errno : 0;
    freeaddrinfo(found);
    if (fd_ < 0 || (pending && error != EINPROGRESS)) return Status::Io(std::strerror(errno));
    RETURN_IF_ERROR(wait(POLLOUT));
    int result = 0;
    socklen_t length = sizeof result;
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &result, &length);
    return result == 0 ? Status() : Status::Io(std::strerror(result));
  }

  Status send(std::string_view bytes) {
    while (!bytes.empty()) {
      RETURN_IF_ERROR(wait(POLLOUT));
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN && errno != EINTR) return Status::Io(std::strerror(errno));
      if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return {};
  }

  // Waits for a frame of `kind`; others are skipped.
  Result<std::string> receive(FrameKind kind) {
    while (true) {
      Frame frame;
      FrameDecoder::Outcome outcome = FrameDecoder::Outcome::kNeedMore;
      while ((outcome = decoder_.next(frame)) == FrameDecoder::Outcome::kFrame) {
        if (frame.kind == kind) return std::string(frame.payload);
      }
      if (outcome == FrameDecoder::Outcome::kError)
        return Status::Corruption("not a Cartwheel node: " + decoder_.error());
      decoder_.park();
      RETURN_IF_ERROR(wait(POLLIN));
      const ssize_t size = recv(fd_, buffer_, sizeof buffer_, 0);
      if (size == 0) return Status::Io("closed the connection");
      if (size < 0 && errno != EAGAIN && errno != EINTR) return Status::Io(std::strerror(errno));
      if (size > 0) decoder_.feed({buffer_, static_cast<size_t>(size)});
    }
  }

 private:
  Status wait(short events) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
    pollfd descriptor{fd_, events, 0};
    if (left <= 0 || poll(&descriptor, 1, static_cast<int>(left)) == 0) return Status::Io("no answer in time");
    return {};
  }

  const Clock::time_point deadline_;
  int fd_ = -1;
  FrameDecoder decoder_{8 << 20};
  char buffer_[16 * 1024];
};

}  // namespace

Result<std::string> call_node(const Address& address, const std::string& cluster, std::string_view name,
                              std::string_view document, Clock::time_point deadline) {
  Call call(deadline);
  RETURN_IF_ERROR(call.connect(address));
  Hello hello;
  hello.cluster = cluster;
  std::string request;
  client::encode_named_request(1, name, document, request);
  std::string bytes;
  append_frame(bytes, FrameKind::kHello, 0, encode(hello));
  append_frame(bytes, FrameKind::kRequest, 0, request);
  RETURN_IF_ERROR(call.send(bytes));
  auto greeting = call.receive(FrameKind::kHello);
  if (!greeting.ok()) return greeting.status();
  auto answered = decode_hello(*greeting);
  if (!answered.ok()) return answered.status();
  if (!cluster.empty() && answered->cluster != cluster)
    return Status::Io("belongs to cluster '" + answered->cluster + "'");
  auto reply = call.receive(FrameKind::kReply);
  if (!reply.ok()) return reply.status();
  const auto parsed = client::parse_reply(*reply);
  if (!parsed.ok()) return parsed.status();
  if (parsed->code != Code::kOk) return Status(parsed->code, std::string(parsed->message));
  return std::string(parsed->value);
}

}  // namespace cartwheel::node
