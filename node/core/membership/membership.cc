#include "node/core/membership/membership.h"

#include <algorithm>

#include "base/limits.h"
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

bool contains(const std::vector<NodeIndex>& nodes, NodeIndex node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
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
      acceptor_(first_acceptor(*config_, options_, acceptor_row)),
      ballots_(options_.self, options_.life),
      register_(kKey, register_options(), quorum_of(*config_), ballots_, options_.seed),
      rng_(options_.seed ^ 0x6d656d626572ull),
      peers_(config_->nodes.size()) {
  out_.persist = true;
  peers_[options_.self].identity = options_.identity;
  try_form({});
  after_config({});
}

bool Membership::is_formed(const ClusterConfig& config) {
  return config.epoch > 1 || std::all_of(config.voters.begin(), config.voters.end(),
                                         [&](NodeIndex n) { return config.nodes[n].identity != 0; });
}

// --- configurations --------------------------------------------------------------------------------------------------

// Once all voters have told their data directories they write them into their configuration, each by itself and all
// with the same result.
void Membership::try_form(Instant now) {
  if (formed()) return;
  ClusterConfig formed = *config_;
  for (NodeIndex n : formed.voters) {
    if (peers_[n].identity == 0) return;
    formed.nodes[n].identity = peers_[n].identity;
    formed.nodes[n].lives = 1;
  }
  config_ = std::make_shared<const ClusterConfig>(std::move(formed));
  out_.config = config_;
  out_.persist = true;
  after_config(now);
  for (NodeIndex n = 0; n < peers_.size(); ++n) {
    if (peers_[n].up) send(n, have());
  }
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

void Membership::adopt(ClusterConfig config, bool spread, Instant now) {
  const bool forms = config.epoch == config_->epoch && !formed() && is_formed(config);
  if (config.epoch <= config_->epoch && !forms) return;
  if (const Status status = belongs(config); !status.ok()) {
    ++rejected_;
    // Of the two, the one that a majority has decided about is the cluster's.
    if (is_formed(config) && !formed()) out_.expelled = status.message();
    return;
  }
  config_ = std::make_shared<const ClusterConfig>(std::move(config));
  peers_.resize(config_->nodes.size());
  out_.config = config_;
  out_.persist = true;
  const NodeInfo& me = config_->nodes[options_.self];
  if (me.removed()) out_.expelled = "node '" + me.name + "' was removed from cluster '" + config_->name + "'";
  std::erase_if(reports_, [&](const auto& entry) { return config_->nodes[entry.first].removed(); });
  register_.set_quorum(quorum_of(*config_), now);
  after_config(now);
  if (spread) {
    for (NodeIndex n = 0; n < peers_.size(); ++n) {
      if (peers_[n].up) send_config(n);
    }
  }
}

// What a new configuration says about this node's vote.
void Membership::after_config(Instant now) {
  const NodeInfo& me = config_->nodes[options_.self];
  if (me.identity != 0 && me.identity != options_.identity && !acceptor_.is_lost()) {
    acceptor_ = paxos::Acceptor::lost();  // another data directory may have voted in this position
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

void Membership::on_config(std::string_view bytes, Instant now) {
  auto config = decode_config(bytes);
  if (!config.ok() || !check(*config, /*from_file=*/false).status.ok()) {
    ++rejected_;
    return;
  }
  adopt(std::move(*config), /*spread=*/false, now);
}

// --- peers -----------------------------------------------------------------------------------------------------------

ControlMessage Membership::have() const {
  ControlMessage message(ControlType::kHave);
  message.epoch = config_->epoch;
  message.identity = options_.identity;
  message.formed = formed();
  return message;
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
  peers_[peer].up = up;
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
  if (!message.ok() || from >= peers_.size() || from == options_.self || config_->nodes[from].removed()) {
    ++rejected_;
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
      on_config(message->body, now);
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
  peers_[from].identity = m.identity;
  try_form(now);
  if (m.epoch > config_->epoch || (m.epoch == config_->epoch && m.formed && !formed())) {
    send(from, ControlMessage(ControlType::kFetch));
  } else if (m.epoch < config_->epoch || (formed() && !m.formed)) {
    send_config(from);
  }
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
