#include "node/core/paxos/acceptor.h"

#include <gtest/gtest.h>

namespace cartwheel::node::paxos {
namespace {

using Verdict = Reply::Verdict;

Ballot ballot(uint64_t counter) {
  return {counter, 1, 1};
}
Request prepare(uint64_t counter, uint64_t generation = 1) {
  return {MessageType::kPrepare, "k", generation, ballot(counter), {}, {}};
}
Request accept(uint64_t counter, Value value, uint64_t next = 0, uint64_t generation = 1) {
  return {MessageType::kAccept, "k", generation, ballot(counter), std::move(value), next ? ballot(next) : Ballot()};
}
Request query(uint64_t generation = 1) {
  return {MessageType::kQuery, "k", generation, ballot(1), {}, {}};
}

TEST(Acceptor, PromisesTheHighestBallotAndTellsTheHigherOne) {
  Acceptor a = Acceptor::fresh();
  EXPECT_EQ(a.on_request(prepare(5)).reply.verdict, Verdict::kYes);
  Reply lower = a.on_request(prepare(4)).reply;
  EXPECT_EQ(lower.verdict, Verdict::kConflict);
  EXPECT_EQ(lower.promised, ballot(5));
  EXPECT_EQ(a.on_request(accept(4, "v")).reply.verdict, Verdict::kConflict);
  EXPECT_TRUE(a.accepted().zero());
  EXPECT_EQ(a.on_request(accept(5, "v")).reply.verdict, Verdict::kYes);
  Reply told = a.on_request(prepare(6)).reply;
  EXPECT_EQ(told.accepted, ballot(5));
  EXPECT_EQ(told.value, "v");
}

TEST(Acceptor, TakesAHigherAcceptWithoutAPromise) {
  Acceptor a = Acceptor::fresh();
  a.on_request(prepare(5));
  EXPECT_EQ(a.on_request(accept(7, "v")).reply.verdict, Verdict::kYes);
  EXPECT_EQ(a.promised(), ballot(7));
  EXPECT_EQ(a.on_request(prepare(6)).reply.verdict, Verdict::kConflict);
}

TEST(Acceptor, NamesTheVersionThatMustBeDurableAlsoWhenNothingChanges) {
  Acceptor a = Acceptor::fresh();
  EXPECT_EQ(a.on_request(query(0)).after_version, 0u) << "nothing to wait for";
  uint64_t promised = a.on_request(prepare(5)).after_version;
  EXPECT_EQ(promised, a.version());
  EXPECT_GT(promised, 0u);
  // Doubled while the first is still being fsynced: the same version must be waited for.
  EXPECT_EQ(a.on_request(prepare(5)).after_version, promised);
  EXPECT_EQ(a.on_request(prepare(3)).after_version, promised) << "a conflict too, for it tells of the promise";
  uint64_t accepted = a.on_request(accept(5, "v")).after_version;
  EXPECT_GT(accepted, promised);
  EXPECT_EQ(a.on_request(accept(5, "v")).after_version, accepted);
  EXPECT_EQ(a.version(), accepted);
}

TEST(Acceptor, AcceptsTwiceWithTheNextPromiseInBetween) {
  Acceptor a = Acceptor::fresh();
  EXPECT_EQ(a.on_request(accept(5, "v", 8)).reply.verdict, Verdict::kYes);
  EXPECT_EQ(a.promised(), ballot(8));
  EXPECT_EQ(a.on_request(accept(5, "v", 8)).reply.verdict, Verdict::kYes) << "doubled";
  EXPECT_EQ(a.on_request(prepare(7)).reply.verdict, Verdict::kConflict);
  EXPECT_EQ(a.on_request(prepare(9)).reply.verdict, Verdict::kYes);
  EXPECT_EQ(a.on_request(accept(5, "v", 8)).reply.verdict, Verdict::kConflict) << "the promise for 8 is gone";
  EXPECT_EQ(a.on_request(accept(8, "w")).reply.verdict, Verdict::kConflict);
}

TEST(Acceptor, QueryTellsAndPromisesNothing) {
  Acceptor a = Acceptor::fresh(1);
  a.on_request(accept(5, "v"));
  uint64_t version = a.version();
  Reply told = a.on_request(query()).reply;
  EXPECT_EQ(told.accepted, ballot(5));
  EXPECT_EQ(told.value, "v");
  EXPECT_EQ(a.version(), version);
}

TEST(Acceptor, FencesOffOlderGenerations) {
  Acceptor a = Acceptor::fresh();
  a.on_request(prepare(5, 1));
  EXPECT_EQ(a.on_request(query(2)).reply.verdict, Verdict::kYes) << "a query fences too";
  Reply old = a.on_request(accept(5, "v", 0, 1)).reply;
  EXPECT_EQ(old.verdict, Verdict::kOldGeneration);
  EXPECT_EQ(old.generation, 2u);
  EXPECT_EQ(a.on_request(query(1)).reply.verdict, Verdict::kOldGeneration);
  EXPECT_EQ(a.on_request(accept(5, "v", 0, 2)).reply.verdict, Verdict::kYes);
  EXPECT_EQ(Acceptor::decode(a.encode())->generation(), 2u) << "across restarts";
}

TEST(Acceptor, DoesNotVoteWhileLost) {
  Acceptor a = Acceptor::decode(Acceptor::lost().encode()).value();
  EXPECT_TRUE(a.is_lost());
  for (const Request& r : {query(9), prepare(9, 9), accept(9, "v", 0, 9)}) {
    EXPECT_EQ(a.on_request(r).reply.verdict, Verdict::kLost);
  }
  EXPECT_EQ(a.version(), 0u);
  a.install(3, ballot(5), "v");
  EXPECT_FALSE(a.is_lost());
  EXPECT_GT(a.version(), 0u) << "to be persisted before it votes";
  EXPECT_EQ(a.on_request(prepare(9, 2)).reply.verdict, Verdict::kOldGeneration);
  EXPECT_EQ(a.on_request(prepare(4, 3)).reply.verdict, Verdict::kConflict) << "below what it holds";
  EXPECT_EQ(a.on_request(prepare(9, 3)).reply.value, "v");
  a.install(4, ballot(20), "other");
  EXPECT_EQ(a.value(), "v") << "only once";
}

TEST(Acceptor, RowThatDoesNotDecodeIsCorruptionNotAnEmptyRegister) {
  Acceptor a = Acceptor::fresh();
  a.on_request(accept(5, "v"));
  std::string row = a.encode();
  row[1] = '\x7f';
  EXPECT_EQ(Acceptor::decode(row).status().code(), Code::kCorruption);
  EXPECT_EQ(Acceptor::decode("").status().code(), Code::kCorruption);
}

}  // namespace
}  // namespace cartwheel::node::paxos
