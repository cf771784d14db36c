// Examples of what a stripe promises, on a cluster without faults but those that the test makes by hand.
#include <gtest/gtest.h>

#include "node/core/message.h"
#include "tests/node/stripe_cluster.h"

namespace cartwheel::node {
namespace {

Operation expire_at(std::string key, WallTime at) {
  Operation o = op(Verb::kExpire, std::move(key));
  o.expiry = {Expiry::Kind::kAt, at};
  return o;
}

TEST(Message, RequestsWaitForSomeMessagesAndForOthersNot) {
  WriteMessage write;
  EXPECT_FALSE(is_awaited(write.encode()));
  write.ack_id = 7;
  EXPECT_TRUE(is_awaited(write.encode()));
  EXPECT_TRUE(is_awaited(WriteAckMessage{{7}}.encode()));
  EXPECT_TRUE(is_awaited(ReadMessage{}.encode()));
  EXPECT_FALSE(is_awaited(AnnounceAckMessage{1, 2}.encode()));
  EXPECT_FALSE(is_awaited(""));
  EXPECT_FALSE(is_awaited("\xc1garbage"));
}

TEST(Message, AFarewellComesBackAsItWas) {
  for (const bool answer : {false, true}) {
    const std::string bytes = FarewellMessage{answer, 1'234'567'890'123, 2}.encode();
    const auto back = FarewellMessage::decode(bytes);
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(back->answer, answer);
    EXPECT_EQ(back->instance, 1'234'567'890'123u);
    EXPECT_EQ(back->round, 2u);
    for (size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(FarewellMessage::decode(bytes.substr(0, n)).ok());
    EXPECT_FALSE(FarewellMessage::decode(bytes + '\0').ok());
  }
}

TEST(Stripe, AFarewellThatComesLateSaysNothingAboutTheNextLife) {
  StripeCluster cluster({2}, "local_quorum", {}, 8, 1);
  Operation get;
  get.verb = Verb::kGet;
  const auto owner = [&] {
    return cluster.config().assignments[0].owners[arc_of(get.key, cluster.config().partitions)][0];
  };
  for (int i = 0; get.key.empty() || owner() != 1; ++i) get.key = "k" + std::to_string(i);
  std::string farewell;
  cluster.on_message = [&](NodeIndex from, const Output::Message& m) {
    if (from == 1 && FarewellMessage::decode(m.bytes).ok()) farewell = m.bytes;
  };
  EXPECT_FALSE(cluster[1].drain(cluster.now()));
  cluster.settle(1);
  cluster.deliver();
  EXPECT_FALSE(cluster[1].drain(cluster.now())) << "its last answers may not have come";
  cluster.settle(1);
  cluster.deliver();
  EXPECT_TRUE(cluster[1].drain(cluster.now()));
  ASSERT_NE(farewell, "");
  EXPECT_EQ(cluster.call(0, get).status.code(), Code::kUnavailable);
  cluster.kill(1);
  cluster.boot(1);
  cluster.run(Duration::seconds(2));
  ASSERT_TRUE(cluster.call(0, get).status.ok());
  cluster[0].on_message(1, farewell, cluster.now());
  cluster.settle(0);
  EXPECT_TRUE(cluster.call(0, get).status.ok());
}

TEST(Stripe, AnyNodeServesWhatAnyOtherWrote) {
  StripeCluster cluster({3, 3}, "local_quorum");
  EXPECT_TRUE(cluster.call(0, op(Verb::kSet, "k", {"v"})).status.ok());
  cluster.run(Duration::millis(500));
  for (NodeIndex n = 0; n < cluster.size(); ++n) EXPECT_EQ(cluster.call(n, op(Verb::kGet, "k")).value.bytes, "v") << n;
  EXPECT_TRUE(cluster.converged());
}

TEST(Stripe, AHealthyClusterRepairsNothing) {
  StripeCluster cluster({3, 2}, "local_quorum");
  for (int i = 0; i < 500; ++i) {
    NodeIndex n = static_cast<NodeIndex>(i % 5);
    ASSERT_TRUE(cluster.call(n, op(Verb::kSetAdd, "s" + std::to_string(i % 7), {std::to_string(i)})).status.ok());
  }
  cluster.run(Duration::seconds(5));
  EXPECT_TRUE(cluster.converged());
  for (NodeIndex n = 0; n < 5; ++n) {
    EXPECT_EQ(cluster[n].stats().catch_up_deltas, 0u);
    EXPECT_EQ(cluster[n].stats().full_exchanges, 0u);
    EXPECT_EQ(cluster[n].stats().rejected_messages, 0u);
  }
}

TEST(Stripe, ConcurrentCartEditsOfTwoRegionsBothSurviveACut) {
  StripeCluster cluster({2, 2}, "local_quorum");
  cluster.call(0, op(Verb::kMapSet, "cart", {"apples", "1", "pears", "5"}));
  cluster.run(Duration::seconds(1));
  for (NodeIndex a = 0; a < 2; ++a) {
    for (NodeIndex b = 2; b < 4; ++b) cluster.cut(a, b);
  }
  cluster.call(0, op(Verb::kMapIncrement, "cart", {"apples"}, 2));
  cluster.call(2, op(Verb::kMapIncrement, "cart", {"apples"}, 3));
  cluster.call(3, op(Verb::kMapSet, "cart", {"plums", "9"}));
  cluster.call(1, op(Verb::kMapRemove, "cart", {"pears"}));
  cluster.run(Duration::seconds(10));
  for (NodeIndex a = 0; a < 2; ++a) {
    for (NodeIndex b = 2; b < 4; ++b) cluster.cut(a, b, false);
  }
  cluster.run(Duration::seconds(5));
  EXPECT_TRUE(cluster.converged());
  Reply cart = cluster.call(3, op(Verb::kMapGet, "cart", {"apples", "pears", "plums"}));
  EXPECT_EQ(cart.value, Value::List({Value::Bytes("6"), Value::Nil(), Value::Bytes("9")}));
}

TEST(Stripe, AWriteBelowItsLevelIsRefusedByNameAndLeavesNothing) {
  StripeCluster cluster({3}, "quorum");
  cluster.kill(1);
  cluster.kill(2);
  cluster.run(Duration::seconds(4));
  Reply reply = cluster.call(0, op(Verb::kSet, "k", {"v"}));
  EXPECT_EQ(reply.status.code(), Code::kUnavailable);
  for (const char* name : {"r0-1", "r0-2"}) {
    EXPECT_NE(reply.status.message().find(name), std::string::npos) << reply.status.message();
  }
  Operation get = op(Verb::kGet, "k");
  Request request;
  request.operation = get;
  request.level = Level{Level::Kind::kCount, 1};
  std::optional<Reply> read;
  cluster[0].on_request(
      request, [&](Reply r) { read = r; }, cluster.now());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->value, Value::Nil());
}

TEST(Stripe, AWriteThatNobodyAcknowledgesInTimeHasAnUnknownOutcome) {
  StripeCluster cluster({3}, "quorum");
  cluster.cut(0, 1);
  cluster.cut(0, 2);  // just now: the coordinator still believes them reachable
  EXPECT_EQ(cluster.call(0, op(Verb::kSet, "k", {"v"})).status.code(), Code::kUnknownOutcome);
  cluster.cut(0, 1, false);
  cluster.cut(0, 2, false);
  cluster.run(Duration::seconds(3));
  EXPECT_EQ(cluster.call(2, op(Verb::kGet, "k")).value.bytes, "v") << "it was not undone, and spreads";
}

// A quorum delete through a replica that has not seen the value yet must not miss it.
// As after a restart: the writer hears the only other replica already, but what it sends is lost for a moment.
TEST(Stripe, AWriteWhoseDeltaWasLostIsAcknowledgedOnceCatchUpBroughtIt) {
  StripeCluster cluster({3}, "local_quorum");
  cluster.kill(2);
  cluster.run(Duration::seconds(5));
  std::optional<Reply> reply;
  cluster.cut(0, 1);
  cluster.submit(0, op(Verb::kMapSet, "cart", {"apples", "1", "pears", "2"}), [&](Reply r) { reply = std::move(r); });
  cluster.settle(0);
  cluster.cut(0, 1, false);
  EXPECT_FALSE(reply.has_value());
  cluster.run(Duration::millis(1800));
  ASSERT_TRUE(reply.has_value());
  EXPECT_TRUE(reply->status.ok()) << reply->status.message();
  EXPECT_EQ(cluster[0].stats().unknown_outcomes, 0u);
}

TEST(Stripe, ARemovalRemovesWhatTheQuorumSees) {
  StripeCluster cluster({3}, "quorum");
  cluster.cut(0, 2);
  cluster.call(0, op(Verb::kSetAdd, "s", {"a", "b"}));  // at 0 and 1
  cluster.cut(0, 2, false);
  EXPECT_EQ(cluster.call(2, op(Verb::kSetRemove, "s", {"a"})).value.integer, 1);
  cluster.run(Duration::seconds(2));
  EXPECT_EQ(cluster.call(1, op(Verb::kSetAll, "s")).value, Value::List({Value::Bytes("b")}));
  EXPECT_TRUE(cluster.converged());
}

// DEL asks a quorum first, SET does not: without a gate the SET that came later would be overtaken and deleted.
TEST(Stripe, RequestsForOneKeyKeepTheirOrder) {
  StripeCluster cluster({3}, "quorum");
  cluster.call(0, op(Verb::kSet, "k", {"old"}));
  std::vector<std::string> seen;
  auto note = [&](Reply r) {
    seen.push_back(r.value.kind == Value::Kind::kBytes ? r.value.bytes : std::to_string(r.value.integer));
  };
  cluster.submit(0, op(Verb::kDelete, "k"), note);
  cluster.submit(0, op(Verb::kSet, "k", {"new"}), [](Reply r) { EXPECT_TRUE(r.status.ok()); });
  cluster.submit(0, op(Verb::kGet, "k"), note);
  cluster.submit(0, op(Verb::kSet, "k", {"newer"}), [](Reply r) { EXPECT_TRUE(r.status.ok()); });
  cluster.submit(0, op(Verb::kGet, "k"), note);
  cluster.settle(0);
  cluster.run(Duration::seconds(1));
  EXPECT_EQ(seen, (std::vector<std::string>{"1", "new", "newer"}));
  EXPECT_EQ(cluster[0].stats().pending_operations, 0u);
}

// Seed 7003494 of the simulator: the removal of all elements names them by their tag alone, and no replica could decode
// it.
TEST(Stripe, ASetOverALargeSetOrHashReachesTheOtherReplicas) {
  StripeCluster cluster({2, 1}, "local_quorum");
  for (const char* key : {"set", "hash"}) {
    for (int i = 0; i < 20; ++i) {
      std::string name = "e" + std::to_string(i);
      cluster.call(0, *key == 's' ? op(Verb::kSetAdd, key, {name}) : op(Verb::kMapSet, key, {name, "1"}));
    }
    EXPECT_TRUE(cluster.call(0, op(Verb::kSet, key, {"plain"})).status.ok());
  }
  cluster.run(Duration::seconds(2));
  EXPECT_TRUE(cluster.converged());
  for (NodeIndex n = 0; n < 3; ++n) {
    EXPECT_EQ(cluster.call(n, op(Verb::kGet, "set")).value.bytes, "plain") << n;
    EXPECT_EQ(cluster.call(n, op(Verb::kGet, "hash")).value.bytes, "plain") << n;
    EXPECT_EQ(cluster[n].stats().rejected_messages, 0u) << n;
  }
}

TEST(Stripe, AWipedReplicaComesBackWholeAndDoesNotVoteBefore) {
  StripeCluster cluster({3}, "quorum");
  for (int i = 0; i < 300; ++i) cluster.call(0, op(Verb::kSet, "k" + std::to_string(i), {std::to_string(i)}));
  for (int i = 0; i < 200; ++i) cluster.call(1, op(Verb::kSetAdd, "big", {"e" + std::to_string(i)}));
  cluster.call(1, op(Verb::kSetRemove, "big", {"e7"}));
  cluster.wipe(2);
  cluster.run(Duration::seconds(3));
  cluster.boot(2);
  EXPECT_FALSE(cluster[2].ready()) << "it has not heard from the others yet";
  cluster.run(Duration::seconds(5));
  EXPECT_TRUE(cluster[2].ready());
  EXPECT_GT(cluster[2].stats().full_exchanges + cluster[2].stats().catch_ups, 0u);
  EXPECT_TRUE(cluster.converged());
  EXPECT_EQ(cluster.call(2, op(Verb::kSetSize, "big")).value.integer, 199);
}

TEST(Stripe, BehindTheLogAReplicaComesBackByFullExchange) {
  StripeOptions options;
  options.log_entries = 50;
  options.catch_up_chunk_bytes = 512;
  StripeCluster cluster({3}, "quorum", options);
  cluster.call(2, op(Verb::kSetAdd, "s", {"stays", "goes"}));
  cluster.run(Duration::seconds(1));
  cluster.kill(2);
  cluster.run(Duration::seconds(3));
  for (int i = 0; i < 500; ++i) cluster.call(0, op(Verb::kSet, "k" + std::to_string(i % 90), {std::to_string(i)}));
  cluster.call(1, op(Verb::kSetRemove, "s", {"goes"}));
  cluster.call(1, op(Verb::kDelete, "k5"));
  cluster.boot(2);
  cluster.run(Duration::seconds(10));
  EXPECT_GT(cluster[2].stats().full_exchanges, 0u);
  EXPECT_TRUE(cluster.converged());
  EXPECT_EQ(cluster.call(2, op(Verb::kSetAll, "s")).value, Value::List({Value::Bytes("stays")}));
  EXPECT_EQ(cluster.call(2, op(Verb::kExists, "k5")).value.integer, 0);
}

TEST(Stripe, ExpiredObjectsAreHiddenAtOnceAndRemovedOnlyWhenAllIsKnown) {
  StripeOptions options;
  options.sweep_interval = Duration::seconds(1);
  StripeCluster cluster({2, 1}, "local_one", options);
  cluster.call(0, op(Verb::kSet, "session", {"data"}));
  cluster.call(0, expire_at("session", {cluster.now().wall.ms + 5'000}));
  cluster.run(Duration::seconds(1));
  cluster.cut(0, 2);
  cluster.cut(1, 2);
  // Touched in time, on the far side of the cut.
  cluster.call(2, expire_at("session", {cluster.now().wall.ms + 3'600'000}));
  cluster.run(Duration::seconds(10));
  EXPECT_EQ(cluster.call(0, op(Verb::kExists, "session")).value.integer, 0);
  cluster.run(Duration::seconds(3 * limits::kExpiryGraceMs / 1000));
  cluster.cut(0, 2, false);
  cluster.cut(1, 2, false);
  cluster.run(Duration::seconds(5));
  EXPECT_EQ(cluster.call(0, op(Verb::kGet, "session")).value.bytes, "data") << "a touch beats a long cut";
  cluster.call(1, expire_at("session", {cluster.now().wall.ms + 1'000}));
  cluster.run(Duration::seconds(2 * limits::kExpiryGraceMs / 1000));
  for (NodeIndex n = 0; n < 3; ++n) {
    EXPECT_TRUE(cluster[n].inspect(0, "session")->empty()) << n;
    EXPECT_EQ(cluster[n].stats().keys, 0u) << n;
  }
}

TEST(Stripe, GarbageFromAPeerIsCountedAndChangesNothing) {
  StripeCluster cluster({2}, "all");
  cluster.call(0, op(Verb::kSet, "k", {"v"}));
  Rng rng(7);
  uint64_t before = cluster[0].stats().rejected_messages;
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes(rng.below(60), '\0');
    for (char& c : bytes) c = static_cast<char>(rng.next());
    if (!bytes.empty() && rng.chance(0.7)) bytes[0] = static_cast<char>(0x90 + rng.below(12));
    if (bytes.size() > 1 && rng.chance(0.9)) bytes[1] = static_cast<char>(rng.below(14));
    cluster[0].on_message(1, bytes, cluster.now());
  }
  cluster.settle(0);
  EXPECT_GT(cluster[0].stats().rejected_messages, before + 15'000);
  EXPECT_EQ(cluster.call(0, op(Verb::kGet, "k")).value.bytes, "v");
}

// Seed 481998047 of the simulator: a node was wiped twice while its clock was behind. Both times its peers told it the
// same last epoch, because nobody had heard of the life in between; both lives went on from there and used the same
// dots.
TEST(Stripe, TwoLivesThatAreToldTheSameLastEpochDoNotShareDots) {
  StripeCluster before({1, 1}, "local_one");
  const uint64_t told = 1ull << 60;
  std::vector<crdt::Actor> actors;
  for (uint64_t life = 0; life < 2; ++life) {
    storage::MemoryEngine wiped;
    StripeOptions options;
    options.seed = 100 + life;
    Stripe stripe(std::make_shared<const ClusterConfig>(before.config()), options, wiped);
    ASSERT_TRUE(stripe.start(before.now()).ok());
    ASSERT_TRUE(wiped.write(stripe.take_output().batch).ok());
    stripe.on_message(1, AnnounceAckMessage{told, 0}.encode(), before.now());
    Request request;
    request.operation = op(Verb::kSet, "k", {"v"});
    stripe.on_request(
        request, [](Reply) {}, before.now());
    const crdt::Clock& clock = stripe.clock(0, arc_of("k", 8));
    ASSERT_EQ(clock.rows().size(), 1u);
    actors.push_back(clock.rows()[0].actor);
    EXPECT_GT(actors.back().epoch, told) << "the peers would ignore an earlier life";
  }
  EXPECT_NE(actors[0], actors[1]);
}

TEST(Stripe, ARestartTakesANewEpochAndKeepsEverything) {
  StripeCluster cluster({1}, "one");
  for (int i = 0; i < 100; ++i) cluster.call(0, op(Verb::kMapIncrement, "cart", {"f" + std::to_string(i % 80)}, 1));
  crdt::Clock before = cluster[0].clock(0, arc_of("cart", 8));
  cluster.kill(0);
  cluster.boot(0);
  cluster.call(0, op(Verb::kMapIncrement, "cart", {"f0"}, 1));
  EXPECT_EQ(cluster.call(0, op(Verb::kMapGet, "cart", {"f0", "f79"})).value,
            Value::List({Value::Bytes("3"), Value::Bytes("1")}));
  EXPECT_EQ(cluster.call(0, op(Verb::kMapLength, "cart")).value.integer, 80);
  EXPECT_EQ(cluster[0].stats().keys, 1u);
  EXPECT_EQ(before.rows().size(), 1u);
}

}  // namespace
}  // namespace cartwheel::node
