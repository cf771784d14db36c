// The announcement's bytes: what clocks, fallbacks and lives it has comes back, and nothing else decodes.
#include <gtest/gtest.h>
// after gtest
#include <rapidcheck/gtest.h>

#include "base/msgpack.h"
#include "node/core/message.h"

namespace cartwheel::node {
namespace {

crdt::Clock clock(bool folded) {
  crdt::Clock clock;
  clock.add({1, 10}, {1, 4});
  clock.add({1, 20}, {1, 2});
  if (folded) clock.fold({1, 10}, *clock.fold_hash(1, 10));
  return clock;
}

AnnounceMessage message(bool fallbacks, bool lives) {
  AnnounceMessage m;
  m.instance = 7 << 16;
  m.since = 3;
  m.version = 9;
  m.as_of = {1'700'000'000'000};
  m.epoch = 4;
  m.entries = {{{0, 3}, clock(true)}, {{1, 5}, clock(false)}};
  if (fallbacks) m.fallbacks = {{{0, 6}, clock(false)}};
  m.full = fallbacks;
  if (lives) m.lives = {{0, 5}, {4, UINT64_MAX}};
  return m;
}

TEST(AnnounceMessage, ComesBackAsItWas) {
  for (int kind = 0; kind < 4; ++kind) {
    const AnnounceMessage m = message((kind & 1) != 0, (kind & 2) != 0);
    const std::string bytes = m.encode();
    auto back = AnnounceMessage::decode(bytes);
    ASSERT_TRUE(back.ok()) << kind;
    EXPECT_EQ(back->encode(), bytes) << kind;
    EXPECT_EQ(back->lives, m.lives) << kind;
    EXPECT_EQ(back->full, m.full) << kind;
    ASSERT_EQ(back->entries.size(), 2u);
    EXPECT_EQ(back->entries[0].clock, clock(true));
    EXPECT_EQ(back->fallbacks.size(), m.fallbacks.size()) << kind;
  }
}

bool decodes(const AnnounceMessage& m) {
  return AnnounceMessage::decode(m.encode()).ok();
}

TEST(AnnounceMessage, ThatSaysWhatNobodyWouldSayDoesNotDecode) {
  AnnounceMessage m = message(true, true);
  ASSERT_TRUE(decodes(m));
  m.lives = {{4, 5}, {0, 6}};
  EXPECT_FALSE(decodes(m)) << "positions that do not ascend";
  m.lives = {{4, 5}, {4, 6}};
  EXPECT_FALSE(decodes(m)) << "a position twice";
  m.lives = {{4, 0}};
  EXPECT_FALSE(decodes(m)) << "no life";
  m = message(true, true);
  m.fallbacks[0].clock = clock(true);
  EXPECT_FALSE(decodes(m)) << "a fallback keeps deltas, and folds nothing";
}

RC_GTEST_PROP(AnnounceMessage, DecodesWhateverComesOrRefusesIt, ()) {
  std::string bytes = message(*rc::gen::arbitrary<bool>(), *rc::gen::arbitrary<bool>()).encode();
  for (int flips = *rc::gen::inRange(0, 5); flips > 0; --flips) {
    bytes[*rc::gen::inRange<size_t>(0, bytes.size())] = *rc::gen::arbitrary<char>();
  }
  if (*rc::gen::arbitrary<bool>()) bytes.resize(*rc::gen::inRange<size_t>(0, bytes.size() + 1));
  auto m = AnnounceMessage::decode(bytes);
  if (!m.ok()) return;
  auto again = AnnounceMessage::decode(m->encode());
  RC_ASSERT(again.ok());
  RC_ASSERT(again->encode() == m->encode());
}

}  // namespace
}  // namespace cartwheel::node
