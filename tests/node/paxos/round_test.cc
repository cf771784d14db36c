// One proposal at a time, with the messages placed by hand.
#include "node/core/paxos/round.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "tests/node/paxos/lab.h"

namespace cartwheel::node::paxos {
namespace {

using Kind = Outcome::Kind;
const Quorum kThree = Lab::of({0, 1, 2});

class RoundTest : public testing::Test {
 protected:
  Lab lab{{0, 1, 2}};
  BallotSource ballots{7, 1}, others{8, 1};

  Outcome run(Proposal proposal, const std::vector<NodeIndex>& reached, const Quorum& quorum = kThree) {
    Round round = lab.propose(std::move(proposal), quorum, ballots, reached);
    return round.outcome().value_or(Outcome{Kind::kUnknown, {Code::kIo, "still waits"}, {}, {}});
  }
  // A round whose accept reaches `accepting` only; it waits.
  Round half_done(Proposal proposal, const std::vector<NodeIndex>& promising, const std::vector<NodeIndex>& accepting) {
    Round round(kLabKey, Options(), kThree, std::move(proposal), 1);
    round.begin({}, ballots, {});
    Send prepare = round.take_sends().at(0);
    for (NodeIndex n : promising) round.on_reply(n, lab.ask(n, prepare.request), ballots, {});
    Send accept = round.take_sends().at(0);
    EXPECT_EQ(accept.request.type, MessageType::kAccept);
    for (NodeIndex n : accepting) round.on_reply(n, lab.ask(n, accept.request), ballots, {});
    EXPECT_FALSE(round.outcome());
    return round;
  }
  // Lets time pass until the round ends, with only `reached` to hear it.
  Outcome finish(Round& round, const std::vector<NodeIndex>& reached) {
    while (!round.outcome()) {
      Instant next = *round.next_deadline();
      round.tick(ballots, next);
      lab.run(round, ballots, reached, next);
    }
    return *round.outcome();
  }
};

TEST_F(RoundTest, ChangesAndReadsBack) {
  Outcome first = run(set("a"), {0, 1, 2});
  EXPECT_EQ(first.kind, Kind::kChosen);
  Outcome second = run(append("b"), {1, 2});
  EXPECT_EQ(second.kind, Kind::kChosen);
  EXPECT_EQ(second.value, "ab");
  EXPECT_GT(second.ballot, first.ballot);
  Outcome seen = run(read(), {0, 2});
  EXPECT_EQ(seen.kind, Kind::kChosen);
  EXPECT_EQ(seen.value, "ab");
}

TEST_F(RoundTest, ErasedRegisterHoldsNothingUnderAHigherBallot) {
  Ballot before = run(set("a"), {0, 1, 2}).ballot;
  EXPECT_EQ(run({[](const Seen&) { return Decision::erase(); }, false, kLabDeadline}, {0, 1}).kind, Kind::kChosen);
  Outcome seen = run(read(), {1, 2});  // 2 still has the old value
  EXPECT_EQ(seen.kind, Kind::kChosen);
  EXPECT_FALSE(seen.value);
  EXPECT_GT(seen.ballot, before);
}

TEST_F(RoundTest, ReadThatFindsAgreementTakesOneRoundTripAndWritesNothing) {
  run(set("a"), {0, 1, 2});
  lab.requests = lab.writes = 0;
  EXPECT_EQ(run(read(), {0, 1, 2}).value, "a");
  EXPECT_EQ(lab.requests, 3u);
  EXPECT_EQ(lab.writes, 0u);
}

TEST_F(RoundTest, ReadOfARegisterThatNobodyWroteIsNothing) {
  Outcome seen = run(read(), {0, 1});
  EXPECT_EQ(seen.kind, Kind::kChosen);
  EXPECT_FALSE(seen.value);
}

// Two reads with no write between must not differ: what an acceptor may have of a dead round is chosen by the read that
// sees it, and a read that answers without it answers before it is chosen.
TEST_F(RoundTest, ReadsFinishAHalfDoneChange) {
  half_done(set("v"), {0, 1, 2}, {0});
  EXPECT_FALSE(run(read(), {1, 2}).value);
  EXPECT_EQ(run(read(), {0, 1}).value, "v");
  EXPECT_EQ(run(read(), {1, 2}).value, "v") << "chosen by the read before";
}

TEST_F(RoundTest, FailedCompareFinishesAHalfDoneChange) {
  half_done(set("v"), {0, 1, 2}, {0});
  Outcome refused = run(compare_and_set("x", "y"), {0, 1});
  EXPECT_EQ(refused.kind, Kind::kRefused);
  EXPECT_EQ(refused.value, "v");
  EXPECT_EQ(run(read(), {1, 2}).value, "v") << "what the refusal was decided on is chosen";
}

TEST_F(RoundTest, OwnChangeOfAnEarlierAttemptIsFinishedNotRepeated) {
  Round round = half_done(append("v"), {0, 1, 2}, {0});
  // Another asks in between, so that the rest of the accepts is refused.
  Request intruder{MessageType::kPrepare, kLabKey, 1, {50, 8, 1}, {}, {}};
  lab.ask(1, intruder), lab.ask(2, intruder);
  Outcome outcome = finish(round, {0, 1});
  EXPECT_EQ(outcome.kind, Kind::kChosen);
  EXPECT_EQ(outcome.value, "v") << "once";
  EXPECT_EQ(run(read(), {1, 2}).value, "v");
}

TEST_F(RoundTest, ChangeThatAnotherMayHaveBuiltOnIsUnknown) {
  Round round = half_done(append("v"), {0, 1, 2}, {0});
  others.observe({40, 0, 0});
  Round other = lab.propose(append("w"), kThree, others, {0, 1});
  EXPECT_EQ(other.outcome()->value, "vw");
  Outcome outcome = finish(round, {0, 1});
  EXPECT_EQ(outcome.kind, Kind::kUnknown);
  EXPECT_EQ(outcome.status.code(), Code::kUnknownOutcome);
  EXPECT_EQ(run(read(), {0, 1, 2}).value, "vw") << "once";
}

TEST_F(RoundTest, AcceptsThatArriveLateStillCount) {
  Round round = half_done(append("v"), {0, 1, 2}, {0});
  others.observe({40, 0, 0});
  lab.propose(append("w"), kThree, others, {0, 1});
  Outcome outcome = finish(round, {0, 1, 2});
  EXPECT_EQ(outcome.kind, Kind::kChosen) << "by 0 before the other came, and by 2";
  EXPECT_EQ(outcome.value, "v");
  EXPECT_EQ(run(read(), {0, 2}).value, "vw");
}

TEST_F(RoundTest, RepeatableChangeFindsItselfInAnothersValue) {
  Round round = half_done(append("v", true), {0, 1, 2}, {0});
  others.observe({40, 0, 0});
  lab.propose(append("w"), kThree, others, {0, 1});
  Outcome outcome = finish(round, {0, 1});
  EXPECT_EQ(outcome.kind, Kind::kChosen);
  EXPECT_EQ(outcome.value, "vw") << "applied, and said so";
}

TEST_F(RoundTest, RepeatableChangeIsAppliedWhereAnotherWentAheadWithoutIt) {
  Round round = half_done(append("v", true), {0, 1, 2}, {0});
  others.observe({40, 0, 0});
  lab.propose(append("w"), kThree, others, {1, 2});
  Outcome outcome = finish(round, {0, 1, 2});
  EXPECT_EQ(outcome.kind, Kind::kChosen);
  EXPECT_EQ(outcome.value, "wv");
}

// A lease that may be taken at the first attempt and not at the second. The first attempt's accept is at one acceptor;
// once the refusal is told, no later round may find and finish it.
TEST_F(RoundTest, RefusalAfterAnAcceptBuriesTheChange) {
  run(set("a"), {0, 1, 2});
  int attempts = 0;
  Round round = half_done({[&](const Seen& seen) {
                             if (attempts++ > 0) return Decision::refuse(Status::InvalidArgument("too late"));
                             return Decision::set(*seen.value + "v");
                           },
                           false, kLabDeadline},
                          {0, 1, 2}, {0});
  Request intruder{MessageType::kPrepare, kLabKey, 1, {50, 8, 1}, {}, {}};
  lab.ask(1, intruder), lab.ask(2, intruder);
  EXPECT_EQ(finish(round, {1, 2}).kind, Kind::kRefused);
  EXPECT_EQ(run(read(), {0, 1}).value, "a");
}

TEST_F(RoundTest, ConflictIsAnsweredByAHigherBallotAfterAPause) {
  Request intruder{MessageType::kPrepare, kLabKey, 1, {50, 8, 1}, {}, {}};
  for (NodeIndex n : kThree.sets[0]) lab.ask(n, intruder);
  Round round = lab.propose(set("v"), kThree, ballots, {0, 1, 2});
  ASSERT_FALSE(round.outcome());
  Instant pause = *round.next_deadline();
  EXPECT_GE(pause.us, Options().backoff_min.us / 2);
  EXPECT_LE(pause.us, Options().backoff_min.us);
  round.tick(ballots, {pause.us - 1});
  EXPECT_TRUE(round.take_sends().empty()) << "not before";
  Outcome outcome = finish(round, {0, 1, 2});
  EXPECT_EQ(outcome.kind, Kind::kChosen);
  EXPECT_EQ(outcome.ballot, (Ballot{51, 7, 1}));
}

TEST_F(RoundTest, OneConflictDoesNotStopAQuorum) {
  lab.ask(0, {MessageType::kPrepare, kLabKey, 1, {50, 8, 1}, {}, {}});
  EXPECT_EQ(run(set("v"), {0, 1, 2}).kind, Kind::kChosen);
}

TEST_F(RoundTest, AsksSilentAcceptorsAgain) {
  Round round = lab.propose(set("v"), kThree, ballots, {0});
  ASSERT_FALSE(round.outcome());
  round.tick(ballots, *round.next_deadline());
  auto sends = round.take_sends();
  ASSERT_EQ(sends.size(), 1u);
  EXPECT_EQ(sends[0].to, (std::vector<NodeIndex>{1, 2}));
  EXPECT_EQ(sends[0].request.ballot, (Ballot{1, 7, 1})) << "under the same ballot";
}

TEST_F(RoundTest, WithoutAQuorumOfPromisesNothingIsApplied) {
  Round round = lab.propose(set("v"), kThree, ballots, {0});
  Outcome outcome = finish(round, {0});
  EXPECT_EQ(outcome.kind, Kind::kNotApplied);
  EXPECT_EQ(outcome.status.code(), Code::kUnavailable);
  EXPECT_FALSE(round.next_deadline());
  EXPECT_FALSE(run(read(), {0, 1}).value);
}

TEST_F(RoundTest, AfterAnAcceptTheOutcomeIsUnknown) {
  Round round = half_done(set("v"), {0, 1}, {0});
  EXPECT_EQ(finish(round, {0}).kind, Kind::kUnknown);
}

TEST_F(RoundTest, ReadWithoutAQuorumIsNotUnknown) {
  Round round = lab.propose(read(), kThree, ballots, {0});
  EXPECT_EQ(finish(round, {0}).kind, Kind::kNotApplied);
}

TEST_F(RoundTest, DuelThatNeverEndsIsGivenUp) {
  Round round =
      lab.propose({[](const Seen&) { return Decision::set("v"); }, false, {int64_t{1} << 60}}, kThree, ballots, {});
  uint64_t contenders = 1;
  for (int i = 0; !round.outcome(); ++i) {
    ASSERT_LT(i, 1000);
    Request intruder{MessageType::kPrepare, kLabKey, 1, {++contenders * 100, 8, 1}, {}, {}};
    for (NodeIndex n : kThree.sets[0]) lab.ask(n, intruder);
    Instant next = *round.next_deadline();
    lab.run(round, ballots, {0, 1, 2}, next);
    if (!round.outcome()) round.tick(ballots, *round.next_deadline());
    for (NodeIndex n : kThree.sets[0])
      lab.ask(n, {MessageType::kPrepare, kLabKey, 1, {++contenders * 100, 8, 1}, {}, {}});
  }
  EXPECT_EQ(round.outcome()->kind, Kind::kNotApplied);
}

TEST_F(RoundTest, JointConfigurationNeedsAMajorityOfEachSet) {
  Lab wide({0, 1, 2, 3, 4, 5});
  lab = wide;
  Quorum joint{1, {{0, 1, 2}, {3, 4, 5}}};
  EXPECT_EQ(run(set("v"), {0, 1, 2, 3}, joint).status.message(), "still waits");
  EXPECT_EQ(run(set("v"), {1, 2, 3, 4}, joint).kind, Kind::kChosen);
  EXPECT_EQ(run(read(), {0, 3, 4, 5}, joint).status.message(), "still waits");
  EXPECT_EQ(run(read(), {0, 1, 4, 5}, joint).value, "v");
}

TEST_F(RoundTest, GoesOnInANewerGeneration) {
  for (NodeIndex n : kThree.sets[0]) lab.ask(n, {MessageType::kQuery, kLabKey, 2, {1, 8, 1}, {}, {}});
  lab.acceptors.emplace(3, Acceptor::fresh());
  Round round = lab.propose(set("v"), kThree, ballots, {0, 1, 2});
  ASSERT_FALSE(round.outcome());
  EXPECT_EQ(round.newest_generation(), 2u) << "the owner is told to look for it";
  round.on_quorum(Lab::of({1, 2, 3}, 2), ballots, {});
  lab.run(round, ballots, {1, 2, 3});
  EXPECT_EQ(round.outcome()->kind, Kind::kChosen);
  EXPECT_EQ(lab.acceptors.at(3).value(), "v");
}

TEST_F(RoundTest, LostAcceptorsAreNoVotesButAreAskedAgain) {
  lab.acceptors.at(0) = Acceptor::lost();
  lab.acceptors.at(1) = Acceptor::lost();
  Round round = lab.propose(set("v"), kThree, ballots, {0, 1, 2});
  ASSERT_FALSE(round.outcome());
  lab.acceptors.at(1).install(1, {}, {});
  EXPECT_EQ(finish(round, {0, 1, 2}).kind, Kind::kChosen);
}

TEST_F(RoundTest, HeldPromiseSavesARoundTrip) {
  Options options;
  options.piggyback = true;
  Round first(kLabKey, options, kThree, set("a"), 1);
  first.begin({}, ballots, {});
  lab.run(first, ballots, {0, 1, 2});
  ASSERT_TRUE(first.held());
  lab.requests = 0;
  Round second(kLabKey, options, kThree, append("b"), 1);
  second.begin(first.held(), ballots, {});
  lab.run(second, ballots, {0, 1, 2});
  EXPECT_EQ(second.outcome()->value, "ab");
  EXPECT_EQ(lab.requests, 3u);
  // Another proposer comes between: the promise is gone, what it said is old news, and the change is made on the new
  // value.
  lab.propose(append("x"), kThree, others, {0, 1, 2});
  others.observe({40, 0, 0});
  ASSERT_EQ(lab.propose(append("x"), kThree, others, {0, 1, 2}).outcome()->value, "abx");
  Round third(kLabKey, options, kThree, append("c", true), 1);
  third.begin(second.held(), ballots, {});
  lab.run(third, ballots, {0, 1, 2});
  EXPECT_EQ(finish(third, {0, 1, 2}).value, "abxc");
}

TEST_F(RoundTest, RefusalOnAHeldValueIsCheckedWithAQuorum) {
  Options options;
  options.piggyback = true;
  Round first(kLabKey, options, kThree, set("a"), 1);
  first.begin({}, ballots, {});
  lab.run(first, ballots, {0, 1, 2});
  others.observe({40, 0, 0});
  lab.propose(set("b"), kThree, others, {0, 1, 2});
  Round second(kLabKey, options, kThree, compare_and_set("b", "c"), 1);
  second.begin(first.held(), ballots, {});
  EXPECT_FALSE(second.outcome()) << "'a' is what was held, and no reason to refuse";
  lab.run(second, ballots, {0, 1, 2});
  EXPECT_EQ(finish(second, {0, 1, 2}).value, "c");
}

TEST_F(RoundTest, ValueThatIsTooLargeIsRefused) {
  Outcome outcome = run(set(std::string(limits::kPaxosValueBytes + 1, 'v')), {0, 1, 2});
  EXPECT_EQ(outcome.kind, Kind::kRefused);
  EXPECT_EQ(outcome.status.code(), Code::kTooLarge);
  EXPECT_EQ(run(set(std::string(limits::kPaxosValueBytes, 'v')), {0, 1, 2}).kind, Kind::kChosen);
}

TEST_F(RoundTest, TwoValuesUnderOneBallotAreCorruption) {
  lab.ask(0, {MessageType::kAccept, kLabKey, 1, {5, 8, 1}, "v", {}});
  lab.ask(1, {MessageType::kAccept, kLabKey, 1, {5, 8, 1}, "w", {}});
  EXPECT_EQ(run(read(), {0, 1}).status.code(), Code::kCorruption);
}

TEST_F(RoundTest, AnswersToOtherRoundsAndFromStrangersDoNotCount) {
  Round round(kLabKey, Options(), kThree, set("v"), 1);
  round.begin({}, ballots, {});
  Request prepare = round.take_sends().at(0).request;
  Reply good = lab.ask(0, prepare);
  Reply other = good;
  other.ballot.counter += 1;
  round.on_reply(0, other, ballots, {});
  other = good, other.key = "another";
  round.on_reply(0, other, ballots, {});
  other = good, other.request = MessageType::kAccept;
  round.on_reply(0, other, ballots, {});
  round.on_reply(9, good, ballots, {});
  round.on_reply(0, good, ballots, {});
  round.on_reply(0, good, ballots, {});
  EXPECT_TRUE(round.take_sends().empty()) << "one promise of three";
}

}  // namespace
}  // namespace cartwheel::node::paxos
