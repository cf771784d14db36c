// The small machines of gossip against their laws and models: suspicion, local health, replay window, probe order,
// queue, gateways.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "gossip/broadcast_queue.h"
#include "gossip/gateways.h"
#include "gossip/local_health.h"
#include "gossip/probe_order.h"
#include "gossip/replay_window.h"
#include "gossip/suspicion.h"

namespace cartwheel::gossip {
namespace {

TEST(Suspicion, LastsLongerInLargerClusters) {
  Options options;
  const std::pair<size_t, int64_t> kTable[] = {{0, 4000},  {1, 4000},   {10, 4000},
                                               {32, 6020}, {100, 8000}, {1024, 12041}};
  for (auto [n, ms] : kTable) EXPECT_EQ(min_suspicion(options, n).us / 1000, ms) << n;
}

TEST(Suspicion, ShrinksWithConfirmationsTheFirstMost) {
  Duration min = Duration::seconds(4), max = Duration::seconds(24);
  const int64_t kMs[] = {24'000, 14'000, 8'150, 4'000, 4'000};
  for (int c = 0; c < 5; ++c) EXPECT_EQ(suspicion_duration(min, max, c, 3).us / 1000, kMs[c]) << c;
  EXPECT_EQ(suspicion_duration(min, max, 0, 0), min) << "nobody can confirm";
}

TEST(Suspicion, CountsEachAccuserOnce) {
  Suspicion suspicion({}, 1, 7, 100, {0});
  EXPECT_FALSE(suspicion.confirm(7)) << "the first accuser is no confirmation of itself";
  EXPECT_TRUE(suspicion.confirm(8));
  EXPECT_FALSE(suspicion.confirm(8));
  EXPECT_TRUE(suspicion.confirm(9));
  EXPECT_TRUE(suspicion.confirm(10));
  EXPECT_FALSE(suspicion.confirm(11)) << "enough";
  EXPECT_EQ(suspicion.deadline().us, min_suspicion({}, 100).us);
}

TEST(Suspicion, ExpectsNoMoreConfirmationsThanThereAreOthers) {
  EXPECT_EQ(Suspicion({}, 1, 7, 2, {0}).deadline().us, min_suspicion({}, 2).us);
  Suspicion three({}, 1, 7, 3, {0});
  EXPECT_GT(three.deadline().us, min_suspicion({}, 3).us);
  EXPECT_TRUE(three.confirm(8));
  EXPECT_EQ(three.deadline().us, min_suspicion({}, 3).us);
}

TEST(LocalHealth, StaysInItsRange) {
  LocalHealth health(8);
  EXPECT_EQ(health.scale(Duration::seconds(1)), Duration::seconds(1));
  health.add(-5);
  EXPECT_EQ(health.score(), 0);
  health.add(100);
  EXPECT_EQ(health.scale(Duration::seconds(1)), Duration::seconds(8));
  health.add(-1);
  EXPECT_EQ(health.scale(Duration::seconds(1)), Duration::seconds(7));
}

// The model: a set of all numbers taken.
RC_GTEST_PROP(ReplayWindow, TakesEachNumberOnceAndNothingTooOld, ()) {
  ReplayWindow window;
  std::set<uint64_t> taken;
  uint32_t boot = 1;
  uint64_t highest = 0;
  for (int i = 0; i < 300; ++i) {
    if (*rc::gen::inRange(0, 60) == 0) {
      ++boot;
      taken.clear();
    }
    uint64_t step = *rc::gen::element<uint64_t>(1, 3, 64, 1023, 1024, 1025, 5000);
    uint64_t number = highest + step - std::min<uint64_t>(highest + step, *rc::gen::inRange<uint64_t>(0, 2000));
    bool fresh =
        taken.empty() || number > highest || (highest - number < limits::kReplayWindow && taken.count(number) == 0);
    RC_ASSERT(window.take(boot, number) == fresh);
    if (!fresh) continue;
    highest = taken.empty() ? number : std::max(highest, number);
    taken.insert(number);
    RC_ASSERT(!window.take(boot, number));
    RC_ASSERT(!window.take(boot - 1, number + 1));
  }
}

RC_GTEST_PROP(ProbeOrder, VisitsEverybodyOncePerRound, ()) {
  Rng rng(*rc::gen::arbitrary<uint64_t>());
  ProbeOrder order;
  std::set<MemberId> members;
  const MemberId count = *rc::gen::inRange<MemberId>(1, 40);
  for (MemberId id = 0; id < count; ++id) {
    order.add(id, rng);
    members.insert(id);
  }
  for (int round = 0; round < 3; ++round) {
    std::set<MemberId> seen;
    for (size_t i = 0; i < members.size(); ++i) seen.insert(order.next(rng, [](MemberId) { return true; }));
    RC_ASSERT(seen == members);
  }
}

RC_GTEST_PROP(ProbeOrder, LeavesNobodyWaitingForMoreThanTwoRoundsWhoeverComesAndGoes, ()) {
  Rng rng(*rc::gen::arbitrary<uint64_t>());
  ProbeOrder order;
  std::map<MemberId, int> waiting;
  MemberId next = 0;
  for (; next < 20; ++next) {
    order.add(next, rng);
    waiting[next] = 0;
  }
  for (int i = 0; i < 400; ++i) {
    if (*rc::gen::inRange(0, 30) == 0) {
      order.add(next, rng);
      waiting[next++] = 0;
    } else if (waiting.size() > 2 && *rc::gen::inRange(0, 30) == 0) {
      order.remove(waiting.begin()->first);
      waiting.erase(waiting.begin());
    }
    MemberId probed = order.next(rng, [](MemberId) { return true; });
    RC_ASSERT(waiting.count(probed) == 1);
    for (auto& [id, count] : waiting) ++count;
    waiting[probed] = 0;
    // A round has at most everybody that ever was there.
    for (auto& [id, count] : waiting) RC_ASSERT(count <= 2 * static_cast<int>(next));
  }
}

TEST(ProbeOrder, FindsNobodyIfNobodyIsWanted) {
  Rng rng(1);
  ProbeOrder order;
  EXPECT_EQ(order.next(rng, [](MemberId) { return true; }), kNoMember);
  order.add(3, rng);
  EXPECT_EQ(order.next(rng, [](MemberId) { return false; }), kNoMember);
}

Update alive(MemberId member, Incarnation incarnation = 1) {
  return {Update::Kind::kAlive, member, incarnation, kNoMember, {}};
}

std::vector<Update> filled(BroadcastQueue& queue, size_t budget, int transmits, MemberId skip = kNoMember) {
  Packet head;
  head.sender = head.to = 0;
  std::string bytes = encode(head);
  queue.fill(bytes, bytes.size() + budget, transmits, skip);
  auto packet = decode_packet(bytes);
  EXPECT_TRUE(packet.ok());
  return packet->updates;
}

TEST(BroadcastQueue, SendsFewestTransmitsFirstThenTheNewest) {
  BroadcastQueue queue;
  for (MemberId id = 1; id <= 4; ++id) queue.push(alive(id));
  EXPECT_EQ(filled(queue, 8, 3), (std::vector{alive(4), alive(3)}));
  EXPECT_EQ(filled(queue, 8, 3), (std::vector{alive(2), alive(1)}));
  queue.push(alive(5));
  EXPECT_EQ(filled(queue, 8, 3), (std::vector{alive(5), alive(4)}));
}

TEST(BroadcastQueue, RetiresWhatWasSentOftenEnough) {
  BroadcastQueue queue;
  queue.push(alive(1));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(filled(queue, 100, 3).size(), 1u);
  EXPECT_TRUE(queue.empty());
}

TEST(BroadcastQueue, NewerNewsReplacesOlderOfTheSameSort) {
  BroadcastQueue queue;
  queue.push(alive(1));
  queue.push({Update::Kind::kFacts, 1, 1, kNoMember, "x"});
  queue.push({Update::Kind::kDead, 1, 1, 2, {}});
  EXPECT_EQ(queue.size(), 2u);
  auto sent = filled(queue, 100, 1);
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].kind, Update::Kind::kDead);
  EXPECT_EQ(sent[1].kind, Update::Kind::kFacts);
}

TEST(BroadcastQueue, LeavesOutWhatDoesNotFitAndWhomToSkip) {
  BroadcastQueue queue;
  queue.push(alive(1));
  queue.push({Update::Kind::kFacts, 2, 1, kNoMember, std::string(60, 'x')});
  queue.push(alive(3));
  EXPECT_EQ(filled(queue, 10, 9, 3), (std::vector{alive(1)}));
  EXPECT_EQ(queue.size(), 3u);
}

TEST(BroadcastQueue, IsBounded) {
  BroadcastQueue queue;
  for (MemberId id = 0; id < limits::kBroadcasts + 10; ++id) queue.push(alive(id));
  EXPECT_EQ(queue.size(), limits::kBroadcasts);
  EXPECT_EQ(queue.dropped(), 10u);
  EXPECT_EQ(filled(queue, 6, 9), (std::vector{alive(limits::kBroadcasts + 9)})) << "the newest is still there";
}

RC_GTEST_PROP(Gateways, ChangeOnlyWhereAMemberCameOrWent, ()) {
  std::vector<Candidate> candidates;
  const MemberId count = *rc::gen::inRange<MemberId>(4, 30);
  for (MemberId id = 0; id < count; ++id)
    candidates.push_back({gateway_score({id, *rc::gen::arbitrary<uint64_t>(), "eu"}), id});
  auto before = pick_gateways(candidates, 3);
  RC_ASSERT(before.size() == 3u);
  size_t gone = *rc::gen::inRange<size_t>(0, candidates.size());
  MemberId id = candidates[gone].member;
  candidates.erase(candidates.begin() + static_cast<ptrdiff_t>(gone));
  auto after = pick_gateways(candidates, 3);
  for (MemberId gateway : before)
    RC_ASSERT(gateway == id || std::find(after.begin(), after.end(), gateway) != after.end());
}

}  // namespace
}  // namespace cartwheel::gossip
