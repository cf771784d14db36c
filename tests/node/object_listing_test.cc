#include "node/core/object_listing.h"

#include <gtest/gtest.h>

#include <map>

#include "base/hash.h"
#include "base/limits.h"
#include "base/rng.h"
#include "node/core/object_store.h"
#include "storage/memory_engine.h"

namespace cartwheel::node {
namespace {

using crdt::Leaf;
using crdt::Tag;

constexpr PartitionId kHere{0, 3}, kBehind{0, 4};

class ObjectListingTest : public ::testing::Test {
 protected:
  // Adds a set with this many elements.
  void add(PartitionId id, const std::string& key, size_t elements) {
    StoredObject* object = *store_.open(id, hash64(key), key);
    for (size_t i = 0; i < elements; ++i) {
      Leaf leaf;
      leaf.entries = {{{{1, 1}, ++seq_}, {}, ""}};
      ASSERT_TRUE(store_.update(*object, crdt::path_step(Tag::kElement, std::to_string(i)), std::move(leaf)).ok());
    }
  }
  void flush() {
    storage::WriteBatch batch;
    store_.flush(batch, [](const ObjectStore::Changed&) {});
    ASSERT_TRUE(engine_.write(std::move(batch)).ok());
    store_.end_turn();
  }
  storage::MemoryEngine engine_;
  ObjectStore store_{engine_, 0};
  uint64_t seq_ = 0;
};

TEST_F(ObjectListingTest, ShowsEveryObjectOnceWithTheDigestThatItsStoreTells) {
  std::map<std::pair<uint64_t, std::string>, uint64_t> expected;
  for (int i = 0; i < 200; ++i) {
    const std::string key = "key-" + std::to_string(i);
    add(kHere, key, i % 7 == 0 ? limits::kPackedLeaves + 10 : 3);
    add(kBehind, key, 1);
  }
  flush();
  for (int i = 0; i < 200; ++i) {
    const std::string key = "key-" + std::to_string(i);
    expected[{hash64(key), key}] = (*store_.open(kHere, hash64(key), key))->digest();
  }
  std::map<std::pair<uint64_t, std::string>, uint64_t> listed;
  ObjectListing rows(engine_, kHere);
  ASSERT_TRUE(rows.seek(0).ok());
  while (rows.valid()) {
    listed[{rows.hash(), std::string(rows.key())}] = rows.header()->digest();
    ASSERT_TRUE(rows.next().ok());
  }
  EXPECT_EQ(listed, expected);
}

TEST_F(ObjectListingTest, GoesToAnyHashFromWhereverItStands) {
  std::map<uint64_t, std::string> keys;
  for (int i = 0; i < 500; ++i) {
    const std::string key = "key-" + std::to_string(i);
    keys[hash64(key)] = key;
    add(kHere, key, i % 9 == 0 ? limits::kPackedLeaves + 1 : 1);
    add(kBehind, key, 1);
  }
  flush();
  Rng rng(1);
  ObjectListing rows(engine_, kHere);
  uint64_t last = 0;
  for (int i = 0; i < 3000; ++i) {
    uint64_t target = rng.next();
    if (rng.chance(0.5)) target = last + rng.below(UINT64_MAX / 200);  // close ahead, or around the end
    if (rng.chance(0.1)) target = UINT64_MAX;
    ASSERT_TRUE(rows.seek(target).ok());
    auto expected = keys.lower_bound(target);
    ASSERT_EQ(rows.valid(), expected != keys.end());
    if (rows.valid()) {
      ASSERT_EQ(rows.hash(), expected->first);
      ASSERT_EQ(rows.key(), expected->second);
      if (rng.chance(0.3)) {
        ASSERT_TRUE(rows.next().ok());
        ASSERT_EQ(rows.valid(), ++expected != keys.end());
      }
    }
    last = target;
  }
}

TEST_F(ObjectListingTest, SaysWhenTheEngineCannotBeRead) {
  for (int i = 0; i < 50; ++i) add(kHere, "key-" + std::to_string(i), 1);
  flush();
  const std::string prefix = object_prefix(kHere);
  engine_.fail_reads(object_position(kHere, UINT64_MAX / 2), prefix_end(prefix), Status::Io("a bad block"));
  ObjectListing rows(engine_, kHere);
  Status status = rows.seek(0);
  while (status.ok() && rows.valid()) status = rows.next();
  EXPECT_FALSE(status.ok());
  EXPECT_FALSE(rows.valid());
  EXPECT_FALSE(rows.seek(UINT64_MAX / 2).ok());
}

TEST_F(ObjectListingTest, WhatIsOpenedOnceLeavesTheCacheAsItWas) {
  ObjectStore store(engine_, 1 << 20);
  for (int i = 0; i < 20; ++i) add(kHere, "key-" + std::to_string(i), 1);
  flush();
  auto key = [](int i) { return "key-" + std::to_string(i); };
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(store.open(kHere, hash64(key(i)), key(i)).ok());
  store.end_turn();
  const size_t cached = store.cache_bytes();
  for (int turn = 0; turn < 2; ++turn) {
    for (int i = 0; i < 20; ++i) {
      auto object = store.open_once(kHere, hash64(key(i)), key(i));
      ASSERT_TRUE(object.ok());
      EXPECT_EQ((*object)->count(Tag::kElement), 1u);
    }
    EXPECT_EQ(store.misses(), 5u + 15u * static_cast<uint64_t>(turn + 1));
    store.end_turn();
    EXPECT_EQ(store.cache_bytes(), cached);
  }
  // Among others that are opened to stay, in any order.
  for (int i = 5; i < 20; i += 3) {
    ASSERT_TRUE(store.open_once(kHere, hash64(key(i)), key(i)).ok());
    ASSERT_TRUE(store.open(kHere, hash64(key(i)), key(i)).ok());
    if (i + 1 < 20) {
      ASSERT_TRUE(store.open(kHere, hash64(key(i + 1)), key(i + 1)).ok());
    }
  }
  store.end_turn();
  EXPECT_GT(store.cache_bytes(), cached);
  store.forget([](PartitionId) { return true; });
  EXPECT_EQ(store.cache_bytes(), 0u);
}

TEST(EncodedHeader, RefusesWhatTheStoreRefuses) {
  Rng rng(1);
  crdt::Object object;
  for (int i = 0; i < 5; ++i) {
    Leaf leaf;
    leaf.entries = {{{{1, 1}, static_cast<uint64_t>(i + 1)}, {}, "v"}};
    object.set(crdt::path_step(Tag::kElement, std::to_string(i)), std::move(leaf));
  }
  std::string packed = "\1";
  Encoder out(packed);
  object.encode(out);
  const std::string header = "\2" + std::string(9, '\3') + std::string(8, '\7') + packed.substr(1);
  int refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = i % 2 == 0 ? packed : header;
    if (i >= 2) bytes[rng.below(bytes.size())] ^= static_cast<char>(1 << rng.below(8));
    if (rng.chance(0.1)) bytes.resize(rng.below(bytes.size() + 1));
    uint64_t elsewhere = 0;
    const auto decoded = ObjectStore::decode_header(bytes, &elsewhere);
    const auto encoded = EncodedHeader::read(bytes);
    ASSERT_EQ(encoded.ok(), decoded.ok()) << i;
    refused += !decoded.ok();
    if (!decoded.ok()) continue;
    EXPECT_EQ(encoded->elsewhere, elsewhere);
    EXPECT_EQ(encoded->inside, decoded->digest());
    EXPECT_EQ(encoded->exploded, bytes[0] == '\2');
  }
  EXPECT_GT(refused, 5000);
  EXPECT_LT(refused, 19'000);
}

}  // namespace
}  // namespace cartwheel::node
