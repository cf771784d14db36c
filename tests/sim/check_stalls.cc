// What hedging promises where it can keep it.
#include <algorithm>

#include "tests/sim/checkers.h"

namespace cartwheel::sim {

namespace {

constexpr int64_t kLongUs = 300'000;

// Two of three copies, all in the region of the node that was asked.
bool is_two_of_three(const SimWorld& world, const OpRecord& op) {
  std::vector<uint32_t> replicas = world.replicas(op.keyspace);
  uint32_t all = 0;
  for (uint32_t n : replicas) all += n;
  if (replicas[region_of(world, op.node)] != 3) return false;
  return op.level.kind == node::Level::Kind::kLocalQuorum || (op.level.kind == node::Level::Kind::kQuorum && all == 3);
}

}  // namespace

Verdict check_stalls(const SimWorld& world) {
  for (const OpRecord& op : world.history().ops()) {
    if (!node::observes(op.operation.verb) || node::is_write(op.operation.verb) ||
        node::is_arc_wide(op.operation.verb) || !is_two_of_three(world, op))
      continue;
    bool itself = std::any_of(world.short_stops().begin(), world.short_stops().end(), [&](const ShortStop& stop) {
      return stop.node == op.node && stop.from_us <= op.ended_us && op.invoked_us <= stop.to_us;
    });
    if (itself) continue;
    const Code code = op.reply.status.code();
    if (op.outcome == Outcome::kUnknown || code == Code::kUnavailable || code == Code::kOverloaded)
      return "one node at a time stands still, but: " + to_string(op);
    if (op.ended_us - op.invoked_us > kLongUs)
      return "waited for " + std::to_string((op.ended_us - op.invoked_us) / 1000) +
             " ms because of one node that stands still: " + to_string(op);
  }
  // What waits at a node that stands still is no lag: when it goes on, it gets that first. (Between regions it may be
  // the relay for others, which then really lack something.)
  uint64_t n = world.total(&node::StripeStats::read_repair_told);
  if (n > 0 && world.config().regions.size() == 1)
    return std::to_string(n) + " replicas that only stood still were told that they are behind";
  return {};
}

}  // namespace cartwheel::sim
