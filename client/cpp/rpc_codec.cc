#include "client/cpp/rpc_codec.h"

#include "base/check.h"
#include "base/msgpack.h"

namespace cartwheel::client {

namespace {

using node::Expiry;
using node::Operation;
using node::Value;
using node::VerbInfo;
using Type = MsgReader::Type;

// As node/fronts/rpc/request.h numbers them.
enum Option : uint8_t {
  kNumber = 1,
  kCount = 2,
  kExpiry = 3,
  kWantOld = 4,
  kLevel = 5,
  kTimeoutMs = 6,
  kToken = 7,
  kTokenPolicy = 8,
  kTokenWaitMs = 9,
  kWantFallbacks = 10
};

constexpr int kValueDepth = 4;  // a scan's reply is a list in a list

void write_options(MsgWriter& out, const Operation& op, const RpcOptions& options) {
  const VerbInfo* verb = node::verb_info(static_cast<uint64_t>(op.verb));
  CHECK(verb != nullptr);
  const bool number = verb->takes & VerbInfo::kNumber;
  const bool count = (verb->takes & VerbInfo::kCount) && op.count > 0;
  const bool expiry = verb->takes & VerbInfo::kExpiry;
  const bool want_old = (verb->takes & VerbInfo::kWantOld) && op.want_old;
  const auto pairs = static_cast<uint32_t>(number + count + expiry + want_old + options.level.has_value() +
                                           options.timeout_ms.has_value() + options.token.has_value() +
                                           options.token_policy.has_value() + options.token_wait_ms.has_value() +
                                           options.want_fallbacks);
  if (pairs == 0) return out.nil();
  out.map(pairs);
  if (number) {
    out.uint(kNumber);
    out.sint(op.number);
  }
  if (count) {
    out.uint(kCount);
    out.uint(op.count);
  }
  if (expiry) {
    out.uint(kExpiry);
    if (op.expiry.kind == Expiry::Kind::kKeep)
      out.nil();
    else
      out.sint(op.expiry.kind == Expiry::Kind::kNone ? -1 : op.expiry.at.ms);
  }
  if (want_old) {
    out.uint(kWantOld);
    out.boolean(true);
  }
  if (options.level) {
    out.uint(kLevel);
    out.str(*options.level);
  }
  if (options.timeout_ms) {
    out.uint(kTimeoutMs);
    out.uint(*options.timeout_ms);
  }
  if (options.token) {
    out.uint(kToken);
    out.str(*options.token);
  }
  if (options.token_policy) {
    out.uint(kTokenPolicy);
    out.str(*options.token_policy);
  }
  if (options.token_wait_ms) {
    out.uint(kTokenWaitMs);
    out.uint(*options.token_wait_ms);
  }
  if (options.want_fallbacks) {
    out.uint(kWantFallbacks);
    out.boolean(true);
  }
}

bool read_value(MsgReader& in, int depth, Value& value) {
  switch (in.peek()) {
    case Type::kNil:
      in.nil();
      return in.ok();
    case Type::kUint:
    case Type::kNegative:
      value = Value::Integer(in.sint());
      return in.ok();
    case Type::kBinary:
    case Type::kString:
      value = Value::Bytes(std::string(in.bytes()));
      return in.ok();
    case Type::kArray: {
      if (depth == 0) return false;
      value.kind = Value::Kind::kList;
      // Grows with what is there: an element may be one byte on the wire and a hundred here.
      for (uint32_t n = in.array(); in.ok() && n > 0; --n) {
        if (!read_value(in, depth - 1, value.list.emplace_back())) return false;
      }
      return in.ok();
    }
    default:
      return false;
  }
}

Code known_code(uint64_t code) {
  return code <= static_cast<uint64_t>(Code::kBadToken) ? static_cast<Code>(code) : Code::kUnknownOutcome;
}

}  // namespace

void encode_request(uint64_t id, std::string_view keyspace, const Operation& op, const RpcOptions& options,
                    std::string& out) {
  MsgWriter writer(out);
  writer.array(6);
  writer.uint(id);
  writer.str(keyspace);
  writer.uint(static_cast<uint64_t>(op.verb));
  writer.bin(op.key);
  writer.array(static_cast<uint32_t>(op.args.size()));
  for (const std::string& arg : op.args) writer.bin(arg);
  write_options(writer, op, options);
}

void encode_named_request(uint64_t id, std::string_view name, std::string_view document, std::string& out) {
  MsgWriter writer(out);
  writer.array(document.empty() ? 2 : 3);
  writer.uint(id);
  writer.str(name);
  if (!document.empty()) writer.bin(document);
}

Result<RpcReply> parse_reply(std::string_view payload) {
  MsgReader in(payload);
  RpcReply reply;
  const uint32_t elements = in.peek() == Type::kArray ? in.array() : 0;
  if (elements != 4 && elements != 6 && elements != 7)
    return Status::Corruption("a reply is an array of 4, 6 or 7 elements");
  reply.id = in.uint();
  reply.code = known_code(in.uint());
  if (in.peek() == Type::kNil)
    in.nil();
  else
    reply.message = in.bytes();
  const std::string_view rest = in.rest();
  in.skip();
  reply.value = rest.substr(0, rest.size() - in.rest().size());
  if (elements >= 6) {
    if (elements == 7 && in.peek() == Type::kNil)
      in.nil();
    else
      reply.token = in.bytes();
    reply.stale = in.boolean();
  }
  if (elements == 7) reply.fallbacks = in.uint();
  if (!in.done()) return Status::Corruption("the reply is malformed");
  return reply;
}

Result<Value> parse_value(std::string_view bytes) {
  MsgReader in(bytes);
  Value value;
  if (!read_value(in, kValueDepth, value) || !in.done()) return Status::Corruption("the value is malformed");
  return value;
}

}  // namespace cartwheel::client
