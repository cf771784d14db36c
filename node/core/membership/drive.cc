// The driver of the ring: of the voters that can be reached the first one asks all nodes how far they are, and proposes
// the step that their reports allow. Two that drive at once, in a split, are safe: each step is decided by the
// register.

#include <algorithm>

#include "base/planted.h"
#include "node/core/cluster_codec.h"
#include "node/core/membership/membership.h"

namespace cartwheel::node {

namespace {

constexpr Duration kBetweenSteps = Duration::millis(200);  // while there is something to drive
// A step has all requests for the arcs that it moves begin anew, so arcs whose stages end one after the other wait this
// long for each other.
constexpr Duration kGather = Duration::seconds(1);
constexpr Duration kBetweenLooks = Duration::seconds(1);   // otherwise
constexpr Duration kBetweenReads = Duration::seconds(10);  // of the register
constexpr Duration kStepTimeout = Duration::seconds(10);

bool same_set(std::vector<NodeIndex> a, std::vector<NodeIndex> b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  return a == b;
}

// advance(), but to new voters only if a majority of them is among those whose vote is in order: with others there
// might never be a decision again.
void advance_as_voted(ClusterConfig& config, const NodeReports& reports, const std::vector<NodeIndex>& voting) {
  ClusterConfig next = config;
  if (!advance(next, reports)) return;
  auto votes = [&](NodeIndex n) { return std::find(voting.begin(), voting.end(), n) != voting.end(); };
  const auto& voters = next.next_voters;
  const auto ready = static_cast<size_t>(std::count_if(voters.begin(), voters.end(), votes));
  if (!voters.empty() && config.next_voters.empty() && ready < paxos::majority(voters.size())) {
    next.next_voters.clear();
    // Was there anything else?
    next.epoch = config.epoch;
    if (encode_config(next) == encode_config(config)) return;
    ++next.epoch;
  }
  config = std::move(next);
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
  if (n != options_.self && !peer.up) return false;
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
  if (!formed() || !drives() || driving_) return;
  auto over = [this](const Status&, const ConfigPtr&) {
    driving_ = false;
    next_drive_ = {};
  };
  if (now >= next_read_) {
    // Whoever decided last may be gone without having told anybody.
    next_read_ = now + kBetweenReads;
    driving_ = true;
    return change({}, /*repeatable=*/true, kStepTimeout, over, now);
  }
  if (!work) return;
  struct Found {
    uint64_t identity;
    uint32_t instead_of;  // the life that it ends
  };
  std::map<NodeIndex, Found> identities;
  std::vector<NodeIndex> voting;
  for (NodeIndex n = 0; n < peers_.size(); ++n) {
    if (identity_to_record(n)) identities[n] = {peers_[n].identity, config_->nodes[n].lives};
    if (n == options_.self ? votes() : peers_[n].up && peers_[n].votes) voting.push_back(n);
  }
  NodeReports reports;
  for (const auto& [node, report] : reports_) reports[node] = report.second.ring;
  if (ends_apart(*config_, reports) && now < stepped_at_ + kGather) return ask_reports(now);
  Edit step = [identities, reports, voting](ClusterConfig& config) {
    const uint64_t before = config.epoch;
    advance_as_voted(config, reports, voting);
    for (const auto& [n, found] : identities) {
      NodeInfo& info = config.nodes[n];
      if (info.removed() || info.identity == found.identity || info.lives != found.instead_of) continue;
      info.identity = found.identity;
      ++info.lives;
      config.epoch = before + 1;
    }
    return Status::Ok();
  };
  ClusterConfig trial = *config_;
  (void)step(trial);
  if (trial.epoch != config_->epoch) {
    driving_ = true;
    change(step, /*repeatable=*/true, kStepTimeout, over, now);
  }
  ask_reports(now);
}

}  // namespace cartwheel::node
