#include "tests/node/membership/world.h"

#include <algorithm>

#include "base/hash.h"
#include "node/core/cluster_codec.h"
#include "node/core/ring_plan.h"

namespace cartwheel::node::member_model {

namespace {

constexpr int64_t kMs = 1000, kSecond = 1000 * kMs;
constexpr int64_t kRestUs = 90 * kSecond;  // the longest from healing to rest
constexpr int64_t kLastChangesUs = 15 * kSecond;

bool contains(const std::vector<NodeIndex>& nodes, NodeIndex node) {
  return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
}

}  // namespace

RunResult run_seed(uint64_t seed) {
  return World(seed).run();
}

World::World(uint64_t seed) : rng_(Rng(seed).next()) {
  faults_.loss = rng_.chance(0.4) ? 0 : 0.2 * rng_.uniform();
  faults_.duplicate = rng_.chance(0.5) ? 0 : 0.2 * rng_.uniform();
  faults_.delay_us = 200 + static_cast<int64_t>(rng_.below(20 * kMs));
  faults_.straggler_us = rng_.chance(0.5) ? 0 : 900 * kMs;
  faults_.crashes = rng_.chance(0.7);
  faults_.turn_crash = faults_.crashes && rng_.chance(0.6) ? 0.01 * rng_.uniform() : 0;
  faults_.wipes = rng_.chance(0.5);
  faults_.cuts = rng_.chance(0.6);
  faults_.flaps = rng_.chance(0.4);
  faults_.ring = rng_.chance(0.7);
  from_file_ = rng_.chance(0.7);
  const size_t regions = 1 + rng_.below(3);
  auto region = [&](size_t i) { return std::string("r") + std::to_string(i % regions); };
  if (!from_file_) {
    NodeInfo info = newcomer("n0", region(0));
    first_ = new_cluster("shop", 4, 1, info).value();
    add_host(0, info, first_);
    for (size_t i = 2 + rng_.below(3); i > 0; --i) {
      joiners_.push_back({newcomer("n" + std::to_string(++names_), region(i)), "", false, false});
    }
    return;
  }
  first_.name = "shop";
  first_.partitions = 4;
  const size_t nodes = 3 + rng_.below(4);
  for (size_t i = 0; i < nodes; ++i) {
    NodeInfo info = newcomer("n" + std::to_string(names_++), region(i));
    info.identity = 0;
    first_.nodes.push_back(info);
  }
  Keyspace keyspace;
  keyspace.name = "carts";
  keyspace.replicas[region(0)] = 1;
  first_.keyspaces.push_back(keyspace);
  CHECK(finish(first_).ok());
  for (NodeIndex n = 0; n < nodes; ++n) {
    auto host = std::make_unique<Host>();
    host->disk.identity = rng_.next();
    hosts_[n] = std::move(host);
  }
}

RunResult World::run() {
  const int64_t trouble = (2 + static_cast<int64_t>(rng_.below(8))) * kSecond;
  auto sometime = [&] { return static_cast<int64_t>(rng_.below(static_cast<uint64_t>(trouble))); };
  for (auto& [n, host] : hosts_) {
    queue_.at(static_cast<int64_t>(rng_.below(300 * kMs)), [this, at = n] { start(at); });
  }
  for (size_t j = 0; j < joiners_.size(); ++j) queue_.at(sometime() / 2, [this, j] { ask_to_join(j); });
  for (size_t i = rng_.below(16); i > 0; --i) queue_.at(sometime(), [this] { operate(); });
  for (size_t i = rng_.below(24); i > 0; --i) queue_.at(sometime(), [this] { misfortune(); });
  queue_.at(0, [this] { keep_links(); });
  queue_.at(0, [this] { tend(); });
  queue_.run_until(trouble);
  heal();
  const int64_t healed = queue_.now();
  while (queue_.now() < healed + kRestUs && !checker_.failure() && !at_rest())
    queue_.run_until(queue_.now() + 50 * kMs);
  result_.rest_us = queue_.now() - healed;
  if (!at_rest()) {
    result_.failure = "the cluster is not at rest long after everything healed:" + describe();
  } else {
    last_changes();
  }
  checker_.finish();
  // Disagreement first: it explains the rest.
  if (checker_.failure()) {
    result_.failure = *checker_.failure() + describe();
    result_.safe = false;
  }
  result_.events = queue_.executed();
  result_.epochs = checker_.newest_epoch();
  for (const Operation& each : checker_.operations()) {
    result_.ok += each.end == Operation::End::kOk;
    result_.not_made += each.end == Operation::End::kNotMade;
    result_.refused += each.end == Operation::End::kRefused;
    result_.unknown += each.end == Operation::End::kUnknown || each.end == Operation::End::kPending;
  }
  return result_;
}

// Every member gets a change through, when nothing else happens. (A leave whose outcome was unknown may still be found
// by these: who is removed by it need not.)
void World::last_changes() {
  std::map<NodeIndex, std::string> waiting;  // → why not
  std::vector<NodeIndex> members;
  for (auto& [n, host] : hosts_) {
    if (host->up && !host->gone) members.push_back(n);
  }
  for (NodeIndex n : members) {
    waiting[n] = "no answer";
    const std::string zone = "last" + std::to_string(n);
    auto edit = [n, zone](ClusterConfig& config) {
      NodeInfo info = config.nodes[n];
      info.zone = zone;
      return update_node(config, n, info);
    };
    change_by(n, "the last change of " + std::to_string(n), edit, true,
              [&waiting, n](const Status& status, const Membership::ConfigPtr&) {
                status.ok() ? (void)waiting.erase(n) : (void)(waiting[n] = status.to_string());
              });
  }
  const int64_t end = queue_.now() + kLastChangesUs;
  auto over = [&] {
    std::erase_if(waiting, [&](const auto& entry) { return hosts_.at(entry.first)->gone; });
    return waiting.empty() || checker_.failure();
  };
  while (queue_.now() < end && !over()) queue_.run_until(queue_.now() + 50 * kMs);
  if (waiting.empty()) return;
  result_.failure = "not every member gets a change through at rest: node " + std::to_string(waiting.begin()->first) +
                    ", " + waiting.begin()->second + describe();
}

bool World::at_rest() {
  if (checker_.newest_epoch() == 0) return false;
  for (const Joiner& joiner : joiners_) {
    if (!joiner.done) return false;
  }
  Membership::ConfigPtr newest;
  for (auto& [n, host] : hosts_) {
    if (host->gone) continue;
    if (!host->up || host->dead || !host->machine->formed()) return false;
    if (newest && newest->epoch != host->machine->config()->epoch) return false;
    newest = host->machine->config();
  }
  if (!newest || newest->epoch != checker_.newest_epoch()) return false;
  if (!newest->changes.empty() || !newest->next_voters.empty() || moving_arcs(*newest) > 0) return false;
  std::vector<NodeIndex> voters = newest->voters;
  std::sort(voters.begin(), voters.end());
  if (voters != choose_voters(*newest)) return false;
  for (NodeIndex n = 0; n < newest->nodes.size(); ++n) {
    const NodeInfo& info = newest->nodes[n];
    auto host = hosts_.find(n);
    if (info.removed()) {
      if (host != hosts_.end() && !host->second->gone) return false;
      continue;
    }
    if (host == hosts_.end() || host->second->gone || host->second->disk.identity != info.identity) return false;
    if (contains(voters, n) && !votes_on_disk(n)) return false;
  }
  return true;
}

// The state of all nodes, for a failure's message.
std::string World::describe() const {
  std::string text;
  auto list = [](const std::vector<NodeIndex>& nodes) {
    std::string all;
    for (NodeIndex n : nodes) all += (all.empty() ? "" : ",") + std::to_string(n);
    return "{" + all + "}";
  };
  for (const auto& [n, host] : hosts_) {
    text += "\n  node " + std::to_string(n) + (host->up ? " up" : " down") + (host->dead ? " dead" : "") +
            (host->gone ? " gone" : "") + " identity " + std::to_string(host->disk.identity % 10000) + " starts " +
            std::to_string(host->disk.starts);
    if (auto row = paxos::Acceptor::decode(host->disk.acceptor); row.ok()) {
      text += (row->is_lost() ? " lost" : "") + std::string(" generation ") + std::to_string(row->generation()) +
              " promised " + paxos::to_string(row->promised());
    }
    if (!host->machine) continue;
    const ClusterConfig& config = *host->machine->config();
    text += (host->machine->formed() ? " epoch " : " unformed epoch ") + std::to_string(config.epoch) + " voters " +
            list(config.voters) + (config.next_voters.empty() ? "" : " next " + list(config.next_voters)) +
            " changes " + std::to_string(config.changes.size()) + (host->machine->drives() ? " drives" : "") +
            (host->machine->busy() ? " busy" : "") + " nodes";
    for (const NodeInfo& info : config.nodes) {
      text += " " +
              (info.removed() ? std::string("-")
                              : std::to_string(info.lives) + "/" + std::to_string(info.identity % 10000)) +
              (info.state == NodeInfo::State::kLeaving ? "leaving" : "");
    }
  }
  if (checker_.newest_epoch() > 0) {
    const ClusterConfig& newest = checker_.newest();
    for (const RingChange& each : newest.changes) {
      text += "\n  change " + std::to_string(each.id) + " " + std::string(to_string(each.kind)) + " of " +
              std::to_string(each.node) + (each.planned ? ", planned" : "");
    }
    for (size_t k = 0; k < newest.assignments.size(); ++k) {
      for (const auto& [arc, move] : newest.assignments[k].moves) {
        text += "\n  arc " + std::to_string(k) + ":" + std::to_string(arc) + " in " +
                std::string(to_string(move.stage)) + " from " + list(newest.assignments[k].owners[arc]) + " to " +
                list(move.others);
      }
    }
  }
  for (const Joiner& joiner : joiners_) {
    if (!joiner.done) text += "\n  " + joiner.info.name + " wants to join";
  }
  return text;
}

// --- nodes

void World::start(NodeIndex n) {
  Host& host = *hosts_.at(n);
  if (host.up || host.dead || host.gone) return;
  host.up = true;
  host.boot = ++boots_;
  ++host.disk.starts;
  ClusterConfig config = host.disk.config.empty() ? first_ : decode_config(host.disk.config).value();
  host.machine =
      std::make_unique<Membership>(Membership::Options{n, host.disk.identity, host.disk.starts, rng_.next()},
                                   std::make_shared<const ClusterConfig>(std::move(config)), host.disk.acceptor);
  adopt(n, host.machine->config());
  queue_.after(static_cast<int64_t>(rng_.below(100 * kMs)), [this, n, boot = host.boot] { tick(n, boot); });
  queue_.after(static_cast<int64_t>(rng_.below(300 * kMs)), [this, n, boot = host.boot] { keep_liveness(n, boot); });
  drain(n);
}

void World::crash(NodeIndex n) {
  Host& host = *hosts_.at(n);
  if (!host.up) return;
  ++result_.crashes;
  host.up = false;
  host.machine.reset();
  host.config.reset();
  host.done_at.clear();
  host.empty_at.reset();
  host.departs_at.reset();
  host.reporting = false;
  host.liveness.clear();
  for (auto& [ends, link] : links_) {
    if (ends.first == n) link.up = false;
  }
}

void World::stop_for_good(NodeIndex n) {
  crash(n);
  Host& host = *hosts_.at(n);
  checker_.on_removed(n, host.departed || host.condemned);
  host.gone = true;
}

// One turn's output: the disk first. A node may die before that, and then nothing of the turn has happened, or right
// behind it.
void World::drain(NodeIndex n) {
  Host& host = *hosts_.at(n);
  if (!host.up) return;
  const bool dies = !healed_ && faults_.turn_crash > 0 && rng_.chance(faults_.turn_crash);
  if (dies) queue_.after(static_cast<int64_t>(rng_.below(2 * kSecond)), [this, n] { start(n); });
  if (dies && rng_.chance(0.5)) return crash(n);
  Membership::Output output = host.machine->take_output();
  if (output.persist) write(n);
  if (dies) return crash(n);
  if (output.config) adopt(n, output.config);
  for (const auto& message : output.messages) send(n, message.to, message.bytes);
  for (auto& answer : output.answers) answer();
  if (output.want_report) report(n);
  if (output.expelled) stop_for_good(n);
}

void World::write(NodeIndex n) {
  Host& host = *hosts_.at(n);
  const ClusterConfig& config = *host.machine->config();
  host.disk.config = encode_config(config);
  host.disk.acceptor = host.machine->acceptor_row();
  checker_.on_config(host.disk.identity, config);
  const auto row = paxos::Acceptor::decode(host.disk.acceptor).value();
  if (!row.is_lost() && !row.promised().zero()) checker_.on_vote(n, config.nodes[n].lives, host.disk.identity);
}

void World::tick(NodeIndex n, uint64_t boot) {
  Host& host = *hosts_.at(n);
  if (!host.up || host.boot != boot) return;
  host.machine->tick(now());
  queue_.at(host.machine->next_deadline()->us, [this, n, boot] { tick(n, boot); });
  drain(n);
}

// --- the stripes

void World::adopt(NodeIndex n, Membership::ConfigPtr config) {
  Host& host = *hosts_.at(n);
  host.config = std::move(config);
  checker_.on_config(host.disk.identity, *host.config);
  for (uint16_t k = 0; k < host.config->assignments.size(); ++k) {
    for (const auto& [arc, move] : host.config->assignments[k].moves) {
      const int64_t done = queue_.now() + static_cast<int64_t>(rng_.below(400 * kMs));
      host.done_at.try_emplace({PartitionId{k, arc}, move.since}, done);
    }
  }
  if (owns_anything(*host.config, n)) {
    host.empty_at.reset();
  } else if (!host.empty_at) {
    host.empty_at = queue_.now() + static_cast<int64_t>(rng_.below(500 * kMs));
  }
}

void World::report(NodeIndex n) {
  Host& host = *hosts_.at(n);
  if (host.reporting) return;
  host.reporting = true;
  queue_.after(1 * kMs + static_cast<int64_t>(rng_.below(40 * kMs)), [this, n, boot = host.boot] {
    Host& at = *hosts_.at(n);
    if (!at.up || at.boot != boot) return;
    at.reporting = false;
    MemberReport report;
    report.ring.epoch = at.config->epoch;
    for (uint16_t k = 0; k < at.config->assignments.size(); ++k) {
      for (const auto& [arc, move] : at.config->assignments[k].moves) {
        const PartitionId id{k, arc};
        report.ring.steps[id] = {id, move.since, queue_.now() >= at.done_at.at({id, move.since})};
      }
    }
    report.ring.leftovers = !at.empty_at || queue_.now() < *at.empty_at ? 3 : 0;
    const bool leaves = at.config->nodes[n].state == NodeInfo::State::kLeaving;
    if (!leaves) {
      at.departs_at.reset();
      at.departed = false;
    } else if (report.ring.leftovers == 0 && !at.departs_at) {
      at.departs_at = queue_.now() + static_cast<int64_t>(rng_.below(1500 * kMs));
    }
    report.ring.departed = at.departs_at && queue_.now() >= *at.departs_at;
    at.departed |= report.ring.departed;
    at.machine->on_own_report(std::move(report), now());
    drain(n);
  });
}

}  // namespace cartwheel::node::member_model
