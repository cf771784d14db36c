// Forgetting: when a reset need not be remembered any more, as the replicas of a partition agree on it in rounds.
//
// 1. A reset that every replica has is marked with all that any of them has seen at that moment. A replica whose clock
//    covers the mark has everything that the reset observed and that could still have been on its way, and forgets it.
// 2. That argument needs the writers: what a living writer sent is in its own clock, but what a dead one sent and lost
// may
//    be in nobody's. So a round fences the epochs that are over: from then on their deltas are refused, and their dots
//    come by exchange only. A dot of a fenced epoch that no replica has is gone, and marks do not wait for it.
//
// Replicas are held by the caller; the rounds see their clocks only, as messages would carry them.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "base/planted.h"
#include "crdt/document.h"

namespace cartwheel::crdt::model {

class Forgetting {
 public:
  void round(const std::vector<Document*>& replicas) {
    for (const Document* d : replicas) {
      uint64_t& epoch = epochs_[d->actor().node];
      if (!planted(Bug::kReuseDot)) epoch = std::max(epoch, d->actor().epoch);
    }
    std::set<Dot> remembered;
    Clock seen;
    for (const Document* d : replicas) {
      seen.merge(d->causal().clock);
      for (const auto& [key, object] : d->objects()) {
        for (const auto& row : object.rows()) {
          for (const Reset& reset : row.second.resets) remembered.insert(reset.dot);
        }
      }
    }
    for (const Dot& dot : remembered) {
      auto mark = marks_.find(dot);
      if (mark == marks_.end()) {
        bool everywhere = true;
        for (const Document* d : replicas) everywhere &= d->causal().clock.contains(dot);
        if (everywhere) marks_[dot] = planted(Bug::kOneRound) ? Clock() : seen;
        continue;
      }
      for (Document* d : replicas) {
        if (d->joining()) continue;  // a chain that the reset saw ahead of the clock may come once more
        DotSet missing = mark->second.minus(d->causal().clock);
        if (only_fenced(missing) && !missing.intersects(seen)) d->forget_reset(dot);
      }
    }
  }

  // Whether a delta with this dot is refused.
  bool fenced(const Dot& dot) const {
    auto epoch = epochs_.find(dot.actor.node);
    return epoch != epochs_.end() && dot.actor.epoch < epoch->second;
  }

 private:
  bool only_fenced(const DotSet& dots) const {
    for (const DotSet::Row& row : dots.rows()) {
      if (!fenced({row.actor, 1})) return false;
    }
    return true;
  }

  std::map<Dot, Clock> marks_;
  std::map<uint32_t, uint64_t> epochs_;  // of each node, as the last round saw it
};

}  // namespace cartwheel::crdt::model
