#include "node/core/ring_plan.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "base/planted.h"

namespace cartwheel::node {

namespace {

constexpr size_t kVotersMax = 5;
constexpr size_t kChangesMax = 32;  // that wait

bool same_nodes(std::vector<NodeIndex> a, std::vector<NodeIndex> b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  return a == b;
}

std::string quoted(std::string_view name) {
  return "'" + std::string(name) + "'";
}

// Runs `change` on a copy, and takes it over with the next epoch if all is well.
template <typename Edit>
Status edited(ClusterConfig& config, Edit edit) {
  ClusterConfig next = config;
  ++next.epoch;
  RETURN_IF_ERROR(edit(next));
  RETURN_IF_ERROR(check(next, /*from_file=*/false).status);
  config = std::move(next);
  return Status::Ok();
}

Status enqueue(ClusterConfig& config, RingChange change) {
  if (config.changes.size() >= kChangesMax) {
    return Status(Code::kOverloaded, std::to_string(kChangesMax) + " changes of the ring are waiting already");
  }
  change.id = config.epoch;
  config.changes.push_back(std::move(change));
  return Status::Ok();
}

NodeIndex add_node(ClusterConfig& config, const NodeInfo& node) {
  config.nodes.push_back(node);
  config.nodes.back().state = NodeInfo::State::kMember;
  config.nodes.back().lives = node.identity == 0 ? 0 : 1;
  if (std::find(config.regions.begin(), config.regions.end(), node.region) == config.regions.end()) {
    config.regions.push_back(node.region);
  }
  return static_cast<NodeIndex>(config.nodes.size() - 1);
}

// Whether `node` would mean, in dots, somebody else.
Status check_actor(const ClusterConfig& config, NodeIndex index) {
  for (NodeIndex n = 0; n < config.nodes.size(); ++n) {
    if (n != index && config.nodes[n].name != config.nodes[index].name &&
        actor_node_id(config, n) == actor_node_id(config, index)) {
      return Status::InvalidArgument("the name " + quoted(config.nodes[index].name) + " has the same hash as " +
                                     quoted(config.nodes[n].name) + ": choose another one");
    }
  }
  return Status::Ok();
}

Result<NodeIndex> member(const ClusterConfig& config, std::string_view name) {
  NodeIndex index = config.node(name);
  if (index != kNoNode) return index;
  bool was = std::any_of(config.nodes.begin(), config.nodes.end(), [&](const NodeInfo& n) { return n.name == name; });
  return Status(Code::kNotFound, "node " + quoted(name) + (was ? " was removed from" : " is not a member of") +
                                     " cluster " + quoted(config.name));
}

// --- planning

// The owners of all arcs of `keyspace`, as its replicas and the members of now ask for; `stand_in` takes the place of
// `gone` (kNoNode: nobody does).
Result<std::vector<std::vector<NodeIndex>>> target_of(const ClusterConfig& config, uint16_t keyspace, NodeIndex gone,
                                                      NodeIndex stand_in) {
  const auto& present = config.assignments[keyspace].owners;
  std::vector<std::vector<NodeIndex>> target(config.partitions);
  for (const std::string& region : config.regions) {
    auto replicas = config.keyspaces[keyspace].replicas.find(region);
    if (replicas == config.keyspaces[keyspace].replicas.end()) continue;
    std::vector<Candidate> candidates;
    for (NodeIndex n = 0; n < config.nodes.size(); ++n) {
      const NodeInfo& info = config.nodes[n];
      if (info.region == region && info.state == NodeInfo::State::kMember) {
        candidates.push_back({n, info.zone, info.capacity});
      }
    }
    std::vector<std::vector<NodeIndex>> before(config.partitions);
    for (uint32_t arc = 0; arc < config.partitions; ++arc) {
      for (NodeIndex n : present[arc]) {
        NodeIndex owner = n == gone && stand_in != kNoNode ? stand_in : n;
        const NodeInfo& info = config.nodes[owner];
        if (info.region == region && info.state == NodeInfo::State::kMember) before[arc].push_back(owner);
      }
    }
    auto placed = assign_region(candidates, config.partitions, replicas->second, before);
    if (!placed.ok()) return placed.status();
    for (uint32_t arc = 0; arc < config.partitions; ++arc) {
      target[arc].insert(target[arc].end(), (*placed)[arc].begin(), (*placed)[arc].end());
    }
  }
  return target;
}

Status plan(ClusterConfig& config, RingChange& change) {
  if (change.kind == RingChange::Kind::kReplicas) config.keyspaces[change.keyspace].replicas = change.replicas;
  if (change.kind == RingChange::Kind::kLeave && config.nodes[change.node].state == NodeInfo::State::kMember) {
    config.nodes[change.node].state = NodeInfo::State::kLeaving;  // it stayed when another change was cancelled
  }
  change.arcs = 0;
  for (uint16_t k = 0; k < config.keyspaces.size(); ++k) {
    if (config.keyspaces[k].dropped) continue;
    bool concerned = change.kind != RingChange::Kind::kReplicas || change.keyspace == k;
    if (!concerned) continue;
    NodeIndex gone = change.kind == RingChange::Kind::kReplace ? change.other : kNoNode;
    auto target = target_of(config, k, gone, gone == kNoNode ? kNoNode : change.node);
    if (!target.ok()) return target.status();
    Assignment& assignment = config.assignments[k];
    for (uint32_t arc = 0; arc < config.partitions; ++arc) {
      if (same_nodes((*target)[arc], assignment.owners[arc])) {
        assignment.owners[arc] = std::move((*target)[arc]);  // the order of a list is nobody's data
        continue;
      }
      assignment.moves[arc] = Move{Stage::kLoad, config.epoch, std::move((*target)[arc])};
      ++change.arcs;
    }
  }
  change.planned = true;
  return Status::Ok();
}

// --- stages

class Stages {
 public:
  Stages(const ClusterConfig& config, const NodeReports& reports) : config_(config), reports_(reports) {}

