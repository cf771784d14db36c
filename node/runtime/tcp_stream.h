// TcpStream: one TCP connection on a loop. Reads into the loop's one slab, gathers output and writes it when flushed:
// at most one write per connection and turn, and at most one buffer waiting in libuv.
//
// Lifetime: libuv keeps a handle until its close callback, so a stream is owned by itself: made with new, it deletes
// itself after on_closed(). close() may be called at any time, also from its own callbacks; none comes after it but
// on_closed(). Thread: the loop's.
#pragma once

#include <uv.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace cartwheel::node {

// What the streams of one loop share.
struct StreamContext {
  uv_loop_t* loop = nullptr;
  std::string slab = std::string(256 * 1024, '\0');  // every read lands here; what must live longer is copied
};

class TcpStream {
 public:
  TcpStream(const TcpStream&) = delete;
  TcpStream& operator=(const TcpStream&) = delete;

  void close(const std::string& reason);
  bool closing() const { return closing_; }

  // Adds output for the next flush().
  void send(std::string bytes);
  std::string& output() { return output_; }  // to append to
  void flush();
  size_t unsent() const { return output_.size() + in_flight_; }

  // Reading may be stopped for backpressure and goes on later; libuv tells of a closed peer only while reading.
  void set_reading(bool on);
  bool reading() const { return reading_; }

  uint64_t bytes_in() const { return bytes_in_; }
  uint64_t bytes_out() const { return bytes_out_; }

 protected:
  explicit TcpStream(StreamContext& context);
  virtual ~TcpStream() = default;

  // Takes over a connected, open socket; closes it on failure.
  Status adopt(int fd);
  // Starts to connect; on_connected() or on_closed() follows.
  Status connect(const sockaddr* address);
  // A duplicate of the socket that outlives this stream, or -1.
  int duplicate_fd() const;
  // "address:port" of the other side, or of this.
  std::string peer_name() const;
  std::string local_name() const;

  virtual void on_connected() {}
  virtual void on_read(std::string_view bytes) = 0;  // valid during the call
  virtual void on_drained() {}                       // a write that had to wait is done
  virtual void on_closed(const std::string& reason) = 0;

  StreamContext& context_;

 private:
  struct Write;
  void written(Write* write, int status);
  void tune();

  uv_tcp_t handle_{};
  uv_connect_t connect_{};
  bool reading_ = false;
  bool closing_ = false;
  std::string output_;
  size_t in_flight_ = 0;  // bytes of the one write that libuv holds
  uint64_t bytes_in_ = 0, bytes_out_ = 0;
  std::string reason_;
};

}  // namespace cartwheel::node
