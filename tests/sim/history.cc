#include "tests/sim/history.h"

#include <utility>

#include "base/check.h"
#include "crdt/path.h"

namespace cartwheel::sim {

using node::Verb;

namespace {

Outcome outcome_of(const Status& status) {
  if (status.ok()) return Outcome::kOk;
  return status.code() == Code::kUnknownOutcome ? Outcome::kUnknown : Outcome::kRefused;
}

std::string tag(char kind, const std::string& key, std::string_view path, std::string_view content) {
  std::string out(1, kind);
  for (std::string_view part : {std::string_view(key), path, content}) out.append(part).push_back('\0');
  return out;
}

std::string expiry_content(int64_t at_ms) {
  std::string content;
  Encoder(content).u64(static_cast<uint64_t>(at_ms));
  return content;
}

}  // namespace

std::string to_string(const OpRecord& op) {
  static const std::map<Verb, const char*> kNames = {{Verb::kGet, "get"},
                                                     {Verb::kExists, "exists"},
                                                     {Verb::kType, "type"},
                                                     {Verb::kTtl, "ttl"},
                                                     {Verb::kMapGet, "map_get"},
                                                     {Verb::kMapAll, "map_all"},
                                                     {Verb::kMapLength, "map_length"},
                                                     {Verb::kMapKeys, "map_keys"},
                                                     {Verb::kMapScan, "map_scan"},
                                                     {Verb::kSetHas, "set_has"},
                                                     {Verb::kSetAll, "set_all"},
                                                     {Verb::kSetSize, "set_size"},
                                                     {Verb::kSetScan, "set_scan"},
                                                     {Verb::kScanKeys, "scan_keys"},
                                                     {Verb::kCountKeys, "count_keys"},
                                                     {Verb::kFlagGet, "flag_get"},
                                                     {Verb::kSet, "set"},
                                                     {Verb::kIncrement, "increment"},
                                                     {Verb::kMapSet, "map_set"},
                                                     {Verb::kMapIncrement, "map_increment"},
                                                     {Verb::kSetAdd, "set_add"},
                                                     {Verb::kFlagSet, "flag_set"},
                                                     {Verb::kDelete, "delete"},
                                                     {Verb::kExpire, "expire"},
                                                     {Verb::kMapRemove, "map_remove"},
                                                     {Verb::kSetRemove, "set_remove"},
                                                     {Verb::kGetDelete, "get_delete"},
                                                     {Verb::kGetExpire, "get_expire"}};
  static const char* const kOutcomes[] = {"pending", "ok", "refused", "unknown"};
  auto name = kNames.find(op.operation.verb);
  std::string text =
      "op " + std::to_string(op.id) + " " + (name == kNames.end() ? "?" : name->second) + " '" + op.operation.key + "'";
  for (const std::string& arg : op.operation.args) text += " " + arg.substr(0, 24);
  if (op.operation.number != 0) text += " #" + std::to_string(op.operation.number);
  if (op.operation.expiry.kind == node::Expiry::Kind::kAt) {
    text += " expiry " + std::to_string(op.operation.expiry.at.ms);
  }
  if (op.session != 0) {
    static const char* const kPolicies[] = {"wait", "forward", "stale"};
    text += " session " + std::to_string(op.session) + " " + kPolicies[static_cast<int>(op.policy)];
  }
  text += " level " + op.level.to_string() + " at node " + std::to_string(op.node) + ": " +
          kOutcomes[static_cast<int>(op.outcome)];
  if (op.outcome != Outcome::kPending && !op.reply.status.ok()) text += " (" + op.reply.status.to_string() + ")";
  return text + " [" + std::to_string(op.invoked_us) + ", " + std::to_string(op.ended_us) + "] us";
}

OpRecord& History::invoke(uint16_t keyspace, node::Operation operation, node::Level level, node::NodeIndex node,
                          Partition partition, int64_t now_us, WallTime wall, uint64_t session,
                          node::SessionPolicy policy) {
  OpRecord& op = ops_.emplace_back();
  op.id = ops_.size();
  op.keyspace = keyspace;
  op.operation = std::move(operation);
  op.level = level;
  op.node = node;
  op.partition = partition;
  op.session = session;
  op.policy = policy;
  op.invoked_us = now_us;
  op.invoked_wall = wall;
  for (const std::string& each : tags_of(op.operation)) add_tag(each, op);
  return op;
}

void History::answer(uint64_t id, const node::Reply& reply, int64_t now_us, WallTime wall) {
  OpRecord& op = ops_[id - 1];
  if (++op.answers > 1) {
    violate("answered twice: " + to_string(op));
    return;
  }
  if (op.outcome != Outcome::kPending) return;  // the client had given up on the connection
  op.outcome = outcome_of(reply.status);
  op.reply = reply;
  op.ended_us = now_us;
  op.ended_wall = wall;
}

void History::abandon(uint64_t id, int64_t now_us, WallTime wall) {
  OpRecord& op = ops_[id - 1];
  if (op.outcome != Outcome::kPending) return;
  op.outcome = Outcome::kUnknown;
  op.reply.status = Status(Code::kUnknownOutcome, "the connection broke");
  op.ended_us = now_us;
  op.ended_wall = wall;
}

std::vector<size_t> History::coordinated(Partition partition, const crdt::Delta& delta, node::NodeIndex node,
                                         int64_t now_us, bool logged) {
  std::vector<size_t> added;
  uint64_t owner = 0;
  for (const crdt::Change& change : delta.changes) {
    Event event;
    event.partition = partition;
    event.key = delta.key;
    event.change = change;
    event.node = node;
    event.at_us = now_us;
    event.logged = logged;
    if (change.increment) {
      auto chain = std::tuple(partition, delta.key, change.path, change.dot.actor, change.increment->start);
      int64_t& total = chain_totals_[chain];
      event.amount = change.increment->total - total;
      total = change.increment->total;
    }
    if (auto its = tag_of(event); its && owner == 0) owner = op_of_tag(*its);

    auto [place, is_new] = by_dot_.try_emplace({partition, change.dot}, events_.size());
    if (!is_new) {
      const Event& before = events_[place->second];
      if (before.written) {
        violate("dot " + to_string(change.dot) + " used twice in arc " + std::to_string(partition.arc) + ", for '" +
                before.key + "' at " + std::to_string(before.at_us) + " us and for '" + delta.key + "' at " +
                std::to_string(now_us) + " us");
      }
      place->second = events_.size();
    }
    by_partition_[partition].push_back(events_.size());
    added.push_back(events_.size());
    events_.push_back(std::move(event));
  }
  if (owner != 0) {
    OpRecord& op = ops_[owner - 1];
    ++op.deltas;
    for (size_t index : added) {
      events_[index].op = owner;
      op.events.push_back(index);
    }
  }
  return added;
}

const Event* History::find(Partition partition, const crdt::Dot& dot) const {
  auto it = by_dot_.find({partition, dot});
  return it == by_dot_.end() ? nullptr : &events_[it->second];
}

Event* History::find(Partition partition, const crdt::Dot& dot) {
  return const_cast<Event*>(std::as_const(*this).find(partition, dot));
}

void History::add_tag(const std::string& tag_text, OpRecord& op) {
  auto [place, is_new] = tags_.try_emplace(tag_text, op.id);
  if (is_new) {
    ++op.unique_tags;
  } else if (place->second != op.id) {
    if (place->second != 0) --ops_[place->second - 1].unique_tags;
    place->second = 0;
  }
}

uint64_t History::op_of_tag(const std::string& tag_text) const {
  auto it = tags_.find(tag_text);
  return it == tags_.end() ? 0 : it->second;
}

std::vector<std::string> History::tags_of(const node::Operation& operation) const {
  std::vector<std::string> tags;
  const std::vector<std::string>& args = operation.args;
  switch (operation.verb) {
    case Verb::kSet:
      tags.push_back(tag('p', operation.key, crdt::path_step(crdt::Tag::kString), args.at(0)));
      break;
    case Verb::kMapSet:
      for (size_t i = 0; i + 1 < args.size(); i += 2) {
        tags.push_back(tag('p', operation.key, crdt::field_path(args[i]), args[i + 1]));
      }
      break;
    case Verb::kSetAdd:
      for (const std::string& element : args) {
        tags.push_back(tag('p', operation.key, crdt::path_step(crdt::Tag::kElement, element), ""));
      }
      break;
    case Verb::kIncrement:
      tags.push_back(tag('i', operation.key, crdt::path_step(crdt::Tag::kString), std::to_string(operation.number)));
      break;
    case Verb::kMapIncrement:
      tags.push_back(tag('i', operation.key, crdt::field_path(args.at(0)), std::to_string(operation.number)));
      break;
    default:
      break;
  }
  if (operation.expiry.kind == node::Expiry::Kind::kAt) {
    tags.push_back(
        tag('p', operation.key, crdt::path_step(crdt::Tag::kExpiry), expiry_content(operation.expiry.at.ms)));
  }
  return tags;
}

std::optional<std::string> History::tag_of(const Event& event) const {
  if (event.change.puts) return tag('p', event.key, event.change.path, event.change.value);
  if (event.change.increment) return tag('i', event.key, event.change.path, std::to_string(event.amount));
  return {};
}

void History::folded(Partition partition, const crdt::Clock& clock, const crdt::Actor& actor, uint64_t hash) {
  const crdt::Clock all = unfolded(partition, clock);
  crdt::DotSet dots;
  for (const auto& row : all.rows()) {
    if (row.actor.node != actor.node || actor < row.actor) continue;
    for (const auto& interval : row.intervals) dots.add(row.actor, interval);
  }
  auto [it, first] = folds_.try_emplace({partition, actor, hash}, dots);
  if (!first && it->second != dots) violate("one fold up to " + to_string(crdt::Dot{actor, 0}) + " for different dots");
}

crdt::Clock History::unfolded(Partition partition, const crdt::Clock& clock) const {
  crdt::Clock dots = clock.without_folds();
  for (const auto& row : clock.rows()) {
    if (row.fold != 0) dots.merge(folds_.at({partition, row.actor, row.fold}));
  }
  return dots;
}

}  // namespace cartwheel::sim
