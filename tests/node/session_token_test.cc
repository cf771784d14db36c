#include "node/core/session_token.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "base/hash.h"
#include "base/rng.h"

namespace cartwheel::node {
namespace {

SessionSeen seen(uint16_t keyspace, uint32_t arc, std::vector<SessionDot> dots, int64_t as_of_ms) {
  SessionSeen s;
  s.keyspace = keyspace;
  s.arc = arc;
  s.dots = std::move(dots);
  s.as_of_ms = as_of_ms;
  return s;
}

std::string with_checksum(std::string bytes);

TEST(SessionToken, DemandsOfAPartitionWhatWasSeenOfIt) {
  SessionToken token;
  token.add(seen(0, 3, {{{1, 10}, 5}}, 1000));
  token.add(seen(0, 3, {{{2, 20}, 7}}, 1001));
  token.add(seen(1, 3, {{{1, 10}, 9}}, 1002));
  token.add(seen(0, 3, {{{1, 10}, 4}}, 1003));  // an older one takes nothing back
  SessionDemand demand = token.demand(0, 3);
  EXPECT_EQ(demand.through_ms, 0);
  EXPECT_EQ(demand.dots, (std::vector<SessionDot>{{{2, 20}, 7}, {{1, 10}, 5}}));
  EXPECT_TRUE(token.demand(0, 4).dots.empty());
  EXPECT_EQ(token.demand(1, 3).dots.size(), 1u);
}

TEST(SessionToken, ComesBackFromItsText) {
  SessionToken token;
  EXPECT_EQ(*SessionToken::parse(token.text("shop"), "shop"), token);
  token.add(seen(0, 1023, {{{0xffffffff, UINT64_MAX}, crdt::kMaxSeq}}, 1'700'000'000'000));
  token.add(seen(0xffff, 0xffff, {{{0, 0}, 1}}, 1'700'000'100'000));
  auto back = SessionToken::parse(token.text("shop"), "shop");
  ASSERT_TRUE(back.ok()) << back.status().to_string();
  EXPECT_EQ(*back, token);
}

TEST(SessionToken, IsRefusedWhenItIsDamagedForeignOrOfAnotherFormat) {
  SessionToken token;
  token.add(seen(0, 3, {{{1, 10}, 5}, {{2, 20}, 6}}, 1000));
  std::string text = token.text("shop");
  auto why = [](std::string_view bad, std::string_view cluster = "shop") {
    auto parsed = SessionToken::parse(bad, cluster);
    EXPECT_EQ(parsed.ok() ? Code::kOk : parsed.status().code(), Code::kBadToken) << bad;
    return parsed.status().message();
  };
  EXPECT_NE(why(text, "shoq").find("another cluster"), std::string::npos);
  EXPECT_NE(why("").find("damaged"), std::string::npos);
  EXPECT_NE(why("no token!").find("base64"), std::string::npos);
  EXPECT_NE(why(std::string(257, 'A')).find("limit is 256"), std::string::npos);
  for (size_t i = 0; i < text.size(); ++i) {
    std::string damaged = text;
    damaged[i] = damaged[i] == 'A' ? 'B' : 'A';
    why(damaged);
    why(text.substr(0, i));
  }
  why(text + "A");
  EXPECT_NE(why(with_checksum(std::string("\x02later", 6))).find("format 2"), std::string::npos);
  // Sound to the checksum, and nonsense.
  why(with_checksum(std::string("\x01", 1)));
  std::string head("\x01", 1);
  uint64_t hash = hash64("shop");
  for (int shift = 56; shift >= 0; shift -= 8) head.push_back(static_cast<char>(hash >> shift));
  why(with_checksum(head + std::string("\x00\x7f", 2)));                          // more entries than bytes
  why(with_checksum(head + std::string("\x00\x00 more", 7)));                     // bytes behind
  why(with_checksum(head + std::string("\x00\x01", 2) + std::string(17, '\0')));  // number 0
}

// For tokens that no writer makes: base64url of `bytes` and their checksum.
std::string with_checksum(std::string bytes) {
  auto sum = static_cast<uint32_t>(hash64(bytes));
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(sum >> shift));
  static const char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    }
    size_t digits = std::min<size_t>(bytes.size() - i, 3) + 1;
    for (size_t j = 0; j < digits; ++j) out.push_back(kDigits[group >> (18 - 6 * j) & 63]);
  }
  return out;
}

