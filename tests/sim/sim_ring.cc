// The ring of a SimWorld: a register that is what the cluster's configuration register promises to be, linearizable and
// there whenever a majority of its voters can be reached, and the spread of what it says: from a voter to whom it
// reaches, and from node to node when one hears of a later epoch. The steps of a change are those of the product
// (node/core/ring_plan.h), by reports that are as old and as incomplete as the network makes them.
#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "tests/sim/sim_world.h"

namespace cartwheel::sim {

using node::NodeIndex;

namespace {
constexpr int64_t kStepUs = 150'000;
}  // namespace

// A voter that is up and reaches, both ways, a majority of the voters; and whom else it reaches.
std::optional<NodeIndex> SimWorld::pick_driver(std::vector<NodeIndex>* reachable) {
  std::vector<NodeIndex> candidates;
  for (NodeIndex n : config_->voters) {
    if (!machines_[n].down && !removed(n)) candidates.push_back(n);
  }
  if (candidates.empty()) return {};
  NodeIndex driver = candidates[rng_.below(candidates.size())];
  reachable->clear();
  for (NodeIndex n = 0; n < machines_.size(); ++n) {
    bool linked = n == driver || (!network_->is_cut(n, driver) && !network_->is_cut(driver, n));
    if (!machines_[n].down && linked) reachable->push_back(n);
  }
  for (const auto* voters : {&config_->voters, &config_->next_voters}) {
    auto up = std::count_if(voters->begin(), voters->end(), [&](NodeIndex n) {
      return std::find(reachable->begin(), reachable->end(), n) != reachable->end();
    });
    if (!voters->empty() && static_cast<size_t>(up) < voters->size() / 2 + 1) return {};
  }
  return driver;
}

node::NodeReports SimWorld::reports(const std::vector<NodeIndex>& reachable) const {
  node::NodeReports all;
  for (NodeIndex n : reachable) {
    node::NodeReport report;
    report.epoch = UINT64_MAX;
    for (const auto& each : machines_[n].stripes) {
      if (!each->running()) {
        report.epoch = 0;
        continue;
      }
      node::RingProgress progress = each->stripe().ring_progress();
      report.epoch = std::min(report.epoch, progress.epoch);
      report.leftovers += progress.leftovers;
      for (const auto& step : progress.steps) report.steps[step.partition] = step;
    }
    report.departed = report.epoch > 0;  // the clients of this world look for another node by themselves
    if (report.epoch > 0) all[n] = std::move(report);
  }
  return all;
}

void SimWorld::ring_step() {
  queue_.after(kStepUs + static_cast<int64_t>(rng_.below(kStepUs)), [this] { ring_step(); });
  std::vector<NodeIndex> reachable;
  auto driver = pick_driver(&reachable);
  if (!driver) return;
  node::ClusterConfig next = *config_;
  if (node::advance(next, reports(reachable))) set_ring(std::move(next), *driver);
}

Status SimWorld::change_ring(const std::function<Status(node::ClusterConfig&)>& change) {
  std::vector<NodeIndex> reachable;
  auto driver = pick_driver(&reachable);
  if (!driver) return Status::Unavailable("no majority of the voters can be reached");
  node::ClusterConfig next = *config_;
  RETURN_IF_ERROR(change(next));
  if (next.epoch == config_->epoch) return Status::Ok();
  if (!ring_active_) {
    ring_active_ = true;
    ring_step();
  }
  set_ring(std::move(next), *driver);
  return Status::Ok();
}

Status SimWorld::join(node::NodeInfo info, std::optional<std::string> dead) {
  NodeIndex index = node::kNoNode;
  NodeIndex gone = dead ? node_named(*dead) : node::kNoNode;
  RETURN_IF_ERROR(change_ring([&](node::ClusterConfig& config) {
    return dead ? node::replace(config, *dead, info, &index) : node::join(config, info, &index);
  }));
  note("join of " + info.name + (dead ? " in place of " + *dead : ""));
  CHECK(index == machines_.size());
  network_->add_node(config_->region(info.region));
  add_machine();
  if (gone != node::kNoNode) lose_for_good(gone);
  start(index);
  return Status::Ok();
}

void SimWorld::set_ring(node::ClusterConfig next, NodeIndex from) {
  CHECK(next.epoch > config_->epoch);
  for (uint16_t k = 0; k < next.keyspaces.size(); ++k) {
    if (k >= config_->keyspaces.size()) continue;
    for (uint32_t arc = 0; arc < next.partitions; ++arc) {
      if (next.assignments[k].owners[arc] != config_->assignments[k].owners[arc]) moved_.insert({k, arc});
    }
  }
  if (options_.verbose) note_moves(next);
  bool more_keyspaces = next.keyspaces.size() > config_->keyspaces.size();
  config_ = std::make_shared<const node::ClusterConfig>(std::move(next));
  note("epoch " + std::to_string(config_->epoch) + ", " + std::to_string(node::moving_arcs(*config_)) + " arcs move, " +
       std::to_string(config_->changes.size()) + " changes");
  if (more_keyspaces) {
    for (Machine& machine : machines_) {
      for (uint32_t number = 0; number < config_->stripes; ++number) {
        std::vector<Partition> all;
        for (Partition partition : partitions()) {
          if (partition.arc % config_->stripes == number) all.push_back(partition);
        }
        machine.stripes[number]->set_partitions(std::move(all));
      }
    }
  }
  note_counts();
  learn(from, config_);
  for (NodeIndex n = 0; n < machines_.size(); ++n) {
    if (n == from) continue;
    auto delay = static_cast<int64_t>(200.0 * std::pow(1000.0, rng_.uniform()));
    queue_.after(delay, [this, n, from, config = config_] {
      if (!machines_[n].down && !network_->is_cut(from, n)) learn(n, config);
    });
  }
}

// The arcs that the configuration `next` changes.
void SimWorld::note_moves(const node::ClusterConfig& next) {
  for (uint16_t k = 0; k < config_->keyspaces.size() && k < next.keyspaces.size(); ++k) {
    const node::Assignment &was = config_->assignments[k], &now = next.assignments[k];
    for (uint32_t arc = 0; arc < next.partitions; ++arc) {
      const node::Move *old_move = was.move(arc), *move = now.move(arc);
      bool same_move = (move == nullptr) == (old_move == nullptr) && (move == nullptr || *move == *old_move);
      if (same_move && was.owners[arc] == now.owners[arc]) continue;
      std::string text = "keyspace " + std::to_string(k) + " arc " + std::to_string(arc) + ":";
      for (NodeIndex n : now.owners[arc]) text += " " + next.nodes[n].name;
      if (move != nullptr) text += "; " + std::string(node::to_string(move->stage)) + ":";
      for (NodeIndex n : move == nullptr ? std::vector<NodeIndex>() : move->others) text += " " + next.nodes[n].name;
      note(text);
    }
  }
}

void SimWorld::note_counts() {
  counts_.resize(config_->keyspaces.size());
  for (uint16_t k = 0; k < config_->keyspaces.size(); ++k) {
    std::vector<uint32_t> now = replicas(k);
    if (std::find(counts_[k].begin(), counts_[k].end(), now) == counts_[k].end()) counts_[k].push_back(std::move(now));
  }
}

void SimWorld::learn(NodeIndex n, std::shared_ptr<const node::ClusterConfig> config) {
  Machine& machine = machines_[n];
  if (machine.config->epoch >= config->epoch) return;
  machine.config = config;
  for (auto& each : machine.stripes) each->set_config(config);
  if (!config->nodes[n].removed() || machine.down) return;
  // A node that learns of its own removal ends.
  queue_.after(1000, [this, n, life = machine.life] {
    if (machines_[n].life == life) kill(n);
  });
}

// `from` was heard to have a later configuration.
void SimWorld::fetch(NodeIndex n, NodeIndex from) {
  if (std::exchange(machines_[n].fetching, true)) return;
  queue_.after(1'000 + static_cast<int64_t>(rng_.below(20'000)), [this, n, from] {
    machines_[n].fetching = false;
    bool linked = !network_->is_cut(n, from) && !network_->is_cut(from, n);
    if (linked && !machines_[n].down && !machines_[from].down) learn(n, machines_[from].config);
  });
}

