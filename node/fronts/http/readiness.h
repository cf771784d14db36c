// Readiness: the checks of /readyz. A node that is not ready should get no new traffic; it is not to be restarted for
// it.
#pragma once

#include <string>
#include <vector>

#include "node/runtime/metrics.h"

namespace cartwheel::node {

struct Readiness {
  struct Check {
    std::string name;
    bool ok = true;
    std::string detail;   // why it fails, or what it found
    bool decides = true;  // false: shown, but a node is ready without it
  };
  std::vector<Check> checks;

  bool ready() const;
  std::string brief() const;    // "ready" or "not ready: ..."
  std::string verbose() const;  // a line per check, "[+]name ok" or "[-]name failed: why", then the brief form
};

Readiness readiness_of(const Metrics& metrics);

}  // namespace cartwheel::node
