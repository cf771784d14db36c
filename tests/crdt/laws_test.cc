// The laws of a lattice, for every type, on documents that random sessions left: merge is commutative, associative and
// idempotent and only ever grows; deltas do what merging does, whole, split, repeated or out of order; a document is a
// plain value that survives its encoding.
#include <gtest/gtest.h>
// after gtest
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "tests/crdt/sessions.h"

namespace cartwheel::crdt {

std::ostream& operator<<(std::ostream& out, const TypeUnderTest& type) {
  return out << type.name;
}

namespace {

std::map<std::string, std::string> views(const Document& d) {
  std::map<std::string, std::string> out;
  for (const auto& [key, object] : d.objects()) {
    for (const auto& row : object.rows()) {
      std::string view = model::History::view(d, key, row.first);
      if (!view.empty()) out[key + row.first] = view;
    }
  }
  return out;
}

std::vector<std::string> pending(const Document& d) {
  std::vector<std::string> out;
  for (const PendingRange& range : d.causal().pending) {
    out.emplace_back();
    Encoder e(out.back());
    e.bytes(range.key);
    e.bytes(range.prefix);
    range.observed.encode(e);
  }
  std::sort(out.begin(), out.end());
  return out;
}

// Equal in all that decides what they show now and what they will do with what comes: everything but the log and whose
// document it is.
void check_same(const Document& a, const Document& b) {
  RC_ASSERT(views(a) == views(b));
  RC_ASSERT(a.same_state(b));
  RC_ASSERT(a.objects() == b.objects());
  RC_ASSERT(a.causal().voids == b.causal().voids);
  RC_ASSERT(pending(a) == pending(b));
}

Document merged(Document a, const Document& b) {
  a.merge(b);
  return a;
}

Document fresh() {
  return Document({9, 1});
}

class Laws : public ::testing::TestWithParam<TypeUnderTest> {
 protected:
  Session session() const { return play(GetParam(), *rc::gen::arbitrary<Moves>()); }
};

TEST_P(Laws, MergeIsCommutative) {
  EXPECT_TRUE(rc::check([&] {
    Session s = session();
    check_same(merged(s.replicas[0], s.replicas[1]), merged(s.replicas[1], s.replicas[0]));
  }));
}

TEST_P(Laws, MergeIsAssociative) {
  EXPECT_TRUE(rc::check([&] {
    Session s = session();
    const auto& [a, b, c] = std::tie(s.replicas[0], s.replicas[1], s.replicas[2]);
    check_same(merged(merged(a, b), c), merged(a, merged(b, c)));
  }));
}

TEST_P(Laws, MergeIsIdempotent) {
  EXPECT_TRUE(rc::check([&] {
    Session s = session();
    const auto& [a, b] = std::tie(s.replicas[0], s.replicas[1]);
    RC_ASSERT(merged(a, a) == a);
    RC_ASSERT(merged(a, fresh()) == a);
    Document once = merged(a, b);
    RC_ASSERT(merged(once, b) == once);
    check_same(merged(once, a), once);
  }));
}

TEST_P(Laws, EveryStepInflatesTheClock) {
  EXPECT_TRUE(rc::check([&] {
    std::map<uint32_t, Clock> before;
    Session s = play(GetParam(), *rc::gen::arbitrary<Moves>(), [&](const Document& d) {
      Clock& clock = before[d.actor().node];
      RC_ASSERT(d.causal().clock.covers(clock));
      RC_ASSERT(!d.causal().voids.intersects(d.causal().clock));
      clock = d.causal().clock;
    });
    Document both = merged(s.replicas[0], s.replicas[1]);
    Clock united = s.replicas[0].causal().clock;
    united.merge(s.replicas[1].causal().clock);
    RC_ASSERT(both.causal().clock == united);
  }));
}

TEST_P(Laws, ApplyingDeltasIsMergingTheStateTheyMake) {
  EXPECT_TRUE(rc::check([&] {
    Session s = session();
    Document part = fresh(), by_deltas = s.replicas[0];
    for (const Delta& d : s.deltas) {
      if (!*rc::gen::arbitrary<bool>()) continue;
      part.apply(d);
      by_deltas.apply(d);
    }
    check_same(by_deltas, merged(s.replicas[0], part));
    check_same(by_deltas, merged(part, s.replicas[0]));
    if (part.catch_up_from(s.replicas[0])) check_same(by_deltas, part);
  }));
}

TEST_P(Laws, ShuffledRepeatedAndSplitDeltasDoWhatTheWholeDoes) {
  EXPECT_TRUE(rc::check([&] {
    Session s = session();
    std::vector<std::pair<size_t, size_t>> pieces;  // delta, change
    for (size_t d = 0; d < s.deltas.size(); ++d) {
      for (size_t c = 0; c < s.deltas[d].changes.size(); ++c) pieces.emplace_back(d, c);
    }
    auto shuffled = pieces;
    for (size_t i = shuffled.size(); i > 1; --i) std::swap(shuffled[i - 1], shuffled[*rc::gen::inRange<size_t>(0, i)]);
    if (!pieces.empty()) {
      for (int n = *rc::gen::inRange(0, 10); n > 0; --n) {
        auto again = pieces[*rc::gen::inRange<size_t>(0, pieces.size())];
        shuffled.insert(shuffled.begin() + *rc::gen::inRange<long>(0, static_cast<long>(shuffled.size())), again);
      }
    }
    Document whole = fresh(), split = fresh();
    for (const Delta& d : s.deltas) whole.apply(d);
    for (auto [d, c] : shuffled) split.apply({s.deltas[d].key, s.deltas[d].time, {s.deltas[d].changes[c]}});
    check_same(whole, split);
    Document everybody = merged(merged(s.replicas[0], s.replicas[1]), s.replicas[2]);
    check_same(whole, everybody);
    RC_ASSERT((whole.causal().voids.empty() && whole.causal().pending.empty()));
  }));
}

TEST_P(Laws, DocumentsAndDeltasSurviveTheirEncoding) {
  EXPECT_TRUE(rc::check([&] {
    Session s = session();
    for (const Document& d : s.replicas) {
      auto decoded = Document::decode(d.encode());
      RC_ASSERT(decoded.ok());
      RC_ASSERT(*decoded == d);
      RC_ASSERT(decoded->encode() == d.encode());
      check_same(merged(*decoded, s.replicas[1]), merged(d, s.replicas[1]));
    }
    for (const Delta& d : s.deltas) {
      std::string bytes;
      Encoder out(bytes);
      d.encode(out);
      Decoder in(bytes);
      RC_ASSERT(Delta::decode(in) == d);
      RC_ASSERT(in.done());
    }
  }));
}

TEST_P(Laws, ACopyIsIndependentOfItsOriginal) {
  EXPECT_TRUE(rc::check([&] {
    Session s = session();
    const Document& original = s.replicas[0];
    std::string before = original.encode();
    Document copy = original, other = s.replicas[1];
    copy.merge(other);
    for (const Delta& d : s.deltas) copy.apply(d);
    write(copy, GetParam(), *rc::gen::arbitrary<uint8_t>(), *rc::gen::arbitrary<uint8_t>());
    RC_ASSERT(original.encode() == before);
    RC_ASSERT(other == s.replicas[1]);
  }));
}

INSTANTIATE_TEST_SUITE_P(Types, Laws, ::testing::ValuesIn(types_under_test()),
                         [](const auto& type) { return std::string(type.param.name); });

}  // namespace
}  // namespace cartwheel::crdt
