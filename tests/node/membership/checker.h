// Checker: what must hold of the configurations of one run, whatever happened in it.
//
//   1. There is one configuration of each epoch (of the first one: one that the voters have agreed on).
//   2. Each data directory's epoch only grows, over restarts too.
//   3. The acceptor sets of consecutive epochs may follow each other.
//   4. In one position no two data directories vote under the same number of lives.
//   5. A change that was told to be made is in the configuration that came with the answer, or in one before it; one
//      that was told not to be made is in none.
//   6. A node that lives is removed only when it has said that its clients have gone elsewhere.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "node/core/cluster.h"
#include "node/core/paxos/quorum.h"

namespace cartwheel::node::member_model {

paxos::Quorum quorum_of(const ClusterConfig& config);

// A change of the configuration that an operator asked for.
struct Operation {
  enum class End : uint8_t { kPending, kOk, kNotMade, kRefused, kUnknown };
  std::string what;
  std::set<std::string> made;  // what the edit made of the configurations that it was given, encoded
  bool repeatable = false;     // refused means only that it is not there any more
  bool kept = false;           // once it found nothing to change
  End end = End::kPending;     // pending for ever when the member that was asked died
  uint64_t told = 0;           // epoch of the configuration that came with ok
};

class Checker {
 public:
  // A data directory works by `config` from now on.
  void on_config(uint64_t identity, const ClusterConfig& config);
  // The data directory `identity` voted, or will, as it is durable now.
  void on_vote(NodeIndex position, uint32_t lives, uint64_t identity);

  // `position` has learned that it was removed.
  void on_removed(NodeIndex position, bool departed);

  size_t begin(std::string what, bool repeatable);
  Operation& operation(size_t id) { return operations_[id]; }
  const std::vector<Operation>& operations() const { return operations_; }

  // At the end: (3), (5) and that no epoch is missing.
  void finish();

  const std::optional<std::string>& failure() const { return failure_; }
  // The newest configuration that anybody has worked by.
  const ClusterConfig& newest() const { return history_.rbegin()->second.config; }
  uint64_t newest_epoch() const { return history_.empty() ? 0 : history_.rbegin()->first; }
  // Configurations of the first epoch in which the data directories of all voters are known.
  const std::map<std::string, ClusterConfig>& formations() const { return formations_; }
  // Voter sets of the last few epochs.
  std::vector<std::vector<NodeIndex>> recent_sets() const;

 private:
  struct Entry {
    std::string bytes;
    ClusterConfig config;
  };
  void fail(std::string what);

  std::map<uint64_t, Entry> history_;                // by epoch
  std::map<uint64_t, uint64_t> epochs_;              // of each data directory
  std::map<std::string, ClusterConfig> formations_;  // by their encoding
  std::map<std::pair<NodeIndex, uint32_t>, uint64_t> votes_;
  std::vector<Operation> operations_;
  std::optional<std::string> failure_;
};

}  // namespace cartwheel::node::member_model
