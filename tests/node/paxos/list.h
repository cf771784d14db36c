// The value that the tests keep in a register: a list of the ids of all changes, in order, behind the configuration of
// the acceptors that it decided last. Each change appends its id, so a later value has every earlier one as a prefix,
// and the last value puts all changes in order.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "node/core/paxos/message.h"
#include "node/core/paxos/quorum.h"

namespace cartwheel::node::paxos::model {

inline constexpr NodeIndex kNodes = 7;
using Mask = uint8_t;  // of nodes

inline bool has(Mask mask, NodeIndex node) {
  return mask >> node & 1;
}
inline size_t size_of(Mask mask) {
  return static_cast<size_t>(__builtin_popcount(mask));
}

// The acceptor sets, as a value decides them. The rules of docs/consensus.md: sets change by way of a joint
// configuration, and whoever votes is named with the life of its disk.
struct Configuration {
  uint64_t generation = 1;
  Mask current = 0;
  Mask next = 0;                        // not 0: a joint configuration
  std::array<uint8_t, kNodes> lives{};  // of the disks with which members vote
  Mask fresh = 0;                       // members whose present life was admitted when they were not members before

  Quorum quorum() const;
  bool member(NodeIndex node) const { return has(current | next, node); }
  friend bool operator==(const Configuration&, const Configuration&) = default;
};

struct List {
  Configuration configuration;
  std::vector<uint32_t> ids;

  bool contains(uint32_t id) const;
  std::string encode() const;
  // The list in `value`; a register that holds nothing is an empty list with `first`. The value is known to be a list.
  static List of(const Value& value, const Configuration& first);
};

// Whether `a` is the beginning of `b`.
bool prefix(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b);
std::string to_string(const std::vector<uint32_t>& ids);

}  // namespace cartwheel::node::paxos::model
