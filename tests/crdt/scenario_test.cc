// Named scenarios: races that CRDT stores got wrong, and what the model found here. Replicas are 0, 1, 2 …; every check
// compares with the naive model too, for exactly the events that the replica has seen.
#include <gtest/gtest.h>

#include "crdt/types.h"
#include "tests/crdt/model/forgetting.h"
#include "tests/crdt/model/twins.h"

namespace cartwheel::crdt::model {
namespace {

const std::string kText = path_step(Tag::kString);
const std::string kElement = path_step(Tag::kElement, "x");
const std::string kCart = path_step(Tag::kField, "cart");
const std::string kApples = kCart + field_path("apples");
const std::string kPears = kCart + field_path("pears");

class Scenario : public ::testing::Test {
 protected:
  void expect_as_model() {
    for (size_t r = 0; r < twins.size(); ++r) {
      auto why = twins.check(r);
      EXPECT_FALSE(why) << *why;
    }
  }
  bool in_set(size_t r) { return !twins.view(r, "k", kElement).empty(); }

  Twins twins{3};
};

// The element is on both sides of the last merge, under dots that each side knows the other has removed.
TEST_F(Scenario, ElementOnBothSidesWithMutuallySeenDotsIsAbsentAfterMerge) {
  twins.add(0, "k", kElement);
  twins.add(1, "k", kElement);
  twins.merge(2, 0);
  twins.reset(0, "k", kElement);
  twins.merge(0, 1);
  twins.reset(1, "k", kElement);
  twins.merge(0, 2);  // 2 still shows what 0 removed: it must not come back
  EXPECT_TRUE(in_set(0)) << "1 removed its own element only for itself so far";
  twins.merge(2, 1);  // 2 shows 0's element; 1 has removed its own
  twins.merge(0, 2);
  twins.merge(2, 0);
  EXPECT_FALSE(in_set(0));
  EXPECT_FALSE(in_set(2));
  expect_as_model();
}

// The join of an exchange takes steps, and what its source knew to be superseded arrives between two of them.
TEST_F(Scenario, AWriteThatAnExchangeKnowsToBeDeadDoesNotComeInWhileItIsJoined) {
  Message dead = twins.add(0, "k", kElement);
  twins.apply(1, twins.add(0, "k", kElement));
  twins.add(1, "l", kElement);
  twins.begin_join(2, 1);
  EXPECT_FALSE(twins.join_step(2));
  twins.apply(2, dead);
  EXPECT_TRUE(twins.join_step(2));
  expect_as_model();
}

TEST_F(Scenario, RemovingAFieldThatRacesAnIncrementKeepsOnlyTheConcurrentIncrement) {
  twins.apply(1, twins.increment(0, "k", kApples, 5));
  Message removal = twins.clear(1, "k", kCart);
  Message concurrent = twins.increment(0, "k", kApples, 3);
  for (size_t r : {1, 2}) twins.apply(r, concurrent);
  for (size_t r : {0, 2}) twins.apply(r, removal);
  for (size_t r : {0, 1, 2}) EXPECT_EQ(twins.count(r, "k", kApples), 3);
  expect_as_model();
}

TEST_F(Scenario, TwoResetsOfTheSameIncrementsTakeThemOffOnce) {
  Message five = twins.increment(0, "k", kText, 5);
  twins.apply(1, five);
  twins.apply(2, five);
  Message first = twins.reset(1, "k", kText), second = twins.reset(2, "k", kText);
  twins.increment(0, "k", kText, 2);
  twins.apply(0, first);
  twins.apply(0, second);
  twins.apply(0, first);
  EXPECT_EQ(twins.count(0, "k", kText), 2);
  expect_as_model();
}

// A reset saw −5 of a chain that a later increment had brought to +1: 6 of it is left, not 1.
TEST_F(Scenario, ResetOfANegativeCountLeavesTheLaterIncrementExactly) {
  twins.apply(1, twins.increment(0, "k", kText, -5));
  Message later = twins.increment(0, "k", kText, 6);
  Message reset = twins.reset(1, "k", kText);
  twins.apply(0, reset);
  EXPECT_EQ(twins.count(0, "k", kText), 6);
  twins.apply(1, later);
  EXPECT_EQ(twins.count(1, "k", kText), 6);
  twins.apply(2, later);
  EXPECT_EQ(twins.count(2, "k", kText), 1);
  twins.apply(2, reset);
  EXPECT_EQ(twins.count(2, "k", kText), 6);
  expect_as_model();
}

// A second reset sees less of the chain than the first although the total was higher by then.
TEST_F(Scenario, TheResetThatSawMostOfAChainDecidesNotTheHighestTotal) {
  Message ten = twins.increment(0, "k", kText, 10);
  twins.apply(1, ten);
  twins.apply(2, ten);
  twins.apply(2, twins.increment(0, "k", kText, -7));
  Message saw_ten = twins.reset(1, "k", kText), saw_three = twins.reset(2, "k", kText);
  twins.increment(0, "k", kText, 1);
  twins.apply(0, saw_three);
  twins.apply(0, saw_ten);
  EXPECT_EQ(twins.count(0, "k", kText), 1);
  expect_as_model();
}

// The chain that starts at the third increment says that the first was reset; a reset of it says so too. Without that a
// replica which never gets the first reset would show the first chain for ever.
TEST_F(Scenario, AResetOfAChainCoversTheChainsBeforeIt) {
  Message old = twins.increment(0, "k", kText, 6);
  twins.reset(0, "k", kText);  // never sent
  Message anew = twins.increment(0, "k", kText, 4);
  twins.apply(1, anew);
  twins.apply(2, anew);
  Message reset = twins.reset(1, "k", kText);
  twins.apply(1, old);
  EXPECT_EQ(twins.count(1, "k", kText), 0);
  twins.apply(2, old);
  twins.apply(2, reset);
  EXPECT_EQ(twins.count(2, "k", kText), 0);
  EXPECT_TRUE(twins.document(1).same_state(twins.document(2)));
  expect_as_model();
}

// A sender that has a part of the state says so: the rest is not taken for removed.
TEST_F(Scenario, AReplicaWithAPartOfTheStateRemovesNothingByMerging) {
  std::vector<Message> adds;
  for (const char* name : {"a", "b", "c", "d"}) adds.push_back(twins.add(0, "k", path_step(Tag::kElement, name)));
  twins.apply(1, adds[3]);  // the last alone: dots 1 to 3 are a gap
  twins.merge(0, 1);
  EXPECT_EQ(twins.document(0).object("k").rows().size(), 4u);
  twins.apply(2, adds[1]);
  twins.merge(1, 2);
  EXPECT_EQ(twins.document(1).object("k").rows().size(), 2u);
  expect_as_model();
}

TEST_F(Scenario, ClearThatRacesWritesKeepsOnlyTheConcurrentDots) {
  Message before = twins.add(0, "k", kElement);
  twins.apply(1, before);
  twins.apply(1, twins.assign(0, "k", kText, "old", 1));
  Message clear = twins.clear(1, "k", "");
  Message again = twins.add(0, "k", kElement);
  Message other = twins.add(0, "k", path_step(Tag::kElement, "y"));
  twins.apply(0, clear);
  for (const Message& m : {clear, other, again, before}) twins.apply(2, m);
  for (size_t r : {0, 2}) {
    EXPECT_TRUE(in_set(r));
    EXPECT_EQ(twins.view(r, "k", kText).empty(), true);
  }
  expect_as_model();
}

TEST_F(Scenario, RangeRemovalThatComesFirstRemovesWhatItObservedWhenThatComesLate) {
  Message add = twins.add(0, "k", kApples);
  Message price = twins.assign(0, "k", kPears, "3", 1);
  twins.apply(1, add);
  twins.apply(1, price);
  Message clear = twins.clear(1, "k", kCart);
  twins.apply(2, clear);
  EXPECT_EQ(twins.document(2).causal().pending.size(), 1u);
  twins.apply(2, price);
  twins.apply(2, add);
  EXPECT_TRUE(twins.document(2).objects().empty());
  EXPECT_TRUE(twins.document(2).causal().pending.empty());
  expect_as_model();
}

// What a void dot superseded in turn must still be dropped when the void dot's own delta comes.
TEST_F(Scenario, AVoidDotIsNotSeenUntilItsOwnDeltaCame) {
  Message first = twins.add(0, "k", kElement);
  Message second = twins.add(0, "k", kElement);
  Message removal = twins.reset(0, "k", kElement);
  twins.apply(1, first);
  twins.apply(1, removal);
  EXPECT_TRUE(in_set(1)) << "the first add was superseded by the second, which is not here";
  twins.apply(1, second);
  EXPECT_FALSE(in_set(1));
  expect_as_model();
}

TEST_F(Scenario, EnableWinsAndDisableWinsFlagsDifferOnlyWhereWritesAreConcurrent) {
  std::string enable = path_step(Tag::kFlagEnableWins), disable = path_step(Tag::kFlagDisableWins);
  for (const std::string& path : {enable, disable}) {
    Message on = twins.flag(0, "k", path, true), off = twins.flag(1, "k", path, false);
    for (size_t r : {1, 2}) twins.apply(r, on);
    for (size_t r : {0, 2}) twins.apply(r, off);
    const Leaf* leaf = twins.document(2).object("k").find(path);
    ASSERT_NE(leaf, nullptr);
    EXPECT_EQ(flag_value(last_tag(path), *leaf), path == enable);
    twins.apply(0, twins.flag(2, "k", path, path != enable));
    EXPECT_EQ(flag_value(last_tag(path), *twins.document(0).object("k").find(path)), path != enable);
  }
  expect_as_model();
}

TEST_F(Scenario, EqualTimesAreDecidedByActorInEveryOrderOfArrival) {
  Message a = twins.assign(0, "k", kText, "zzz", 7), b = twins.assign(1, "k", kText, "aaa", 7);
  twins.apply(0, b);
  twins.apply(1, a);
  EXPECT_EQ(string_value(*twins.document(0).object("k").find(kText)), "aaa");
  EXPECT_EQ(string_value(*twins.document(1).object("k").find(kText)), "aaa");
  expect_as_model();
}

class Forgetful : public Scenario {
 protected:
  void round() { rounds.round({&twins[0].document, &twins[1].document, &twins[2].document}); }
  size_t remembered() {
    size_t n = 0;
    for (size_t r = 0; r < twins.size(); ++r) {
      for (const auto& [key, object] : twins.document(r).objects()) {
        for (const auto& row : object.rows()) n += row.second.resets.size();
      }
    }
    return n;
  }
  Forgetting rounds;
};

// All have the reset, one lacks the increment that it saw: to forget the reset there would bring the increment back.
TEST_F(Forgetful, AResetIsRememberedUntilWhatItSawHasArrivedEverywhere) {
  Message five = twins.increment(0, "k", kText, 5);
  twins.apply(1, five);
  Message reset = twins.reset(1, "k", kText);
  twins.apply(0, reset);
  twins.apply(2, reset);
  for (int i = 0; i < 3; ++i) round();
  twins.apply(2, five);
  EXPECT_EQ(twins.count(2, "k", kText), 0);
  for (int i = 0; i < 2; ++i) round();
  EXPECT_EQ(remembered(), 0u);
  expect_as_model();
}

// The writer's first increment is on its way, its second was reset, and the writer died with both: no clock has the
// first.
TEST_F(Forgetful, ADeltaOfADeadEpochIsFencedBeforeTheResetThatCoversItIsForgotten) {
  Message first = twins.increment(0, "k", kText, 5), second = twins.increment(0, "k", kText, 4);
  twins.apply(1, second);
  Message reset = twins.reset(1, "k", kText);
  twins[0] = {Document(Actor{1, 1}), {}, {}};
  twins[0].document.restart(2);
  twins.merge(0, 1);
  twins.merge(2, 1);
  for (int i = 0; i < 2; ++i) round();
  EXPECT_EQ(remembered(), 0u);
  ASSERT_TRUE(rounds.fenced(first.delta.changes[0].dot)) << "or it would be counted again";
  EXPECT_FALSE(rounds.fenced(reset.delta.changes[0].dot));
  expect_as_model();
}

}  // namespace
}  // namespace cartwheel::crdt::model
