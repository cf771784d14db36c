#include "node/core/membership/membership.h"

#include <algorithm>

#include "base/codec.h"
#include "base/hash.h"
#include "base/planted.h"
#include "node/core/cluster_codec.h"

namespace cartwheel::node {

namespace {

constexpr char kKey[] = "config";
constexpr Duration kTick = Duration::millis(100);
constexpr Duration kBetweenHaves = Duration::seconds(1);  // to somebody picked at random
constexpr Duration kResend = Duration::millis(500);

paxos::Quorum quorum_of(const ClusterConfig& config) {
  paxos::Quorum quorum{config.epoch, {config.voters}};
  if (!config.next_voters.empty()) quorum.sets.push_back(config.next_voters);
  for (auto& set : quorum.sets) std::sort(set.begin(), set.end());
  return quorum;
}

paxos::Options register_options() {
  paxos::Options options;
  options.resend = kResend;
  return options;
}

// Whether the data directories of all voters are known.
bool all_known(const ClusterConfig& config) {
  return std::all_of(config.voters.begin(), config.voters.end(),
                     [&](NodeIndex n) { return config.nodes[n].identity != 0; });
}

uint64_t formation_of(const ClusterConfig& config) {
  return config.epoch == 1 && all_known(config) ? hash64(encode_config(config)) | 1 : 0;
}

// Of the ballots: another data directory in the same position counts its lives from the start as well.
uint64_t proposer_life(const Membership::Options& options) {
  std::string bytes;
  Encoder out(bytes);
  out.u64(planted(Bug::kMemberSameBallots) ? 0 : options.identity);
  out.u64(options.life);
  return hash64(bytes);
}

// An acceptor without a row has never voted, unless its position had another data directory before.
paxos::Acceptor first_acceptor(const ClusterConfig& config, const Membership::Options& options, std::string_view row) {
  if (!row.empty()) {
    auto decoded = paxos::Acceptor::decode(row);
    return decoded.ok() ? *decoded : paxos::Acceptor::lost();
  }
  const NodeInfo& me = config.nodes[options.self];
  const bool first = me.lives == 0 || (me.lives == 1 && me.identity == options.identity);
  return first ? paxos::Acceptor::fresh() : paxos::Acceptor::lost();
}

}  // namespace

Membership::Membership(Options options, ConfigPtr config, std::string_view acceptor_row)
    : options_(options),
      config_(std::move(config)),
      formation_(formation_of(*config_)),
      acceptor_(first_acceptor(*config_, options_, acceptor_row)),
      ballots_(options_.self, proposer_life(options_)),
      register_(kKey, register_options(), quorum_of(*config_), ballots_, options_.seed),
      rng_(options_.seed ^ 0x6d656d626572ull),
      peers_(config_->nodes.size()) {
  out_.persist = true;
  peers_[options_.self].identity = options_.identity;
  try_form({});
  after_config(*config_, {});
  try_settle();
}

bool Membership::is_formed(const ClusterConfig& config) {
  return config.epoch > 1 || all_known(config);
}

// --- configurations --------------------------------------------------------------------------------------------------

// Once all voters have told their data directories they are written into the configuration.
void Membership::try_form(Instant now) {
  if (formed()) return;
  ClusterConfig formed = *config_;
  for (NodeIndex n : formed.voters) {
    if (peers_[n].identity == 0) return;
    formed.nodes[n].identity = peers_[n].identity;
    formed.nodes[n].lives = 1;
  }
  work_by(std::move(formed), now);
}

// Whether a formation, of epoch 1 like the own configuration, is to be taken instead of that: as a peer told it.
bool Membership::prefers(NodeIndex from, uint64_t formation) const {
  if (formation == 0 || formation == formation_ || config_->epoch > 1 || settled()) return false;
  return formation > formation_ || (peers_[from].settled && peers_[from].formation == formation);
}

void Membership::try_settle() {
  if (!formed() || settled() || acceptor_.is_lost()) return;
  auto has_it = [&](const Peer& peer) { return peer.formation == formation_; };
  const bool all = std::all_of(config_->voters.begin(), config_->voters.end(),
                               [&](NodeIndex n) { return n == options_.self || has_it(peers_[n]); });
  const bool some = std::any_of(peers_.begin(), peers_.end(), [&](const Peer& p) { return p.settled && has_it(p); });
  if (!all && !some && !planted(Bug::kMemberSettlesAlone)) return;
  acceptor_ = paxos::Acceptor::fresh(config_->epoch);
  durable_version_ = 0;
  out_.persist = true;
  tell_all(/*asks=*/false);
}

// Whether `config` can be a later one of the cluster that this node is in.
Status Membership::belongs(const ClusterConfig& config) const {
  const ClusterConfig& mine = *config_;
  if (config.name != mine.name || config.partitions != mine.partitions || config.stripes != mine.stripes) {
    return Status::InvalidArgument("another node's configuration has another name or division: cluster '" +
                                   config.name + "', " + std::to_string(config.partitions) + " partitions, " +
                                   std::to_string(config.stripes) + " stripes");
  }
  if (config.nodes.size() < mine.nodes.size()) {
    return Status::InvalidArgument("another node's configuration knows fewer nodes: the cluster files differ");
  }
  for (size_t n = 0; n < mine.nodes.size(); ++n) {
    if (config.nodes[n].name == mine.nodes[n].name && config.nodes[n].region == mine.nodes[n].region) continue;
    return Status::InvalidArgument("another node's configuration has node '" + config.nodes[n].name + "' of region '" +
                                   config.nodes[n].region + "' where this one has '" + mine.nodes[n].name + "' of '" +
                                   mine.nodes[n].region + "': the cluster files differ");
  }
  return Status::Ok();
}

// Takes `config` if it is newer; `from` is who sent it, nobody if it was decided here.
void Membership::adopt(ClusterConfig config, std::optional<NodeIndex> from, Instant now) {
  const bool forms = config.epoch == config_->epoch && from && prefers(*from, formation_of(config));
  if (config.epoch <= config_->epoch && !forms && !planted(Bug::kMemberAdoptsOlder)) return;
  if (const Status status = belongs(config); !status.ok()) {
    ++rejected_;
    // Of the two, the one that a majority has decided about is the cluster's.
    if (is_formed(config) && !formed()) out_.expelled = status.message();
    return;
  }
  work_by(std::move(config), now);
  if (from) return;
  for (NodeIndex n = 0; n < peers_.size(); ++n) {
    if (peers_[n].up) send_config(n);
  }
}

void Membership::work_by(ClusterConfig config, Instant now) {
  const ConfigPtr before = std::exchange(config_, std::make_shared<const ClusterConfig>(std::move(config)));
  stepped_at_ = now;
  formation_ = formation_of(*config_);
  peers_.resize(config_->nodes.size());
  for (NodeIndex n = 0; n < before->nodes.size(); ++n) {
    const NodeInfo &was = before->nodes[n], &is = config_->nodes[n];
    // What was heard of an earlier data directory says nothing about the one that there is now.
    if (n != options_.self && was.lives > 0 && was.lives != is.lives && peers_[n].identity != is.identity &&
        !planted(Bug::kMemberStaleIdentity)) {
      peers_[n].identity = 0;
    }
    peers_[n].formation = 0;
  }
  out_.config = config_;
  out_.persist = true;
  const NodeInfo& me = config_->nodes[options_.self];
  if (me.removed()) out_.expelled = "node '" + me.name + "' was removed from cluster '" + config_->name + "'";
  std::erase_if(reports_, [&](const auto& entry) { return config_->nodes[entry.first].removed(); });
  register_.set_quorum(quorum_of(*config_), now);
  after_config(*before, now);
  if (config_->epoch > 1) return;
  tell_all(/*asks=*/true);
  try_settle();
}

// What a new configuration says about this node's vote.
void Membership::after_config(const ClusterConfig& before, Instant now) {
  const NodeInfo &was = before.nodes[options_.self], &me = config_->nodes[options_.self];
  // Another data directory may have voted in this position: the one that is named now, or one between.
  const bool another = me.identity != 0 && me.identity != options_.identity;
  const bool between = me.lives > 1 && me.lives != was.lives;
  if ((another || between) && !acceptor_.is_lost() && !planted(Bug::kMemberWipedVotes)) {
    acceptor_ = paxos::Acceptor::lost();
    durable_version_ = 0;
    out_.persist = true;
  }
  begin_catch_up(now);
}

void Membership::begin_catch_up(Instant now) {
  const paxos::Quorum quorum = quorum_of(*config_);
  const std::vector<NodeIndex> members = quorum.members();
  const bool mine = config_->nodes[options_.self].identity == options_.identity;
  if (!acceptor_.is_lost() || !mine || !contains(members, options_.self)) {
    catch_up_.reset();
    return;
  }
  auto question = ballots_.next();
  if (!question.ok()) return;
  catch_up_.emplace(kKey, options_.self, quorum, *question, kResend);
  catch_up_->begin(now);
}

void Membership::on_newer_config(NodeIndex from, uint64_t epoch, Instant now) {
  if (epoch > config_->epoch && from < peers_.size()) send(from, ControlMessage(ControlType::kFetch));
  pump(now);
}

void Membership::on_config(NodeIndex from, std::string_view bytes, Instant now) {
  auto config = decode_config(bytes);
  if (!config.ok() || !check(*config, /*from_file=*/false).status.ok()) {
    ++rejected_;
    return;
  }
  adopt(std::move(*config), from, now);
}

// --- peers -----------------------------------------------------------------------------------------------------------

ControlMessage Membership::have(bool asks) const {
  ControlMessage message(ControlType::kHave);
  message.epoch = config_->epoch;
  message.identity = options_.identity;
  message.formation = formation_;
  message.settled = settled();
  message.votes = votes();
  message.asks = asks;
  return message;
}

void Membership::tell_all(bool asks) {
  for (NodeIndex n = 0; n < peers_.size(); ++n) {
    if (peers_[n].up) send(n, have(asks));
  }
}

void Membership::send(NodeIndex to, const ControlMessage& message) {
  out_.messages.push_back({to, message.encode()});
}

void Membership::send_config(NodeIndex to) {
  send(to, ControlMessage(ControlType::kConfig, encode_config(*config_)));
}

void Membership::send_report(NodeIndex to, const MemberReport& report) {
  ControlMessage message(ControlType::kReport);
  message.report = report;
  send(to, message);
}

void Membership::on_peer(NodeIndex peer, bool up, Instant now) {
  if (peer >= peers_.size() || peer == options_.self) return;
  peers_[peer] = Peer{up, peers_[peer].alive};
  if (up) send(peer, have());
  if (!up) reports_.erase(peer);
  pump(now);
}

void Membership::on_liveness(NodeIndex peer, bool alive, Instant now) {
  if (peer < peers_.size()) peers_[peer].alive = alive;
  pump(now);
}

void Membership::on_message(NodeIndex from, std::string_view bytes, Instant now) {
  auto message = ControlMessage::decode(bytes);
  if (!message.ok() || from >= peers_.size() || from == options_.self) {
    ++rejected_;
    return;
  }
  if (config_->nodes[from].removed()) {
    // Nothing that it says counts, but it may not know yet.
    ++rejected_;
    if (message->type == ControlType::kHave) send_config(from);
    return;
  }
  switch (message->type) {
    case ControlType::kHave:
      on_have(from, *message, now);
      break;
    case ControlType::kFetch:
      send_config(from);
      break;
    case ControlType::kConfig:
      on_config(from, message->body, now);
      break;
    case ControlType::kAskReport:
      // One that is fresh enough for anybody is not made again.
      if (auto own = reports_.find(options_.self); own != reports_.end() && now - own->second.first < kTick) {
        send_report(from, own->second.second);
      } else {
        waiting_for_report_.insert(from);
        out_.want_report = true;
      }
      break;
    case ControlType::kReport:
      reports_[from] = {now, std::move(message->report)};
      break;
    case ControlType::kPaxos:
      on_paxos(from, message->body, now);
      break;
    case ControlType::kGossip:
      out_.gossip.emplace_back(from, std::move(message->body));
      break;
  }
  pump(now);
}

void Membership::on_have(NodeIndex from, const ControlMessage& m, Instant now) {
  Peer& peer = peers_[from];
  peer.identity = m.identity;
  peer.formation = m.formation;
  peer.settled = m.settled;
  peer.votes = m.votes;
  if (m.asks) send(from, have());
  const uint64_t epoch = config_->epoch;
  if (m.epoch > epoch || (m.epoch == epoch && prefers(from, m.formation))) {
    send(from, ControlMessage(ControlType::kFetch));
  } else if (m.epoch < epoch || (epoch == 1 && formation_ != m.formation && !m.settled && formed())) {
    send_config(from);
  } else {
    try_form(now);
  }
  try_settle();
}

void Membership::on_own_report(MemberReport report, Instant now) {
  for (NodeIndex peer : std::exchange(waiting_for_report_, {})) {
    send_report(peer, report);
  }
  reports_[options_.self] = {now, std::move(report)};
  pump(now);
}

void Membership::ask_reports(Instant now) {
  out_.want_report = true;
  for (NodeIndex n = 0; n < peers_.size(); ++n) {
    if (peers_[n].up && !config_->nodes[n].removed()) send(n, ControlMessage(ControlType::kAskReport));
  }
  pump(now);
}

void Membership::tick(Instant now) {
  register_.tick(now);
  if (catch_up_) catch_up_->tick(now);
  for (Change& change : std::exchange(again_, {})) propose(std::move(change), now);
  if (now >= next_have_) {
    next_have_ = now + kBetweenHaves;
    if (!settled()) tell_all(/*asks=*/true);
    std::vector<NodeIndex> up;
    for (NodeIndex n = 0; n < peers_.size(); ++n) {
      if (peers_[n].up) up.push_back(n);
    }
    if (!up.empty()) send(up[rng_.below(up.size())], have());
  }
  if (now >= next_drive_) drive(now);
  pump(now);
  next_tick_ = now + kTick;
}

}  // namespace cartwheel::node