  // The epoch that a step would begin.
  uint64_t next() const { return config_.epoch + 1; }

  // Whether `move` may end its stage.
  bool is_over(PartitionId id, const Move& move) const {
    const auto& owners = config_.assignments[id.keyspace].owners[id.arc];
    switch (move.stage) {
      case Stage::kLoad:
        return all(move.others, [&](NodeIndex n) { return contains(owners, n) || has_done(n, id, move); });
      case Stage::kWriteBoth:
        return all(move.others, [&](NodeIndex n) { return has_done(n, id, move); });
      case Stage::kReadNew: {
        auto known = [&](NodeIndex n) { return knows(n, move.since); };
        return all(owners, known) && all(move.others, known);
      }
      case Stage::kDrain:
        return all(move.others, [&](NodeIndex n) { return has_done(n, id, move); });
    }
    return false;
  }

 private:
  template <typename Test>
  bool all(const std::vector<NodeIndex>& nodes, Test test) const {
    return std::all_of(nodes.begin(), nodes.end(), [&](NodeIndex n) { return config_.nodes[n].removed() || test(n); });
  }
  const NodeReport* report(NodeIndex n) const {
    auto it = reports_.find(n);
    return it == reports_.end() ? nullptr : &it->second;
  }
  bool knows(NodeIndex n, uint64_t epoch) const { return report(n) != nullptr && report(n)->epoch >= epoch; }
  bool has_done(NodeIndex n, PartitionId id, const Move& move) const {
    if (report(n) == nullptr) return false;
    auto step = report(n)->steps.find(id);
    return step != report(n)->steps.end() && step->second.since == move.since && step->second.done;
  }

