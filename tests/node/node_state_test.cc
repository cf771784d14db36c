#include "node/runtime/node_state.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace cartwheel::node {
namespace {

class NodeStateTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "node_state_XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  std::string root_;
};

NodeState example() {
  return {0x0123456789abcdef, 7, 3, "a configuration", std::string("\0row", 4)};
}

void expect_same(const NodeState& a, const NodeState& b) {
  EXPECT_EQ(encode(a), encode(b));
  EXPECT_EQ(a.identity, b.identity);
  EXPECT_EQ(a.starts, b.starts);
  EXPECT_EQ(a.self, b.self);
  EXPECT_EQ(a.config, b.config);
  EXPECT_EQ(a.acceptor, b.acceptor);
}

TEST_F(NodeStateTest, WhatIsWrittenIsRead) {
  const std::string directory = root_ + "/data";
  EXPECT_FALSE(read_node_state(directory)->has_value());
  ASSERT_TRUE(write_node_state(directory, example()).ok());
  expect_same(**read_node_state(directory), example());
  NodeState next = example();
  next.starts = 8;
  next.config.clear();
  next.self = kNoNode;
  ASSERT_TRUE(write_node_state(directory, next).ok());
  expect_same(**read_node_state(directory), next);
}

TEST_F(NodeStateTest, AnyDamageIsSeenAndNamesTheFile) {
  const std::string bytes = encode(example());
  for (size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_FALSE(decode_node_state(std::string_view(bytes).substr(0, n)).ok());
    std::string damaged = bytes;
    damaged[n] = static_cast<char>(damaged[n] ^ 0x10);
    EXPECT_FALSE(decode_node_state(damaged).ok()) << "byte " << n;
  }
  EXPECT_FALSE(decode_node_state(bytes + "x").ok());
  std::ofstream(root_ + "/MEMBER", std::ios::binary) << bytes.substr(0, bytes.size() - 1);
  const auto state = read_node_state(root_);
  ASSERT_FALSE(state.ok());
  EXPECT_EQ(state.status().code(), Code::kCorruption);
  EXPECT_EQ(state.status().message(), root_ + "/MEMBER is damaged");
}

// The new content is written beside the old one, which stays until the new one is complete: an attempt that fails
// leaves what there was, and what an earlier one left lying about is in nobody's way.
TEST_F(NodeStateTest, AFailedWriteLeavesTheOldContent) {
  ASSERT_TRUE(write_node_state(root_, example()).ok());
  std::string beside;
  for (const auto& entry : std::filesystem::directory_iterator(root_)) {
    EXPECT_EQ(entry.path().filename(), "MEMBER") << "nothing else is left behind";
  }
  // A file where the directory should be.
  EXPECT_FALSE(write_node_state(root_ + "/MEMBER", example()).ok());
  expect_same(**read_node_state(root_), example());
}

}  // namespace
}  // namespace cartwheel::node
