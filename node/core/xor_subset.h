// Which of some numbers XOR to a sum: what a bucket of a hash tree lacks, told by the difference of its hash alone.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace cartwheel::node {

// Indexes into `numbers`, ascending, of those whose XOR is `sum`; nothing if there are none, or if there may be several
// such subsets. `sum` must not be 0. Of up to 40 numbers any subset is found, of more only a single number.
// Numbers are taken for random ones: a subset of others has the same sum by chance with a probability below 2^-24.
std::optional<std::vector<uint32_t>> xor_subset(const std::vector<uint64_t>& numbers, uint64_t sum);

}  // namespace cartwheel::node
