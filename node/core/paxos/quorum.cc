#include "node/core/paxos/quorum.h"

#include <algorithm>

#include "base/planted.h"

namespace cartwheel::node::paxos {

namespace {
bool has(const std::vector<NodeIndex>& set, NodeIndex node) {
  return std::binary_search(set.begin(), set.end(), node);
}
}  // namespace

Status Quorum::check() const {
  if (sets.empty() || sets.size() > kMaxSets) {
    return Status::InvalidArgument("a quorum needs 1 to " + std::to_string(kMaxSets) + " acceptor sets");
  }
  for (const auto& set : sets) {
    if (set.empty() || set.size() > kMaxAcceptors) {
      return Status::InvalidArgument("an acceptor set needs 1 to " + std::to_string(kMaxAcceptors) + " members");
    }
    if (std::adjacent_find(set.begin(), set.end(), std::greater_equal<>()) != set.end()) {
      return Status::InvalidArgument("the members of an acceptor set must ascend");
    }
  }
  return Status::Ok();
}

std::vector<NodeIndex> Quorum::members() const {
  std::vector<NodeIndex> all;
  for (const auto& set : sets) all.insert(all.end(), set.begin(), set.end());
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

bool may_follow(const Quorum& before, const Quorum& after) {
  if (after.generation != before.generation + 1) return false;
  for (const auto& set : before.sets) {
    if (std::find(after.sets.begin(), after.sets.end(), set) != after.sets.end()) return true;
  }
  return false;
}

bool Tally::add(const Quorum& quorum, NodeIndex node, Answer answer) {
  if (answered(node)) return false;
  for (const auto& set : quorum.sets) {
    if (!has(set, node)) continue;
    entries_.push_back({node, answer});
    return true;
  }
  return false;
}

bool Tally::answered(NodeIndex node) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.node == node; });
}

size_t Tally::count(const std::vector<NodeIndex>& set, Answer answer) const {
  return static_cast<size_t>(std::count_if(entries_.begin(), entries_.end(),
                                           [&](const Entry& e) { return e.answer == answer && has(set, e.node); }));
}

bool Tally::reached(const Quorum& quorum) const {
  if (planted(Bug::kPaxosMajorityOfUnion)) {
    auto all = quorum.members();
    return count(all, Answer::kYes) >= majority(all.size());
  }
  return std::all_of(quorum.sets.begin(), quorum.sets.end(),
                     [&](const auto& set) { return count(set, Answer::kYes) >= majority(set.size()); });
}

bool Tally::possible(const Quorum& quorum) const {
  return std::all_of(quorum.sets.begin(), quorum.sets.end(),
                     [&](const auto& set) { return set.size() - count(set, Answer::kNo) >= majority(set.size()); });
}

}  // namespace cartwheel::node::paxos
