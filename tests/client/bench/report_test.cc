#include "client/bench/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace cartwheel::bench {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Options open_loop() {
  Options options;
  options.targets = {{"127.0.0.1", "1"}};
  options.mix = *parse_mix("get");
  options.rate = 1000;
  return options;
}

Outcome completed(uint64_t operations, uint64_t due) {
  Outcome outcome;
  outcome.window_s = 1;
  outcome.stats.operations = operations;
  outcome.stats.due = due;
  for (uint64_t i = 0; i < operations; ++i) outcome.stats.latency.record(123);
  return outcome;
}

TEST(Report, RefusesPercentilesBelow99PercentOfTheOfferedRate) {
  const Outcome slow = completed(985, 1000);
  EXPECT_FALSE(latency_is_meaningful(open_loop(), slow));
  EXPECT_THAT(text_report(open_loop(), slow), HasSubstr("not meaningful"));
  EXPECT_THAT(text_report(open_loop(), slow), HasSubstr("98.5 % of the offered rate"));
  EXPECT_FALSE(nlohmann::json::parse(json_report(open_loop(), slow))["latency_meaningful"].get<bool>());

  const Outcome fine = completed(995, 1000);
  EXPECT_TRUE(latency_is_meaningful(open_loop(), fine));
  EXPECT_THAT(text_report(open_loop(), fine), HasSubstr("p99 123"));
  EXPECT_THAT(text_report(open_loop(), fine), Not(HasSubstr("warning")));
}

TEST(Report, DividesServerCpuByOperations) {
  Outcome outcome = completed(1000, 1000);
  outcome.server_cpu_us = 7500;
  EXPECT_DOUBLE_EQ(nlohmann::json::parse(json_report(open_loop(), outcome))["server_cpu_us_per_op"].get<double>(), 7.5);
}

TEST(Report, KeepsErrorKindsApartWithTheirFirstText) {
  Outcome outcome = completed(10, 10);
  outcome.stats.errors.add_reply("WRONGTYPE first");
  outcome.stats.errors.add_reply("ERR other");
  outcome.stats.errors.add_reply("WRONGTYPE second \xff");
  const auto errors = nlohmann::json::parse(json_report(open_loop(), outcome))["errors"];
  ASSERT_EQ(errors.size(), 2u);
  EXPECT_EQ(errors[1]["kind"], "WRONGTYPE");
  EXPECT_EQ(errors[1]["count"], 2);
  EXPECT_EQ(errors[1]["example"], "WRONGTYPE first");
}

TEST(ErrorTable, IsBoundedWhateverTheServerSays) {
  ErrorTable table;
  for (int i = 0; i < 1000; ++i) table.add_reply("E" + std::to_string(i) + " text");
  EXPECT_LE(table.rows().size(), ErrorTable::kMaxKinds + 1);
  EXPECT_EQ(table.total(), 1000u);
}

}  // namespace
}  // namespace cartwheel::bench
