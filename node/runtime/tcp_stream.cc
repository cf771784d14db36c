#include "node/runtime/tcp_stream.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

namespace cartwheel::node {

namespace {

// Bytes of one read: a connection with more to say waits until the others had their turn.
constexpr size_t kReadBytes = 64 * 1024;
// A peer that acknowledges nothing for this long is gone; without it a lost machine keeps a connection for many
// minutes.
constexpr unsigned kUserTimeoutMs = 15'000;

std::string name_of(const sockaddr_storage& address) {
  char host[INET6_ADDRSTRLEN] = "";
  int port = 0;
  if (address.ss_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address);
    uv_ip4_name(v4, host, sizeof host);
    port = ntohs(v4->sin_port);
  } else if (address.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address);
    uv_ip6_name(v6, host, sizeof host);
    port = ntohs(v6->sin6_port);
  }
  return std::string(host) + ":" + std::to_string(port);
}

}  // namespace

struct TcpStream::Write {
  uv_write_t request;
  TcpStream* stream;
  std::string bytes;
};

TcpStream::TcpStream(StreamContext& context) : context_(context) {
  CHECK(uv_tcp_init(context.loop, &handle_) == 0);
  handle_.data = this;
}

Status TcpStream::adopt(int fd) {
  const int error = uv_tcp_open(&handle_, fd);
  if (error != 0) {
    ::close(fd);
    return Status::Io(uv_strerror(error));
  }
  tune();
  set_reading(true);
  return {};
}

Status TcpStream::connect(const sockaddr* address) {
  connect_.data = this;
  const int error = uv_tcp_connect(&connect_, &handle_, address, [](uv_connect_t* request, int status) {
    auto* self = static_cast<TcpStream*>(request->data);
    if (status == UV_ECANCELED || self->closing_) return;  // closed before it was connected
    if (status != 0) {
      self->close(uv_strerror(status));
      return;
    }
    self->tune();
    self->set_reading(true);
    self->on_connected();
  });
  return error == 0 ? Status() : Status::Io(uv_strerror(error));
}

void TcpStream::tune() {
  uv_tcp_nodelay(&handle_, 1);
  uv_tcp_keepalive(&handle_, 1, 30);
  uv_os_fd_t fd = -1;
  if (uv_fileno(reinterpret_cast<uv_handle_t*>(&handle_), &fd) == 0) {
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &kUserTimeoutMs, sizeof kUserTimeoutMs);
  }
}

void TcpStream::set_reading(bool on) {
  if (on == reading_ || closing_) return;
  auto* stream = reinterpret_cast<uv_stream_t*>(&handle_);
  reading_ = on;
  if (!on) {
    uv_read_stop(stream);
    return;
  }
  const int error = uv_read_start(
      stream,
      [](uv_handle_t* handle, size_t, uv_buf_t* buffer) {
        auto* self = static_cast<TcpStream*>(handle->data);
        *buffer = uv_buf_init(self->context_.slab.data(), kReadBytes);
      },
      [](uv_stream_t* handle, ssize_t size, const uv_buf_t* buffer) {
        auto* self = static_cast<TcpStream*>(handle->data);
        if (size < 0) {
          self->close(size == UV_EOF ? "closed by the other side" : uv_strerror(static_cast<int>(size)));
        } else if (size > 0) {
          self->bytes_in_ += static_cast<uint64_t>(size);
          self->on_read({buffer->base, static_cast<size_t>(size)});
        }
      });
  if (error != 0) close(uv_strerror(error));
}

void TcpStream::send(std::string bytes) {
  if (output_.empty()) {
    output_ = std::move(bytes);
  } else {
    output_.append(bytes);
  }
}

void TcpStream::flush() {
  if (closing_ || output_.empty() || in_flight_ > 0) return;
  auto* stream = reinterpret_cast<uv_stream_t*>(&handle_);
  uv_buf_t buffer = uv_buf_init(output_.data(), static_cast<unsigned>(output_.size()));
  const int sent = uv_try_write(stream, &buffer, 1);
  if (sent < 0 && sent != UV_EAGAIN) {
    close(uv_strerror(sent));
    return;
  }
  const size_t done = sent < 0 ? 0 : static_cast<size_t>(sent);
  bytes_out_ += done;
  if (done == output_.size()) {
    output_.clear();
    // The memory of one large reply is not kept for a connection that may stay idle for days.
    if (output_.capacity() > kReadBytes) std::string().swap(output_);
    return;
  }
  auto* write = new Write{{}, this, std::move(output_)};
  output_.clear();
  in_flight_ = write->bytes.size() - done;
  write->request.data = write;
  uv_buf_t rest = uv_buf_init(write->bytes.data() + done, static_cast<unsigned>(in_flight_));
  const int error = uv_write(&write->request, stream, &rest, 1, [](uv_write_t* request, int status) {
    auto* finished = static_cast<Write*>(request->data);
    finished->stream->written(finished, status);
  });
  if (error != 0) {
    delete write;
    in_flight_ = 0;
    close(uv_strerror(error));
  }
}

// libuv cancels what is left of a closed handle before its close callback, so the stream still exists here.
void TcpStream::written(Write* write, int status) {
  if (status == 0) bytes_out_ += in_flight_;
  in_flight_ = 0;
  delete write;
  if (closing_) return;
  if (status != 0) {
    close(uv_strerror(status));
    return;
  }
  flush();
  if (in_flight_ == 0 && !closing_) on_drained();
}

void TcpStream::close(const std::string& reason) {
  if (closing_) return;
  closing_ = true;
  reading_ = false;
  reason_ = reason;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_), [](uv_handle_t* handle) {
    auto* self = static_cast<TcpStream*>(handle->data);
    self->on_closed(self->reason_);
    delete self;
  });
}

int TcpStream::duplicate_fd() const {
  uv_os_fd_t fd = -1;
  if (uv_fileno(reinterpret_cast<const uv_handle_t*>(&handle_), &fd) != 0) return -1;
  return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

std::string TcpStream::peer_name() const {
  sockaddr_storage address{};
  int length = sizeof address;
  if (uv_tcp_getpeername(&handle_, reinterpret_cast<sockaddr*>(&address), &length) != 0) return "?";
  return name_of(address);
}

std::string TcpStream::local_name() const {
  sockaddr_storage address{};
  int length = sizeof address;
  if (uv_tcp_getsockname(&handle_, reinterpret_cast<sockaddr*>(&address), &length) != 0) return "?";
  return name_of(address);
}

}  // namespace cartwheel::node
