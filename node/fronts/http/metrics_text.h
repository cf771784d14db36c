// Metrics as Prometheus text, format 0.0.4: names cartwheel_<subsystem>_<what>_<unit>[_total], base units, labels
// bounded by the cluster's size. The process_* names are those that every Prometheus client library uses.
#pragma once

#include <string>

#include "node/runtime/metrics.h"

namespace cartwheel::node {

std::string metrics_text(const Metrics& metrics);

}  // namespace cartwheel::node
