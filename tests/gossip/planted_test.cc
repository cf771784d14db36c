// Every planted defect of gossip is found, by seeds, by a scenario or by hand; with none on, the same tests pass.
#include "base/planted.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <ostream>
#include <string>

#include "gossip/replay_window.h"
#include "gossip/suspicion.h"
#include "tests/gossip/one_machine.h"
#include "tests/gossip/scenario.h"
#include "tests/gossip/sim/run_seed.h"

namespace cartwheel::gossip::sim {
namespace {

struct Planted {
  Bug bug;
  const char* name;
  uint64_t seeds;        // within so many one must fail
  const char* scenario;  // or, if there is one, this file
};
std::ostream& operator<<(std::ostream& out, const Planted& planted) {
  return out << planted.name;
}

class GossipPlanted : public ::testing::TestWithParam<Planted> {
 protected:
  void TearDown() override { g_planted_bug = Bug::kNone; }
};

std::string scenario(const char* name) {
  return std::string(CARTWHEEL_SCENARIOS) + "/" + name + ".txt";
}

TEST_P(GossipPlanted, IsFound) {
  const Planted& planted = GetParam();
  if (planted.scenario != nullptr) {
    ASSERT_FALSE(run_scenario(scenario(planted.scenario)));
    g_planted_bug = planted.bug;
    auto failure = run_scenario(scenario(planted.scenario));
    ASSERT_TRUE(failure) << planted.name << " is not found by " << planted.scenario;
    std::printf("%-22s found by %s\n", planted.name, planted.scenario);
    return;
  }
  g_planted_bug = planted.bug;
  for (uint64_t seed = 1; seed <= planted.seeds; ++seed) {
    SeedResult result = run_seed(seed);
    if (!result.failure) continue;
    std::printf("%-22s found after %3llu seeds: %s\n", planted.name, static_cast<unsigned long long>(seed),
                result.failure->c_str());
    return;
  }
  ADD_FAILURE() << planted.name << " is not found in " << planted.seeds << " seeds";
}

INSTANTIATE_TEST_SUITE_P(Catalogue, GossipPlanted,
                         ::testing::Values(Planted{Bug::kRefuteSameIncarnation, "RefuteSameIncarnation", 20, nullptr},
                                           Planted{Bug::kSuspicionNeverExpires, "SuspicionNeverExpires", 20, nullptr},
                                           Planted{Bug::kAccusedNotTold, "AccusedNotTold", 0, "split_heals"},
                                           Planted{Bug::kDeadNeverProbed, "DeadNeverProbed", 0, "split_heals"},
                                           Planted{Bug::kNewsNeverRetires, "NewsNeverRetires", 20, nullptr},
                                           Planted{Bug::kPushPullLearnsNothing, "PushPullLearnsNothing", 100, nullptr},
                                           Planted{Bug::kOldGatewaysOnly, "OldGatewaysOnly", 0,
                                                   "gateways_change_while_apart"}),
                         [](const auto& planted) { return std::string(planted.param.name); });

// With `bug`, what holds without it does not.
template <typename Holds>
void expect_found(Bug bug, Holds holds) {
  EXPECT_TRUE(holds());
  g_planted_bug = bug;
  EXPECT_FALSE(holds());
  g_planted_bug = Bug::kNone;
}

TEST(GossipPlantedByHand, IncarnationForgottenResurrectsByALateAlive) {
  expect_found(Bug::kIncarnationForgotten, [] {
    OneMachine m;
    m.news({Update::Kind::kDead, 2, first_incarnation(1), 1, {}});
    m.news({Update::Kind::kDead, 2, first_incarnation(10), 1, {}});
    m.news({Update::Kind::kAlive, 2, first_incarnation(2), kNoMember, {}});
    return m.swim.state(2) == State::kDead;
  });
}

TEST(GossipPlantedByHand, RemovedComesBackUnderItsOldId) {
  expect_found(Bug::kRemovedComesBack, [] {
    OneMachine m;
    Packet wiped = m.from(2, PacketKind::kPing);
    wiped.identity = 999;
    m.packet(wiped);
    return m.swim.state(2) == State::kUnknown;
  });
}

TEST(GossipPlantedByHand, ReplayTakenAnswersACapturedPing) {
  expect_found(Bug::kReplayTaken, [] {
    OneMachine m;
    Packet ping = m.from(1, PacketKind::kPing);
    m.packet(ping);
    m.take();
    m.packet(ping);
    return m.sent(PacketKind::kAck).empty();
  });
}

TEST(GossipPlantedByHand, AnyIncarnationMakesAForgeryIrrefutable) {
  expect_found(Bug::kAnyIncarnation, [] {
    OneMachine m;
    m.news({Update::Kind::kAlive, 2, first_incarnation(1), kNoMember, {}});
    m.news({Update::Kind::kDead, 2, ~uint64_t{0}, 1, {}});
    return m.swim.state(2) == State::kAlive;
  });
}

TEST(GossipPlantedByHand, ConfirmationsBySelfShortenASuspicionThatOneNodeHas) {
  expect_found(Bug::kConfirmationsBySelf, [] {
    Suspicion suspicion({}, 1, 7, 100, {0});
    for (int i = 0; i < 5; ++i) suspicion.confirm(7);
    return suspicion.deadline().us > min_suspicion({}, 100).us;
  });
}

TEST(GossipPlantedByHand, WithoutAnyTheSameSeedsPass) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SeedResult result = run_seed(seed);
    ASSERT_FALSE(result.failure) << *result.failure << "; replay: cartwheel_gossip_sim --seed " << seed << " --verbose";
  }
}

}  // namespace
}  // namespace cartwheel::gossip::sim
