// Ballots, messages and acceptors' rows: what is written comes back, and nothing else does.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/limits.h"
#include "base/rng.h"
#include "node/core/paxos/acceptor.h"

namespace cartwheel::node::paxos {
namespace {

std::string some_bytes(Rng& rng, size_t longest) {
  std::string bytes(rng.below(longest + 1), '\0');
  for (char& c : bytes) c = static_cast<char>(rng.next());
  return bytes;
}

Ballot some_ballot(Rng& rng) {
  return {1 + rng.next() % kMaxCounter, static_cast<NodeIndex>(rng.next()), rng.next()};
}

TEST(Ballot, ComparesByCounterThenProposerThenEpoch) {
  std::vector<Ballot> ascending = {{}, {1, 0, 0}, {1, 0, 9}, {1, 2, 3}, {2, 0, 0}, {2, 1, 1}, {2, 1, 2}};
  EXPECT_TRUE(std::is_sorted(ascending.begin(), ascending.end()));
  EXPECT_EQ(std::adjacent_find(ascending.begin(), ascending.end()), ascending.end());
}

TEST(BallotSource, GivesEachBallotOnceAndAboveWhatItObserved) {
  BallotSource source(3, 77);
  EXPECT_EQ(source.next().value(), (Ballot{1, 3, 77}));
  source.observe({9, 8, 1});
  EXPECT_EQ(source.next().value(), (Ballot{10, 3, 77}));
  source.observe({4, 8, 1});
  EXPECT_EQ(source.next().value(), (Ballot{11, 3, 77}));
  source.observe({kMaxCounter, 8, 1});
  EXPECT_EQ(source.next().status().code(), Code::kUnavailable);
}

TEST(BallotSource, TwoLivesOfAProposerNeverGiveTheSame) {
  BallotSource before(3, 1), after(3, 2);
  for (int i = 0; i < 100; ++i) EXPECT_NE(before.next().value(), after.next().value());
}

TEST(Message, RequestsAndRepliesComeBackAndNoPartOfThemDoes) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    Request request;
    request.type = static_cast<MessageType>(1 + rng.below(3));
    request.key = some_bytes(rng, 40);
    request.generation = rng.next();
    request.ballot = some_ballot(rng);
    if (request.type == MessageType::kAccept) {
      if (rng.chance(0.8)) request.value = some_bytes(rng, 60);
      if (request.ballot.counter < kMaxCounter && rng.chance(0.5)) request.next = {request.ballot.counter + 1, 1, 1};
    }
    Reply reply;
    reply.key = request.key;
    reply.request = request.type;
    reply.ballot = request.ballot;
    reply.generation = rng.next();
    reply.verdict = static_cast<Reply::Verdict>(rng.below(4));
    if (reply.verdict == Reply::Verdict::kConflict) {
      if (reply.request == MessageType::kQuery) reply.request = MessageType::kAccept;
      reply.ballot.counter = 1 + reply.ballot.counter / 2;
      reply.promised = {kMaxCounter, 1, 1};
    } else if (reply.verdict == Reply::Verdict::kYes && reply.request != MessageType::kAccept && rng.chance(0.8)) {
      reply.accepted = reply.ballot;
      if (rng.chance(0.8)) reply.value = some_bytes(rng, 60);
    }
    std::string asked = request.encode(), answered = reply.encode();
    EXPECT_EQ(message_type(asked), request.type);
    EXPECT_EQ(message_type(answered), MessageType::kReply);
    ASSERT_TRUE(Request::decode(asked).ok());
    ASSERT_TRUE(Reply::decode(answered).ok());
    EXPECT_EQ(Request::decode(asked)->encode(), asked);
    EXPECT_EQ(Reply::decode(answered)->encode(), answered);
    EXPECT_EQ(Reply::decode(answered)->value, reply.value);
    EXPECT_EQ(Request::decode(asked)->value, request.value);
    for (size_t cut = 0; cut < asked.size(); ++cut) EXPECT_FALSE(Request::decode(asked.substr(0, cut)).ok());
    for (size_t cut = 0; cut < answered.size(); ++cut) EXPECT_FALSE(Reply::decode(answered.substr(0, cut)).ok());
    EXPECT_FALSE(Request::decode(asked + "x").ok());
    EXPECT_FALSE(Reply::decode(answered + "x").ok());
    EXPECT_FALSE(Request::decode(answered).ok());
    EXPECT_FALSE(Reply::decode(asked).ok());
  }
}

