#include "node/core/paxos/catch_up.h"

#include <gtest/gtest.h>

#include "tests/node/paxos/lab.h"

namespace cartwheel::node::paxos {
namespace {

constexpr Duration kResend = Duration::millis(100);

// Brings acceptor `self` back by asking `reached` of the others.
bool bring_back(Lab& lab, NodeIndex self, const Quorum& quorum, const std::vector<NodeIndex>& reached) {
  CatchUp catch_up(kLabKey, self, quorum, {1, self, 99}, kResend);
  catch_up.begin({});
  for (const Send& send : catch_up.take_sends()) {
    for (NodeIndex to : send.to) {
      EXPECT_NE(to, self);
      if (std::find(reached.begin(), reached.end(), to) == reached.end()) continue;
      catch_up.on_reply(to, lab.ask(to, send.request));
    }
  }
  if (!catch_up.done()) return false;
  lab.acceptors.at(self).install(catch_up.generation(), catch_up.accepted(), catch_up.value());
  return true;
}

TEST(CatchUp, BringsBackWhatWasChosenWithTheLostVote) {
  Lab lab({0, 1, 2});
  BallotSource ballots(7, 1);
  lab.propose(set("v"), Lab::of({0, 1, 2}), ballots, {0, 2});
  lab.acceptors.at(2) = Acceptor::lost();
  EXPECT_FALSE(bring_back(lab, 2, Lab::of({0, 1, 2}, 2), {1})) << "1 alone never heard of it";
  EXPECT_TRUE(bring_back(lab, 2, Lab::of({0, 1, 2}, 2), {0, 1}));
  EXPECT_EQ(lab.propose(read(), Lab::of({0, 1, 2}, 2), ballots, {1, 2}).outcome()->value, "v");
}

TEST(CatchUp, AnswersOfOtherLostAcceptorsDoNotCount) {
  Lab lab({0, 1, 2, 3, 4});
  lab.acceptors.at(3) = Acceptor::lost();
  lab.acceptors.at(4) = Acceptor::lost();
  EXPECT_FALSE(bring_back(lab, 4, Lab::of({0, 1, 2, 3, 4}, 2), {0, 1, 3}));
  EXPECT_TRUE(bring_back(lab, 4, Lab::of({0, 1, 2, 3, 4}, 2), {0, 1, 2}));
}

TEST(CatchUp, AsksEachSetOfAJointConfigurationThatItIsIn) {
  Lab lab({0, 1, 2, 3, 4});
  lab.acceptors.at(2) = Acceptor::lost();
  Quorum joint{2, {{0, 1, 2}, {2, 3, 4}}};
  EXPECT_FALSE(bring_back(lab, 2, joint, {0, 1, 3}));
  EXPECT_TRUE(bring_back(lab, 2, joint, {0, 1, 3, 4}));
  lab.acceptors.at(4) = Acceptor::lost();
  EXPECT_TRUE(bring_back(lab, 4, joint, {2, 3})) << "only its own sets";
}

TEST(CatchUp, AsksTheSilentAgain) {
  CatchUp catch_up(kLabKey, 2, Lab::of({0, 1, 2}, 2), {1, 2, 9}, kResend);
  catch_up.begin({});
  EXPECT_EQ(catch_up.take_sends().at(0).to, (std::vector<NodeIndex>{0, 1}));
  Lab lab({0, 1});
  catch_up.on_reply(0, lab.ask(0, {MessageType::kQuery, kLabKey, 2, {1, 2, 9}, {}, {}}));
  EXPECT_EQ(catch_up.next_deadline(), Instant{kResend.us});
  catch_up.tick({kResend.us});
  EXPECT_EQ(catch_up.take_sends().at(0).to, (std::vector<NodeIndex>{1}));
}

// Why a lost acceptor comes back only in a generation that was decided after the loss. A change is accepted by 2, which
// loses its disk; its accept to 0 is still under way. 2 comes back by asking 0 and 1. Then the old accept reaches 0,
// and with the old vote of 2 it is chosen. Does a round of 1 and 2 find it?
std::pair<Round, Round> late_accept(uint64_t generation) {
  Lab lab({0, 1, 2});
  BallotSource ballots(7, 1), others(8, 1);
  Round round(kLabKey, Options(), Lab::of({0, 1, 2}), set("v"), 1);
  round.begin({}, ballots, {});
  Send prepare = round.take_sends().at(0);
  for (NodeIndex n : prepare.to) round.on_reply(n, lab.ask(n, prepare.request), ballots, {});
  Send accept = round.take_sends().at(0);
  round.on_reply(2, lab.ask(2, accept.request), ballots, {});
  lab.acceptors.at(2) = Acceptor::lost();
  EXPECT_TRUE(bring_back(lab, 2, Lab::of({0, 1, 2}, generation), {0, 1}));
  round.on_reply(0, lab.ask(0, accept.request), ballots, {});
  others.observe({40, 0, 0});
  Round other = lab.propose(append("w"), Lab::of({0, 1, 2}, generation), others, {1, 2});
  return {std::move(round), std::move(other)};
}

TEST(CatchUp, OldVoteNoLongerCountsInANewGeneration) {
  auto [round, other] = late_accept(2);
  EXPECT_EQ(other.outcome()->value, "w");
  EXPECT_FALSE(round.outcome()) << "0 refuses the old generation, so the change is not chosen";
}

TEST(CatchUp, InTheGenerationOfTheLossAChosenChangeWouldBeLost) {
  auto [round, other] = late_accept(1);
  EXPECT_EQ(round.outcome()->value, "v");
  EXPECT_EQ(other.outcome()->value, "w") << "the harm that the rule is there to prevent";
}

}  // namespace
}  // namespace cartwheel::node::paxos
