#include "client/bench/rpc_protocol.h"

#include <chrono>

#include "base/check.h"
#include "base/limits.h"
#include "client/bench/names.h"
#include "client/cpp/rpc_codec.h"
#include "node/runtime/frame.h"

namespace cartwheel::bench {
namespace {

using node::Verb;

std::string name(std::string_view prefix, uint64_t number) {
  std::string out;
  append_name_bytes(prefix, number, out);
  return out;
}

WallTime end_of_session() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return {std::chrono::duration_cast<std::chrono::milliseconds>(now).count() + int64_t{kSessionTtlSeconds} * 1000};
}

node::Operation translate(const Operation& op, const Values& values) {
  node::Operation out;
  const auto value = [&] {
    std::string bytes;
    values.append(op.key, op.size, bytes);
    return bytes;
  };
  const auto on = [&](Verb verb, std::string_view prefix) {
    out.verb = verb;
    out.key = name(prefix, op.key);
  };
  switch (op.kind) {
    case OpKind::kGet:
      on(Verb::kGet, kStringKey);
      break;
    case OpKind::kSet:
    case OpKind::kSetExpiring:
      on(Verb::kSet, kStringKey);
      out.args = {value()};
      out.expiry.kind = node::Expiry::Kind::kNone;
      if (op.kind == OpKind::kSetExpiring) out.expiry = {node::Expiry::Kind::kAt, end_of_session()};
      break;
    case OpKind::kDel:
      on(Verb::kDelete, kStringKey);
      break;
    case OpKind::kIncr:
      on(Verb::kIncrement, kCounterKey);
      out.number = 1;
      break;
    case OpKind::kCartRead:
      on(Verb::kMapAll, kCartKey);
      break;
    case OpKind::kCartLine:
      on(Verb::kMapSet, kCartKey);
      out.args = {name(kLineField, op.detail), value()};
      break;
    case OpKind::kCartRemove:
      on(Verb::kMapRemove, kCartKey);
      out.args = {name(kLineField, op.detail)};
      break;
    case OpKind::kCartIncrement:
      on(Verb::kMapIncrement, kCartKey);
      out.args = {name(kQuantityField, op.detail)};
      out.number = 1;
      break;
    case OpKind::kSetAdd:
    case OpKind::kSetRemove:
      on(op.kind == OpKind::kSetAdd ? Verb::kSetAdd : Verb::kSetRemove, kSetKey);
      out.args = {name(kMember, op.detail)};
      break;
    case OpKind::kFillCart:
      on(Verb::kMapSet, kCartKey);
      for (uint64_t line = 0; line < op.detail; ++line) {
        out.args.push_back(name(kLineField, line));
        out.args.push_back(value());
      }
      break;
    case OpKind::kFillSet:
      on(Verb::kSetAdd, kSetKey);
      for (uint64_t i = 0; i < op.size; ++i) out.args.push_back(name(kMember, op.detail + i));
      break;
    case OpKind::kSetWait:
      CHECK(false);
  }
  return out;
}

class RpcReader final : public ReplyReader {
 public:
  explicit RpcReader(bool capture_strings) : capture_strings_(capture_strings), frames_(limits::kFrameBytes) {}

  bool feed(std::string_view bytes, ReplySink& sink) override {
    frames_.feed(bytes);
    node::Frame frame;
    for (;;) {
      switch (frames_.next(frame)) {
        case node::FrameDecoder::Outcome::kNeedMore:
          frames_.park();
          return true;
        case node::FrameDecoder::Outcome::kError:
          return false;
        case node::FrameDecoder::Outcome::kFrame:
          if (!on_frame(frame, sink)) return false;
      }
    }
  }

 private:
  bool on_frame(const node::Frame& frame, ReplySink& sink) {
    if (!greeted_) {
      greeted_ = frame.kind == node::FrameKind::kHello && node::decode_hello(frame.payload).ok();
      if (greeted_) sink.on_reply(Reply{});
      return greeted_;
    }
    if (frame.kind != node::FrameKind::kReply) return false;
    const Result<client::RpcReply> parsed = client::parse_reply(frame.payload);
    if (!parsed.ok() || parsed->id == Reply::kOldest) return false;
    Reply reply{.kind = ReplyKind::kValue, .text = {}, .sequence = parsed->id};
    std::string text;
    if (parsed->code != Code::kOk) {
      reply.kind = ReplyKind::kError;
      text = std::string(code_name(parsed->code)) + " " + std::string(parsed->message.substr(0, 256));
    } else if (parsed->value == "\xc0") {
      reply.kind = ReplyKind::kNil;
    } else if (capture_strings_) {
      Result<node::Value> value = client::parse_value(parsed->value);
      if (!value.ok()) return false;
      text = std::move(value->bytes);
    }
    reply.text = text;
    sink.on_reply(reply);
    return true;
  }

  const bool capture_strings_;
  node::FrameDecoder frames_;
  bool greeted_ = false;
};

}  // namespace

unsigned RpcProtocol::greet(std::string& out) const {
  node::append_frame(out, node::FrameKind::kHello, 0, node::encode(node::Hello{}));
  return 1;
}

unsigned RpcProtocol::encode(const Operation& operation, uint64_t sequence, std::string& out) const {
  std::string payload;
  client::encode_request(sequence, keyspace_, translate(operation, values_), {}, payload);
  node::append_frame(out, node::FrameKind::kRequest, 0, payload);
  return 1;
}

std::unique_ptr<ReplyReader> RpcProtocol::new_reader(bool capture_strings) const {
  return std::make_unique<RpcReader>(capture_strings);
}

}  // namespace cartwheel::bench