// What no acceptor or proposer says.
TEST(Message, ContradictionsAreRefused) {
  Request request{MessageType::kAccept, "k", 1, {5, 1, 1}, "v", {}};
  auto refused = [](Request r) { return Request::decode(r.encode()).status().code() == Code::kCorruption; };
  Request r = request;
  r.ballot = {};
  EXPECT_TRUE(refused(r)) << "no ballot";
  r = request, r.next = r.ballot;
  EXPECT_TRUE(refused(r)) << "the next ballot is this one";
  r = request, r.value = std::string(limits::kPaxosValueBytes + 1, 'v');
  EXPECT_TRUE(refused(r)) << "too long";
  r = request, r.key = std::string(limits::kKeyBytes + 1, 'k');
  EXPECT_TRUE(refused(r)) << "too long a key";
  r = request, r.ballot.counter = kMaxCounter + 1, r.next = {};
  EXPECT_TRUE(refused(r)) << "a counter from nowhere";

  Reply promise{"k", MessageType::kPrepare, {5, 1, 1}, Reply::Verdict::kYes, 1, {}, {4, 1, 1}, "v"};
  ASSERT_TRUE(Reply::decode(promise.encode()).ok());
  auto nonsense = [](Reply m) { return Reply::decode(m.encode()).status().code() == Code::kCorruption; };
  Reply m = promise;
  m.accepted = {6, 1, 1};
  EXPECT_TRUE(nonsense(m)) << "accepted above what is promised";
  m = promise, m.accepted = {};
  EXPECT_TRUE(nonsense(m)) << "a value under no ballot";
  m = promise, m.verdict = Reply::Verdict::kConflict, m.accepted = {}, m.value.reset();
  EXPECT_TRUE(nonsense(m)) << "a conflict with nothing";
  m.promised = m.ballot;
  EXPECT_TRUE(nonsense(m)) << "a conflict with itself";
  m = promise, m.promised = {9, 1, 1};
  EXPECT_TRUE(nonsense(m)) << "yes and no";
  m = promise, m.request = MessageType::kAccept;
  EXPECT_TRUE(nonsense(m)) << "accepted, and something else";
}

TEST(AcceptorRow, ComesBackAndNoPartOfItDoes) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    Acceptor a = rng.chance(0.1) ? Acceptor::lost() : Acceptor::fresh(rng.below(3));
    for (uint64_t i = rng.below(4); i > 0; --i) {
      Request request{
          rng.chance(0.5) ? MessageType::kPrepare : MessageType::kAccept, "k", rng.below(5), some_ballot(rng), {}, {}};
      if (request.type == MessageType::kAccept && rng.chance(0.8)) request.value = some_bytes(rng, 50);
      a.on_request(request);
    }
    std::string row = a.encode();
    auto back = Acceptor::decode(row);
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(back->encode(), row);
    EXPECT_EQ(back->is_lost(), a.is_lost());
    EXPECT_EQ(back->promised(), a.promised());
    EXPECT_EQ(back->accepted(), a.accepted());
    EXPECT_EQ(back->value(), a.value());
    EXPECT_EQ(back->generation(), a.generation());
    EXPECT_EQ(back->version(), 0u);
    for (size_t cut = 0; cut < row.size(); ++cut) EXPECT_FALSE(Acceptor::decode(row.substr(0, cut)).ok());
    EXPECT_FALSE(Acceptor::decode(row + "x").ok());
    row[0] = 2;
    EXPECT_EQ(Acceptor::decode(row).status().code(), Code::kCorruption) << "another format";
  }
}

}  // namespace
}  // namespace cartwheel::node::paxos
