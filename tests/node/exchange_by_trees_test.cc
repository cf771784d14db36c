// A full exchange between two replicas with hash trees ships what differs, and its result is that of a whole one.
#include <gtest/gtest.h>

#include "base/hash.h"
#include "node/core/object_store.h"
#include "tests/node/exchange_by_trees_testing.h"

namespace cartwheel::node {
namespace {

TEST(ExchangeByTrees, EqualReplicasShipNoRows) {
  ReturnBeyondTheLog run;
  write_keys(run.cluster, 50);
  run.cluster.run(Duration::seconds(2));
  run.away([&] {
    for (int i = 0; i < 10; ++i) {
      run.cluster.call(0, op(Verb::kSetAdd, "set", {"e" + std::to_string(i)}));
      run.cluster.call(0, op(Verb::kSetRemove, "set", {"e" + std::to_string(i)}));
    }
  });
  run.let_go();
  run.finish();
  EXPECT_EQ(run.stats().full_exchanges_by_trees, 1u);
  EXPECT_EQ(run.stats().full_exchange_buckets, 0u);
  EXPECT_EQ(run.stats().full_exchange_objects, 0u);
  EXPECT_LT(run.exchange_bytes, 300u);
  EXPECT_TRUE(run.cluster.converged());
}

TEST(ExchangeByTrees, OnlyTheBucketsThatDifferAreShipped) {
  ReturnBeyondTheLog run;
  write_keys(run.cluster, 3000);
  run.cluster.run(Duration::seconds(2));
  run.away([&] {
    write_keys(run.cluster, 10, "new");
    run.cluster.call(0, op(Verb::kDelete, "k77"));
  });
  run.let_go();
  run.finish();
  EXPECT_EQ(run.stats().full_exchanges_by_trees, 1u);
  EXPECT_GT(run.stats().full_exchange_buckets, 8u);
  EXPECT_LE(run.stats().full_exchange_buckets, 11u);
  EXPECT_GE(run.stats().full_exchange_objects, 10u);
  EXPECT_LE(run.stats().full_exchange_objects, 100u) << "three keys a bucket";
  EXPECT_TRUE(run.cluster.converged());
  EXPECT_EQ(run.cluster.call(2, op(Verb::kGet, "k3")).value.bytes, "new");
  EXPECT_EQ(run.cluster.call(2, op(Verb::kExists, "k77")).value.integer, 0);
  EXPECT_EQ(run.stats().keys, 2999u);
}

TEST(ExchangeByTrees, WhatCameMeanwhileAndWasDeadInTheSnapshotGoes) {
  EXPECT_EQ(dead_in_the_window(false), "");
}

TEST(ExchangeByTrees, WhatCameMeanwhileAndWasDeadInTheSnapshotGoesAlsoAfterARestartInTheMiddle) {
  EXPECT_EQ(dead_in_the_window(true), "");
}

TEST(ExchangeByTrees, EqualBucketsBringTheResetsThatTheyRemember) {
  EXPECT_EQ(late_increment_of_a_reset_counter(), "");
}

TEST(ExchangeByTrees, RandomHistoriesEndWithEqualReplicas) {
  for (uint64_t seed = 1; seed <= 1000; ++seed) ASSERT_EQ(random_history(seed), "");
}

TEST(ExchangeByTrees, WhatWasRemovedHereMeanwhileStaysRemoved) {
  for (bool known_to_source : {false, true}) {
    ReturnBeyondTheLog run;
    run.cluster.call(0, op(Verb::kSetAdd, "set", {"goes", "stays"}));
    run.cluster.run(Duration::seconds(2));
    run.away([&] { write_keys(run.cluster, 20); });
    if (!known_to_source)
      run.lose = [](NodeIndex from, NodeIndex, MessageType t) { return from == 2 && t == MessageType::kWrite; };
    run.cluster.call(2, op(Verb::kSetRemove, "set", {"goes"}));
    run.let_go();
    run.cluster.run(Duration::seconds(1));
    EXPECT_EQ(run.elements(2, "set"), "stays ");
    EXPECT_EQ(run.stats().full_exchanges_by_trees, 1u);
    run.finish();
    EXPECT_EQ(run.differs("set", "stays "), "");
  }
}

TEST(ExchangeByTrees, WhatWasWrittenHereMeanwhileStaysWhetherTheSnapshotHasItOrNot) {
  for (bool known_to_source : {false, true}) {
    ReturnBeyondTheLog run;
    run.cluster.call(0, op(Verb::kSetAdd, "set", {"old"}));
    run.cluster.call(0, op(Verb::kMapIncrement, "map", {"count"}, 3));
    run.cluster.run(Duration::seconds(2));
    run.away([&] { write_keys(run.cluster, 20); });
    if (!known_to_source)
      run.lose = [](NodeIndex from, NodeIndex, MessageType t) { return from == 2 && t == MessageType::kWrite; };
    run.cluster.call(2, op(Verb::kSetAdd, "set", {"new"}));
    run.cluster.call(2, op(Verb::kMapIncrement, "map", {"count"}, 4));
    run.cluster.call(2, op(Verb::kSet, "text", {"mine"}));
    run.let_go();
    run.cluster.run(Duration::seconds(1));
    EXPECT_EQ(run.stats().full_exchanges_by_trees, 1u);
    run.finish();
    EXPECT_EQ(run.differs("set", "new old "), "");
    for (NodeIndex n = 0; n < 3; ++n) {
      EXPECT_EQ(run.cluster.call(n, op(Verb::kMapGet, "map", {"count"})).value.list[0].bytes, "7");
      EXPECT_EQ(run.cluster.call(n, op(Verb::kGet, "text")).value.bytes, "mine");
    }
  }
}

// The source overwrites what came meanwhile: the bucket differs, or does not, and it is the last value in any case.
TEST(ExchangeByTrees, WhatWasOverwrittenMeanwhileIsTheLastValue) {
  ReturnBeyondTheLog run;
  for (const char* key : {"text", "map"}) run.cluster.call(0, op(Verb::kMapSet, key, {"f", "0"}));
  run.cluster.run(Duration::seconds(2));
  run.away([&] { write_keys(run.cluster, 20); });
  const NodeIndex source = run.source(), third = source == 0 ? 1 : 0;
  run.cluster.call(third, op(Verb::kMapSet, "map", {"f", "1"}));
  run.cluster.call(third, op(Verb::kMapSet, "text", {"f", "1"}));
  run.lose = [](NodeIndex, NodeIndex to, MessageType type) { return to == 2 && type == MessageType::kWrite; };
  run.cluster.call(source, op(Verb::kMapSet, "map", {"f", "2"}));
  run.cluster.call(source, op(Verb::kMapRemove, "text", {"f"}));
  run.let_go();
  run.cluster.call(source, op(Verb::kMapSet, "map", {"f", "3"}));  // behind the snapshot
  run.finish();
  EXPECT_TRUE(run.cluster.converged());
  for (NodeIndex n = 0; n < 3; ++n) {
    EXPECT_EQ(run.cluster.call(n, op(Verb::kMapGet, "map", {"f"})).value.list[0].bytes, "3");
    EXPECT_EQ(run.cluster.call(n, op(Verb::kExists, "text")).value.integer, 0);
  }
}

TEST(ExchangeByTrees, WithoutATreeOnEitherSideAllIsShipped) {
  ReturnBeyondTheLog run;
  write_keys(run.cluster, 1500);  // more than a tree is built of in one turn
  run.cluster.run(Duration::seconds(2));
  run.cluster.wipe(2);
  run.cluster.run(Duration::seconds(3));
  run.cluster.boot(2);  // it has nothing to show
  run.finish();
  EXPECT_GT(run.stats().full_exchanges, 0u);
  EXPECT_EQ(run.stats().full_exchanges_by_trees, 0u);
  EXPECT_EQ(run.stats().keys, 1500u);
  EXPECT_TRUE(run.cluster.converged());

  run.away([&] { write_keys(run.cluster, 5, "new"); }, 0);
  run.cluster.kill(0);  // whose next life has not built its trees
  run.cluster.boot(0);
  run.let_go();
  run.finish();
  EXPECT_EQ(run.stats().full_exchanges_by_trees, 0u);
  EXPECT_GE(run.stats().full_exchange_objects, 3000u);
  EXPECT_TRUE(run.cluster.converged());
}

TEST(ExchangeByTrees, AfterAStartALargePartitionWaitsForItsTree) {
  ReturnBeyondTheLog run;
  write_keys(run.cluster, 20'000);
  run.cluster.run(Duration::seconds(2));
  run.cluster.kill(2);
  run.cluster.run(Duration::seconds(3));
  write_keys(run.cluster, 30, "new");
  run.cluster.boot(2);
  run.finish();
  EXPECT_TRUE(run.cluster.converged());
  EXPECT_GT(run.stats().full_exchanges_by_trees, 0u);
  EXPECT_EQ(run.stats().full_exchanges, run.stats().full_exchanges_by_trees);
  EXPECT_LT(run.stats().full_exchange_objects, 2000u);
}

TEST(ExchangeByTrees, TheTreeThatIsShownHasWhatItsTurnHasChanged) {
  ReturnBeyondTheLog run;
  write_keys(run.cluster, 20);
  run.cluster.run(Duration::seconds(2));
  // The answer that the log does not reach finds node 2 in the midst of a turn with a write of its own.
  Output::Message answer{};
  NodeIndex from = 0;
  run.cluster.on_message = [&](NodeIndex n, const Output::Message&) { from = n; };
  run.cluster.drop = [&](const Output::Message& m) {
    if (message_type(m.bytes) == MessageType::kCatchUpReply && m.to == 2 && answer.bytes.empty()) {
      answer = m;
      answer.to = from;
      return true;
    }
    return false;
  };
  for (NodeIndex n : kOthers) run.cluster.cut(2, n);
  run.cluster.run(Duration::seconds(3));
  write_keys(run.cluster, 5, "new");
  for (NodeIndex n : kOthers) run.cluster.cut(2, n, false);
  for (int i = 0; answer.bytes.empty() && i < 1000; ++i) run.cluster.run(Duration::millis(10));
  ASSERT_FALSE(answer.bytes.empty());
  PartitionTree shown;
  run.cluster.drop = [&](const Output::Message& m) {
    if (m.to != 2 && message_type(m.bytes) == MessageType::kExchange) {
      auto asked = ExchangeMessage::decode(m.bytes);
      if (asked.ok() && asked->tree) shown = *asked->tree;
    }
    return false;
  };
  run.cluster.submit(2, op(Verb::kSet, "own", {"v"}), [](const Reply&) {});
  run.cluster[2].on_message(answer.to, answer.bytes, run.cluster.now());
  run.cluster.settle(2);
  const uint32_t bucket = PartitionTree::bucket_of(hash64("own"), 1);
  EXPECT_NE(shown.bucket(bucket), 0u);
  EXPECT_EQ(shown.bucket(bucket), (*run.cluster[2].bucket_hashes({0, 0}))[bucket]);
  run.cluster.deliver();
  run.finish();
  EXPECT_TRUE(run.cluster.converged());
}

// What peers say is looked at.
TEST(ExchangeByTrees, RepliesThatDoNotFitAreRejectedAndChangeNothing) {
  for (int kind : {0, 1, 2}) {
    ReturnBeyondTheLog run;
    write_keys(run.cluster, 20);
    run.cluster.run(Duration::seconds(2));
    std::string reply;
    auto inner = run.cluster.drop;
    run.cluster.drop = [&](const Output::Message& m) {
      if (m.to == 2 && message_type(m.bytes) == MessageType::kExchangeReply && reply.empty()) {
        reply = m.bytes;
        return true;
      }
      return inner(m);
    };
    if (kind == 1) {  // it did not show a tree
      run.cluster.wipe(2);
      run.cluster.run(Duration::seconds(3));
      run.cluster.boot(2);
      for (int i = 0; reply.empty() && i < 500; ++i) run.cluster.run(Duration::millis(10));
    } else {
      run.away([&] { write_keys(run.cluster, 5, "new"); }, 0);
      run.let_go();
    }
    ASSERT_FALSE(reply.empty());
    auto forged = ExchangeReplyMessage::decode(reply);
    ASSERT_TRUE(forged.ok());
    ASSERT_FALSE(forged->rows.empty());
    if (kind < 2) {
      forged->differing.emplace();  // but there are rows
    } else {
      forged->step = 0;
      forged->differing->reset(PartitionTree::bucket_of(hash64(forged->rows[0].key), 1));
    }
    const uint64_t rejected = run.stats().rejected_messages;
    const NodeIndex from = kind == 1 ? 0 : run.source();
    for (NodeIndex n : {from, NodeIndex{1}}) {
      run.cluster[2].on_message(n, forged->encode(), run.cluster.now());
      run.cluster.settle(2);
    }
    EXPECT_EQ(run.stats().rejected_messages, rejected + 1) << kind;
    run.finish();
    EXPECT_TRUE(run.cluster.converged());
  }
}

// A row that cannot be read is found while the copy of what differs is on its way: that copy is not all.
TEST(ExchangeByTrees, APartitionThatIsQuarantinedMeanwhileIsRebuiltFromAWholeCopy) {
  for (bool restarts : {false, true}) {
    StripeOptions options = ReturnBeyondTheLog::quick();
    options.cache_bytes = 0;
    options.catch_up_chunk_bytes = 100;
    ReturnBeyondTheLog run(options);
    write_keys(run.cluster, 60);
    run.cluster.run(Duration::seconds(2));
    run.away([&] { write_keys(run.cluster, 20, "new"); });
    run.let_go();
    ASSERT_TRUE(run.run_into_the_join());
    EXPECT_EQ(run.stats().full_exchanges_by_trees, 1u);
    storage::WriteBatch batch;
    if (restarts) {  // the copy is staged, and the start finds that the clock is gone
      run.cluster.kill(2);
      batch.put(partition_row({0, 0}), "\xff garbage");
      ASSERT_TRUE(run.cluster.engine(2).write(std::move(batch)).ok());
      run.cluster.boot(2);
      EXPECT_EQ(run.stats().quarantined, 1u);
    } else {
      batch.put(header_row(object_base({0, 0}, hash64("k50"), "k50")), "\xff garbage");
      ASSERT_TRUE(run.cluster.engine(2).write(std::move(batch)).ok());
      run.cluster.submit(2, op(Verb::kGet, "k50"), [](const Reply&) {});
      run.cluster.settle(2);
      EXPECT_EQ(run.stats().quarantined, 1u);
    }
    run.finish();
    EXPECT_EQ(run.stats().quarantined, 0u);
    EXPECT_EQ(run.stats().rebuilt_partitions, 1u);
    EXPECT_EQ(run.stats().keys, 60u);
    EXPECT_TRUE(run.cluster.converged());
  }
}

TEST(ExchangeByTrees, ItsMessagesComeBackAsTheyWereSentAndCutShortTheyAreRefused) {
  ExchangeMessage m{7, {1, 5}, 0, false, PartitionTree()};
  m.tree->change(3, 99);
  m.tree->change(1023, 1);
  const std::string bytes = m.encode();
  auto back = ExchangeMessage::decode(bytes);
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->encode(), bytes);
  EXPECT_EQ(*back->tree, *m.tree);
  ExchangeReplyMessage reply;
  reply.differing.emplace();
  reply.differing->set(0).set(9).set(1023);
  const std::string reply_bytes = reply.encode();
  auto reply_back = ExchangeReplyMessage::decode(reply_bytes);
  ASSERT_TRUE(reply_back.ok());
  EXPECT_EQ(reply_back->encode(), reply_bytes);
  EXPECT_EQ(reply_back->differing, reply.differing);
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(ExchangeMessage::decode(bytes.substr(0, n)).ok()) << n;
  for (size_t n = 0; n < reply_bytes.size(); ++n) {
    EXPECT_FALSE(ExchangeReplyMessage::decode(reply_bytes.substr(0, n)).ok()) << n;
  }
}

}  // namespace
}  // namespace cartwheel::node
