// ProbeOrder: whom to probe next. A random permutation of the members, each once, then another permutation (SWIM §4.3):
// every member is probed within two rounds at the latest, whatever the luck. A member that joins goes to a random place
// of the part that is still to come.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "gossip/types.h"

namespace cartwheel::gossip {

class ProbeOrder {
 public:
  void add(MemberId member, Rng& rng) {
    size_t place = next_ + rng.below(order_.size() - next_ + 1);
    order_.insert(order_.begin() + static_cast<ptrdiff_t>(place), member);
  }
  void remove(MemberId member) {
    auto it = std::find(order_.begin(), order_.end(), member);
    if (it == order_.end()) return;
    if (static_cast<size_t>(it - order_.begin()) < next_) --next_;
    order_.erase(it);
  }
  // The next member that `wanted` accepts, or kNoMember if a whole round has none.
  template <typename Wanted>
  MemberId next(Rng& rng, Wanted wanted) {
    for (size_t tries = 2 * order_.size(); tries > 0; --tries) {
      if (next_ >= order_.size()) {
        next_ = 0;
        for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[rng.below(i)]);
      }
      MemberId member = order_[next_++];
      if (wanted(member)) return member;
    }
    return kNoMember;
  }
  size_t size() const { return order_.size(); }
  MemberId at(size_t i) const { return order_[i]; }

 private:
  std::vector<MemberId> order_;
  size_t next_ = 0;
};

}  // namespace cartwheel::gossip
