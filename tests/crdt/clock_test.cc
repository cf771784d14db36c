// DotSet against the plainest model of it, a std::set of dots, and its encoding: one set, one string of bytes.
#include <gtest/gtest.h>
// after gtest
#include <rapidcheck/gtest.h>

#include <set>

#include "crdt/clock.h"

namespace cartwheel::crdt {
namespace {

using Model = std::set<Dot>;

// Few actors and low numbers, so that intervals meet, touch and split.
Dot dot_of(int n) {
  return {{static_cast<uint32_t>(n / 24 % 3), 7}, static_cast<uint64_t>(n % 24 + 1)};
}

rc::Gen<std::vector<Dot>> dots() {
  return rc::gen::container<std::vector<Dot>>(rc::gen::map(rc::gen::inRange(0, 72), dot_of));
}

DotSet set_of(const std::vector<Dot>& dots) {
  DotSet set;
  for (const Dot& dot : dots) set.add(dot);
  return set;
}

Model model_of(const DotSet& set) {
  Model model;
  for (const auto& row : set.rows()) {
    for (const auto& i : row.intervals) {
      for (uint64_t seq = i.first; seq <= i.last; ++seq) model.insert({row.actor, seq});
    }
  }
  return model;
}

std::string bytes_of(const DotSet& set) {
  std::string bytes;
  Encoder out(bytes);
  set.encode(out);
  return bytes;
}

// Three nodes with three lives each, of which everything that any replica ever had is known; and sets with a part of
// that, in which some of the lowest lives of a node, if all of them is there, are folded.
struct Lives {
  std::vector<std::vector<std::set<uint64_t>>> seqs;

  Lives() : seqs(3, std::vector<std::set<uint64_t>>(3)) {
    for (auto& node : seqs) {
      for (auto& life : node) {
        const auto some = *rc::gen::container<std::vector<uint64_t>>(rc::gen::inRange<uint64_t>(1, 9));
        life.insert(some.begin(), some.end());
        life.insert(*rc::gen::inRange<uint64_t>(1, 9));
      }
    }
  }
  static Actor actor(size_t node, size_t life) { return {static_cast<uint32_t>(node), 10 * (life + 1)}; }
  Model all() const {
    Model model;
    for (size_t n = 0; n < 3; ++n) {
      for (size_t life = 0; life < 3; ++life) {
        for (uint64_t seq : seqs[n][life]) model.insert({actor(n, life), seq});
      }
    }
    return model;
  }
  // `some`, and all of the lives of each node below a random one; and the same folded.
  struct Pair {
    Model model;
    DotSet plain, folded;
  };
  Pair pick() const {
    Pair pair;
    std::vector<Actor> last;
    for (size_t n = 0; n < 3; ++n) {
      const size_t complete = *rc::gen::inRange<size_t>(0, 4), folds = *rc::gen::inRange<size_t>(0, complete + 1);
      for (size_t life = 0; life < 3; ++life) {
        for (uint64_t seq : seqs[n][life]) {
          if (life < complete || *rc::gen::arbitrary<bool>()) pair.model.insert({actor(n, life), seq});
        }
      }
      if (folds > 0) last.push_back(actor(n, folds - 1));
    }
    for (const Dot& dot : pair.model) pair.plain.add(dot);
    pair.folded = pair.plain;
    for (const Actor& each : last) pair.folded.fold(each, pair.plain.fold_hash(each.node, each.epoch).value());
    return pair;
  }

