#include "node/core/paxos/register.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "tests/node/paxos/lab.h"

namespace cartwheel::node::paxos {
namespace {

class RegisterTest : public testing::Test {
 protected:
  Lab lab{{0, 1, 2}};
  BallotSource ballots{7, 1};
  Register reg{kLabKey, Options(), Lab::of({0, 1, 2}), ballots, 1};

  // Delivers everything until nothing is sent; returns what ended.
  std::vector<Register::Done> settle(Instant now = {}) {
    std::vector<Register::Done> done;
    while (true) {
      Register::Output output = reg.take_output();
      for (auto& d : output.done) done.push_back(std::move(d));
      if (output.sends.empty()) return done;
      for (const Send& send : output.sends) {
        for (NodeIndex to : send.to) {
          if (lab.acceptors.contains(to)) reg.on_reply(to, lab.ask(to, send.request), now);
        }
      }
    }
  }
};

TEST_F(RegisterTest, ProposalsOfOneNodeQueueInOrderWithoutDuelling) {
  std::vector<uint64_t> tickets;
  for (char c = 'a'; c <= 'j'; ++c) tickets.push_back(reg.propose(append(std::string(1, c)), {}).value());
  auto done = settle();
  ASSERT_EQ(done.size(), 10u);
  for (size_t i = 0; i < done.size(); ++i) {
    EXPECT_EQ(done[i].ticket, tickets[i]);
    EXPECT_EQ(done[i].outcome.kind, Outcome::Kind::kChosen);
    EXPECT_EQ(done[i].outcome.value, std::string("abcdefghij").substr(0, i + 1));
  }
  EXPECT_EQ(lab.requests, 60u) << "two round trips each";
  EXPECT_TRUE(reg.idle());
  EXPECT_FALSE(reg.next_deadline());
}

TEST_F(RegisterTest, PiggybackedPromisesHalveThat) {
  Options options;
  options.piggyback = true;
  Register quick(kLabKey, options, Lab::of({0, 1, 2}), ballots, 1);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(quick.propose(append("x"), {}).ok());
  size_t done = 0;
  for (auto output = quick.take_output(); !output.sends.empty() || !output.done.empty(); output = quick.take_output()) {
    done += output.done.size();
    for (const Send& send : output.sends) {
      for (NodeIndex to : send.to) quick.on_reply(to, lab.ask(to, send.request), {});
    }
  }
  EXPECT_EQ(done, 10u);
  EXPECT_EQ(lab.requests, 33u);
}

TEST_F(RegisterTest, QueueIsBounded) {
  lab.acceptors.clear();  // nobody answers
  for (size_t i = 0; i <= limits::kPaxosProposals; ++i) ASSERT_TRUE(reg.propose(set("v"), {}).ok()) << i;
  EXPECT_EQ(reg.propose(set("v"), {}).status().code(), Code::kOverloaded);
}

TEST_F(RegisterTest, WaitingProposalEndsAtItsDeadlineWithoutBeingTried) {
  auto acceptors = std::exchange(lab.acceptors, {});
  bool called = false;
  ASSERT_TRUE(reg.propose(set("a"), {}).ok());
  Proposal hasty{[&](const Seen&) {
                   called = true;
                   return Decision::keep();
                 },
                 false,
                 {1000}};
  uint64_t ticket = reg.propose(std::move(hasty), {}).value();
  settle();
  EXPECT_EQ(reg.next_deadline(), Instant{1000});
  reg.tick({1000});
  auto done = settle({1000});
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].ticket, ticket);
  EXPECT_EQ(done[0].outcome.kind, Outcome::Kind::kNotApplied);
  EXPECT_FALSE(called);
}

TEST_F(RegisterTest, NextProposalGoesOnAfterOneThatGaveUp) {
  auto acceptors = std::exchange(lab.acceptors, {});
  ASSERT_TRUE(reg.propose({append("a").change, false, {1000}}, {}).ok());
  ASSERT_TRUE(reg.propose(append("b"), {}).ok());
  settle();
  lab.acceptors = std::move(acceptors);
  reg.tick({1000});
  auto done = settle({1000});
  ASSERT_EQ(done.size(), 2u);
  EXPECT_EQ(done[0].outcome.kind, Outcome::Kind::kNotApplied);
  EXPECT_EQ(done[1].outcome.value, "b");
}

TEST_F(RegisterTest, NewAcceptorSetsReachTheRoundUnderWay) {
  auto acceptors = std::exchange(lab.acceptors, {});
  ASSERT_TRUE(reg.propose(append("a"), {}).ok());
  settle();
  lab.acceptors = {{1, Acceptor::fresh()}, {2, Acceptor::fresh()}, {3, Acceptor::fresh()}};
  reg.set_quorum(Lab::of({1, 2, 3}, 2), {});
  auto done = settle();
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].outcome.kind, Outcome::Kind::kChosen);
  reg.set_quorum(Lab::of({0, 1, 2}, 1), {});
  EXPECT_EQ(reg.quorum().generation, 2u) << "never back";
}

}  // namespace
}  // namespace cartwheel::node::paxos
