// What a run says, as text for people and JSON for programs.
#pragma once

#include <string>
#include <vector>

#include "client/bench/options.h"
#include "client/bench/runner.h"

namespace cartwheel::bench {

// What keeps the numbers from meaning what they seem to, one sentence each; empty when nothing does.
std::vector<std::string> warnings_of(const Options& options, const Outcome& outcome);

// False when latency percentiles describe a growing queue and not the server: in an open loop that achieved less than
// 99 % of the offered rate.
bool latency_is_meaningful(const Options& options, const Outcome& outcome);

std::string text_report(const Options& options, const Outcome& outcome);
std::string json_report(const Options& options, const Outcome& outcome);

}  // namespace cartwheel::bench
