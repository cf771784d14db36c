// A walk goes on behind rows that cannot be read, and tells where they may be.
#include "storage/readable_rows.h"

#include <gtest/gtest.h>

#include "storage/memory_engine.h"

namespace cartwheel::storage {
namespace {

std::string key(int i) {
  char text[16];
  snprintf(text, sizeof text, "o%06d", i);
  return text;
}

class ReadableRowsTest : public testing::Test {
 protected:
  ReadableRowsTest() {
    WriteBatch batch;
    for (int i = 0; i < 100; ++i) batch.put(key(i), std::to_string(i));
    CHECK(engine_.write(std::move(batch)).ok());
  }
  std::vector<std::string> walk(const std::string& begin = "", const std::string& end = "") {
    ReadableRows rows(engine_, begin, end);
    std::vector<std::string> keys;
    for (; rows.valid(); rows.next()) keys.emplace_back(rows.key());
    holes_ = rows.holes();
    return keys;
  }
  MemoryEngine engine_;
  std::vector<ReadableRows::Hole> holes_;
};

TEST_F(ReadableRowsTest, WithoutHolesItIsAScan) {
  EXPECT_EQ(walk().size(), 100u);
  EXPECT_EQ(walk(key(10), key(20)).size(), 10u);
  EXPECT_EQ(walk(key(20), key(10)).size(), 0u);
  EXPECT_TRUE(holes_.empty());
}

TEST_F(ReadableRowsTest, BehindHolesItGoesOn) {
  engine_.fail_reads(key(10), key(12));
  engine_.fail_reads(key(50), key(90));
  const auto keys = walk();
  EXPECT_EQ(keys.size(), 100u - 2 - 40);
  ASSERT_EQ(holes_.size(), 2u);
  EXPECT_GT(holes_[0].begin, key(9));
  EXPECT_LE(holes_[0].begin, key(10));
  EXPECT_EQ(keys[10], key(12));
  EXPECT_GT(holes_[0].end, key(11));
  EXPECT_LE(holes_[0].end, key(12));
  EXPECT_LE(holes_[1].begin, key(50));
  EXPECT_GT(holes_[1].end, key(89));
}

TEST_F(ReadableRowsTest, AHoleMayBeAtTheBeginningAtTheEndOrAll) {
  engine_.fail_reads("", key(10));
  EXPECT_EQ(walk().size(), 90u);
  ASSERT_EQ(holes_.size(), 1u);
  EXPECT_EQ(holes_[0].begin, "");
  EXPECT_EQ(holes_[0].end, key(10));
  engine_.heal();
  engine_.fail_reads(key(90), "");
  EXPECT_EQ(walk().size(), 90u);
  ASSERT_EQ(holes_.size(), 1u);
  EXPECT_EQ(holes_[0].end, "");
  EXPECT_EQ(walk(key(20), key(95)).size(), 70u);
  ASSERT_EQ(holes_.size(), 1u);
  EXPECT_EQ(holes_[0].end, "");
  engine_.fail_reads("", "");
  EXPECT_EQ(walk().size(), 0u);
  ASSERT_EQ(holes_.size(), 1u);
}

}  // namespace
}  // namespace cartwheel::storage
