// The arithmetic of quorums against a second implementation that works on sets as bit masks, by enumeration; and the
// facts about intersections on which the rules of docs/consensus.md rest.
#include "node/core/paxos/quorum.h"

#include <gtest/gtest.h>

#include <bit>

namespace cartwheel::node::paxos {
namespace {

constexpr unsigned kNodes = 5;
constexpr unsigned kAll = (1 << kNodes) - 1;

std::vector<NodeIndex> members(unsigned mask) {
  std::vector<NodeIndex> out;
  for (NodeIndex n = 0; n < kNodes; ++n) {
    if (mask >> n & 1) out.push_back(n);
  }
  return out;
}

Quorum quorum_of(std::vector<unsigned> masks, uint64_t generation = 1) {
  Quorum q{generation, {}};
  for (unsigned mask : masks) q.sets.push_back(members(mask));
  return q;
}

// In the words of the definition: more than half of each set.
bool is_quorum(const std::vector<unsigned>& sets, unsigned yes) {
  for (unsigned set : sets) {
    if (2 * std::popcount(set & yes) <= std::popcount(set)) return false;
  }
  return true;
}

// Every choice of one or two sets.
template <typename F>
void for_each_configuration(F&& f) {
  for (unsigned a = 1; a <= kAll; ++a) {
    f({a});
    for (unsigned b = 1; b <= kAll; ++b) f({a, b});
  }
}

TEST(Quorum, TallyAgreesWithTheDefinitionForEverySetOfAnswers) {
  for_each_configuration([](std::vector<unsigned> sets) {
    Quorum q = quorum_of(sets);
    ASSERT_TRUE(q.check().ok());
    // Each node: silent, yes, or no.
    for (unsigned code = 0; code < 243; ++code) {
      unsigned yes = 0, no = 0, rest = code;
      Tally tally;
      for (NodeIndex n = 0; n < kNodes; ++n, rest /= 3) {
        if (rest % 3 == 1 && tally.add(q, n, Tally::Answer::kYes)) yes |= 1u << n;
        if (rest % 3 == 2 && tally.add(q, n, Tally::Answer::kNo)) no |= 1u << n;
      }
      ASSERT_EQ(tally.reached(q), is_quorum(sets, yes)) << code;
      ASSERT_EQ(tally.possible(q), is_quorum(sets, kAll & ~no)) << code;
    }
  });
}

TEST(Quorum, EveryTwoQuorumsOfAConfigurationMeet) {
  for_each_configuration([](std::vector<unsigned> sets) {
    for (unsigned x = 1; x <= kAll; ++x) {
      ASSERT_FALSE(is_quorum(sets, x) && is_quorum(sets, kAll & ~x));
    }
  });
}

TEST(Quorum, QuorumsOfGenerationsThatMayFollowMeet) {
  size_t pairs = 0;
  for_each_configuration([&](std::vector<unsigned> before) {
    for_each_configuration([&](std::vector<unsigned> after) {
      if (!may_follow(quorum_of(before, 6), quorum_of(after, 7))) return;
      ++pairs;
      for (unsigned x = 1; x <= kAll; ++x) {
        ASSERT_FALSE(is_quorum(before, x) && is_quorum(after, kAll & ~x));
      }
    });
  });
  EXPECT_GT(pairs, 10'000u);
}

TEST(Quorum, OnlyTheNextGenerationWithACommonSetMayFollow) {
  Quorum abc = quorum_of({0b00111}, 1);
  EXPECT_TRUE(may_follow(abc, quorum_of({0b00111, 0b11100}, 2)));
  EXPECT_TRUE(may_follow(quorum_of({0b00111, 0b11100}, 2), quorum_of({0b11100}, 3)));
  EXPECT_TRUE(may_follow(abc, quorum_of({0b00111}, 2))) << "an acceptor is readmitted";
  EXPECT_FALSE(may_follow(abc, quorum_of({0b11100}, 2)));
  EXPECT_FALSE(may_follow(abc, quorum_of({0b01111}, 2))) << "one more at once: majorities meet, the rule is simpler";
  EXPECT_FALSE(may_follow(abc, quorum_of({0b00111, 0b11100}, 3)));
  EXPECT_FALSE(may_follow(abc, quorum_of({0b00111, 0b11100}, 1)));
}

// A lost acceptor asks so many others that each majority with its old self has one of them, and not one more.
TEST(Quorum, OthersToAskAreAsManyAsNeeded) {
  for (unsigned n = 1; n <= 9; ++n) {
    auto meets_all = [&](size_t asked) {
      // Acceptor 0 is the lost one. All choices of that many others, against all majorities with it.
      for (unsigned choice = 0; choice < 1u << n; choice += 2) {
        if (static_cast<size_t>(std::popcount(choice)) != asked) continue;
        for (unsigned quorum = 1; quorum < 1u << n; quorum += 2) {
          if (static_cast<size_t>(std::popcount(quorum)) >= majority(n) && !(quorum & choice)) return false;
        }
      }
      return true;
    };
    EXPECT_TRUE(meets_all(others_to_ask(n))) << n;
    EXPECT_FALSE(meets_all(others_to_ask(n) - 1)) << n;
    EXPECT_EQ(others_to_ask(n) > n - 1, n == 1) << "a set of one has nobody to ask, every other has enough";
  }
}

TEST(Quorum, RefusesWhatIsNoConfiguration) {
  EXPECT_FALSE((Quorum{1, {}}).check().ok());
  EXPECT_FALSE((Quorum{1, {{}}}).check().ok());
  EXPECT_FALSE((Quorum{1, {{1, 0}}}).check().ok());
  EXPECT_FALSE((Quorum{1, {{1, 1}}}).check().ok());
  EXPECT_FALSE((Quorum{1, {{1}, {2}, {3}}}).check().ok());
  std::vector<NodeIndex> many;
  for (NodeIndex n = 0; n <= kMaxAcceptors; ++n) many.push_back(n);
  EXPECT_FALSE((Quorum{1, {many}}).check().ok());
  many.pop_back();
  EXPECT_TRUE((Quorum{1, {many}}).check().ok());
}

TEST(Quorum, AStrangerAndASecondAnswerDoNotCount) {
  Quorum q = quorum_of({0b111});
  Tally tally;
  EXPECT_FALSE(tally.add(q, 4, Tally::Answer::kYes));
  EXPECT_TRUE(tally.add(q, 1, Tally::Answer::kYes));
  EXPECT_FALSE(tally.add(q, 1, Tally::Answer::kYes));
  EXPECT_FALSE(tally.reached(q));
}

TEST(Quorum, MembersAreEachNamedOnce) {
  EXPECT_EQ(quorum_of({0b00111, 0b01110}).members(), (std::vector<NodeIndex>{0, 1, 2, 3}));
}

}  // namespace
}  // namespace cartwheel::node::paxos
