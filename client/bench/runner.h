// One run of the load tool: resolves the targets, starts a thread per loop, reads the servers' CPU time at both ends of
// the measured window, and sums up.
//
// Errors: InvalidArgument for a target that does not resolve, Io for a --pid that does not exist. What goes wrong with
// connections and operations is counted in the stats and does not fail the run.
// Blocks until the run is over; at most one run at a time needs nothing else from the process.
#pragma once

#include <optional>

#include "client/bench/options.h"
#include "client/bench/stats.h"

namespace cartwheel::bench {

struct Outcome {
  Stats stats;
  double window_s = 0;                  // length of the measured window
  std::optional<double> server_cpu_us;  // of all pids together inside the window
  bool stopped_early = false;           // a connection was lost (without keep_going) or nothing was answered
};

Result<Outcome> run(const Options& options);

}  // namespace cartwheel::bench
