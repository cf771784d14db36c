// Every history of small scope: all sequences of four writes of a small alphabet at two or three replicas,
// each writer having seen any subset of what was written before; then all orders in which the rest can be delivered,
// once and twice, and all orders of merges. Replicas are compared with the naive model at every step. What the model
// does not find in a small scope it would have to find in a large one.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "tests/crdt/model/twins.h"

namespace cartwheel::crdt::model {
namespace {

using Write = std::function<Message(Twins&, size_t r)>;

class Exhaustive {
 public:
  Exhaustive(std::vector<Write> alphabet, int replicas, size_t writes)
      : alphabet_(std::move(alphabet)), replicas_(replicas), writes_(writes) {}

  // All histories; the first difference ends the search.
  void run() {
    extend(Twins(replicas_), {}, 1);
    EXPECT_FALSE(why_) << *why_;
    EXPECT_GT(histories_, 0u);
    ::testing::Test::RecordProperty("histories", static_cast<int>(histories_));
  }

 private:
  // `used` replicas have a part so far: replicas that did nothing yet are alike, so one of them is tried.
  void extend(const Twins& twins, const std::vector<Message>& sent, size_t used) {
    if (why_) return;
    if (sent.size() == writes_) return finish(twins, sent);
    for (size_t r = 0; r < std::min(used, twins.size()); ++r) {
      std::vector<size_t> unseen;
      for (size_t m = 0; m < sent.size(); ++m) {
        if (!twins.seen(r, sent[m])) unseen.push_back(m);
      }
      for (size_t subset = 0; subset < (size_t{1} << unseen.size()); ++subset) {
        Twins before = twins;
        // Backwards, which is the order with most voids; finish() tries all orders.
        for (size_t i = unseen.size(); i-- > 0;) {
          if (subset >> i & 1) before.apply(r, sent[unseen[i]]);
        }
        for (const Write& write : alphabet_) {
          Twins after = before;
          std::vector<Message> more = sent;
          more.push_back(write(after, r));
          extend(after, more, std::max(used, r + 2));
        }
      }
    }
  }

  void finish(const Twins& twins, const std::vector<Message>& sent) {
    ++histories_;
    for (size_t r = 0; r < twins.size() && !why_; ++r) {
      std::vector<size_t> missing;
      for (size_t m = 0; m < sent.size(); ++m) {
        if (!twins.seen(r, sent[m])) missing.push_back(m);
      }
      do {
        Twins t = twins;
        for (size_t m : missing) {
          t.apply(r, sent[m]);
          if (expect(t, r)) return;
          t.apply(r, sent[m]);
        }
        for (const Message& again : sent) t.apply(r, again);
        if (expect(t, r)) return;
      } while (std::next_permutation(missing.begin(), missing.end()));
    }
    // Merges by pairs until all have all, every order of the pairs as the start.
    std::vector<std::pair<size_t, size_t>> pairs;
    for (size_t r = 0; r < twins.size(); ++r) {
      for (size_t q = 0; q < twins.size(); ++q) {
        if (q != r) pairs.emplace_back(r, q);
      }
    }
    for (auto [r1, q1] : pairs) {
      Twins first = twins;
      first.merge(r1, q1);
      if (expect(first, r1)) return;
      for (auto [r2, q2] : pairs) {
        Twins second = first;
        if (!second.catch_up(r2, q2)) second.merge(r2, q2);
        if (expect(second, r2)) return;
        if (r2 == q1 && q2 == r1 && !second.document(r1).same_state(second.document(r2))) {
          why_ = "an exchange in both directions leaves two states";
          return;
        }
      }
    }
  }

  bool expect(const Twins& t, size_t r) {
    if (!why_) why_ = t.check(r);
    return why_.has_value();
  }

  std::vector<Write> alphabet_;
  int replicas_;
  size_t writes_;
  uint64_t histories_ = 0;
  std::optional<std::string> why_;
};

const std::string kElement = path_step(Tag::kElement, "x");
const std::string kText = path_step(Tag::kString);

std::vector<Write> set_writes() {
  return {[](Twins& t, size_t r) { return t.add(r, "k", kElement); },
          [](Twins& t, size_t r) { return t.reset(r, "k", kElement); },
          [](Twins& t, size_t r) { return t.clear(r, "k", ""); }};
}

std::vector<Write> counter_writes() {
  return {[](Twins& t, size_t r) { return t.increment(r, "k", kText, 1); },
          [](Twins& t, size_t r) { return t.increment(r, "k", kText, -10); },
          [](Twins& t, size_t r) { return t.reset(r, "k", kText); }};
}

std::vector<Write> string_writes() {
  return {[](Twins& t, size_t r) { return t.assign(r, "k", kText, "7", 1); },
          [](Twins& t, size_t r) { return t.increment(r, "k", kText, 3); },
          [](Twins& t, size_t r) { return t.clear(r, "k", ""); }};
}

TEST(ExhaustiveSet, ThreeReplicasFourWrites) {
  Exhaustive(set_writes(), 3, 4).run();
}
TEST(ExhaustiveSet, TwoReplicasFourWrites) {
  Exhaustive(set_writes(), 2, 4).run();
}
TEST(ExhaustiveCounter, ThreeReplicasFourWrites) {
  Exhaustive(counter_writes(), 3, 4).run();
}
TEST(ExhaustiveCounter, TwoReplicasFourWrites) {
  Exhaustive(counter_writes(), 2, 4).run();
}
TEST(ExhaustiveString, ThreeReplicasFourWrites) {
  Exhaustive(string_writes(), 3, 4).run();
}
TEST(ExhaustiveString, TwoReplicasFourWrites) {
  Exhaustive(string_writes(), 2, 4).run();
}

}  // namespace
}  // namespace cartwheel::crdt::model
