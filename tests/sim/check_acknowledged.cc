#include <map>
#include <string>
#include <utility>

#include "tests/sim/checkers.h"

namespace cartwheel::sim {

using node::Verb;

namespace {

// Whether an acknowledgement with this value claims that something was written. An expiry that has passed removes.
bool claims_a_write(const SimWorld& world, const OpRecord& op) {
  const node::Expiry& expiry = op.operation.expiry;
  if (expiry.kind == node::Expiry::Kind::kAt && expiry.at.ms <= op.ended_wall.ms + world.skew_ms()) return false;
  switch (op.operation.verb) {
    case Verb::kSet:
    case Verb::kIncrement:
    case Verb::kMapSet:
    case Verb::kMapIncrement:
    case Verb::kSetAdd:
      return true;
    case Verb::kExpire:
      return op.reply.value.integer == 1;
    case Verb::kGetExpire:
      return op.reply.value.kind != node::Value::Kind::kNil;
    default:
      return false;
  }
}

// What an operation writes that can be recognised in a read, with its key.
std::vector<std::pair<std::string, std::string>> contents(const OpRecord& op) {
  std::vector<std::pair<std::string, std::string>> out;
  const auto& args = op.operation.args;
  if (op.operation.verb == Verb::kSet) out.emplace_back(op.operation.key, args[0]);
  if (op.operation.verb == Verb::kMapSet) {
    for (size_t i = 1; i < args.size(); i += 2) out.emplace_back(op.operation.key, args[i]);
  }
  if (op.operation.verb == Verb::kSetAdd) {
    for (const std::string& element : args) out.emplace_back(op.operation.key, element);
  }
  return out;
}

}  // namespace

Verdict check_acknowledged(SimWorld& world) {
  const History& history = world.history();
  std::map<std::pair<std::string, std::string>, std::pair<int, const OpRecord*>> writers;  // of a content: how many
  for (const OpRecord& op : history.ops()) {
    for (const auto& content : contents(op)) {
      auto& [count, writer] = writers[content];
      ++count;
      writer = &op;
    }
    for (size_t index : op.events) {
      const Event& event = history.events()[index];
      if (op.outcome == Outcome::kRefused && event.written) return "refused, yet coordinated: " + to_string(op);
    }
    if (op.deltas > 1 && (op.operation.verb == Verb::kIncrement || op.operation.verb == Verb::kMapIncrement)) {
      return "coordinated " + std::to_string(op.deltas) + " times: " + to_string(op);
    }
    if (op.outcome != Outcome::kOk || !op.traceable() || !claims_a_write(world, op)) continue;
    if (op.events.empty()) return "acknowledged, but nobody coordinated it: " + to_string(op);
    for (size_t index : op.events) {
      const Event& event = history.events()[index];
      for (node::NodeIndex n : world.owners(event.partition)) {
        if (world.stripe_of(n, event.partition).clock(event.partition).contains(event.change.dot)) continue;
        if (!event.logged) continue;  // no clock needs to have it; check_oracle looks at what is there
        if (excused_as_gone(world, event, op.level)) continue;
        return "acknowledged, but dot " + to_string(event.change.dot) + " is not at " + world.config().nodes[n].name +
               ": " + to_string(op);
      }
    }
  }

  auto refused = [&](const OpRecord& read, const std::string& content) -> Verdict {
    // A number may come about by increments.
    if (content.find_first_not_of("-0123456789") == std::string::npos) return {};
    auto it = writers.find({read.operation.key, content});
    if (it == writers.end() || it->second.first != 1 || it->second.second->outcome != Outcome::kRefused) return {};
    return "read by " + to_string(read) + " although refused: " + to_string(*it->second.second);
  };
  for (const OpRecord& read : history.ops()) {
    if (read.outcome != Outcome::kOk) continue;
    if (Verdict wrong = refused(read, read.reply.value.bytes)) return wrong;
    for (const node::Value& value : read.reply.value.list) {
      if (Verdict wrong = refused(read, value.bytes)) return wrong;
    }
  }
  return {};
}

Verdict check_answered(const SimWorld& world) {
  for (const OpRecord& op : world.history().ops()) {
    if (op.outcome == Outcome::kPending) return "never answered: " + to_string(op);
  }
  if (uint64_t waiting = world.total(&node::StripeStats::pending_operations); waiting > 0) {
    return std::to_string(waiting) + " operations are still pending inside";
  }
  return {};
}

Verdict check_understood(const SimWorld& world) {
  const uint64_t n = world.total(&node::StripeStats::unknown_messages);
  return n > 0 ? std::to_string(n) + " messages were not understood" : Verdict();
}

Verdict check_healthy(const SimWorld& world) {
  for (const OpRecord& op : world.history().ops()) {
    if (op.outcome == Outcome::kUnknown || op.reply.status.code() == Code::kUnavailable ||
        op.reply.status.code() == Code::kOverloaded) {
      return "without a fault: " + to_string(op);
    }
  }
  if (uint64_t n = world.total(&node::StripeStats::catch_up_deltas); n > 0) {
    return "without a fault " + std::to_string(n) + " deltas had to be caught up with";
  }
  if (uint64_t n = world.total(&node::StripeStats::read_repair_told); n > 0) {
    return "without a fault " + std::to_string(n) + " replicas were told that they are behind";
  }
  if (uint64_t n = world.total(&node::StripeStats::full_exchanges); n > 0) {
    return "without a fault there were " + std::to_string(n) + " full exchanges";
  }
  if (uint64_t n = world.total(&node::StripeStats::rejected_messages); n > 0) {
    return "without a fault " + std::to_string(n) + " messages were rejected";
  }
  return {};
}

}  // namespace cartwheel::sim
