#include "node/core/object_store.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>

#include "base/hash.h"
#include "base/rng.h"
#include "crdt/path.h"
#include "storage/memory_engine.h"

namespace cartwheel::node {
namespace {

constexpr PartitionId kPartition{0, 3};
constexpr char kKey[] = "cart:7";

// A store over an engine, and what it says of one object beside what its leaves say.
struct Store {
  storage::MemoryEngine engine;
  std::unique_ptr<ObjectStore> objects = std::make_unique<ObjectStore>(engine, size_t{1} << 20);
  uint64_t told = 0;  // XOR of the changes of the digest that flush() has told

  StoredObject& object() { return **objects->open(kPartition, hash64(kKey), kKey); }
  uint64_t digest_of_leaves() {
    uint64_t digest = 0;
    EXPECT_TRUE(objects
                    ->for_each(object(), "",
                               [&](std::string_view path, const crdt::Leaf& leaf) {
                                 if (leaf.visible()) digest ^= leaf.digest(path);
                                 return true;
                               })
                    .ok());
    return digest;
  }
  void flush() {
    storage::WriteBatch batch;
    objects->flush(batch, [&](const ObjectStore::Changed& changed) { told ^= changed.digest; });
    EXPECT_TRUE(engine.write(std::move(batch)).ok());
    objects->end_turn();
  }
  void reopen() {
    flush();
    objects = std::make_unique<ObjectStore>(engine, size_t{1} << 20);
  }
};

// Paths of objects with one leaf, with a few, and with so many that they get a row each.
std::string some_path(Rng& rng, uint64_t paths) {
  const uint64_t n = rng.below(paths);
  if (n == 1) return crdt::path_step(crdt::Tag::kExpiry);
  return crdt::field_path(std::to_string(n), crdt::Tag::kString);
}

TEST(ObjectStore, TheDigestOfAnObjectIsThatOfItsLeavesAfterAnyChange) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Rng rng(seed);
    Store store;
    const uint64_t paths = std::array<uint64_t, 4>{1, 2, 6, 150}[seed % 4];
    for (uint64_t seq = 1; seq <= 400; ++seq) {
      const std::string path = some_path(rng, paths);
      crdt::Leaf leaf;
      if (rng.chance(0.7)) leaf.entries.push_back({{{1, 1}, seq}, {}, std::to_string(seq)});
      if (rng.chance(0.2)) leaf.resets.push_back({{{2, 1}, seq}, {}});
      const uint64_t how = rng.below(10);
      if (how < 4) {
        ASSERT_TRUE(store.objects->update(store.object(), path, leaf).ok());
      } else if (how < 8) {
        ASSERT_TRUE(store.objects->modify(store.object(), path, [&](crdt::Leaf& inside) { inside = leaf; }).ok());
      } else if (how == 8) {
        store.flush();
      } else {
        store.reopen();
      }
      // Asked for only now and then: it must be right whether it was worked out before or not.
      if (rng.chance(0.3)) {
        ASSERT_EQ(store.object().digest(), store.digest_of_leaves()) << "seed " << seed;
      }
    }
    store.flush();
    EXPECT_EQ(store.object().digest(), store.digest_of_leaves()) << "seed " << seed;
    EXPECT_EQ(store.told, store.digest_of_leaves()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace cartwheel::node
