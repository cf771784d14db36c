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

void encode_reply(uint64_t id, const Status& status, const Value& value, std::string& out,
                  const RpcSessionReply* session) {
  const bool more = session != nullptr && status.ok();
  MsgWriter writer = begin(id, status.code(), out, more ? 6 : 4);
  if (status.ok()) {
    writer.nil();
    write_value(writer, value);
    if (!more) return;
    writer.str(session->token);
    writer.boolean(session->stale);
    return;
  }
  writer.str(status.message());
  writer.nil();
}

void encode_raw_reply(uint64_t id, std::string_view value, std::string& out) {
  begin(id, Code::kOk, out).nil();
  out.append(value);
}

}  // namespace cartwheel::node
