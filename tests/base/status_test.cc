#include "base/status.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

namespace cartwheel {
namespace {

TEST(Status, EveryCodeHasItsOwnName) {
  std::set<std::string> names;
  for (int c = 0; c <= static_cast<int>(Code::kShuttingDown); ++c) names.insert(code_name(static_cast<Code>(c)));
  EXPECT_EQ(names.size(), static_cast<size_t>(Code::kShuttingDown) + 1);
  EXPECT_EQ(names.count("unknown"), 0u);
  EXPECT_STREQ(code_name(static_cast<Code>(200)), "unknown");
}

TEST(Status, SaysItsCodeAndMessage) {
  EXPECT_EQ(Status().to_string(), "ok");
  EXPECT_TRUE(Status::Ok().ok());
  Status s = Status::Io("disk full");
  EXPECT_FALSE(s.ok());
  EXPECT_EQ(s.to_string(), "io: disk full");
}

Status fails_if(bool fail, int& reached) {
  RETURN_IF_ERROR(fail ? Status::Corruption("x") : Status::Ok());
  ++reached;
  return Status::Ok();
}

TEST(Status, ReturnIfErrorReturnsOnlyErrors) {
  int reached = 0;
  EXPECT_EQ(fails_if(true, reached).code(), Code::kCorruption);
  EXPECT_EQ(reached, 0);
  EXPECT_TRUE(fails_if(false, reached).ok());
  EXPECT_EQ(reached, 1);
}

TEST(Result, HoldsAValueOrAnError) {
  Result<std::unique_ptr<int>> value = std::make_unique<int>(7);
  ASSERT_TRUE(value.ok());
  EXPECT_TRUE(value.status().ok());
  EXPECT_EQ(**value, 7);
  std::unique_ptr<int> taken = std::move(value).value();
  EXPECT_EQ(*taken, 7);
  Result<std::string> error = Status::Unavailable("no");
  EXPECT_FALSE(error.ok());
  EXPECT_EQ(error.status(), Status::Unavailable("no"));
}

TEST(ResultDeathTest, MisuseAborts) {
  Result<int> error = Status::Io("x");
  EXPECT_DEATH((void)error.value(), "ok\\(\\)");
  EXPECT_DEATH((void)Result<int>(Status::Ok()), "ok\\(\\)");
}

}  // namespace
}  // namespace cartwheel
