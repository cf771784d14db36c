// A stripe's directory whose files are missing or damaged is set aside, if others have what it held, or if it is
// forced.
#include "node/runtime/stripe_directory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "node/core/rows.h"
#include "storage/rocks/rocks_engine.h"
#include "tests/storage/temporary_directory.h"

namespace cartwheel::node {
namespace {

Result<std::unique_ptr<storage::Engine>> rocks(const std::string& path) {
  auto opened = storage::RocksEngine::open(path);
  if (!opened.ok()) return opened.status();
  return std::unique_ptr<storage::Engine>(std::move(opened).value());
}

ClusterConfig config_of(uint32_t replicas) {
  ClusterConfig config;
  config.name = "test";
  config.partitions = 4;
  Keyspace keyspace;
  keyspace.name = "carts";
  keyspace.read = keyspace.write = *Level::parse("one");
  keyspace.replicas["r"] = replicas;
  for (uint32_t i = 0; i < replicas; ++i) {
    NodeInfo node;
    node.name = "r-" + std::to_string(i);
    node.region = "r";
    config.nodes.push_back(node);
  }
  config.keyspaces.push_back(keyspace);
  CHECK(finish(config).ok());
  return config;
}

class StripeDirectoryTest : public testing::Test {
 protected:
  StripeDirectoryTest() {
    auto opened = storage::RocksEngine::open(stripe().path());
    CHECK(opened.ok());
    storage::WriteBatch batch;
    batch.put(identity_row(), Identity{"test", "r-0", 7, true, "boot", 1}.encode());
    batch.put("o", "a row");
    CHECK(opened.value()->write(std::move(batch)).ok() && opened.value()->flush().ok());
  }
  StripeDirectory stripe(bool force = false) const { return {directory_ / "data", 0, force}; }
  void remove_files(const std::string& what) const {
    for (const auto& entry : std::filesystem::directory_iterator(stripe().path())) {
      const std::string name = entry.path().filename().string();
      if (name.find(what) != std::string::npos) std::filesystem::remove(entry.path());
    }
  }
  size_t set_aside() const {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory_ / "data")) {
      count += entry.path().filename().string().starts_with("stripe-0.broken-");
    }
    return count;
  }
  bool has_identity(storage::Engine& engine) const {
    std::string value;
    return *engine.get(identity_row(), &value);
  }

  storage::TemporaryDirectory directory_;
};

TEST_F(StripeDirectoryTest, WholeItIsOpened) {
  auto engine = open_stripe_directory(stripe(), config_of(2), 0, rocks);
  ASSERT_TRUE(engine.ok()) << engine.status().to_string();
  EXPECT_TRUE(has_identity(**engine));
  EXPECT_EQ(set_aside(), 0u);
}

TEST_F(StripeDirectoryTest, WithoutATableAManifestOrItsCurrentFileItIsSetAsideWhereOthersHaveItAll) {
  for (const char* what : {".sst", "MANIFEST", "CURRENT"}) {
    if (std::string(what) != ".sst") {  // there is something to lose again
      auto engine = storage::RocksEngine::open(stripe().path());
      storage::WriteBatch batch;
      batch.put(identity_row(), Identity{"test", "r-0", 7, true, "boot", 1}.encode());
      ASSERT_TRUE(engine.value()->write(std::move(batch)).ok() && engine.value()->flush().ok());
    }
    const size_t before = set_aside();
    remove_files(what);
    auto engine = open_stripe_directory(stripe(), config_of(2), 0, rocks);
    ASSERT_TRUE(engine.ok()) << what << ": " << engine.status().to_string();
    EXPECT_FALSE(has_identity(**engine)) << what;
    EXPECT_EQ(set_aside(), before + 1) << what;
  }
}

TEST_F(StripeDirectoryTest, TheOnlyCopyIsKeptUnlessItIsForced) {
  remove_files(".sst");
  auto refused = open_stripe_directory(stripe(), config_of(1), 0, rocks);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.status().message().find("--set-aside-broken-data"), std::string::npos);
  EXPECT_EQ(set_aside(), 0u);
  auto forced = open_stripe_directory(stripe(true), config_of(1), 0, rocks);
  ASSERT_TRUE(forced.ok()) << forced.status().to_string();
  EXPECT_EQ(set_aside(), 1u);
}

}  // namespace
}  // namespace cartwheel::node
