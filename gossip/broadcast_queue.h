// BroadcastQueue: news that waits to ride in packets, each piece a limited number of times.
//
// Order: fewest transmits first, then the newest. Newer news about a member replaces the older of the same sort, which
// nobody needs any more. As transmits grow by one with each packet, fresh news never starves behind old:
//
//   transmits 0   [ newest ... oldest ]   <- taken first
//   transmits 1   [ newest ... oldest ]
//   ...
//   transmits limit: gone
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <string>

#include "gossip/message.h"

namespace cartwheel::gossip {

class BroadcastQueue {
 public:
  // Adds `update`, in place of what is queued of the same sort (liveness or facts) about the same member. At the limit
  // the piece that was sent most goes.
  void push(const Update& update);
  // Drops what is queued about `member`.
  void forget(MemberId member);
  // Appends encoded updates to `out` as long as it stays within `budget` bytes, counts a transmit of each, and retires
  // those that have had `transmits`. News about `skip` is left out (its packet has that already, or it is the
  // receiver).
  void fill(std::string& out, size_t budget, int transmits, MemberId skip);
  bool holds(MemberId member) const { return index_.count({member, false}) > 0; }  // news of its liveness
  bool empty() const { return order_.empty(); }
  size_t size() const { return order_.size(); }
  uint64_t dropped() const { return dropped_; }
  void clear();

 private:
  struct Key {
    int transmits = 0;
    int64_t age = 0;  // falls with every push, so that the newest sorts first
    auto operator<=>(const Key&) const = default;
  };
  struct Name {
    MemberId member;
    bool facts;
    auto operator<=>(const Name&) const = default;
  };
  struct Item {
    Name name;
    std::string bytes;
  };
  void erase(const Name& name);

  std::map<Key, Item> order_;
  std::map<Name, Key> index_;
  int64_t next_age_ = 0;
  uint64_t dropped_ = 0;
};

}  // namespace cartwheel::gossip
