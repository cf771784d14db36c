// Level: how many replicas must take part before a read or a write is answered, and where. Pure arithmetic, checked by
// brute force in tests/node/level_test.cc; which levels see each other: docs/consistency.md.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace cartwheel::node {

struct Level {
  enum class Kind : uint8_t { kCount = 0, kQuorum = 1, kAll = 2, kLocalOne = 3, kLocalQuorum = 4, kEachQuorum = 5 };
  Kind kind = Kind::kLocalQuorum;
  uint32_t count = 0;  // of kCount: one, two, three or a plain number, replicas of any region
  // In a keyspace with fallbacks: only the owners count, as they do everywhere else anyway.
  bool primaries = false;

  // "one", "two", "three", "quorum", "all", "local_one", "local_quorum", "each_quorum" or a number from 1; with
  // "primary_" before it, only owners count.
  static Result<Level> parse(std::string_view text);
  std::string to_string() const;
  friend bool operator==(const Level&, const Level&) = default;
};

// What a level asks for in a cluster where region i holds replicas[i] copies and `local` is the coordinator's region.
struct Need {
  uint32_t total = 0;                // replicas in all
  std::vector<uint32_t> per_region;  // and at least so many in region i (0: no demand of its own)
};
// REQUIRES: local < replicas.size(). A need that the replicas cannot meet even when all are up (a count above their
// number, a local level in a region without replicas) is kInvalidArgument.
Result<Need> need_of(const Level& level, const std::vector<uint32_t>& replicas, size_t local);

// Whether answers from acked[i] replicas of region i satisfy `need`.
bool met(const Need& need, const std::vector<uint32_t>& acked);

}  // namespace cartwheel::node
