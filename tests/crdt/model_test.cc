// The model of partition clocks in C++: many seeded runs against the naive model that keeps every event. A failure
// names its seed; CARTWHEEL_SEED=N runs that seed alone, CARTWHEEL_SEEDS=N runs so many instead of the usual number.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/crdt/model/world.h"

namespace cartwheel::crdt::model {
namespace {

uint64_t from_environment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(PartitionClockModel, EveryReplicaShowsWhatTheEventsItHasSeenSay) {
  if (std::getenv("CARTWHEEL_SEED") != nullptr) {
    auto why = run_seed(from_environment("CARTWHEEL_SEED", 0));
    EXPECT_FALSE(why) << *why;
    return;
  }
  uint64_t first = from_environment("CARTWHEEL_FIRST_SEED", 0), seeds = from_environment("CARTWHEEL_SEEDS", 20'000);
  int failed = 0;
  for (uint64_t seed = first; seed < first + seeds && failed < 5; ++seed) {
    if (auto why = run_seed(seed)) {
      ++failed;
      ADD_FAILURE() << *why << "\nreplay: CARTWHEEL_SEED=" << seed << " model_test";
    }
  }
}

}  // namespace
}  // namespace cartwheel::crdt::model
