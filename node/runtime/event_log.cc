#include "node/runtime/event_log.h"

namespace cartwheel::node {

namespace {

using Kind = Output::Event::Kind;

EventLog::Line line_of(const Output::Event& event, const ClusterConfig& config) {
  EventLog::Line line{logs::Level::kWarning,
                      "",
                      config.keyspaces[event.partition.keyspace].name,
                      std::to_string(event.partition.arc),
                      event.peer == kNoNode ? "" : config.nodes[event.peer].name,
                      event.why};
  switch (event.kind) {
    case Kind::kQuarantined:
      line.message = "a partition is quarantined: out of service until it is rebuilt from another replica";
      break;
    case Kind::kUnreadable:
      line.level = logs::Level::kError;
      line.message = "rows of a partition cannot be read, and no other node has it";
      break;
    case Kind::kRebuilt:
      line.level = logs::Level::kInfo;
      line.message = "a quarantined partition was rebuilt: it is in service again";
      break;
    case Kind::kReleased:
      line.message = "a quarantined partition is in service again, and was not rebuilt";
      break;
    case Kind::kSalvaged:
      line.message = "a quarantined partition is in service again, with what its owners together could read";
      break;
    case Kind::kWaits:
      line.level = logs::Level::kError;
      line.message =
          "a quarantined partition waits: bring the other replicas up, or accept losses with 'cartwheel repair "
          "--now --accept-losses'";
      break;
    case Kind::kAlarm:
      line.message = "alarm: an exchange was stopped before it removed most of a partition";
      break;
    case Kind::kAlarmLifted:
      line.level = logs::Level::kInfo;
      line.message = "alarm lifted: the operator accepts the removals";
      break;
  }
  return line;
}

}  // namespace

std::vector<EventLog::Line> EventLog::lines(const Output& output, const ClusterConfig& config, Instant now) {
  std::vector<Line> lines;
  if (now >= window_end_) {
    if (left_out_ > 0) {
      lines.push_back({logs::Level::kWarning,
                       std::to_string(left_out_) + " more lines about partitions were left out: see 'cartwheel repair'",
                       "", "", "", ""});
    }
    written_ = left_out_ = 0;
    if (!output.events.empty()) window_end_ = now + kWindow;
  }
  for (const Output::Event& event : output.events) {
    if (written_ < kBurst) {
      ++written_;
      lines.push_back(line_of(event, config));
    } else {
      ++left_out_;
    }
  }
  left_out_ += output.events_left_out;
  return lines;
}

void EventLog::write(const Output& output, const ClusterConfig& config, Instant now) {
  if (output.events.empty() && left_out_ == 0) return;
  for (const Line& line : lines(output, config, now)) {
    const logs::Field keyspace{"keyspace", line.keyspace}, arc{"arc", line.arc}, from{"from", line.node},
        reason{"reason", line.reason};
    if (line.keyspace.empty()) {
      logs::write(line.level, line.message);
    } else if (line.node.empty() && line.reason.empty()) {
      logs::write(line.level, line.message, {keyspace, arc});
    } else if (line.node.empty()) {
      logs::write(line.level, line.message, {keyspace, arc, reason});
    } else if (line.reason.empty()) {
      logs::write(line.level, line.message, {keyspace, arc, from});
    } else {
      logs::write(line.level, line.message, {keyspace, arc, from, reason});
    }
  }
}

}  // namespace cartwheel::node
