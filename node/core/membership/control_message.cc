#include "node/core/membership/control_message.h"

#include "base/codec.h"

namespace cartwheel::node {

namespace {

constexpr uint8_t kReady = 1, kDraining = 2, kDeparted = 4;
constexpr uint8_t kSettled = 1, kVotes = 2, kAsks = 4;

void put_report(Encoder& out, const MemberReport& report) {
  out.u8(static_cast<uint8_t>((report.ready ? kReady : 0) | (report.draining ? kDraining : 0) |
                              (report.ring.departed ? kDeparted : 0)));
  for (uint64_t number :
       {report.ring.epoch, report.ring.leftovers, report.bytes_done, report.bytes_to_do, report.keys, report.disk_bytes,
        report.memory_bytes, report.uptime_seconds, report.quarantined, report.alarms}) {
    out.varint(number);
  }
  out.varint(report.ring.steps.size());
  for (const auto& [id, step] : report.ring.steps) {
    out.varint(id.keyspace);
    out.varint(id.arc);
    out.varint(step.since);
    out.u8(step.done ? 1 : 0);
  }
}

MemberReport read_report(Decoder& in) {
  MemberReport report;
  const uint8_t flags = in.u8();
  if (flags > (kReady | kDraining | kDeparted)) in.fail();
  report.ready = (flags & kReady) != 0;
  report.draining = (flags & kDraining) != 0;
  report.ring.departed = (flags & kDeparted) != 0;
  for (uint64_t* number :
       {&report.ring.epoch, &report.ring.leftovers, &report.bytes_done, &report.bytes_to_do, &report.keys,
        &report.disk_bytes, &report.memory_bytes, &report.uptime_seconds, &report.quarantined, &report.alarms}) {
    *number = in.varint();
  }
  for (size_t n = in.count(4); n > 0 && in.ok(); --n) {
    const uint64_t keyspace = in.varint(), arc = in.varint(), since = in.varint();
    const uint8_t done = in.u8();
    if (keyspace > UINT16_MAX || arc > UINT16_MAX || done > 1) in.fail();
    const PartitionId id{static_cast<uint16_t>(keyspace), static_cast<uint32_t>(arc)};
    report.ring.steps[id] = {id, since, done == 1};
  }
  return report;
}

}  // namespace

std::string ControlMessage::encode() const {
  std::string bytes;
  Encoder out(bytes);
  out.u8(static_cast<uint8_t>(type));
  switch (type) {
    case ControlType::kHave:
      out.varint(epoch);
      out.u64(identity);
      out.u64(formation);
      out.u8(static_cast<uint8_t>((settled ? kSettled : 0) | (votes ? kVotes : 0) | (asks ? kAsks : 0)));
      break;
    case ControlType::kFetch:
    case ControlType::kAskReport:
      break;
    case ControlType::kConfig:
    case ControlType::kPaxos:
    case ControlType::kGossip:
      out.raw(body);
      break;
    case ControlType::kReport:
      put_report(out, report);
      break;
  }
  return bytes;
}

Result<ControlMessage> ControlMessage::decode(std::string_view bytes) {
  Decoder in(bytes);
  const uint8_t type = in.u8();
  if (type < static_cast<uint8_t>(ControlType::kHave) || type > static_cast<uint8_t>(ControlType::kGossip)) {
    return Status::Corruption("a control message of an unknown type");
  }
  ControlMessage message(static_cast<ControlType>(type));
  switch (message.type) {
    case ControlType::kHave: {
      message.epoch = in.varint();
      message.identity = in.u64();
      message.formation = in.u64();
      const uint8_t flags = in.u8();
      if (flags > (kSettled | kVotes | kAsks)) in.fail();
      message.settled = (flags & kSettled) != 0;
      message.votes = (flags & kVotes) != 0;
      message.asks = (flags & kAsks) != 0;
      break;
    }
    case ControlType::kFetch:
    case ControlType::kAskReport:
      break;
    case ControlType::kConfig:
    case ControlType::kPaxos:
    case ControlType::kGossip:
      message.body = in.raw(in.rest().size());
      break;
    case ControlType::kReport:
      message.report = read_report(in);
      break;
  }
  if (!in.done()) return Status::Corruption("a control message does not decode");
  return message;
}

}  // namespace cartwheel::node
