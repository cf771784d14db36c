// The CPU time that processes have used, as Linux counts it in /proc/PID/stat (utime + stime of all their threads; not
// of children). Resolution: one clock tick, usually 10 ms; measure over seconds.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace cartwheel::bench {

// utime + stime in clock ticks from the contents of /proc/PID/stat. Corruption when it does not look like one.
Result<uint64_t> parse_stat_ticks(std::string_view stat);

// Microseconds of CPU used so far by all `pids` together. Io when one of them does not exist.
Result<double> cpu_us_of(const std::vector<int>& pids);

}  // namespace cartwheel::bench
