// Scenarios: what a cluster does, written as text and run on the gossip simulation. One statement per line; '#' begins
// a comment. NODES is `all`, or ids and ranges: 0,2,4-6.
//
//   seed N                          loss PERCENT            plain (SWIM without Lifeguard)
//   nodes COUNT REGION              start NODES             crash NODES          leave NODES
//   stall NODES SECONDS             block NODES SECONDS     late NODES SECONDS
//   cut NODES to NODES              (one way)               apart NODES NODES    (both ways)
//   heal                            remove ID told ID       facts ID TEXT
//   run SECONDS
//   NODES see NODES STATE           now: alive, suspect, dead, left, unknown, reachable, unreachable
//   within SECONDS NODES see NODES STATE
//   forbid NODES STATE              from here on nobody's event may say that of them; `allow` ends it
//   replay ID                       hand `to` everything that was sent since `record`, again: record, replay
//   converged                       every checker of the simulation passes
//
// A node sees itself as anything that is asked.
#pragma once

#include <optional>
#include <string>

namespace cartwheel::gossip::sim {

// What went wrong, with the line it happened at; nothing if all went as written.
std::optional<std::string> run_scenario(const std::string& path);

}  // namespace cartwheel::gossip::sim