// Whatever was ever seen stays demanded: by name with at least its number, or by a time that is no earlier than its
// own. And the text never grows beyond its limit, nor loses anything.
TEST(SessionToken, FoldingLosesNoDemand) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    SessionToken token;
    std::map<std::tuple<uint16_t, uint32_t, crdt::Actor>, std::map<uint64_t, int64_t>> ever;  // seq → time
    std::map<uint64_t, int64_t> clocks;  // of coordinators, which do not agree
    bool huge = rng.chance(0.2);
    for (int step = 0; step < 120; ++step) {
      uint64_t coordinator = rng.below(6);
      int64_t& clock = clocks[coordinator];
      if (clock == 0) clock = 1'700'000'000'000 + static_cast<int64_t>(rng.below(60'000));
      clock += static_cast<int64_t>(rng.below(2000));
      SessionSeen s;
      s.keyspace = static_cast<uint16_t>(huge ? 0xffff - rng.below(3) : rng.below(3));
      s.arc = static_cast<uint32_t>(huge ? 0xffff - rng.below(20) : rng.below(20));
      s.as_of_ms = clock;
      s.folded = rng.chance(0.05);
      for (size_t n = rng.below(5); n > 0; --n) {
        crdt::Actor actor{static_cast<uint32_t>(rng.below(5)), UINT64_MAX - rng.below(2)};
        SessionDot dot{actor, 1 + (huge ? crdt::kMaxSeq - 100 + rng.below(100) : rng.below(1000))};
        auto same = std::find_if(s.dots.begin(), s.dots.end(), [&](const auto& d) { return d.actor == actor; });
        if (same != s.dots.end()) continue;
        s.dots.push_back(dot);
        int64_t& time = ever[{s.keyspace, s.arc, actor}][dot.seq];
        time = std::max(time, clock);
      }
      int64_t through = token.through_ms();
      token.add(s);
      ASSERT_GE(token.through_ms(), s.folded ? std::max(through, s.as_of_ms) : through);
      std::string text = token.text("shop");
      ASSERT_LE(text.size(), kTokenBytes);
      auto back = SessionToken::parse(text, "shop");
      ASSERT_TRUE(back.ok()) << back.status().to_string();
      ASSERT_EQ(*back, token);
    }
    for (const auto& [where, seqs] : ever) {
      const auto& [keyspace, arc, actor] = where;
      SessionDemand demand = token.demand(keyspace, arc);
      for (const auto& [seq, time] : seqs) {
        bool by_name =
            std::any_of(demand.dots.begin(), demand.dots.end(),
                        [&, seq = seq, actor = actor](const auto& d) { return d.actor == actor && d.seq >= seq; });
        ASSERT_TRUE(by_name || demand.through_ms >= time) << seq << " at " << time;
      }
    }
  }
}

TEST(SessionToken, KeepsTheLatestAndFoldsTheOldest) {
  SessionToken token;
  for (uint32_t i = 0; i < 100; ++i)
    token.add(seen(0, i, {{{i, 1'700'000'000'000ull << 16}, 1'000'000}}, 1'000'000 + i));
  EXPECT_GE(token.entries().size(), 6u);
  EXPECT_EQ(token.entries().back().arc, 99u);
  EXPECT_EQ(token.through_ms(), token.entries().front().as_of_ms - 1);
}

}  // namespace
}  // namespace cartwheel::node
