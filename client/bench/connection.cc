#include "client/bench/connection.h"

#include "base/check.h"

namespace cartwheel::bench {

struct Connection::Write {
  uv_write_t request;
  std::string bytes;
};

Connection::Connection(uv_loop_t& loop, const Protocol& protocol, bool capture_strings, size_t capacity,
                       std::vector<char>& read_buffer, ConnectionOwner& owner)
    : loop_(loop),
      protocol_(protocol),
      capture_strings_(capture_strings),
      read_buffer_(read_buffer),
      owner_(owner),
      ring_(capacity) {
  CHECK(capacity > 0);
}

Connection::~Connection() {
  CHECK(state_ == State::kClosed);
}

void Connection::connect(const sockaddr& address) {
  CHECK(state_ == State::kClosed);
  CHECK(uv_tcp_init(&loop_, &handle_) == 0);
  handle_.data = this;
  connect_.data = this;
  reader_ = protocol_.new_reader(capture_strings_);
  writing_ = false;
  out_.clear();
  greeting_error_.clear();
  head_ = tail_ = 0;
  state_ = State::kConnecting;
  const int rc = uv_tcp_connect(&connect_, &handle_, &address, [](uv_connect_t* request, int status) {
    static_cast<Connection*>(request->data)->on_connected(status);
  });
  if (rc != 0) lose(uv_strerror(rc));
}

void Connection::on_connected(int status) {
  if (state_ != State::kConnecting) return;  // closed meanwhile
  if (status != 0) return lose(uv_strerror(status));
  uv_tcp_nodelay(&handle_, 1);
  const int rc = uv_read_start(
      reinterpret_cast<uv_stream_t*>(&handle_),
      [](uv_handle_t* handle, size_t, uv_buf_t* buffer) {
        std::vector<char>& shared = static_cast<Connection*>(handle->data)->read_buffer_;
        *buffer = uv_buf_init(shared.data(), static_cast<unsigned>(shared.size()));
      },
      [](uv_stream_t* stream, ssize_t n, const uv_buf_t* buffer) {
        static_cast<Connection*>(stream->data)->on_read(n, buffer->base);
      });
  if (rc != 0) return lose(uv_strerror(rc));
  greetings_left_ = protocol_.greet(out_);
  state_ = greetings_left_ > 0 ? State::kGreeting : State::kReady;
  flush();
  if (state_ == State::kReady) owner_.on_ready(*this);
}

void Connection::enqueue(const Operation& operation, uint64_t begun_ns) {
  CHECK(room());
  InFlight& slot = ring_[tail_ % ring_.size()];
  slot.begun_ns = begun_ns;
  slot.operation = operation;
  slot.replies_left = protocol_.encode(operation, tail_, out_);
  ++tail_;
}

void Connection::flush() {
  if (out_.empty() || writing_ || state_ == State::kClosing || state_ == State::kClosed) return;
  uv_buf_t buffer = uv_buf_init(out_.data(), static_cast<unsigned>(out_.size()));
  auto* stream = reinterpret_cast<uv_stream_t*>(&handle_);
  int n = uv_try_write(stream, &buffer, 1);
  if (n == UV_EAGAIN) n = 0;
  if (n < 0) return lose(uv_strerror(n));
  if (static_cast<size_t>(n) == out_.size()) {
    out_.clear();
    return;
  }
  auto write = std::make_unique<Write>();
  write->bytes = out_.substr(static_cast<size_t>(n));
  out_.clear();
  write->request.data = write.get();
  buffer = uv_buf_init(write->bytes.data(), static_cast<unsigned>(write->bytes.size()));
  const int rc = uv_write(&write->request, stream, &buffer, 1, [](uv_write_t* request, int status) {
    const std::unique_ptr<Write> done(static_cast<Write*>(request->data));
    static_cast<Connection*>(request->handle->data)->on_written(status);
  });
  if (rc != 0) return lose(uv_strerror(rc));
  static_cast<void>(write.release());  // freed in the callback, which libuv also makes when the handle is closed
  writing_ = true;
}

void Connection::on_written(int status) {
  writing_ = false;
  if (state_ == State::kClosing || state_ == State::kClosed) return;
  if (status != 0) return lose(uv_strerror(status));
  flush();
}

void Connection::on_read(ssize_t n, const char* data) {
  if (n == 0) return;  // EAGAIN
  if (n < 0) return lose(n == UV_EOF ? "closed by the server" : uv_strerror(static_cast<int>(n)));
  owner_.on_turn_begin();
  if (!reader_->feed(std::string_view(data, static_cast<size_t>(n)), *this)) return lose("replies that do not parse");
  if (state_ == State::kGreeting) {
    if (greetings_left_ > 0) return;
    if (!greeting_error_.empty()) return lose(greeting_error_);
    state_ = State::kReady;
    return owner_.on_ready(*this);
  }
  if (state_ == State::kReady) owner_.on_turn_end(*this);
}

void Connection::on_reply(const Reply& reply) {
  if (state_ == State::kGreeting && greetings_left_ > 0) {
    if (reply.kind == ReplyKind::kError) greeting_error_ = reply.text;
    --greetings_left_;
    return;
  }
  if (state_ != State::kReady) return;
  const uint64_t sequence = reply.sequence == Reply::kOldest ? head_ : reply.sequence;
  if (sequence < head_ || sequence >= tail_) return lose("a reply without a request");
  InFlight& waiting = ring_[sequence % ring_.size()];
  if (waiting.replies_left == 0) return lose("a second reply to one request");
  --waiting.replies_left;
  owner_.on_operation_reply(waiting, reply);
  while (head_ < tail_ && ring_[head_ % ring_.size()].replies_left == 0) ++head_;
}

void Connection::lose(std::string_view why) {
  if (state_ == State::kClosing || state_ == State::kClosed) return;
  const std::string reason(why);
  size_t unanswered = 0;
  for (uint64_t s = head_; s < tail_; ++s) unanswered += ring_[s % ring_.size()].replies_left > 0 ? 1 : 0;
  close();
  owner_.on_lost(*this, reason, unanswered);
}

void Connection::close() {
  if (state_ == State::kClosing || state_ == State::kClosed) return;
  state_ = State::kClosing;
  head_ = tail_;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_),
           [](uv_handle_t* handle) { static_cast<Connection*>(handle->data)->state_ = State::kClosed; });
}

}  // namespace cartwheel::bench
