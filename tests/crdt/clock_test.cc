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

// The invariants that the header names. (RC_ASSERT takes an expression apart: || needs parentheses to stay lazy.)
void check_shape(const DotSet& set) {
  const DotSet::Row* before = nullptr;
  for (const auto& row : set.rows()) {
    RC_ASSERT((before == nullptr || before->actor < row.actor));
    RC_ASSERT(!row.intervals.empty());
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
