// One event loop of the load tool with its share of the connections: connects, prefills, and loads until the window is
// over. Closed loop: a connection sends `pipeline` operations and, when all are answered, the next ones. Open loop:
// operations leave when they are due, on any connection with room.
//
// Threads: everything runs in the thread that calls the phases, in their order; `stop` is shared by all loops: one that
// fails sets it and the others end within kTick.
#pragma once

#include <sys/socket.h>

#include <atomic>
#include <memory>
#include <vector>

#include "client/bench/connection.h"
#include "client/bench/options.h"
#include "client/bench/schedule.h"
#include "client/bench/stats.h"

namespace cartwheel::bench {

// The measured part of a run in uv_hrtime() nanoseconds. Load begins at load_ns, counts from begin_ns on, and ends at
// end_ns (UINT64_MAX: by the number of requests).
struct Window {
  uint64_t load_ns = 0;
  uint64_t begin_ns = 0;
  uint64_t end_ns = 0;
};

class Worker final : private ConnectionOwner {
 public:
  static constexpr uint64_t kTickMs = 20;
  static constexpr uint64_t kDrainNs = 5'000'000'000;   // how long the last replies may take after the end
  static constexpr uint64_t kStallNs = 30'000'000'000;  // nothing happens for so long: the server hangs
  static constexpr uint64_t kRetryNs = 100'000'000;     // between attempts to connect
  static constexpr unsigned kPrefillPipeline = 16;

  // `lane` of options.threads. `addresses`: the resolved targets. All references outlive the worker.
  Worker(const Options& options, const Protocol& protocol, const std::vector<sockaddr_storage>& addresses,
         unsigned lane, std::atomic<bool>& stop);
  ~Worker() override;

  void connect_all();
  void prefill();
  void load(const Window& window);

  const Stats& stats() const { return stats_; }

 private:
  enum class Phase : uint8_t { kConnect, kPrefill, kLoad };

  void on_ready(Connection& connection) override;
  void on_turn_begin() override { begin_turn(); }
  void on_operation_reply(const InFlight& waiting, const Reply& reply) override;
  void on_turn_end(Connection& connection) override;
  void on_lost(Connection& connection, std::string_view why, size_t unanswered) override;

  void begin_turn() { now_ns_ = uv_hrtime(); }
  void run_phase(Phase phase);
  void connect(Connection& connection);
  void judge(const InFlight& waiting, const Reply& reply);
  bool next_operation(Operation& out);
  void refill(Connection& connection);
  void pump();
  bool due_before_end() const;
  Connection* connection_with_room();
  void arm_timer();
  void sample_cpu();
  void tick();
  void stop_if_done();
  bool nothing_in_flight() const;
  void count_unfinished();

  const Options& options_;
  const std::vector<sockaddr_storage>& addresses_;
  std::atomic<bool>& stop_;
  const unsigned lane_;
  const bool open_loop_;

  uv_loop_t loop_{};
  uv_timer_t tick_{};
  uv_poll_t due_poll_{};
  int due_fd_ = -1;  // a timerfd: libuv's own timers only know milliseconds
  std::vector<char> read_buffer_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> to_flush_;
  size_t cursor_ = 0;

  Values values_;
  Workload workload_;
  Schedule schedule_;
  Window window_;
  Phase phase_ = Phase::kConnect;
  uint64_t now_ns_ = 0;  // when the callback began that runs: the replies of one read arrived together
  uint64_t last_progress_ns_ = 0;
  uint64_t requests_left_ = 0;  // of the measured ones, when they are counted
  bool prefill_left_ = false;
  double cpu_at_begin_ = -1;  // us; negative: not sampled yet
  bool cpu_done_ = false;
  Stats stats_;
};

}  // namespace cartwheel::bench
