#include "tests/sim/stop_history.h"

#include <string>

#include "base/rng.h"
#include "tests/sim/checkers.h"
#include "tests/sim/sim_world.h"

namespace cartwheel::sim {

using node::NodeIndex;

namespace {

constexpr uint32_t kNodes = 5, kCopies = 3;
constexpr Duration kPatience = Duration::seconds(30);

class RollingRestart {
 public:
  explicit RollingRestart(uint64_t seed)
      : rng_(seed), world_(make_config({{"eu", kNodes}}, 16, 2, {{{kCopies}, "quorum"}}), options(seed)) {
    world_.start_all();
    world_.run_for(Duration::seconds(1));
  }

  Verdict run() {
    for (NodeIndex n = 0; n < kNodes; ++n) {
      // Its own clients go elsewhere first, as the doors have them do.
      const int64_t stop_us = world_.now_us() + 20'000;
      ask_while(n, [&] { return world_.now_us() < stop_us; });
      world_.stop(n);
      if (!ask_while(n, [&] { return world_.is_up(n); })) return "node " + std::to_string(n) + " does not stop";
      world_.start(n);
      if (!ask_while(n, [&] { return !is_ready(n); })) return "node " + std::to_string(n) + " does not get ready";
    }
    world_.run_for(Duration::seconds(5));
    if (Verdict wrong = check_understood(world_)) return wrong;
    for (const OpRecord& op : world_.history().ops()) {
      if (op.outcome != Outcome::kOk) return to_string(op);
    }
    return world_.history().violation();
  }

 private:
  static WorldOptions options(uint64_t seed) {
    WorldOptions options;
    options.seed = seed;
    return options;
  }

  // Requests to all nodes but `other`, for as long as `goes_on` says so, or in vain for too long: then false.
  template <typename GoesOn>
  bool ask_while(NodeIndex other, GoesOn goes_on) {
    for (int64_t begin = world_.now_us(); goes_on(); world_.run_for(Duration{200})) {
      if (world_.now_us() - begin > kPatience.us) return false;
      const auto n = static_cast<NodeIndex>((other + 1 + rng_.below(kNodes - 1)) % kNodes);
      node::Operation operation;
      operation.key = "key" + std::to_string(rng_.below(200));
      operation.verb = rng_.chance(0.5) ? node::Verb::kSetAdd : node::Verb::kSetAll;
      if (operation.verb == node::Verb::kSetAdd) operation.args = {"e" + std::to_string(++elements_)};
      world_.submit(n, 0, operation);
    }
    return true;
  }

  bool is_ready(NodeIndex n) {
    if (!world_.is_up(n)) return false;
    for (uint32_t s = 0; s < world_.config().stripes; ++s) {
      if (!world_.stripe(n, s).alive() || !world_.stripe(n, s).stripe().ready()) return false;
    }
    return true;
  }

  Rng rng_;
  SimWorld world_;
  uint64_t elements_ = 0;
};

}  // namespace

Verdict rolling_restart(uint64_t seed) {
  return RollingRestart(seed).run();
}

}  // namespace cartwheel::sim
