#include "node/fronts/rpc/reply.h"

#include "base/msgpack.h"

namespace cartwheel::node {

namespace {

void write_value(MsgWriter& out, const Value& value) {
  switch (value.kind) {
    case Value::Kind::kNil:
      return out.nil();
    case Value::Kind::kInteger:
      return out.sint(value.integer);
    case Value::Kind::kBytes:
      return out.bin(value.bytes);
    case Value::Kind::kList:
      out.array(static_cast<uint32_t>(value.list.size()));
      for (const Value& element : value.list) write_value(out, element);
      return;
  }
}

MsgWriter begin(uint64_t id, Code code, std::string& out, uint32_t elements = 4) {
  MsgWriter writer(out);
  writer.array(elements);
  writer.uint(id);
  writer.uint(static_cast<uint64_t>(code));
  return writer;
}

}  // namespace

void encode_reply(uint64_t id, const Status& status, const Value& value, std::string& out, const RpcReplyMore& more) {
  if (!status.ok()) {
    MsgWriter writer = begin(id, status.code(), out);
    writer.str(status.message());
    return writer.nil();
  }
  const uint32_t elements = more.fallbacks ? 7 : more.token ? 6 : 4;
  MsgWriter writer = begin(id, Code::kOk, out, elements);
  writer.nil();
  write_value(writer, value);
  if (elements == 4) return;
  if (more.token)
    writer.str(*more.token);
  else
    writer.nil();
  writer.boolean(more.stale);
  if (more.fallbacks) writer.uint(*more.fallbacks);
}

void encode_raw_reply(uint64_t id, std::string_view value, std::string& out) {
  begin(id, Code::kOk, out).nil();
  out.append(value);
}

}  // namespace cartwheel::node
