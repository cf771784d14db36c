#include "node/runtime/packet_sealer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cartwheel::node {
namespace {

const std::string kOld(64, 'a'), kNew(64, 'b');                                   // hex
const std::string kOldInBase64 = "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo=";  // the same key as kOld

PacketSealer sealer(const std::string& cluster, const std::string& keys) {
  auto made = PacketSealer::create(cluster, keys);
  EXPECT_TRUE(made.ok()) << made.status().to_string();
  return std::move(made.value());
}

TEST(PacketSealer, WhatIsSealedOpens) {
  PacketSealer a = sealer("shop", kOld), b = sealer("shop", kOldInBase64 + "\n");
  for (size_t length : {0, 1, 1000, 1400 - 45}) {
    std::string plain(length, 'x');
    std::string sealed = a.seal(plain);
    EXPECT_EQ(sealed.size(), length + kGossipSealBytes);
    auto opened = b.open(sealed);
    ASSERT_TRUE(opened.ok());
    EXPECT_EQ(*opened, plain);
  }
}

TEST(PacketSealer, TheSamePacketNeverLooksTheSame) {
  PacketSealer a = sealer("shop", kOld);
  EXPECT_NE(a.seal("ping"), a.seal("ping"));
}

TEST(PacketSealer, NoByteCanBeChangedCutOrAdded) {
  PacketSealer a = sealer("shop", kOld);
  const std::string sealed = a.seal("some gossip");
  for (size_t i = 0; i < sealed.size(); ++i) {
    std::string changed = sealed;
    changed[i] = static_cast<char>(changed[i] ^ 0x40);
    EXPECT_FALSE(a.open(changed).ok()) << "byte " << i;
    EXPECT_FALSE(a.open(sealed.substr(0, i)).ok()) << "cut at " << i;
  }
  EXPECT_FALSE(a.open(sealed + "x").ok());
  EXPECT_FALSE(a.open(std::string(70'000, 'x')).ok());
}

TEST(PacketSealer, AnotherClusterDoesNotOpenItEvenWithTheSameKey) {
  std::string sealed = sealer("shop", kOld).seal("x");
  EXPECT_FALSE(sealer("shop2", kOld).open(sealed).ok());
  EXPECT_FALSE(PacketSealer::without_secret("shop").open(sealed).ok());
  EXPECT_FALSE(PacketSealer::without_secret("other").open(PacketSealer::without_secret("shop").seal("x")).ok());
  EXPECT_TRUE(PacketSealer::without_secret("shop").open(PacketSealer::without_secret("shop").seal("x")).ok());
}

TEST(PacketSealer, KeysRotateInThreeStepsWithoutAnInterruption) {
  // Two neighbouring steps may be in use at once, on different nodes.
  const std::string steps[] = {kOld, kOld + "\n" + kNew, kNew + "\n" + kOld, kNew};
  for (size_t i = 0; i + 1 < std::size(steps); ++i) {
    PacketSealer before = sealer("shop", steps[i]), after = sealer("shop", steps[i + 1]);
    EXPECT_TRUE(after.open(before.seal("x")).ok()) << "step " << i + 1;
    EXPECT_TRUE(before.open(after.seal("x")).ok()) << "step " << i + 1;
  }
  EXPECT_FALSE(sealer("shop", kNew).open(sealer("shop", kOld).seal("x")).ok());
}

TEST(PacketSealer, AKeyFileMayHaveCommentsAndBlankLines) {
  EXPECT_EQ(sealer("shop", "# ours\r\n\n  " + kOld + "  \r\n#\n" + kNew).keys(), 2u);
}

TEST(PacketSealer, AWrongKeyFileIsRefusedByItsLineAndNotQuoted) {
  auto error = [](const std::string& text) { return PacketSealer::create("shop", text).status().message(); };
  EXPECT_EQ(error(""), "the key file has no key");
  EXPECT_EQ(error("# nothing\n"), "the key file has no key");
  EXPECT_EQ(error(kOld + "\nsecret"), "line 2 of the key file is not a key of 32 bytes in hex or base64");
  EXPECT_EQ(error(std::string(64, 'g')), "line 1 of the key file is not a key of 32 bytes in hex or base64");
  EXPECT_EQ(error("qqqq"), "line 1 of the key file is not a key of 32 bytes in hex or base64");
  EXPECT_EQ(error(kOld + "\n" + kOldInBase64), "line 2 of the key file is a key that is there already");
  std::string many;
  for (int i = 0; i < 17; ++i)
    many += std::string(63, 'a') + "0123456789abcdefA"[i] + "\n" + (i == 16 ? std::string(63, 'b') + "0" : "");
  EXPECT_THAT(error(many), ::testing::HasSubstr("line 17"));
  EXPECT_EQ(error(std::string(70'000, '#')), "the key file is too long");
}

}  // namespace
}  // namespace cartwheel::node
