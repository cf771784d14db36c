// Explanation: what one replica tells of a key for `cartwheel explain`, leaf by leaf, with the rule by which a leaf
// shows what it shows. Bounded by limits::kExplained…, whatever the key holds. docs/rpc.md, "admin", has the members.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "crdt/leaf.h"
#include "node/core/cluster.h"
#include "node/core/stripe.h"

namespace cartwheel::node {

class Explanation {
 public:
  explicit Explanation(const ClusterConfig& config);  // whose nodes are the actors; outlives this
  ~Explanation();

  // False, adding nothing, when the answer is full.
  bool add(std::string_view path, const crdt::Leaf& leaf);
  // One MessagePack map. `whole`: add() was given all leaves of the key, not those of one field.
  std::string document(const KeySummary& summary, NodeIndex self, uint32_t arc, bool whole, WallTime wall);

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

// Where a leaf is, for people: `string`, `field "apples"`, `element "x"`, `field "a" flag (enable wins)`, `expiry`.
std::string readable_path(std::string_view path);
// `bytes` on one line: printable ASCII and whole UTF-8 as they are, quotes and backslashes escaped, the rest as \xNN.
std::string readable_bytes(std::string_view bytes);

}  // namespace cartwheel::node
