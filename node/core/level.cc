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
  constexpr std::string_view kPrimary = "primary_";
  std::string_view name = text;
  Level level;
  level.primaries = name.starts_with(kPrimary);
  if (level.primaries) name.remove_prefix(kPrimary.size());
  auto of = [&](Kind of_kind, uint32_t of_count) {
    level.kind = of_kind;
    level.count = of_count;
    return level;
  };
  if (name == "one") return of(Kind::kCount, 1);
  if (name == "two") return of(Kind::kCount, 2);
  if (name == "three") return of(Kind::kCount, 3);
  if (name == "quorum") return of(Kind::kQuorum, 0);
  if (name == "all") return of(Kind::kAll, 0);
  if (name == "local_one") return of(Kind::kLocalOne, 0);
  if (name == "local_quorum") return of(Kind::kLocalQuorum, 0);
  if (name == "each_quorum") return of(Kind::kEachQuorum, 0);
  uint32_t n = 0;
  auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), n);
  if (error == std::errc() && end == name.data() + name.size() && n >= 1 && n <= 1000) return of(Kind::kCount, n);
  return Status::InvalidArgument("'" + std::string(text) +
                                 "' is not a level (one, two, three, quorum, all, local_one, local_quorum, each_quorum "
                                 "or a number of replicas, each also with primary_ before it)");
}

std::string Level::to_string() const {
  auto name = [this]() -> std::string {
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
  };
  return primaries ? "primary_" + name() : name();
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