  // The dots that `set` stands for.
  Model model_of(const DotSet& set) const {
    Model model;
    for (const Dot& dot : all()) {
      if (set.contains(dot)) model.insert(dot);
    }
    return model;
  }
};

bool includes(const Model& a, const Model& b) {
  return std::includes(a.begin(), a.end(), b.begin(), b.end());
}

// The invariants that the header names. (RC_ASSERT takes an expression apart: || needs parentheses to stay lazy.)
void check_shape(const DotSet& set) {
  const DotSet::Row* before = nullptr;
  for (const auto& row : set.rows()) {
    RC_ASSERT((before == nullptr || before->actor < row.actor));
    RC_ASSERT(!row.intervals.empty());
    if (row.fold != 0) {
      RC_ASSERT((before == nullptr || before->actor.node < row.actor.node));
      RC_ASSERT((row.intervals == std::vector<DotSet::Interval>{{1, kMaxSeq}}));
    }
    uint64_t end = 0;
    for (const auto& i : row.intervals) {
      RC_ASSERT((i.first <= i.last && i.first > end));
      RC_ASSERT((end == 0 || i.first > end + 1));
      end = i.last;
    }
    before = &row;
  }
}

RC_GTEST_PROP(DotSet, AddsAsASetDoes, ()) {
  DotSet set;
  Model model;
  for (const Dot& dot : *dots()) {
    RC_ASSERT(set.add(dot) == model.insert(dot).second);
    check_shape(set);
  }
  RC_ASSERT(model_of(set) == model);
  RC_ASSERT(set.size() == model.size());
  RC_ASSERT(set.empty() == model.empty());
  for (int n = 0; n < 72; ++n) RC_ASSERT(set.contains(dot_of(n)) == model.contains(dot_of(n)));
  for (uint32_t node = 0; node < 3; ++node) {
    uint64_t last = 0;
    for (const Dot& dot : model) {
      if (dot.actor.node == node) last = std::max(last, dot.seq);
    }
    RC_ASSERT(set.last({node, 7}) == last);
  }
}

RC_GTEST_PROP(DotSet, AddsIntervalsAsTheirDots, ()) {
  DotSet set = set_of(*dots()), one_by_one = set;
  uint64_t first = *rc::gen::inRange<uint64_t>(1, 24), last = first + *rc::gen::inRange<uint64_t>(0, 10);
  bool grew = false;
  for (uint64_t seq = first; seq <= last; ++seq) grew |= one_by_one.add({{1, 7}, seq});
  RC_ASSERT(set.add({1, 7}, {first, last}) == grew);
  RC_ASSERT(set == one_by_one);
  check_shape(set);
}

RC_GTEST_PROP(DotSet, CombinesAsSetsDo, ()) {
  DotSet a = set_of(*dots()), b = set_of(*dots());
  Model x = model_of(a), y = model_of(b), both, minus = x, shared;
  both = x;
  both.insert(y.begin(), y.end());
  for (const Dot& dot : y) minus.erase(dot);
  for (const Dot& dot : x) {
    if (y.contains(dot)) shared.insert(dot);
  }
  DotSet merged = a, subtracted = a;
  merged.merge(b);
  subtracted.subtract(b);
  check_shape(merged);
  check_shape(subtracted);
  RC_ASSERT(model_of(merged) == both);
  RC_ASSERT(model_of(subtracted) == minus);
  RC_ASSERT(a.minus(b) == subtracted);
  RC_ASSERT(a.covers(b) == (shared.size() == y.size()));
  RC_ASSERT(a.intersects(b) == !shared.empty());
  RC_ASSERT((merged.covers(a) && merged.covers(b)));
  RC_ASSERT(set_of({both.begin(), both.end()}) == merged);  // one set, one value
}

RC_GTEST_PROP(DotSet, SurvivesItsEncoding, ()) {
  DotSet set = set_of(*dots());
  std::string bytes = bytes_of(set);
  Decoder in(bytes);
  RC_ASSERT(DotSet::decode(in) == set);
  RC_ASSERT(in.done());
}

// What decodes is what encode would have written, whatever the bytes; and damage is noticed or makes another valid set.
RC_GTEST_PROP(DotSet, HasOneEncoding, ()) {
  std::string bytes = bytes_of(set_of(*dots()));
  for (int flips = *rc::gen::inRange(0, 4); flips > 0 && !bytes.empty(); --flips) {
    bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = *rc::gen::arbitrary<char>();
  }
  if (*rc::gen::arbitrary<bool>()) bytes.resize(*rc::gen::inRange<size_t>(0, bytes.size() + 1));
  Decoder in(bytes);
  DotSet set = DotSet::decode(in);
  if (!in.ok()) {
    RC_ASSERT(set.empty());
    return;
  }
  check_shape(set);
  RC_ASSERT(bytes_of(set) == bytes.substr(0, bytes.size() - in.rest().size()));
}

RC_GTEST_PROP(Folds, ChangeNeitherWhatASetStandsForNorItsHash, ()) {
  Lives lives;
  auto [model, plain, folded] = lives.pick();
  check_shape(folded);
  RC_ASSERT(lives.model_of(folded) == model);
  RC_ASSERT(folded.hash() == plain.hash());
  RC_ASSERT((folded.covers(plain) && plain.covers(folded)));
  RC_ASSERT((folded.minus(plain).empty() && plain.minus(folded).empty()));
  RC_ASSERT(folded.has_folds() == (folded != plain));
  RC_ASSERT(!folded.without_folds().has_folds());
  DotSet added = folded;
  for (const Dot& dot : model) RC_ASSERT(!added.add(dot));
  RC_ASSERT(added == folded);
}

RC_GTEST_PROP(Folds, CombineAsTheSetsThatTheyStandFor, ()) {
  Lives lives;
  auto a = lives.pick(), b = lives.pick();
  Model both = a.model;
  both.insert(b.model.begin(), b.model.end());
  DotSet merged = a.folded, other_way = b.folded;
  merged.merge(b.folded);
  other_way.merge(a.folded);
  check_shape(merged);
  RC_ASSERT(merged == other_way);
  RC_ASSERT(lives.model_of(merged) == both);
  RC_ASSERT((merged.covers(a.folded) && merged.covers(b.folded)));
  RC_ASSERT(a.folded.covers(b.folded) == includes(a.model, b.model));
  RC_ASSERT((a.folded.hash() == b.folded.hash()) == (a.model == b.model));
  const DotSet rest = a.folded.minus(b.folded);
  check_shape(rest);
  RC_ASSERT(rest.empty() == b.folded.covers(a.folded));
  // Nothing is left out of it, and of a fold everything is in it.
  Model kept = lives.model_of(rest), missing = a.model;
  for (const Dot& dot : b.model) missing.erase(dot);
  RC_ASSERT((includes(kept, missing) && includes(a.model, kept)));
  if (!rest.has_folds()) RC_ASSERT(kept == missing);
  DotSet again = rest;
  again.merge(b.folded);
  RC_ASSERT(again.hash() == merged.hash());
}

RC_GTEST_PROP(Folds, SurviveTheirEncodingAndHaveOne, ()) {
  Lives lives;
  DotSet set = lives.pick().folded;
  std::string bytes = bytes_of(set);
  Decoder in(bytes), unfolded(bytes);
  RC_ASSERT(DotSet::decode(in) == set);
  RC_ASSERT(in.done());
  DotSet::decode_unfolded(unfolded);
  RC_ASSERT(unfolded.ok() != set.has_folds());
  for (int flips = *rc::gen::inRange(1, 4); flips > 0 && !bytes.empty(); --flips) {
    bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = *rc::gen::arbitrary<char>();
  }
  Decoder damaged(bytes);
  set = DotSet::decode(damaged);
  check_shape(set);
  if (damaged.ok()) RC_ASSERT(bytes_of(set) == bytes.substr(0, bytes.size() - damaged.rest().size()));
}

TEST(Folds, ContainWhatNobodyHasAndSwallowWhatLiesBelow) {
  DotSet set;
  set.add({7, 10}, {1, 3});
  set.add({7, 20}, {2, 2});
  set.add({7, 30}, {1, 1});
  set.fold({7, 20}, set.fold_hash(7, 20).value());
  EXPECT_EQ(set.rows().size(), 2u);
  EXPECT_EQ(set.size(), 2u);
  EXPECT_TRUE(set.contains({{7, 15}, 99}));
  EXPECT_FALSE(set.contains({{7, 30}, 2}));
  EXPECT_FALSE(set.contains({{6, 1}, 1}));
  EXPECT_EQ(set.folded_through(7), 20u);
  EXPECT_EQ(set.folded_through(8), std::nullopt);
  EXPECT_EQ(set.last({7, 20}), kMaxSeq);
  EXPECT_EQ(set.last({7, 30}), 1u);
  EXPECT_EQ(set.fold_hash(7, 10), std::nullopt) << "hidden by the fold above it";
  EXPECT_EQ(set.fold_hash(8, 10), 0u);
  DotSet before = set;
  set.fold({7, 10}, 99);
  EXPECT_EQ(set, before) << "it is folded already";
}

TEST(Folds, AreNotCoveredByFewerOrOtherDots) {
  DotSet set, fewer, more;
  set.add({7, 10}, {1, 3});
  fewer.add({7, 10}, {1, 2});
  more.add({7, 10}, {1, 4});
  DotSet folded = set;
  folded.fold({7, 10}, set.fold_hash(7, 10).value());
  EXPECT_TRUE(set.covers(folded));
  EXPECT_FALSE(fewer.covers(folded));
  EXPECT_FALSE(more.covers(folded)) << "nobody can say that";
  EXPECT_FALSE(DotSet().covers(folded));
  EXPECT_TRUE(folded.covers(more));
  EXPECT_EQ(folded.minus(fewer), folded);
}

std::string hand_made(std::initializer_list<std::pair<uint64_t, uint64_t>> gaps_and_lengths) {
  std::string bytes;
  Encoder out(bytes);
  out.varint(1);
  encode(out, Actor{1, 1});
  out.varint(gaps_and_lengths.size());
  for (auto [gap, extra] : gaps_and_lengths) {
    out.varint(gap);
    out.varint(extra);
  }
  return bytes;
}

bool decodes(const std::string& bytes) {
  Decoder in(bytes);
  DotSet::decode(in);
  return in.done();
}

TEST(DotSetDecode, RefusesWhatEncodeWouldNotWrite) {
  EXPECT_TRUE(decodes(hand_made({{0, 2}, {1, 0}})));
  EXPECT_FALSE(decodes(hand_made({}))) << "an actor without dots";
  const std::string fold = hand_made({}) + std::string(7, '\0') + "\x05", none = hand_made({}) + std::string(8, '\0');
  EXPECT_TRUE(decodes(fold));
  EXPECT_FALSE(decodes(none)) << "a fold of nothing";
  std::string behind = hand_made({{0, 0}}) + fold.substr(1), above = fold + hand_made({{0, 0}}).substr(1);
  behind[0] = above[0] = 2;
  behind[behind.size() - 10] = above[above.size() - 4] = 2;  // the epoch of the second row
  EXPECT_FALSE(decodes(behind)) << "a fold behind another row of its node";
  EXPECT_TRUE(decodes(above));
  EXPECT_FALSE(decodes(hand_made({{0, 2}, {0, 0}}))) << "intervals that touch";
  EXPECT_TRUE(decodes(hand_made({{0, kMaxSeq - 1}})));
  EXPECT_FALSE(decodes(hand_made({{0, kMaxSeq}}))) << "a number that is too high";
  EXPECT_FALSE(decodes(hand_made({{kMaxSeq, 0}})));
  EXPECT_FALSE(decodes(hand_made({{0, UINT64_MAX}})));
  EXPECT_FALSE(decodes(hand_made({{UINT64_MAX, UINT64_MAX}, {5, 5}})));
  std::string twice = hand_made({{0, 0}});
  twice[0] = 2;
  EXPECT_FALSE(decodes(twice + twice.substr(1))) << "an actor twice";
}

// A clock must be able to hold, and give back, every dot that a delta can bring.
TEST(DotDecode, RefusesNumbersThatAClockCouldNotHold) {
  auto round_trip = [](uint64_t seq) {
    std::string bytes;
    Encoder out(bytes);
    encode(out, Actor{1, 1});
    out.varint(seq);
    Decoder in(bytes);
    Dot dot = decode_dot(in);
    if (!in.done()) return false;
    DotSet set;
    set.add(dot);
    return decodes(bytes_of(set));
  };
  EXPECT_TRUE(round_trip(1));
  EXPECT_TRUE(round_trip(kMaxSeq));
  EXPECT_FALSE(round_trip(0));
  EXPECT_FALSE(round_trip(kMaxSeq + 1));
  EXPECT_FALSE(round_trip(UINT64_MAX));
}

}  // namespace
}  // namespace cartwheel::crdt
