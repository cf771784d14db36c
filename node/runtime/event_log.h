// EventLog: what a stripe has for the operator (Output::Event), as lines of the log. A disk that goes bad may damage
// every partition: beyond kBurst lines in kWindow the rest is counted, and told in one line when the window is over.
// Thread: the shard's.
#pragma once

#include <string>
#include <vector>

#include "base/time.h"
#include "node/core/stripe.h"
#include "node/runtime/log.h"

namespace cartwheel::node {

class EventLog {
 public:
  static constexpr uint64_t kBurst = 20;
  static constexpr Duration kWindow = Duration::seconds(10);

  struct Line {
    logs::Level level;
    std::string message, keyspace, arc, node, reason;  // what is empty is left out
  };
  // The lines for what happened in a turn, and for what was left out before it.
  std::vector<Line> lines(const Output& output, const ClusterConfig& config, Instant now);
  // Writes them.
  void write(const Output& output, const ClusterConfig& config, Instant now);

 private:
  Instant window_end_{INT64_MIN};
  uint64_t written_ = 0, left_out_ = 0;
};

}  // namespace cartwheel::node
