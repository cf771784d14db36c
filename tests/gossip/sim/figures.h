// The figures that gossip is judged by, measured in the simulator: exact and repeatable, so tests can hold them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gossip/options.h"

namespace cartwheel::gossip::sim {

struct Setup {
  size_t nodes = 16;
  size_t regions = 1;
  uint64_t seed = 1;
  bool lifeguard = true;
  double loss = 0.01;
};

struct Detection {
  std::vector<double> first, all;  // seconds from a crash to "dead" at one live node, at all of them; ascending
  int missed = 0;                  // crashes that somebody did not see in time
};
// Crashes `crashes` nodes, one at a time; each is started again afterwards.
Detection measure_detection(const Setup& setup, int crashes);

enum class Starving { kStalled, kBlocked, kLate };
struct FalseDeaths {
  uint64_t healthy = 0;             // "dead" of a healthy node, summed over observers
  uint64_t healthy_at_healthy = 0;  // of those, at healthy observers
  uint64_t starved = 0;             // "dead" of a starved node, summed over observers
  double node_hours = 0;
};
// A tenth of the nodes (at least one) is starved: stalled or blocked (see World) for 1 to 16 s at a time with 0.1 to 2
// s between, or late by up to 16 s in reading packets.
FalseDeaths measure_false_deaths(const Setup& setup, Starving starving, int64_t seconds);

struct Traffic {
  double bytes = 0, packets = 0;          // sent per node and second, packets and streams, headers and seals counted
  double largest = 0;                     // of the node that sends most
  double wan_bytes = 0, wan_largest = 0;  // of those, to other regions: on average, and of the node that sends most
};
// In a settled cluster, with facts of 16 bytes that change as often as they may, if `facts`.
Traffic measure_traffic(const Setup& setup, int64_t seconds, bool facts);

// Seconds until all see all as alive after the start of everybody at once; negative: not within `limit`.
double measure_mass_restart(const Setup& setup, int64_t limit_seconds);

double median(const std::vector<double>& ascending);

}  // namespace cartwheel::gossip::sim
