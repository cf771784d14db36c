// DotLog: which record of the engine holds the delta of a dot, so that a replica that lacks a dot can be sent exactly
// its delta. One record is the deltas of one turn; records leave in order, when all replicas have their dots or when
// the log is at its limit. What has left can only be repaired by a full exchange.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "crdt/delta.h"
#include "node/core/rows.h"

namespace cartwheel::node {

// The part of the index that belongs to one partition.
class DotIndex {
 public:
  void add(const crdt::Dot& dot, uint64_t record);
  void remove(const crdt::Dot& dot);
  std::optional<uint64_t> find(const crdt::Dot& dot) const;
  void for_each(const std::function<void(const crdt::Dot& dot, uint64_t record)>& visit) const;
  uint64_t size() const { return size_; }

 private:
  struct Entry {
    uint64_t seq;
    uint64_t record;
  };
  std::map<crdt::Actor, std::deque<Entry>> rows_;  // ascending seqs
  uint64_t size_ = 0;
};

// The content of one record. Values are left out (has_values false) where no other replica could ever ask for them.
struct TurnRecord {
  struct Part {
    PartitionId partition;
    uint64_t keys = 0;  // the partition's number of keys after the turn
    std::vector<std::string> deltas;
  };
  std::vector<Part> parts;
  std::string encode() const;
  static Result<TurnRecord> decode(std::string_view bytes);
};

}  // namespace cartwheel::node
