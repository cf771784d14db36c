#include "tests/node/membership/checker.h"

#include <algorithm>

#include "node/core/cluster_codec.h"

namespace cartwheel::node::member_model {

paxos::Quorum quorum_of(const ClusterConfig& config) {
  paxos::Quorum quorum{config.epoch, {config.voters}};
  if (!config.next_voters.empty()) quorum.sets.push_back(config.next_voters);
  for (auto& set : quorum.sets) std::sort(set.begin(), set.end());
  return quorum;
}

void Checker::fail(std::string what) {
  if (!failure_) failure_ = std::move(what);
}

void Checker::on_config(uint64_t identity, const ClusterConfig& config) {
  uint64_t& epoch = epochs_[identity];
  if (config.epoch < epoch) {
    fail("data directory " + std::to_string(identity) + " went from epoch " + std::to_string(epoch) + " back to " +
         std::to_string(config.epoch));
  }
  epoch = config.epoch;
  std::string bytes = encode_config(config);
  const bool formed = std::all_of(config.voters.begin(), config.voters.end(),
                                  [&](NodeIndex n) { return config.nodes[n].identity != 0; });
  if (config.epoch == 1 && formed) formations_.emplace(bytes, config);
  auto [entry, first] = history_.try_emplace(config.epoch, Entry{bytes, config});
  if (config.epoch > 1 && entry->second.bytes != bytes) {
    fail("there are two configurations of epoch " + std::to_string(config.epoch));
  }
}

void Checker::on_vote(NodeIndex position, uint32_t lives, uint64_t identity) {
  auto [vote, first] = votes_.try_emplace({position, lives}, identity);
  if (vote->second != identity) {
    fail("two data directories vote in position " + std::to_string(position) + " in its life " + std::to_string(lives));
  }
}

void Checker::on_removed(NodeIndex position, bool departed) {
  if (!departed) fail("node " + std::to_string(position) + " was removed while it had clients");
}

size_t Checker::begin(std::string what, bool repeatable) {
  operations_.push_back({});
  operations_.back().what = std::move(what);
  operations_.back().repeatable = repeatable;
  return operations_.size() - 1;
}

void Checker::finish() {
  const Entry* before = nullptr;
  std::map<std::string, uint64_t> chosen;  // → its epoch
  std::set<uint64_t> unseen;
  for (const auto& [epoch, entry] : history_) {
    const bool next = before == nullptr || before->config.epoch + 1 == epoch;
    if (!next) {
      // One that decides alone may decide twice in a turn.
      const auto sets = quorum_of(before->config).sets;
      if (std::none_of(sets.begin(), sets.end(), [](const auto& set) { return set.size() == 1; })) {
        fail("nobody ever had the configuration before epoch " + std::to_string(epoch));
      }
      for (uint64_t missing = before->config.epoch + 1; missing < epoch; ++missing) unseen.insert(missing);
    }
    if (next && before != nullptr && !paxos::may_follow(quorum_of(before->config), quorum_of(entry.config))) {
      fail("the voters of epoch " + std::to_string(epoch) + " do not meet those before them");
    }
    if (epoch > 1) chosen[entry.bytes] = epoch;
    before = &entry;
  }
  std::map<std::string, size_t> makers;
  for (const Operation& each : operations_) {
    for (const std::string& bytes : each.made) ++makers[bytes];
  }
  for (const Operation& each : operations_) {
    bool in_time = each.kept, anywhere = false;
    for (const std::string& bytes : each.made) {
      auto found = chosen.find(bytes);
      if (found == chosen.end()) {
        const uint64_t epoch = decode_config(bytes).value().epoch;
        in_time |= epoch <= each.told && unseen.contains(epoch);
        continue;
      }
      in_time |= found->second <= each.told;
      anywhere |= makers[bytes] == 1;  // otherwise it may be another's
    }
    if (each.end == Operation::End::kOk && !in_time) {
      fail("'" + each.what + "' was told to be in epoch " + std::to_string(each.told) + " and is not");
    }
    const bool refused = each.end == Operation::End::kRefused && !each.repeatable;
    if ((each.end == Operation::End::kNotMade || refused) && anywhere) {
      fail("'" + each.what + "' was told not to be made, and it is");
    }
  }
}

std::vector<std::vector<NodeIndex>> Checker::recent_sets() const {
  std::vector<std::vector<NodeIndex>> sets;
  for (auto entry = history_.rbegin(); entry != history_.rend() && sets.size() < 8; ++entry) {
    for (auto& set : quorum_of(entry->second.config).sets) sets.push_back(set);
  }
  return sets;
}

}  // namespace cartwheel::node::member_model
