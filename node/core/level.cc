#include "node/core/level.h"

#include <charconv>
#include <numeric>

namespace cartwheel::node {

namespace {
uint32_t majority(uint32_t n) {
  return n / 2 + 1;
}
}  // namespace

Result<Level> Level::parse(std::string_view text) {
  if (text == "one") return Level{Kind::kCount, 1};
  if (text == "two") return Level{Kind::kCount, 2};
  if (text == "three") return Level{Kind::kCount, 3};
  if (text == "quorum") return Level{Kind::kQuorum, 0};
  if (text == "all") return Level{Kind::kAll, 0};
  if (text == "local_one") return Level{Kind::kLocalOne, 0};
  if (text == "local_quorum") return Level{Kind::kLocalQuorum, 0};
  if (text == "each_quorum") return Level{Kind::kEachQuorum, 0};
  uint32_t n = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error == std::errc() && end == text.data() + text.size() && n >= 1 && n <= 1000) return Level{Kind::kCount, n};
  return Status::InvalidArgument("'" + std::string(text) +
                                 "' is not a level (one, two, three, quorum, all, local_one, local_quorum, each_quorum "
                                 "or a number of replicas)");
}

std::string Level::to_string() const {
  switch (kind) {
    case Kind::kCount:
      return count == 1 ? "one" : count == 2 ? "two" : count == 3 ? "three" : std::to_string(count);
    case Kind::kQuorum:
      return "quorum";
    case Kind::kAll:
      return "all";
    case Kind::kLocalOne:
      return "local_one";
    case Kind::kLocalQuorum:
      return "local_quorum";
    case Kind::kEachQuorum:
      return "each_quorum";
  }
  return "?";
}

Result<Need> need_of(const Level& level, const std::vector<uint32_t>& replicas, size_t local) {
  CHECK(local < replicas.size());
  uint32_t all = std::accumulate(replicas.begin(), replicas.end(), 0u);
  Need need{0, std::vector<uint32_t>(replicas.size(), 0)};
  switch (level.kind) {
    case Level::Kind::kCount:
      need.total = level.count;
      break;
    case Level::Kind::kQuorum:
      need.total = majority(all);
      break;
    case Level::Kind::kAll:
      need.total = all;
      break;
    case Level::Kind::kLocalOne:
      need.per_region[local] = 1;
      break;
    case Level::Kind::kLocalQuorum:
      need.per_region[local] = majority(replicas[local]);
      break;
    case Level::Kind::kEachQuorum:
      for (size_t i = 0; i < replicas.size(); ++i) need.per_region[i] = replicas[i] == 0 ? 0 : majority(replicas[i]);
      break;
  }
  uint32_t in_regions = std::accumulate(need.per_region.begin(), need.per_region.end(), 0u);
  need.total = std::max(need.total, in_regions);
  if (need.total > all || need.per_region[local] > replicas[local]) {
    return Status::InvalidArgument("level " + level.to_string() + " needs more replicas than the keyspace has (" +
                                   std::to_string(all) + ", of which " + std::to_string(replicas[local]) +
                                   " in this region)");
  }
  return need;
}

bool met(const Need& need, const std::vector<uint32_t>& acked) {
  uint32_t all = 0;
  for (size_t i = 0; i < acked.size(); ++i) {
    if (acked[i] < need.per_region[i]) return false;
    all += acked[i];
  }
  return all >= need.total;
}

}  // namespace cartwheel::node
