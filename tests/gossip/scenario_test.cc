// Each file of scenarios/ is a test. CARTWHEEL_VERBOSE=1 tells what happens.
#include "tests/gossip/scenario.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

namespace cartwheel::gossip::sim {
namespace {

std::vector<std::string> files() {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(CARTWHEEL_SCENARIOS))
    if (entry.path().extension() == ".txt") found.push_back(entry.path().string());
  std::sort(found.begin(), found.end());
  return found;
}

class GossipScenario : public ::testing::TestWithParam<std::string> {};

TEST_P(GossipScenario, GoesAsWritten) {
  auto failure = run_scenario(GetParam());
  EXPECT_FALSE(failure) << *failure;
}

INSTANTIATE_TEST_SUITE_P(Files, GossipScenario, ::testing::ValuesIn(files()), [](const auto& file) {
  std::string name = std::filesystem::path(file.param).stem().string();
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
  return name;
});

TEST(GossipScenarios, AreThere) {
  EXPECT_GE(files().size(), 10u);
}

}  // namespace
}  // namespace cartwheel::gossip::sim
