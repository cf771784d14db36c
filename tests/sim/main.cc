// cartwheel_sim: runs seeds of the simulator. Exit code 0: all passed, 1: one failed, 2: bad arguments.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/sim/run_seed.h"

namespace {

using cartwheel::sim::run_seed;
using cartwheel::sim::SeedResult;

thread_local uint64_t t_seed = 0;
const char* g_flags = "";  // that a replay needs, too; set once before the threads start

// A CHECK that fails, or a crash, names its seed too.
void on_crash(int signal) {
  char text[160];
  int length =
      std::snprintf(text, sizeof text, "seed %llu died of signal %d; replay: cartwheel_sim%s --seed %llu --verbose\n",
                    static_cast<unsigned long long>(t_seed), signal, g_flags, static_cast<unsigned long long>(t_seed));
  [[maybe_unused]] ssize_t written = ::write(2, text, static_cast<size_t>(length));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

struct Totals {
  std::mutex mutex;
  uint64_t seeds = 0, failed = 0, events = 0, operations = 0, acknowledged = 0, folds = 0, folds_amid_faults = 0;
  uint64_t full_exchanges = 0, by_trees = 0;
  int64_t virtual_us = 0;
};

void report(const SeedResult& result, Totals& totals) {
  std::lock_guard lock(totals.mutex);
  ++totals.seeds;
  totals.events += result.events;
  totals.operations += result.operations;
  totals.acknowledged += result.acknowledged;
  totals.folds += result.folds;
  totals.folds_amid_faults += result.folds_amid_faults;
  totals.full_exchanges += result.full_exchanges;
  totals.by_trees += result.by_trees;
  totals.virtual_us += result.virtual_us;
  if (!result.failure) return;
  ++totals.failed;
  std::printf("seed %llu FAILED: %s\n  %s\n  replay: cartwheel_sim%s --seed %llu --verbose\n",
              static_cast<unsigned long long>(result.seed), result.failure->c_str(), result.shape.c_str(), g_flags,
              static_cast<unsigned long long>(result.seed));
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t seeds = 300, first = 1, one = 0;
  unsigned jobs = 2;
  bool verbose = false, twice = false;
  cartwheel::sim::RunKind kind;
  CLI::App app{"Runs a whole Cartwheel cluster in one process, in virtual time, from seeds."};
  app.add_option("--seeds", seeds, "how many seeds to run")->capture_default_str();
  app.add_option("--first", first, "the first seed")->capture_default_str();
  auto* seed_option = app.add_option("--seed", one, "run this seed alone");
  app.add_option("--jobs", jobs, "threads, each with seeds of its own")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  app.add_flag("--verbose", verbose, "print what happens");
  app.add_flag("--fallbacks", kind.fallbacks, "keyspaces have fallbacks, and regions more nodes than copies");
  app.add_flag("--ring", kind.ring, "nodes join, leave and are replaced in the course of the run, and replicas change");
  app.add_flag("--spoil", kind.spoil, "disks turn rows into garbage");
  app.add_flag("--stops", kind.stops, "three copies, and nothing but short stops of one node at a time");
  app.add_flag("--twice", twice, "run each seed twice and compare the traces");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  static std::string flags;
  for (auto [set, flag] : {std::pair(kind.ring, " --ring"), std::pair(kind.fallbacks, " --fallbacks"),
                           std::pair(kind.spoil, " --spoil"), std::pair(kind.stops, " --stops")}) {
    if (set) flags += flag;
  }
  g_flags = flags.c_str();
  for (int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, on_crash);
  if (seed_option->count() > 0) {
    first = one;
    seeds = 1;
  }

  Totals totals;
  std::atomic<uint64_t> next{0};
  auto begin = std::chrono::steady_clock::now();
  auto work = [&] {
    for (uint64_t i = next++; i < seeds; i = next++) {
      t_seed = first + i;
      SeedResult result = run_seed(t_seed, verbose, kind);
      if (twice && !result.failure && run_seed(t_seed, false, kind).trace_hash != result.trace_hash) {
        result.failure = "two runs of this seed differ";
      }
      report(result, totals);
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 1; i < jobs && i < seeds; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();

  double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf(
      "%llu seeds, %llu failed; %llu operations, %llu acknowledged; %llu folds, %llu of them amid faults; %llu full "
      "exchanges, %llu by trees; %llu events, %.2f virtual hours in %.1f s\n",
      static_cast<unsigned long long>(totals.seeds), static_cast<unsigned long long>(totals.failed),
      static_cast<unsigned long long>(totals.operations), static_cast<unsigned long long>(totals.acknowledged),
      static_cast<unsigned long long>(totals.folds), static_cast<unsigned long long>(totals.folds_amid_faults),
      static_cast<unsigned long long>(totals.full_exchanges), static_cast<unsigned long long>(totals.by_trees),
      static_cast<unsigned long long>(totals.events), static_cast<double>(totals.virtual_us) / 3.6e9, wall);
  return totals.failed == 0 ? 0 : 1;
}
