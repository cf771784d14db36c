#include "client/bench/worker.h"

#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "base/check.h"

namespace cartwheel::bench {
namespace {

constexpr size_t kReadBuffer = 256 * 1024;

double thread_cpu_us() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

uint64_t share_of(uint64_t total, unsigned lane, unsigned lanes) {
  return total / lanes + (lane < total % lanes ? 1 : 0);
}

}  // namespace

Worker::Worker(const Options& options, const Protocol& protocol, const std::vector<sockaddr_storage>& addresses,
               unsigned lane, std::atomic<bool>& stop)
    : options_(options),
      addresses_(addresses),
      stop_(stop),
      lane_(lane),
      open_loop_(options.rate.has_value()),
      read_buffer_(kReadBuffer),
      workload_(options.mix, options.shape, options.seed, lane, options.threads),
      schedule_(options.rate.value_or(options.threads) / options.threads, options.poisson, options.seed * 7919 + lane) {
  CHECK(uv_loop_init(&loop_) == 0);
  CHECK(uv_timer_init(&loop_, &tick_) == 0);
  tick_.data = this;
  if (open_loop_) {
    due_fd_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    CHECK(due_fd_ >= 0);
    CHECK(uv_poll_init(&loop_, &due_poll_, due_fd_) == 0);
    due_poll_.data = this;
  }
  const size_t capacity = std::max(options.pipeline, options.prefill ? kPrefillPipeline : 1);
  ConnectionOwner& owner = *this;
  for (unsigned i = lane; i < options.clients; i += options.threads) {
    connections_.push_back(
        std::make_unique<Connection>(loop_, protocol, options.verify, capacity, read_buffer_, owner));
    connections_.back()->target = i % addresses.size();
  }
}

Worker::~Worker() {
  for (auto& connection : connections_) connection->close();
  uv_close(reinterpret_cast<uv_handle_t*>(&tick_), nullptr);
  if (open_loop_) uv_close(reinterpret_cast<uv_handle_t*>(&due_poll_), nullptr);
  while (uv_run(&loop_, UV_RUN_DEFAULT) != 0) {
  }
  CHECK(uv_loop_close(&loop_) == 0);
  if (due_fd_ >= 0) ::close(due_fd_);
}

void Worker::run_phase(Phase phase) {
  phase_ = phase;
  begin_turn();
  last_progress_ns_ = now_ns_;
  uv_timer_start(
      &tick_, [](uv_timer_t* timer) { static_cast<Worker*>(timer->data)->tick(); }, 0, kTickMs);
  uv_run(&loop_, UV_RUN_DEFAULT);
  uv_timer_stop(&tick_);
}

void Worker::connect_all() {
  for (auto& connection : connections_) connect(*connection);
  run_phase(Phase::kConnect);
}

void Worker::prefill() {
  prefill_left_ = true;
  begin_turn();
  phase_ = Phase::kPrefill;
  for (auto& connection : connections_) refill(*connection);
  run_phase(Phase::kPrefill);
}

void Worker::load(const Window& window) {
  window_ = window;
  requests_left_ = options_.requests ? share_of(*options_.requests, lane_, options_.threads) : UINT64_MAX;
  begin_turn();
  phase_ = Phase::kLoad;
  if (open_loop_) {
    uv_poll_start(&due_poll_, UV_READABLE, [](uv_poll_t* poll, int, int) {
      auto* self = static_cast<Worker*>(poll->data);
      uint64_t expirations = 0;
      [[maybe_unused]] const ssize_t n = read(self->due_fd_, &expirations, sizeof(expirations));
      self->begin_turn();
      self->pump();
    });
    pump();
  } else {
    for (auto& connection : connections_) refill(*connection);
  }
  run_phase(Phase::kLoad);
  if (open_loop_) uv_poll_stop(&due_poll_);
  sample_cpu();
  count_unfinished();
}

void Worker::count_unfinished() {
  for (auto& connection : connections_) {
    if (connection->in_flight() > 0) stats_.errors.add("no-reply", "no reply by the end", connection->in_flight());
  }
  uint64_t unsent = 0;
  for (; open_loop_ && !stop_ && due_before_end(); schedule_.advance()) ++unsent;
  stats_.due += unsent;
  if (unsent > 0) stats_.errors.add("unsent", "due in the window, but every connection was busy", unsent);
}

void Worker::connect(Connection& connection) {
  connection.connect(reinterpret_cast<const sockaddr&>(addresses_[connection.target]));
}

void Worker::on_ready(Connection& connection) {
  begin_turn();
  last_progress_ns_ = now_ns_;
  if (phase_ == Phase::kConnect) return stop_if_done();
  if (open_loop_ && phase_ == Phase::kLoad) return pump();
  refill(connection);
}

void Worker::on_lost(Connection& connection, std::string_view why, size_t unanswered) {
  const Target& target = options_.targets[connection.target];
  const std::string text = target.host + ":" + target.port + ": " + std::string(why);
  stats_.errors.add("connection", text, std::max<size_t>(unanswered, 1));
  if (!options_.keep_going) {
    stop_ = true;
    uv_stop(&loop_);
    return;
  }
  connection.target = (connection.target + 1) % addresses_.size();
  connection.retry_at_ns = uv_hrtime() + kRetryNs;
}

void Worker::on_operation_reply(const InFlight& waiting, const Reply& reply) {
  judge(waiting, reply);
  if (waiting.replies_left > 0 || phase_ != Phase::kLoad) return;
  const bool begun_inside = waiting.begun_ns >= window_.begin_ns && waiting.begun_ns <= window_.end_ns;
  const bool ended_inside = now_ns_ >= window_.begin_ns && now_ns_ <= window_.end_ns;
  // By number: exactly the operations that were asked for. By time: what completed between the two CPU readings.
  if (options_.requests ? begun_inside : ended_inside) {
    ++stats_.operations;
    ++stats_.by_kind[static_cast<size_t>(waiting.operation.kind)];
    stats_.finished_ns = now_ns_;
  }
  if (!begun_inside) return;
  const uint64_t us = (now_ns_ - waiting.begun_ns + 500) / 1000;
  stats_.latency.record(us);
  (reads_only(waiting.operation.kind) ? stats_.reads : stats_.writes).record(us);
}

void Worker::judge(const InFlight& waiting, const Reply& reply) {
  const OpKind kind = waiting.operation.kind;
  const bool measured = phase_ == Phase::kLoad && waiting.begun_ns >= window_.begin_ns;
  ErrorTable& errors = measured ? stats_.errors : stats_.errors_before;
  if (reply.kind == ReplyKind::kError) {
    errors.add_reply(reply.text);
  } else if (kind == OpKind::kGet && reply.kind == ReplyKind::kNil) {
    stats_.misses += measured ? 1 : 0;
  } else if (kind == OpKind::kGet && options_.verify && !values_.matches(waiting.operation.key, reply.text)) {
    ++stats_.wrong_values;
  } else if (kind == OpKind::kSetWait && waiting.replies_left == 0 && reply.text == "0") {
    errors.add("wait", "WAIT: no replica had the write in time");
  }
}

void Worker::on_turn_end(Connection& connection) {
  last_progress_ns_ = now_ns_;
  sample_cpu();
  if (open_loop_ && phase_ == Phase::kLoad) {
    pump();
  } else if (connection.in_flight() == 0) {
    refill(connection);
  }
  stop_if_done();
}

bool Worker::next_operation(Operation& out) {
  if (stop_.load(std::memory_order_relaxed)) return false;
  if (phase_ == Phase::kPrefill) return prefill_left_ && (prefill_left_ = workload_.next_prefill(out));
  if (phase_ != Phase::kLoad || now_ns_ >= window_.end_ns || requests_left_ == 0) return false;
  if (now_ns_ >= window_.begin_ns) --requests_left_;
  out = workload_.next();
  return true;
}

void Worker::refill(Connection& connection) {
  const size_t batch = phase_ == Phase::kPrefill ? kPrefillPipeline : options_.pipeline;
  if (connection.state() != Connection::State::kReady) return;
  Operation operation;
  while (connection.in_flight() < batch && next_operation(operation)) connection.enqueue(operation, now_ns_);
  connection.flush();
}

bool Worker::due_before_end() const {
  return window_.load_ns + schedule_.due_ns() < window_.end_ns;
}

Connection* Worker::connection_with_room() {
  for (size_t i = 0; i < connections_.size(); ++i) {
    Connection& candidate = *connections_[cursor_];
    cursor_ = cursor_ + 1 == connections_.size() ? 0 : cursor_ + 1;
    if (candidate.state() == Connection::State::kReady && candidate.in_flight() < options_.pipeline) return &candidate;
  }
  return nullptr;
}

void Worker::pump() {
  while (!stop_ && due_before_end() && window_.load_ns + schedule_.due_ns() <= now_ns_) {
    Connection* connection = connection_with_room();
    if (connection == nullptr) break;
    const uint64_t due = window_.load_ns + schedule_.due_ns();
    connection->enqueue(workload_.next(), due);
    if (due >= window_.begin_ns) {
      ++stats_.due;
      stats_.send_lag.record((now_ns_ - due) / 1000);
    }
    schedule_.advance();
    to_flush_.push_back(connection);
  }
  for (Connection* connection : to_flush_) connection->flush();
  to_flush_.clear();
  arm_timer();
}

void Worker::arm_timer() {
  const uint64_t due = window_.load_ns + schedule_.due_ns();
  // Overdue: every connection is busy, and the next reply calls pump().
  if (!due_before_end() || due <= now_ns_) return;
  itimerspec at{};
  at.it_value.tv_sec = static_cast<time_t>(due / 1'000'000'000);
  at.it_value.tv_nsec = static_cast<long>(due % 1'000'000'000);
  timerfd_settime(due_fd_, TFD_TIMER_ABSTIME, &at, nullptr);
}

void Worker::sample_cpu() {
  if (phase_ != Phase::kLoad || cpu_done_) return;
  if (cpu_at_begin_ < 0 && now_ns_ >= window_.begin_ns) cpu_at_begin_ = thread_cpu_us();
  if (cpu_at_begin_ < 0) return;
  const bool over = now_ns_ >= window_.end_ns || (requests_left_ == 0 && nothing_in_flight());
  if (!over) return;
  stats_.client_cpu_us = thread_cpu_us() - cpu_at_begin_;
  cpu_done_ = true;
}

void Worker::tick() {
  begin_turn();
  sample_cpu();
  const bool waits = !nothing_in_flight() || std::none_of(connections_.begin(), connections_.end(), [](const auto& c) {
    return c->state() == Connection::State::kReady;
  });
  if (waits && now_ns_ > last_progress_ns_ + kStallNs) {
    stats_.errors.add("stall", "nothing was answered for 30 s");
    stop_ = true;
  }
  for (auto& connection : connections_) {
    if (connection->state() == Connection::State::kClosed && now_ns_ >= connection->retry_at_ns && !stop_) {
      ++stats_.connects_again;
      connect(*connection);
    }
  }
  stop_if_done();
}

bool Worker::nothing_in_flight() const {
  return std::all_of(connections_.begin(), connections_.end(), [](const auto& c) { return c->in_flight() == 0; });
}

void Worker::stop_if_done() {
  bool done = stop_.load(std::memory_order_relaxed);
  switch (phase_) {
    case Phase::kConnect:
      // A target that is down does not hold up the others; with keep_going it is tried again in every phase.
      done = done || std::all_of(connections_.begin(), connections_.end(), [](const auto& c) {
               return c->state() == Connection::State::kReady || c->retry_at_ns > 0;
             });
      break;
    case Phase::kPrefill:
      done = done || (!prefill_left_ && nothing_in_flight());
      break;
    case Phase::kLoad: {
      if (!done && now_ns_ < window_.end_ns && requests_left_ > 0) return;  // the common case
      const bool sent = !open_loop_ || !due_before_end();
      done = done || (sent && nothing_in_flight()) ||
             (window_.end_ns != UINT64_MAX && now_ns_ > window_.end_ns + kDrainNs);
      break;
    }
  }
  if (done) uv_stop(&loop_);
}

}  // namespace cartwheel::bench
