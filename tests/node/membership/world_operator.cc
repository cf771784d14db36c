// What happens to the nodes of World, and what operators do about it.
#include <algorithm>

#include "node/core/cluster_codec.h"
#include "node/core/ring_plan.h"
#include "tests/node/membership/world.h"

namespace cartwheel::node::member_model {

namespace {

constexpr int64_t kMs = 1000, kSecond = 1000 * kMs;
constexpr size_t kHostsMax = 9;

bool contains(const std::vector<NodeIndex>& nodes, NodeIndex node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

// The node of this data directory, or kNoNode.
NodeIndex known(const ClusterConfig& config, uint64_t identity) {
  for (NodeIndex n = 0; n < config.nodes.size(); ++n) {
    if (config.nodes[n].identity == identity) return n;
  }
  return kNoNode;
}

}  // namespace

// --- misfortunes

void World::misfortune() {
  if (hosts_.empty()) return;
  auto at = hosts_.begin();
  std::advance(at, static_cast<std::ptrdiff_t>(rng_.below(hosts_.size())));
  const NodeIndex n = at->first;
  switch (rng_.below(6)) {
    case 0:
    case 1:
      if (!faults_.crashes || !at->second->up) return;
      crash(n);
      queue_.after(static_cast<int64_t>(rng_.below(3 * kSecond)), [this, n] { start(n); });
      return;
    case 2:
      return wipe(n);
    case 3:
      return bring_old_disk(n);
    default:
      if (faults_.cuts) cut_something();
  }
}

// One link in one direction, or some nodes from the rest, or nothing any more.
void World::cut_something() {
  std::vector<NodeIndex> all;
  for (const auto& [n, host] : hosts_) all.push_back(n);
  const uint64_t side = rng_.next();
  const uint64_t what = rng_.below(4);
  if (what == 0) cut_.clear();
  for (NodeIndex a : all) {
    for (NodeIndex b : all) {
      const bool apart = ((side >> a) & 1) != ((side >> b) & 1);
      if (what == 1 && apart) cut_[{a, b}] = true;
      if (what >= 2 && a != b && rng_.chance(0.15)) cut_[{a, b}] = true;
    }
  }
}

// Whether its vote is in order, as far as its disk says.
bool World::votes_on_disk(NodeIndex n) const {
  auto found = hosts_.find(n);
  if (found == hosts_.end() || found->second->dead || found->second->gone) return false;
  const Disk& disk = found->second->disk;
  const ClusterConfig& config = checker_.newest();
  const auto row = paxos::Acceptor::decode(disk.acceptor);
  return row.ok() && !row->is_lost() && n < config.nodes.size() &&
         (config.epoch == 1 || config.nodes[n].identity == disk.identity);
}

bool World::may_count_on(NodeIndex n) const {
  if (!hosts_.contains(n)) return false;
  const Host& host = *hosts_.at(n);
  // Another disk of its may still be about to be recorded.
  const bool settled = host.old_disks.empty() || host.disk_since + 12 * kSecond < queue_.now();
  return votes_on_disk(n) && !host.condemned && settled;
}

// Whether every set of voters could still decide, and bring this one back.
bool World::may_lose(NodeIndex n) const {
  auto enough = [&](const std::vector<NodeIndex>& set, auto votes) {
    if (!contains(set, n)) return true;
    const auto left = std::count_if(set.begin(), set.end(), [&](NodeIndex m) { return m != n && votes(m); });
    return static_cast<size_t>(left) >= paxos::majority(set.size());
  };
  const auto sets = checker_.recent_sets();
  if (checker_.newest_epoch() > 1) {
    // While voters come and go, one that is lost is enough: the driver cannot know yet of those that are lost right
    // now, and may be about to make them half of a smaller set.
    const auto& nodes = checker_.newest().nodes;
    size_t members = 0, lost = 0;
    for (NodeIndex m = 0; m < nodes.size(); ++m) {
      if (nodes[m].state != NodeInfo::State::kMember) continue;
      ++members;
      lost += m != n && !may_count_on(m);
    }
    if (faults_.ring && (members < 5 || lost > 0)) return false;
    return std::all_of(sets.begin(), sets.end(),
                       [&](const auto& set) { return enough(set, [&](NodeIndex m) { return may_count_on(m); }); });
  }
  // Who may turn out to be a voter: nobody in particular as long as nobody knows all of them.
  return std::all_of(checker_.formations().begin(), checker_.formations().end(), [&](const auto& entry) {
    const ClusterConfig& formed = entry.second;
    return enough(formed.voters, [&](NodeIndex m) {
      const auto host = hosts_.find(m);
      return host != hosts_.end() && host->second->old_disks.empty() && !host->second->dead &&
             host->second->disk.identity == formed.nodes[m].identity;
    });
  });
}

// The node comes back with an empty disk, if a file tells it what to do with it.
void World::wipe(NodeIndex n) {
  Host& host = *hosts_.at(n);
  if (!faults_.wipes || !from_file_ || n >= first_.nodes.size() || host.dead || host.gone) return;
  if (checker_.newest_epoch() == 0 || !may_lose(n)) return;
  ++result_.wipes;
  crash(n);
  host.old_disks.push_back(host.disk);
  host.disk = {rng_.next(), 0, "", ""};
  host.disk_since = queue_.now();
  queue_.after(static_cast<int64_t>(rng_.below(2 * kSecond)), [this, n] { start(n); });
}

void World::bring_old_disk(NodeIndex n) {
  Host& host = *hosts_.at(n);
  if (host.old_disks.empty() || host.dead || host.gone || !may_lose(n)) return;
  ++result_.old_disks;
  crash(n);
  std::swap(host.disk, host.old_disks[rng_.below(host.old_disks.size())]);
  host.disk_since = queue_.now();
  queue_.after(static_cast<int64_t>(rng_.below(2 * kSecond)), [this, n] { start(n); });
}

void World::heal() {
  healed_ = true;
  cut_.clear();
  std::vector<NodeIndex> all;
  for (const auto& [n, host] : hosts_) all.push_back(n);
  for (NodeIndex n : all) start(n);
}

// --- operators

NodeIndex World::somebody() {
  std::vector<NodeIndex> up;
  for (const auto& [n, host] : hosts_) {
    if (host->up) up.push_back(n);
  }
  return up.empty() ? kNoNode : up[rng_.below(up.size())];
}

void World::change_by(NodeIndex n, std::string what, Membership::Edit edit, bool repeatable, Then then) {
  const size_t id = checker_.begin(std::move(what), repeatable);
  auto watched = [this, id, edit = std::move(edit)](ClusterConfig& config) {
    const uint64_t epoch = config.epoch;
    Status status = edit(config);
    Operation& operation = checker_.operation(id);
    if (status.ok() && config.epoch == epoch) operation.kept = true;
    if (status.ok() && config.epoch != epoch) operation.made.insert(encode_config(config));
    return status;
  };
  auto done = [this, id, then = std::move(then)](const Status& status, const Membership::ConfigPtr& config) {
    Operation& operation = checker_.operation(id);
    using End = Operation::End;
    operation.end = status.ok()                              ? End::kOk
                    : status.code() == Code::kUnavailable    ? End::kNotMade
                    : status.code() == Code::kUnknownOutcome ? End::kUnknown
                                                             : End::kRefused;
    if (status.ok()) operation.told = config->epoch;
    if (then) then(status, config);
  };
  const Duration timeout = Duration::millis(500 + static_cast<int64_t>(rng_.below(5000)));
  hosts_.at(n)->machine->change(std::move(watched), repeatable, healed_ ? Duration::seconds(10) : timeout,
                                std::move(done), now());
  drain(n);
}

bool World::change(std::string what, Membership::Edit edit, bool repeatable, Then then) {
  const NodeIndex n = somebody();
  if (n == kNoNode) return false;
  change_by(n, std::move(what), std::move(edit), repeatable, std::move(then));
  return true;
}

void World::operate() {
  if (checker_.newest_epoch() == 0) return;
  const ClusterConfig& config = checker_.newest();
  const NodeIndex n = static_cast<NodeIndex>(rng_.below(config.nodes.size()));
  const NodeInfo info = config.nodes[n];
  const std::string id = std::to_string(++names_);
  const size_t members = static_cast<size_t>(
      std::count_if(config.nodes.begin(), config.nodes.end(), [](const NodeInfo& i) { return !i.removed(); }));
  // A file's nodes know each other only: some of them stay.
  const size_t of_file =
      from_file_ ? static_cast<size_t>(std::count_if(
                       config.nodes.begin(), config.nodes.begin() + static_cast<std::ptrdiff_t>(first_.nodes.size()),
                       [](const NodeInfo& i) { return i.state == NodeInfo::State::kMember; }))
                 : 9;
  const bool may_go = members > 2 && (n >= first_.nodes.size() || of_file > 3) && !info.removed();
  switch (rng_.below(faults_.ring ? 10 : 5)) {
    case 0: {
      Keyspace keyspace;
      keyspace.name = "k" + id;
      keyspace.select = static_cast<int>(100 + names_);
      keyspace.replicas[info.region] = 1 + static_cast<uint32_t>(rng_.below(2));
      change(
          "create " + keyspace.name, [keyspace](ClusterConfig& c) { return create_keyspace(c, keyspace); }, false);
      return;
    }
    case 1:
    case 2: {
      if (config.keyspaces.empty()) return;
      Keyspace keyspace = config.keyspaces[rng_.below(config.keyspaces.size())];
      keyspace.default_ttl_ms = static_cast<int64_t>(names_);
      if (faults_.ring && rng_.chance(0.5)) keyspace.replicas[info.region] = 1 + static_cast<uint32_t>(rng_.below(3));
      change(
          "alter " + keyspace.name, [keyspace](ClusterConfig& c) { return alter_keyspace(c, keyspace); }, false);
      return;
    }
    case 3: {
      if (config.keyspaces.empty()) return;
      const std::string name = config.keyspaces[rng_.below(config.keyspaces.size())].name;
      change(
          "drop " + name, [name](ClusterConfig& c) { return drop_keyspace(c, name); }, false);
      return;
    }
    case 4:
      change(
          "zone " + id,
          [n, id](ClusterConfig& c) {
            NodeInfo wanted = c.nodes[n];
            wanted.zone = "z" + id;
            return update_node(c, n, wanted);
          },
          true);
      return;
    case 5:
    case 6:
      if (hosts_.size() + joiners_.size() >= kHostsMax) return;
      joiners_.push_back({newcomer("n" + id, info.region), "", false, false});
      return ask_to_join(joiners_.size() - 1);
    case 7:
      if (!may_go) return;
      ++result_.leaves;
      change(
          "leave " + info.name, [name = info.name](ClusterConfig& c) { return leave(c, name, false); }, false);
      return;
    case 8:
      if (rng_.chance(0.5)) {
        change("rebalance", rebalance, false);
      } else {
        change("cancel", cancel, false);
      }
      return;
    default: {
      if (!may_go || !hosts_.contains(n) || !may_lose(n)) return;
      Host& host = *hosts_.at(n);
      if (host.dead || host.gone || host.disk.identity != info.identity) return;
      crash(n);
      host.dead = host.condemned = true;
      if (rng_.chance(0.3)) return remove_dead(n);
      const bool same_name = rng_.chance(0.5);
      joiners_.push_back({newcomer(same_name ? info.name : "n" + id, info.region), info.name, false, false});
      ++result_.replacements;
      return ask_to_join(joiners_.size() - 1);
    }
  }
}

NodeInfo World::newcomer(const std::string& name, const std::string& region) {
  NodeInfo info;
  info.name = name;
  info.region = region;
  info.identity = rng_.next();
  return info;
}

// Asks until it is a member, or cannot become one.
void World::ask_to_join(size_t j) {
  Joiner& joiner = joiners_[j];
  if (joiner.asking) return;
  joiner.done = false;
  joiner.asking = true;
  auto again = [this, j] {
    joiners_[j].asking = false;
    queue_.after(300 * kMs, [this, j] { ask_to_join(j); });
  };
  const NodeInfo info = joiner.info;
  const std::string dead = joiner.dead;
  Membership::Edit edit = [info, dead](ClusterConfig& config) -> Status {
    NodeIndex index = known(config, info.identity);
    if (index == kNoNode && !dead.empty()) return replace(config, dead, info, &index);
    return join(config, info, &index);
  };
  auto then = [this, j, again](const Status& status, const Membership::ConfigPtr& config) {
    Joiner& at = joiners_[j];
    if (status.ok()) {
      at.asking = false;
      at.done = true;
      const NodeIndex n = known(*config, at.info.identity);
      if (n != kNoNode) queue_.after(0, [this, n, j, config] { add_host(n, joiners_[j].info, *config); });
      return;
    }
    const bool later = status.code() == Code::kUnavailable || status.code() == Code::kUnknownOutcome ||
                       status.code() == Code::kOverloaded;
    if (later) return again();
    // It cannot be. An earlier attempt may still have its way, though: looked after by tend().
    at.asking = false;
    at.done = true;
  };
  if (!change((dead.empty() ? "join " : "replace " + dead + " by ") + info.name, edit, true, then)) again();
  // The one that was asked may die.
  queue_.after(12 * kSecond, [this, j] {
    if (!joiners_[j].asking) return;
    joiners_[j].asking = false;
    ask_to_join(j);
  });
}

void World::add_host(NodeIndex n, const NodeInfo& info, const ClusterConfig& config) {
  auto& host = hosts_[n];
  if (host && host->disk.identity == info.identity) return;
  if (host) crash(n);
  host = std::make_unique<Host>();
  host->disk.identity = info.identity;
  host->disk.config = encode_config(config);
  ++result_.joins;
  start(n);
}

// Takes a dead node out of the cluster; one that is needed comes back after all.
void World::remove_dead(NodeIndex n) {
  if (!hosts_.at(n)->dead) return;
  const std::string name = checker_.newest().nodes[n].name;
  change(
      "leave dead " + name, [name](ClusterConfig& c) { return leave(c, name, true); }, false);
}

// Whether nobody whom it knows can tell it of the others.
bool World::is_alone(NodeIndex n) const {
  const Host& host = *hosts_.at(n);
  const ClusterConfig& newest = checker_.newest();
  if (!host.up || host.disk.starts == 0 || newest.nodes.size() <= n || newest.nodes[n].identity != host.disk.identity)
    return false;
  const ClusterConfig& mine = *host.machine->config();
  if (mine.nodes.size() == newest.nodes.size()) return false;
  for (NodeIndex m = 0; m < mine.nodes.size(); ++m) {
    if (m != n && !newest.nodes[m].removed()) return false;
  }
  return true;
}

// What operators look after from time to time.
void World::tend() {
  queue_.after(500 * kMs, [this] { tend(); });
  if (checker_.newest_epoch() == 0) return;
  const ClusterConfig config = checker_.newest();
  for (size_t j = 0; j < joiners_.size(); ++j) {
    const NodeIndex n = known(config, joiners_[j].info.identity);
    const bool runs = n != kNoNode && hosts_.contains(n) && hosts_.at(n)->disk.identity == joiners_[j].info.identity;
    if (n != kNoNode && !config.nodes[n].removed() && joiners_[j].done && !runs) ask_to_join(j);
    if (n != kNoNode && config.nodes[n].removed()) joiners_[j].done = true;
  }
  std::vector<NodeIndex> all;
  for (const auto& [n, host] : hosts_) all.push_back(n);
  for (NodeIndex n : all) {
    Host& host = *hosts_.at(n);
    if (n < config.nodes.size() && config.nodes[n].removed() && (host.dead || !host.up)) {
      host.dead = false;
      host.gone = true;
    }
    if (is_alone(n)) {
      // All that it knows are gone. Whoever starts it again tells it the address of another one.
      crash(n);
      host.disk.config = encode_config(config);
      start(n);
    }
    if (!host.dead || host.gone) continue;
    const bool awaited = std::any_of(joiners_.begin(), joiners_.end(), [&](const Joiner& joiner) {
      return !joiner.done && joiner.dead == config.nodes[n].name;
    });
    if (awaited) continue;
    if (healed_ || rng_.chance(0.2)) {
      // Nobody takes its place: it was not dead for good.
      host.dead = false;
      start(n);
    }
  }
}

}  // namespace cartwheel::node::member_model
