#include "node/core/xor_subset.h"

#include <algorithm>
#include <array>
#include <bit>

#include "base/check.h"

namespace cartwheel::node {

namespace {
constexpr size_t kNumbersMax = 40;
}  // namespace

// A subset is a solution of linear equations over bits, one for each of the 64 bits: Gaussian elimination.
std::optional<std::vector<uint32_t>> xor_subset(const std::vector<uint64_t>& numbers, uint64_t sum) {
  CHECK(sum != 0);
  if (numbers.size() > kNumbersMax) {
    auto only = std::find(numbers.begin(), numbers.end(), sum);
    if (only == numbers.end()) return std::nullopt;
    return std::vector<uint32_t>{static_cast<uint32_t>(only - numbers.begin())};
  }
  struct Row {
    uint64_t value = 0, of = 0;  // the XOR of the numbers with these indexes
  };
  std::array<Row, 64> rows{};  // by the highest bit of `value`
  auto reduce = [&](Row row) {
    while (row.value != 0) {
      const Row& with = rows[static_cast<size_t>(63 - std::countl_zero(row.value))];
      if (with.value == 0) break;
      row.value ^= with.value;
      row.of ^= with.of;
    }
    return row;
  };
  for (size_t i = 0; i < numbers.size(); ++i) {
    const Row row = reduce({numbers[i], uint64_t{1} << i});
    if (row.value == 0) return std::nullopt;
    rows[static_cast<size_t>(63 - std::countl_zero(row.value))] = row;
  }
  const Row found = reduce({sum, 0});
  if (found.value != 0) return std::nullopt;
  std::vector<uint32_t> indexes;
  for (uint64_t left = found.of; left != 0; left &= left - 1) {
    indexes.push_back(static_cast<uint32_t>(std::countr_zero(left)));
  }
  return indexes;
}

}  // namespace cartwheel::node
