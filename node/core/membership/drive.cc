// The driver of the ring: of the voters that can be reached the first one asks all nodes how far they are, and proposes
// the step that their reports allow. Two that drive at once, in a split, are safe: each step is decided by the register.

#include <algorithm>

#include "base/planted.h"
#include "node/core/membership/membership.h"

namespace cartwheel::node {

namespace {

constexpr Duration kBetweenSteps = Duration::millis(200);  // while there is something to drive
constexpr Duration kBetweenLooks = Duration::seconds(1);   // otherwise
constexpr Duration kStepTimeout = Duration::seconds(10);

bool same_set(std::vector<NodeIndex> a, std::vector<NodeIndex> b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  return a == b;
}

}  // namespace

bool Membership::drives() const {
  for (NodeIndex n : config_->voters) {
    if (config_->nodes[n].removed()) continue;
    if (n == options_.self) return true;
    if (peers_[n].up) return false;
  }
  return false;
}

// Whether the data directory of `n` is not the one that the configuration has: not known yet, or another one under the
// same name, which counts only when the old one is dead.
bool Membership::identity_to_record(NodeIndex n) const {
  const NodeInfo& info = config_->nodes[n];
  const Peer& peer = peers_[n];
  if (info.removed() || peer.identity == 0 || peer.identity == info.identity) return false;
  return info.identity == 0 || !peer.alive;
}

bool Membership::busy() const {
  if (!config_->changes.empty() || !config_->next_voters.empty() || moving_arcs(*config_) > 0) return true;
  if (!same_set(choose_voters(*config_), config_->voters)) return true;
  for (NodeIndex n = 0; n < peers_.size(); ++n) {
    if (identity_to_record(n)) return true;
  }
  return false;
}

void Membership::drive(Instant now) {
  const bool work = formed() && busy();
  next_drive_ = now + (work ? kBetweenSteps : kBetweenLooks);
  if (!work || !drives() || driving_) return;
  std::map<NodeIndex, uint64_t> identities;
  for (NodeIndex n = 0; n < peers_.size(); ++n) {
    if (identity_to_record(n)) identities[n] = peers_[n].identity;
  }
  NodeReports reports;
  for (const auto& [node, report] : reports_) reports[node] = report.second.ring;
  Edit step = [identities, reports](ClusterConfig& config) {
    const uint64_t before = config.epoch;
    advance(config, reports);
    for (const auto& [n, identity] : identities) {
      NodeInfo& info = config.nodes[n];
      if (info.removed() || info.identity == identity) continue;
      info.identity = identity;
      ++info.lives;
      config.epoch = before + 1;
    }
    return Status::Ok();
  };
  ClusterConfig trial = *config_;
  (void)step(trial);
  if (trial.epoch != config_->epoch) {
    driving_ = true;
    change(
        step, /*repeatable=*/true, kStepTimeout,
        [this](const Status&, const ConfigPtr&) {
          driving_ = false;
          next_drive_ = {};
        },
        now);
  }
  ask_reports(now);
}

}  // namespace cartwheel::node
