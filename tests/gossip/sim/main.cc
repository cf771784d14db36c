// cartwheel_gossip_sim: runs seeds of the gossip simulation, or prints its figures. Exit code 0: all passed, 1: a seed
// failed, 2: bad arguments.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <string>

#include "tests/gossip/sim/figures.h"
#include "tests/gossip/sim/run_seed.h"

namespace {

using namespace cartwheel::gossip::sim;

void detection(size_t nodes, size_t regions, int crashes, uint64_t seed) {
  Detection plain = measure_detection({nodes, regions, seed, false, 0.01}, crashes);
  Detection ours = measure_detection({nodes, regions, seed, true, 0.01}, crashes);
  std::printf("| %4zu | %zu | %6.2f | %6.2f | %4.2f | %6.2f | %6.2f | %4.2f | %d/%d |\n", nodes, regions,
              median(plain.first), median(ours.first), median(ours.first) / median(plain.first), median(plain.all),
              median(ours.all), median(ours.all) / median(plain.all), plain.missed, ours.missed);
  std::fflush(stdout);
}

constexpr const char* kNames[] = {"stalled", "blocked", "late"};

void false_deaths(size_t nodes, size_t regions, int64_t seconds, uint64_t seed) {
  for (Starving starving : {Starving::kStalled, Starving::kBlocked, Starving::kLate}) {
    FalseDeaths plain = measure_false_deaths({nodes, regions, seed, false, 0.01}, starving, seconds);
    FalseDeaths ours = measure_false_deaths({nodes, regions, seed, true, 0.01}, starving, seconds);
    std::printf("| %4zu | %zu | %-7s | %8llu | %6llu | %8llu | %6llu | %8llu | %8llu |\n", nodes, regions,
                kNames[static_cast<int>(starving)], static_cast<unsigned long long>(plain.healthy),
                static_cast<unsigned long long>(ours.healthy),
                static_cast<unsigned long long>(plain.healthy_at_healthy),
                static_cast<unsigned long long>(ours.healthy_at_healthy),
                static_cast<unsigned long long>(plain.starved), static_cast<unsigned long long>(ours.starved));
    std::fflush(stdout);
  }
}

void traffic(size_t nodes, size_t regions, int64_t seconds, uint64_t seed) {
  Traffic idle = measure_traffic({nodes, regions, seed, true, 0.01}, seconds, false);
  Traffic facts = measure_traffic({nodes, regions, seed, true, 0.01}, seconds, true);
  std::printf("| %4zu | %zu | %6.1f | %5.2f | %6.1f | %6.1f | %6.1f | %6.1f |\n", nodes, regions, idle.bytes,
              idle.packets, idle.largest, idle.wan_bytes, idle.wan_largest, facts.bytes);
  std::fflush(stdout);
}

int run_seeds(uint64_t first, uint64_t seeds, bool verbose, bool twice) {
  uint64_t failed = 0, events = 0;
  int64_t virtual_us = 0;
  auto begin = std::chrono::steady_clock::now();
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    SeedResult result = run_seed(seed, verbose);
    if (twice && !result.failure && run_seed(seed).trace != result.trace)
      result.failure = "two runs of this seed differ";
    events += result.events;
    virtual_us += result.virtual_us;
    if (!result.failure) continue;
    ++failed;
    std::printf("seed %llu FAILED: %s\n  %s\n  replay: cartwheel_gossip_sim --seed %llu --verbose\n",
                static_cast<unsigned long long>(seed), result.failure->c_str(), result.shape.c_str(),
                static_cast<unsigned long long>(seed));
    std::fflush(stdout);
  }
  double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("%llu seeds, %llu failed; %llu events, %.2f virtual hours in %.1f s\n",
              static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(failed),
              static_cast<unsigned long long>(events), static_cast<double>(virtual_us) / 3.6e9, wall);
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t seed = 1;
  int crashes = 41;
  int64_t seconds = 600;
  size_t largest = 1024;
  CLI::App app{"Simulates Cartwheel's gossip in virtual time."};
  app.require_subcommand(0, 1);
  uint64_t seeds = 300, first = 1, one = 0;
  bool verbose = false, twice = false;
  app.add_option("--seeds", seeds, "how many seeds to run")->capture_default_str();
  app.add_option("--first", first, "the first seed")->capture_default_str();
  auto* seed_option = app.add_option("--seed", one, "run this seed alone");
  app.add_flag("--verbose", verbose, "print what happens");
  app.add_flag("--twice", twice, "run each seed twice and compare the traces");
  auto* figures = app.add_subcommand("figures", "print detection times, false deaths and traffic");
  figures->add_option("--seed", seed)->capture_default_str();
  figures->add_option("--crashes", crashes, "per cluster size")->capture_default_str();
  figures->add_option("--seconds", seconds, "of starving and of traffic")->capture_default_str();
  figures->add_option("--largest", largest, "cluster size")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (!*figures) {
    if (seed_option->count() > 0) {
      first = one;
      seeds = 1;
    }
    return run_seeds(first, seeds, verbose, twice);
  }
  struct Shape {
    size_t nodes, regions;
  };
  std::puts("| nodes | regions | first: SWIM | Lifeguard | ratio | all: SWIM | Lifeguard | ratio | missed |");
  for (Shape s : {Shape{8, 1}, Shape{16, 1}, Shape{32, 1}, Shape{64, 1}, Shape{128, 1}, Shape{256, 1}, Shape{1024, 1},
                  Shape{12, 2}, Shape{48, 3}, Shape{192, 3}})
    if (s.nodes <= largest) detection(s.nodes, s.regions, crashes, seed);
  std::puts(
      "| nodes | regions | starved | healthy: SWIM | Lifeguard | at healthy: SWIM | Lifeguard | starved: SWIM | "
      "Lifeguard |");
  for (Shape s : {Shape{16, 1}, Shape{32, 1}, Shape{64, 1}, Shape{128, 1}, Shape{256, 1}, Shape{96, 3}})
    if (s.nodes <= largest) false_deaths(s.nodes, s.regions, seconds, seed);
  std::puts("| nodes | regions | bytes/s | packets/s | largest | wan | wan largest | with facts |");
  for (Shape s :
       {Shape{16, 1}, Shape{64, 1}, Shape{256, 1}, Shape{1024, 1}, Shape{16, 2}, Shape{1024, 2}, Shape{48, 3}})
    if (s.nodes <= largest) traffic(s.nodes, s.regions, std::min<int64_t>(seconds, 120), seed);
  std::puts("| nodes | mass restart, s |");
  for (Shape s : {Shape{8, 1}, Shape{64, 1}, Shape{256, 1}, Shape{1024, 1}, Shape{96, 3}})
    if (s.nodes <= largest)
      std::printf("| %zu/%zu | %.2f |\n", s.nodes, s.regions, measure_mass_restart({s.nodes, s.regions, seed}, 300));
  return 0;
}