// `n` is down and was removed: what nobody else has is gone.
void SimWorld::lose_for_good(NodeIndex n) {
  Machine& machine = machines_[n];
  CHECK(machine.down);
  begin_loss(n, true);
  assess_loss(n);
  machine.loss.reset();
  for (Loss& loss : history_.losses()) {
    if (loss.node == n && loss.recovered_us < 0)
      watch_replacement(static_cast<size_t>(&loss - history_.losses().data()));
  }
}

void SimWorld::watch_replacement(size_t loss) {
  if (!ring_unrest()) {
    history_.losses()[loss].recovered_us = queue_.now();
    return;
  }
  queue_.after(200'000, [this, loss] { watch_replacement(loss); });
}

// The first arc that moves, and for whom it waits.
std::string SimWorld::first_move() const {
  for (uint16_t k = 0; k < config_->keyspaces.size(); ++k) {
    if (config_->keyspaces[k].dropped || config_->assignments[k].moves.empty()) continue;
    const auto& [arc, move] = *config_->assignments[k].moves.begin();
    std::string text = "keyspace " + std::to_string(k) + " arc " + std::to_string(arc) + " is in stage " +
                       std::string(node::to_string(move.stage)) + ", not done:";
    for (NodeIndex n = 0; n < machines_.size(); ++n) {
      const SimStripe& holder = stripe_of(n, {k, arc});
      if (!holder.running() || removed(n)) continue;
      for (const auto& step : holder.stripe().ring_progress().steps) {
        if (step.partition == node::PartitionId{k, arc} && !step.done) text += " " + name(n);
      }
    }
    return text;
  }
  return "nothing moves";
}

std::optional<std::string> SimWorld::ring_unrest() const {
  if (!config_->changes.empty() || node::moving_arcs(*config_) > 0) {
    return std::to_string(config_->changes.size()) + " changes of the ring wait; " + first_move();
  }
  for (NodeIndex n = 0; n < machines_.size(); ++n) {
    if (removed(n)) continue;
    for (const auto& each : machines_[n].stripes) {
      if (!each->running()) return config_->nodes[n].name + " is not up";
      node::RingProgress progress = each->stripe().ring_progress();
      if (progress.epoch != config_->epoch) {
        return config_->nodes[n].name + " is at epoch " + std::to_string(progress.epoch) + " of " +
               std::to_string(config_->epoch);
      }
      if (progress.leftovers > 0) {
        return config_->nodes[n].name + " has " + std::to_string(progress.leftovers) +
               " partitions that are not its own";
      }
    }
  }
  return {};
}

}  // namespace cartwheel::sim
