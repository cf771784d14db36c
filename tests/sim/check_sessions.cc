// A session, to this checker, is a key that is only ever set with an expiry, touched to later expiries, and read.
#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "crdt/path.h"
#include "tests/sim/checkers.h"

namespace cartwheel::sim {

using node::Expiry;
using node::Verb;

namespace {

struct Session {
  bool simple = true;
  int64_t longest_ms = 0;               // of all expiries that were asked for
  std::vector<const OpRecord*> writes;  // sets and touches
  std::vector<const OpRecord*> reads;
};

std::map<std::pair<uint16_t, std::string>, Session> sessions(const History& history) {
  std::map<std::pair<uint16_t, std::string>, Session> all;
  for (const OpRecord& op : history.ops()) {
    Session& session = all[{op.keyspace, op.operation.key}];
    bool sets = op.operation.verb == Verb::kSet || op.operation.verb == Verb::kExpire;
    if (sets && op.operation.expiry.kind == Expiry::Kind::kAt && op.operation.expiry.at.ms > session.longest_ms) {
      session.longest_ms = op.operation.expiry.at.ms;
      session.writes.push_back(&op);
    } else if (op.operation.verb == Verb::kGet) {
      session.reads.push_back(&op);
    } else if (node::is_write(op.operation.verb)) {
      session.simple = false;
    }
  }
  return all;
}

bool took_effect(const OpRecord& op) {
  return op.outcome == Outcome::kOk && (op.operation.verb == Verb::kSet || op.reply.value.integer == 1);
}

Verdict check_read(const SimWorld& world, const Session& session, const OpRecord& read) {
  bool there = read.reply.value.kind != node::Value::Kind::kNil;
  if (there && read.invoked_wall.ms > session.longest_ms + world.skew_ms() + 1) {
    return "read although it expired at " + std::to_string(session.longest_ms) + ": " + to_string(read);
  }
  if (there || !stays_in_region(world, read)) return {};
  // The longest life that this read must know of: a set and a touch, both acknowledged before, both overlapping.
  auto known = [&](const OpRecord& write) {
    if (!took_effect(write) || write.ended_us >= read.invoked_us || write.events.empty()) return false;
    size_t region = region_of(world, world.history().events()[write.events[0]].node);
    return by_owners(write, read) &&
           overlap(world, read.keyspace, write.level, region, read.level, region_of(world, read.node)) &&
           !excused_by_loss(world, write.invoked_us, read.invoked_us, read.ended_us) && !excused_as_gone(world, write);
  };
  bool set = false;
  int64_t expiry_ms = 0, known_us = -1;  // when the last of them was coordinated
  for (const OpRecord* write : session.writes) {
    if (!known(*write)) continue;
    set = set || write->operation.verb == Verb::kSet;
    expiry_ms = std::max(expiry_ms, write->operation.expiry.at.ms);
    known_us = std::max(known_us, world.history().events()[write->events.back()].at_us);
  }
  // A touch whose client had given up, and gone on to those, may have been coordinated behind them.
  for (const OpRecord* write : session.writes) {
    if (write->outcome != Outcome::kUnknown || write->events.empty()) continue;
    const int64_t at_us = world.history().events()[write->events.back()].at_us;
    if (at_us > known_us && at_us < read.ended_us) expiry_ms = std::min(expiry_ms, write->operation.expiry.at.ms);
  }
  if (set && read.ended_wall.ms < expiry_ms - world.skew_ms() - 1) {
    return "not found although it lives until " + std::to_string(expiry_ms) + ": " + to_string(read);
  }
  return {};
}

}  // namespace

Verdict check_sessions(SimWorld& world) {
  for (const auto& [id, session] : sessions(world.history())) {
    if (!session.simple || session.writes.empty()) continue;
    for (const OpRecord* read : session.reads) {
      if (read->outcome != Outcome::kOk) continue;
      if (Verdict wrong = check_read(world, session, *read)) return wrong;
    }
    Partition partition = world.partition_of(id.first, id.second);
    node::NodeIndex n = world.owners(partition)[0];
    auto alive = world.survivors(partition);
    if (!alive) continue;
    bool set = false, any_gone = false;
    const OpRecord* last = nullptr;
    int64_t last_us = -1, unknown_us = -1;  // when they were coordinated
    for (const OpRecord* write : session.writes) {
      bool survived = took_effect(*write) && !write->events.empty() &&
                      std::all_of(write->events.begin(), write->events.end(), [&](size_t index) {
                        return alive->contains(world.history().events()[index].change.dot);
                      });
      any_gone = any_gone || !survived;
      for (size_t index : write->events) {
        const Event& event = world.history().events()[index];
        if (survived || alive->contains(event.change.dot)) {
          int64_t& at = survived ? last_us : unknown_us;
          at = std::max(at, event.at_us);
        }
      }
      if (!survived) continue;
      // A touch that came when all before it had expired found what a write had made that is gone now.
      if (any_gone && last != nullptr && last->operation.expiry.at.ms <= write->ended_wall.ms + world.skew_ms()) {
        set = false;
      }
      set = set || write->operation.verb == Verb::kSet;
      last = write;
    }
    if (unknown_us > last_us) continue;  // whose client had given up, and gone on to the last one
    if (!set || last->operation.expiry.at.ms <= world.wall().ms + world.skew_ms()) continue;
    auto object = world.stripe_of(n, partition).stripe().inspect(partition.keyspace, id.second);
    if (!object.ok()) return "'" + id.second + "': " + object.status().to_string();
    const crdt::Leaf* leaf = object->find(crdt::path_step(crdt::Tag::kString));
    if (leaf == nullptr || leaf->entries.empty()) return "the session is lost that was kept by " + to_string(*last);
  }
  return {};
}

}  // namespace cartwheel::sim