  const ClusterConfig& config_;
  const NodeReports& reports_;
};

bool all_removed(const ClusterConfig& config, const std::vector<NodeIndex>& nodes) {
  return std::all_of(nodes.begin(), nodes.end(), [&](NodeIndex n) { return config.nodes[n].removed(); });
}

// The arc stays, or goes on, with its owners; whoever else may have something of it keeps that until they have it.
void drain(ClusterConfig& config, Assignment& assignment, uint32_t arc, uint64_t since) {
  Move& move = assignment.moves.at(arc);
  const auto& owners = assignment.owners[arc];
  std::erase_if(move.others, [&](NodeIndex n) { return contains(owners, n) || config.nodes[n].removed(); });
  if (move.others.empty()) {
    assignment.moves.erase(arc);
    return;
  }
  move.stage = Stage::kDrain;
  move.since = since;
}

// Where all new owners are removed before the old ones have handed over, these own it again: they have the last copies.
bool take_back(ClusterConfig& config) {
  bool any = false;
  for (uint16_t k = 0; k < config.keyspaces.size(); ++k) {
    Assignment& assignment = config.assignments[k];
    for (auto it = assignment.moves.begin(); it != assignment.moves.end();) {
      auto& [arc, move] = *it;
      auto& owners = assignment.owners[arc];
      bool moved = move.stage >= Stage::kReadNew && all_removed(config, owners) && !all_removed(config, move.others);
      if (!moved) {
        ++it;
        continue;
      }
      owners = std::move(move.others);
      assignment.fences[arc] = config.epoch + 1;
      it = assignment.moves.erase(it);
      any = true;
    }
  }
  return any;
}

bool advance_moves(ClusterConfig& config, const NodeReports& reports) {
  Stages stages(config, reports);
  std::vector<PartitionId> over;
  for (uint16_t k = 0; k < config.keyspaces.size(); ++k) {
    for (const auto& [arc, move] : config.assignments[k].moves) {
      if (stages.is_over({k, arc}, move)) over.push_back({k, arc});
    }
  }
  for (PartitionId id : over) {
    Assignment& assignment = config.assignments[id.keyspace];
    Move& move = assignment.moves.at(id.arc);
    switch (move.stage) {
      case Stage::kLoad:
        move.stage = Stage::kWriteBoth;
        break;
      case Stage::kWriteBoth:
        move.stage = Stage::kReadNew;
        std::swap(assignment.owners[id.arc], move.others);
        assignment.fences[id.arc] = stages.next();
        break;
      case Stage::kReadNew:
        drain(config, assignment, id.arc, stages.next());
        continue;
      case Stage::kDrain:
        assignment.moves.erase(id.arc);
        continue;
    }
    move.since = stages.next();
  }
  return !over.empty();
}

// Ends the first change when nothing of it is left to do, or has it planned anew if a node that leaves owns something
// after all (take_back).
bool end_change(ClusterConfig& config, const NodeReports& reports) {
  if (config.changes.empty() || !config.changes.front().planned || moving_arcs(config) > 0) return false;
  RingChange& change = config.changes.front();
  if (change.kind == RingChange::Kind::kLeave && !config.nodes[change.node].removed()) {
    if (owns_anything(config, change.node)) {
      change.planned = false;
      return true;
    }
    auto report = reports.find(change.node);
    bool empty = report != reports.end() && report->second.epoch >= config.epoch && report->second.leftovers == 0 &&
                 (report->second.departed || planted(Bug::kMemberRemovedWithClients));
    // Its vote counts until others have taken it over: without it there might be no majority to decide that.
    bool voter = contains(config.voters, change.node) || contains(config.next_voters, change.node);
    if (!empty || (voter && !planted(Bug::kMemberLeavesVoting))) return false;
    config.nodes[change.node].state = NodeInfo::State::kRemoved;
  }
  config.changes.erase(config.changes.begin());
  return true;
}

bool begin_change(ClusterConfig& config) {
  if (config.changes.empty() || config.changes.front().planned || moving_arcs(config) > 0) return false;
  ClusterConfig planned = config;
  ++planned.epoch;  // with which the moves begin
  if (const RingChange& first = planned.changes.front(); first.kind == RingChange::Kind::kLeave) {
    // Another leave of the same node may have been taken back while this one waited.
    NodeInfo& info = planned.nodes[first.node];
    if (info.state == NodeInfo::State::kMember) info.state = NodeInfo::State::kLeaving;
  }
  if (plan(planned, planned.changes.front()).ok()) {
    --planned.epoch;
    config = std::move(planned);
  } else {
    // What was possible when it was queued is not any more.
    RingChange& change = config.changes.front();
    if (change.kind == RingChange::Kind::kLeave && config.nodes[change.node].state == NodeInfo::State::kLeaving) {
      config.nodes[change.node].state = NodeInfo::State::kMember;
    }
    config.changes.erase(config.changes.begin());
  }
  return true;
}

bool advance_voters(ClusterConfig& config) {
  if (!config.next_voters.empty()) {
    config.voters = std::exchange(config.next_voters, {});
    return true;
  }
  std::vector<NodeIndex> wanted = choose_voters(config);
  if (same_nodes(wanted, config.voters)) return false;
  config.next_voters = std::move(wanted);
  return true;
}

Status check_can_leave(const ClusterConfig& config, NodeIndex index) {
  const std::string& region = config.nodes[index].region;
  uint32_t others = 0, anywhere = 0;
  for (NodeIndex n = 0; n < config.nodes.size(); ++n) {
    const NodeInfo& info = config.nodes[n];
    anywhere += n != index && info.state == NodeInfo::State::kMember;
    others += n != index && info.region == region && info.state == NodeInfo::State::kMember;
  }
  if (anywhere == 0) return Status::InvalidArgument("node " + quoted(config.nodes[index].name) + " is the last member");
  for (const Keyspace& keyspace : config.keyspaces) {
    auto replicas = keyspace.dropped ? keyspace.replicas.end() : keyspace.replicas.find(region);
    if (replicas != keyspace.replicas.end() && replicas->second > others) {
      return Status::InvalidArgument("keyspace " + quoted(keyspace.name) + " has " + std::to_string(replicas->second) +
                                     " replicas in region " + quoted(region) + ", where " + std::to_string(others) +
                                     " other nodes would be left: add a node or lower the replicas first");
    }
  }
  return Status::Ok();
}

}  // namespace

size_t moving_arcs(const ClusterConfig& config) {
  size_t arcs = 0;
  for (size_t k = 0; k < config.assignments.size(); ++k) {
    if (!config.keyspaces[k].dropped) arcs += config.assignments[k].moves.size();
  }
  return arcs;
}

bool ends_apart(const ClusterConfig& config, const NodeReports& reports) {
  const Stages stages(config, reports);
  size_t over = 0;
  for (uint16_t k = 0; k < config.assignments.size(); ++k) {
    if (config.keyspaces[k].dropped) continue;
    for (const auto& [arc, move] : config.assignments[k].moves) over += stages.is_over({k, arc}, move);
  }
  return over > 0 && over < moving_arcs(config);
}

bool owns_anything(const ClusterConfig& config, NodeIndex node) {
  for (size_t k = 0; k < config.keyspaces.size(); ++k) {
    if (config.keyspaces[k].dropped) continue;
    for (const auto& owners : config.assignments[k].owners) {
      if (contains(owners, node)) return true;
    }
    for (const auto& [arc, move] : config.assignments[k].moves) {
      if (contains(move.others, node)) return true;
    }
  }
  return false;
}

std::vector<NodeIndex> choose_voters(const ClusterConfig& config) {
  std::vector<NodeIndex> members;
  for (NodeIndex n = 0; n < config.nodes.size(); ++n) {
    if (config.nodes[n].state == NodeInfo::State::kMember) members.push_back(n);
  }
  if (members.empty()) return config.voters;
  size_t count = std::min(kVotersMax, members.size());
  if (count % 2 == 0) --count;
  // One after the other, each from the region that has the fewest so far; there, those that vote already come first.
  std::vector<NodeIndex> chosen;
  while (chosen.size() < count) {
    auto rank = [&](NodeIndex n) {
      auto same_region = [&](NodeIndex other) { return config.nodes[other].region == config.nodes[n].region; };
      return std::tuple(std::count_if(chosen.begin(), chosen.end(), same_region), !contains(config.voters, n), n);
    };
    NodeIndex best = kNoNode;
    for (NodeIndex n : members) {
      if (!contains(chosen, n) && (best == kNoNode || rank(n) < rank(best))) best = n;
    }
    chosen.push_back(best);
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

bool advance(ClusterConfig& config, const NodeReports& reports) {
  ClusterConfig next = config;
  bool changed = take_back(next);
  changed |= advance_moves(next, reports);
  changed |= end_change(next, reports);
  changed |= begin_change(next);
  changed |= advance_voters(next);
  if (!changed) return false;
  ++next.epoch;
  config = std::move(next);
  return true;
}

// --- what operators ask for ------------------------------------------------------------------------------------------

Result<ClusterConfig> new_cluster(std::string name, uint32_t partitions, uint32_t stripes, const NodeInfo& first) {
  ClusterConfig config;
  config.name = std::move(name);
  config.partitions = partitions;
  config.stripes = stripes;
  config.voters = {add_node(config, first)};
  RETURN_IF_ERROR(check(config, /*from_file=*/false).status);
  return config;
}

Status join(ClusterConfig& config, const NodeInfo& node, NodeIndex* index) {
  for (NodeIndex n = 0; n < config.nodes.size(); ++n) {
    if (node.identity == 0 || config.nodes[n].identity != node.identity) continue;
    if (config.nodes[n].removed()) {
      return Status::InvalidArgument("this data directory belonged to node " + quoted(config.nodes[n].name) +
                                     ", which was removed from cluster " + quoted(config.name) +
                                     ": start with an empty one");
    }
    if (config.nodes[n].name != node.name) {
      return Status::InvalidArgument("this data directory belongs to node " + quoted(config.nodes[n].name) +
                                     ", not to " + quoted(node.name));
    }
    *index = n;
    return Status::Ok();
  }
  if (config.node(node.name) != kNoNode) {
    return Status::InvalidArgument("there is a member called " + quoted(node.name) +
                                   " already, with another data directory: choose another name, or, if it is dead for "
                                   "good, use 'cartwheel replace " +
                                   node.name + "'");
  }
  return edited(config, [&](ClusterConfig& next) {
    *index = add_node(next, node);
    RETURN_IF_ERROR(check_actor(next, *index));
    return enqueue(next, {.kind = RingChange::Kind::kJoin, .node = *index});
  });
}

Status replace(ClusterConfig& config, std::string_view dead, const NodeInfo& node, NodeIndex* index) {
  auto old = member(config, dead);
  if (!old.ok()) return old.status();
  if (config.nodes[*old].identity == node.identity && node.identity != 0) {
    return Status::InvalidArgument("this data directory is that of node " + quoted(dead) + " itself");
  }
  if (config.nodes[*old].region != node.region) {
    return Status::InvalidArgument("node " + quoted(dead) + " is in region " + quoted(config.nodes[*old].region) +
                                   ", its replacement in " + quoted(node.region));
  }
  return edited(config, [&](ClusterConfig& next) -> Status {
    if (node.name == dead) {
      NodeInfo& info = next.nodes[*old];
      NodeInfo::State state = info.state;
      uint32_t lives = info.lives;
      info = node;
      info.state = state;
      info.lives = lives + 1;
      *index = *old;
      return Status::Ok();
    }
    if (next.node(node.name) != kNoNode) {
      return Status::InvalidArgument("there is a member called " + quoted(node.name) + " already");
    }
    next.nodes[*old].state = NodeInfo::State::kRemoved;
    *index = add_node(next, node);
    RETURN_IF_ERROR(check_actor(next, *index));
    return enqueue(next, {.kind = RingChange::Kind::kReplace, .node = *index, .other = *old});
  });
}

Status leave(ClusterConfig& config, std::string_view name, bool dead) {
  auto index = member(config, name);
  if (!index.ok()) return index.status();
  if (config.nodes[*index].state == NodeInfo::State::kLeaving && !dead) return Status::Ok();
  RETURN_IF_ERROR(check_can_leave(config, *index));
  return edited(config, [&](ClusterConfig& next) {
    next.nodes[*index].state = dead ? NodeInfo::State::kRemoved : NodeInfo::State::kLeaving;
    return enqueue(next, {.kind = RingChange::Kind::kLeave, .node = *index});
  });
}

Status update_node(ClusterConfig& config, NodeIndex index, const NodeInfo& node) {
  const NodeInfo& now = config.nodes[index];
  bool same = now.zone == node.zone && now.capacity == node.capacity && now.rpc == node.rpc && now.resp == node.resp &&
              now.http == node.http;
  if (same) return Status::Ok();
  if (now.region != node.region) {
    return Status::InvalidArgument("node " + quoted(now.name) + " is in region " + quoted(now.region) +
                                   " and cannot move to " + quoted(node.region) + ": it would have to leave and join");
  }
  return edited(config, [&](ClusterConfig& next) {
    NodeInfo& info = next.nodes[index];
    info.zone = node.zone;
    info.capacity = node.capacity;
    info.rpc = node.rpc;
    info.resp = node.resp;
    info.http = node.http;
    return Status::Ok();
  });
}

Status rebalance(ClusterConfig& config) {
  return edited(config, [&](ClusterConfig& next) { return enqueue(next, {.kind = RingChange::Kind::kRebalance}); });
}

Status cancel(ClusterConfig& config) {
  if (config.changes.empty()) return Status(Code::kNotFound, "no change of the ring is running");
  return edited(config, [&](ClusterConfig& next) -> Status {
    RingChange change = next.changes.front();
    if (change.kind == RingChange::Kind::kReplace ||
        (change.kind == RingChange::Kind::kLeave && next.nodes[change.node].removed())) {
      return Status::InvalidArgument("the removal of a dead node cannot be taken back");
    }
    if (change.kind == RingChange::Kind::kReplicas && change.planned) {
      return Status::InvalidArgument("replicas that are being changed cannot be taken back: alter the keyspace again");
    }
    for (Assignment& assignment : next.assignments) {
      std::vector<uint32_t> arcs;
      for (const auto& [arc, move] : assignment.moves) {
        if (move.stage < Stage::kReadNew) arcs.push_back(arc);
      }
      for (uint32_t arc : arcs) drain(next, assignment, arc, next.epoch);
    }
    next.changes.erase(next.changes.begin());
    if (change.kind == RingChange::Kind::kLeave) {
      next.nodes[change.node].state = NodeInfo::State::kMember;
      change = {.id = next.epoch, .kind = RingChange::Kind::kRebalance};
    } else if (change.kind == RingChange::Kind::kJoin && !next.nodes[change.node].removed()) {
      next.nodes[change.node].state = NodeInfo::State::kLeaving;
      std::erase_if(next.changes, [&](const RingChange& queued) {  // that it was to leave anyway
        return queued.kind == RingChange::Kind::kLeave && queued.node == change.node;
      });
      change = {.id = next.epoch, .kind = RingChange::Kind::kLeave, .node = change.node};
    } else {
      return Status::Ok();
    }
    next.changes.insert(next.changes.begin(), change);
    return Status::Ok();
  });
}

Status create_keyspace(ClusterConfig& config, Keyspace keyspace) {
  return edited(config, [&](ClusterConfig& next) -> Status {
    keyspace.dropped = false;
    next.keyspaces.push_back(std::move(keyspace));
    next.assignments.emplace_back();
    next.assignments.back().owners.resize(next.partitions);
    RETURN_IF_ERROR(check(next, /*from_file=*/false).status);
    auto target = target_of(next, static_cast<uint16_t>(next.keyspaces.size() - 1), kNoNode, kNoNode);
    if (!target.ok()) return target.status();
    next.assignments.back().owners = std::move(*target);
    return Status::Ok();
  });
}

Status alter_keyspace(ClusterConfig& config, const Keyspace& wanted) {
  int found = config.keyspace_named(wanted.name);
  if (found < 0) return Status(Code::kNotFound, "there is no keyspace " + quoted(wanted.name));
  auto index = static_cast<uint16_t>(found);
  return edited(config, [&](ClusterConfig& next) -> Status {
    Keyspace& keyspace = next.keyspaces[index];
    std::map<std::string, uint32_t> before = keyspace.replicas;
    if (wanted.kind != keyspace.kind) return Status::InvalidArgument("the kind of a keyspace cannot be changed");
    keyspace = wanted;
    RETURN_IF_ERROR(check(next, /*from_file=*/false).status);
    // Levels must make sense for the replicas of now, too.
    keyspace.replicas = before;
    if (wanted.replicas == before) return Status::Ok();
    return enqueue(next, {.kind = RingChange::Kind::kReplicas, .keyspace = index, .replicas = wanted.replicas});
  });
}

Status drop_keyspace(ClusterConfig& config, std::string_view name) {
  int index = config.keyspace_named(name);
  if (index < 0) return Status(Code::kNotFound, "there is no keyspace " + quoted(name));
  return edited(config, [&](ClusterConfig& next) {
    next.keyspaces[static_cast<size_t>(index)].dropped = true;
    next.assignments[static_cast<size_t>(index)].moves.clear();
    std::erase_if(next.changes, [&](const RingChange& change) {
      return change.kind == RingChange::Kind::kReplicas && change.keyspace == index && !change.planned;
    });
    return Status::Ok();
  });
}

}  // namespace cartwheel::node
