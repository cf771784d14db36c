#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/checkers.h"

namespace cartwheel::sim {

using node::Verb;

size_t region_of(const SimWorld& world, node::NodeIndex n) {
  return world.config().region(world.config().nodes[n].region);
}

bool overlap(const SimWorld& world, uint16_t keyspace, const node::Level& write, size_t write_region,
             const node::Level& read, size_t read_region) {
  const auto& counts = world.replica_counts(keyspace);
  return std::all_of(counts.begin(), counts.end(), [&](const std::vector<uint32_t>& replicas) {
    return overlap(replicas, write, write_region, read, read_region);
  });
}

bool overlap(const std::vector<uint32_t>& replicas, const node::Level& write, size_t write_region,
             const node::Level& read, size_t read_region) {
  auto w = node::need_of(write, replicas, write_region), r = node::need_of(read, replicas, read_region);
  if (!w.ok() || !r.ok()) return false;
  uint32_t all = 0;
  for (size_t i = 0; i < replicas.size(); ++i) {
    all += replicas[i];
    uint32_t here = (w->per_region.empty() ? 0 : w->per_region[i]) + (r->per_region.empty() ? 0 : r->per_region[i]);
    if (replicas[i] > 0 && here > replicas[i]) return true;
  }
  return w->total + r->total > all;
}

bool by_owners(const OpRecord& write, const OpRecord& read) {
  return write.reply.fallbacks == 0 && read.reply.fallbacks == 0;
}

Verdict check_fallbacks(const SimWorld& world) {
  for (const OpRecord& op : world.history().ops()) {
    if (op.reply.fallbacks > 0 && op.level.primaries && !node::observes(op.operation.verb))
      return "fallbacks counted for " + to_string(op);
    if (op.reply.fallbacks > 0 && !world.config().keyspaces[op.keyspace].fallbacks)
      return "fallbacks in a keyspace without: " + to_string(op);
  }
  return {};
}

bool excused_by_loss(const SimWorld& world, int64_t written_us, int64_t read_us, int64_t read_ended_us) {
  const auto& losses = world.history().losses();
  return std::any_of(losses.begin(), losses.end(), [&](const Loss& loss) {
    bool missing = loss.recovered_us < 0 || loss.recovered_us >= read_us;
    return loss.promised_nothing && written_us <= loss.at_us && loss.at_us <= read_ended_us && missing;
  });
}

bool excused_as_gone(const SimWorld& world, const OpRecord& op) {
  return std::any_of(op.events.begin(), op.events.end(),
                     [&](size_t index) { return excused_as_gone(world, world.history().events()[index], op.level); });
}

bool excused_as_gone(const SimWorld& world, const Event& event, const node::Level& level) {
  if (event.gone < 0 || !world.history().losses()[static_cast<size_t>(event.gone)].promised_nothing) return false;
  const auto& counts = world.replica_counts(event.partition.keyspace);
  return std::any_of(counts.begin(), counts.end(), [&](const std::vector<uint32_t>& replicas) {
    auto need = node::need_of(level, replicas, region_of(world, event.node));
    return !need.ok() || need->total <= 1;
  });
}

bool stays_in_region(const SimWorld& world, const OpRecord& read) {
  bool local = read.level.kind == node::Level::Kind::kLocalOne || read.level.kind == node::Level::Kind::kLocalQuorum;
  if (read.session != 0 && read.policy == node::SessionPolicy::kForward) return !local;
  return !local || world.replicas(read.keyspace)[region_of(world, read.node)] > 0;
}

namespace {

// The operations about one set that is only ever added to, removed from one by one, and read.
struct SetHistory {
  bool simple = true;
  std::map<std::string, std::vector<const OpRecord*>> adds, removes;  // by element
  std::vector<const OpRecord*> reads;
};

std::map<std::pair<uint16_t, std::string>, SetHistory> set_histories(const History& history) {
  std::map<std::pair<uint16_t, std::string>, SetHistory> sets;
  for (const OpRecord& op : history.ops()) {
    SetHistory& set = sets[{op.keyspace, op.operation.key}];
    switch (op.operation.verb) {
      case Verb::kSetAdd:
        for (const std::string& element : op.operation.args) set.adds[element].push_back(&op);
        break;
      case Verb::kSetRemove:
        for (const std::string& element : op.operation.args) set.removes[element].push_back(&op);
        break;
      case Verb::kSetAll:
        set.reads.push_back(&op);
        break;
      default:
        if (node::is_write(op.operation.verb)) set.simple = false;
        break;
    }
  }
  return sets;
}

// The region of the node that coordinated `op`, by what it coordinated; false if that is not known.
bool coordinator_region(const SimWorld& world, const OpRecord& op, size_t* region) {
  if (op.events.empty()) {
    if (!world.coordinated(op.node, op.partition)) return false;
    *region = region_of(world, op.node);  // a replica coordinates what it is asked
    return true;
  }
  *region = region_of(world, world.history().events()[op.events[0]].node);
  return true;
}

Verdict check_read(const SimWorld& world, const SetHistory& set, const OpRecord& read) {
  std::set<std::string> seen;
  for (const node::Value& value : read.reply.value.list) seen.insert(value.bytes);
  size_t here = region_of(world, read.node);
  auto visible_to_read = [&](const OpRecord& write) {
    size_t region = 0;
    return write.outcome == Outcome::kOk && write.ended_us < read.invoked_us && by_owners(write, read) &&
           coordinator_region(world, write, &region) &&
           overlap(world, read.keyspace, write.level, region, read.level, here) &&
           !excused_by_loss(world, write.invoked_us, read.invoked_us, read.ended_us) && !excused_as_gone(world, write);
  };
  for (const auto& [element, adds] : set.adds) {
    auto removes = set.removes.find(element);
    bool may_be_removed = removes != set.removes.end() &&
                          std::any_of(removes->second.begin(), removes->second.end(), [&](const OpRecord* remove) {
                            return remove->outcome != Outcome::kRefused && remove->invoked_us <= read.ended_us;
                          });
    if (!seen.contains(element)) {
      if (may_be_removed) continue;
      for (const OpRecord* add : adds) {
        if (visible_to_read(*add))
          return "'" + element + "' is missing in " + to_string(read) + ", added by " + to_string(*add);
      }
      continue;
    }
    if (adds.size() != 1 || removes == set.removes.end()) continue;
    for (const OpRecord* remove : removes->second) {
      bool removed =
          remove->operation.args.size() == 1 && remove->outcome == Outcome::kOk && remove->reply.value.integer == 1;
      if (removed && visible_to_read(*remove) && !removal_is_gone(world, *remove)) {
        return "'" + element + "' is back in " + to_string(read) + ", removed by " + to_string(*remove);
      }
    }
  }
  return {};
}

}  // namespace

Verdict check_levels(const SimWorld& world) {
  for (const auto& [key, set] : set_histories(world.history())) {
    if (!set.simple) continue;
    for (const OpRecord* read : set.reads) {
      if (read->outcome != Outcome::kOk || !stays_in_region(world, *read)) continue;
      if (Verdict wrong = check_read(world, set, *read)) return wrong;
    }
  }
  return {};
}

}  // namespace cartwheel::sim
