#include "client/bench/runner.h"

#include <netdb.h>
#include <uv.h>

#include <barrier>
#include <chrono>
#include <cstring>
#include <thread>

#include "client/bench/process_cpu.h"
#include "client/bench/resp_protocol.h"
#include "client/bench/rpc_protocol.h"
#include "client/bench/worker.h"

namespace cartwheel::bench {
namespace {

constexpr uint64_t kStartNs = 20'000'000;  // for the threads to pass the barrier before load begins

Result<sockaddr_storage> resolve(const Target& target) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int rc = getaddrinfo(target.host.c_str(), target.port.c_str(), &hints, &list);
  if (rc != 0) return Status::InvalidArgument(target.host + ":" + target.port + ": " + gai_strerror(rc));
  sockaddr_storage address{};
  std::memcpy(&address, list->ai_addr, list->ai_addrlen);
  freeaddrinfo(list);
  return address;
}

std::unique_ptr<Protocol> make_protocol(const Options& options) {
  if (options.protocol == "rpc") return std::make_unique<RpcProtocol>(options.keyspace);
  return std::make_unique<RespProtocol>(options.database);
}

uint64_t to_ns(double seconds) {
  return static_cast<uint64_t>(seconds * 1e9);
}

// Sleeps until `at_ns`, or less when the run has been stopped.
void sleep_until(uint64_t at_ns, const std::atomic<bool>& stop) {
  constexpr uint64_t kSliceNs = 50'000'000;
  for (uint64_t now = uv_hrtime(); now < at_ns && !stop; now = uv_hrtime()) {
    std::this_thread::sleep_for(std::chrono::nanoseconds(std::min(kSliceNs, at_ns - now)));
  }
}

}  // namespace

Result<Outcome> run(const Options& options) {
  std::vector<sockaddr_storage> addresses;
  for (const Target& target : options.targets) {
    const Result<sockaddr_storage> address = resolve(target);
    if (!address.ok()) return address.status();
    addresses.push_back(*address);
  }
  if (const Result<double> cpu = cpu_us_of(options.pids); !cpu.ok()) return cpu.status();

  const std::unique_ptr<Protocol> protocol = make_protocol(options);
  std::atomic<bool> stop = false;
  Window window;
  std::barrier filled(options.threads + 1);
  std::barrier timed(options.threads + 1);
  std::barrier done(options.threads + 1);
  std::vector<Stats> stats(options.threads);
  std::vector<std::thread> threads;
  for (unsigned lane = 0; lane < options.threads; ++lane) {
    threads.emplace_back([&, lane] {
      Worker worker(options, *protocol, addresses, lane, stop);
      worker.connect_all();
      if (options.prefill) worker.prefill();
      filled.arrive_and_wait();
      timed.arrive_and_wait();
      worker.load(window);
      done.arrive_and_wait();
      stats[lane] = worker.stats();
    });
  }

  filled.arrive_and_wait();
  window.load_ns = uv_hrtime() + kStartNs;
  window.begin_ns = window.load_ns + to_ns(options.warmup_s);
  window.end_ns = options.requests ? UINT64_MAX : window.begin_ns + to_ns(options.duration_s);
  timed.arrive_and_wait();
  sleep_until(window.begin_ns, stop);
  const Result<double> cpu_begin = cpu_us_of(options.pids);
  if (!options.requests) sleep_until(window.end_ns, stop);
  if (options.requests) done.arrive_and_wait();
  const Result<double> cpu_end = cpu_us_of(options.pids);
  if (!options.requests) done.arrive_and_wait();
  for (std::thread& thread : threads) thread.join();

  Outcome outcome;
  for (const Stats& s : stats) outcome.stats.merge(s);
  const uint64_t end_ns = options.requests ? std::max(outcome.stats.finished_ns, window.begin_ns) : window.end_ns;
  outcome.window_s = static_cast<double>(end_ns - window.begin_ns) / 1e9;
  outcome.stopped_early = stop;
  // A server that died inside the window has no CPU time to read: that is a result, not an error of the tool.
  if (!options.pids.empty() && cpu_begin.ok() && cpu_end.ok()) outcome.server_cpu_us = *cpu_end - *cpu_begin;
  return outcome;
}

}  // namespace cartwheel::bench
