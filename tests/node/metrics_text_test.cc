// The text of /metrics: what Prometheus reads, checked by Prometheus' own tool.
#include "node/fronts/http/metrics_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/node/doors_testing.h"

namespace cartwheel::node {
namespace {

using ::testing::HasSubstr;

TEST(MetricsText, PromtoolFindsNothingToComplainAbout) {
  const std::string path = ::testing::TempDir() + "/cartwheel_metrics_" + std::to_string(::getpid()) + ".txt";
  std::ofstream(path) << metrics_text(testing::doors_metrics());
  FILE* tool = ::popen(("promtool check metrics < " + path + " 2>&1").c_str(), "r");
  ASSERT_NE(tool, nullptr);
  std::string complaints;
  char chunk[512];
  while (size_t n = std::fread(chunk, 1, sizeof chunk, tool)) complaints.append(chunk, n);
  const int status = ::pclose(tool);
  std::remove(path.c_str());
  ASSERT_TRUE(WIFEXITED(status));
  ASSERT_NE(WEXITSTATUS(status), 127) << "promtool is missing: install the Debian package prometheus";
  EXPECT_EQ(WEXITSTATUS(status), 0) << complaints;
  EXPECT_EQ(complaints, "");
}

TEST(MetricsText, SamplesCarryTheNumbersOfTheSnapshot) {
  const std::string text = metrics_text(testing::doors_metrics());
  EXPECT_THAT(text, HasSubstr("\ncartwheel_coordinator_operations_total{op=\"write\"} 500\n"));
  EXPECT_THAT(text, HasSubstr("\ncartwheel_peer_lag_dots{peer=\"us-1\",region=\"us\"} 44\n"));
  EXPECT_THAT(text, HasSubstr("\ncartwheel_peer_reachable{peer=\"us-1\",region=\"us\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("\nprocess_cpu_seconds_total 1.25\n"));
  EXPECT_THAT(text, HasSubstr("\ncartwheel_storage_keys 12\n"));
}

TEST(MetricsText, TrafficBetweenRegionsIsSummedOverTheNodesOfARegion) {
  Metrics metrics = testing::doors_metrics();
  metrics.peers[1].between_regions = {.batches = 3, .message_bytes = 1000, .sent_bytes = 100};
  metrics.peers.push_back({.name = "us-2", .region = "us", .between_regions = {1, 10, 11}});
  metrics.rejected_batches = 2;
  const std::string text = metrics_text(metrics);
  EXPECT_THAT(text, HasSubstr("\ncartwheel_region_message_bytes_total{region=\"us\"} 1010\n"));
  EXPECT_THAT(text, HasSubstr("\ncartwheel_region_sent_bytes_total{region=\"us\"} 111\n"));
  EXPECT_THAT(text, HasSubstr("\ncartwheel_region_batches_total{region=\"us\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("\ncartwheel_region_rejected_batches_total 2\n"));
  EXPECT_THAT(text, ::testing::Not(HasSubstr("{region=\"eu\"}")));
}

TEST(MetricsText, HistogramBucketsAreCumulativeAndInSeconds) {
  const std::string text = metrics_text(testing::doors_metrics());
  const std::string name = "\ncartwheel_storage_write_duration_seconds";
  EXPECT_THAT(text, HasSubstr(name + "_bucket{le=\"1.6e-05\"} 2\n"));
  EXPECT_THAT(text, HasSubstr(name + "_bucket{le=\"3.2e-05\"} 3\n"));
  EXPECT_THAT(text, HasSubstr(name + "_bucket{le=\"0.001024\"} 4\n"));
  EXPECT_THAT(text, HasSubstr(name + "_bucket{le=\"+Inf\"} 5\n"));
  EXPECT_THAT(text, HasSubstr(name + "_count 5\n"));
  EXPECT_THAT(text, HasSubstr(name + "_sum 5.000943\n"));
}

TEST(MetricsText, NamesFromTheClusterFileAreEscaped) {
  Metrics metrics = testing::doors_metrics();
  metrics.zone = "a\"b\\c\nd";
  EXPECT_THAT(metrics_text(metrics), HasSubstr("zone=\"a\\\"b\\\\c\\nd\"} 1\n"));
}

TEST(MetricsText, EveryFamilyOfOursHasAHelpATypeAndOurPrefix) {
  std::istringstream lines(metrics_text(testing::doors_metrics()));
  std::string family, type;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(family.starts_with("cartwheel_") || family.starts_with("process_")) << line;
    } else if (line.starts_with("# TYPE ")) {
      type = line.substr(line.rfind(' ') + 1);
      EXPECT_EQ(type == "counter", family.ends_with("_total")) << line;
    } else {
      EXPECT_TRUE(line.starts_with(family)) << line;
    }
  }
}

}  // namespace
}  // namespace cartwheel::node
