#include "node/fronts/rpc/request.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/limits.h"
#include "base/msgpack.h"

namespace cartwheel::node {

namespace {

using Type = MsgReader::Type;

struct OptionInfo {
  std::string_view word;
  uint8_t takes;  // the verbs that have it; kNothing: all
};

constexpr std::array<OptionInfo, 11> kOptions = {{
    {"", 0},
    {"number", VerbInfo::kNumber},
    {"count", VerbInfo::kCount},
    {"expiry", VerbInfo::kExpiry},
    {"want_old", VerbInfo::kWantOld},
    {"level", VerbInfo::kNothing},
    {"timeout_ms", VerbInfo::kNothing},
    {"token", VerbInfo::kNothing},
    {"token_policy", VerbInfo::kNothing},
    {"token_wait_ms", VerbInfo::kNothing},
    {"want_fallbacks", VerbInfo::kNothing},
}};

constexpr uint32_t kDefaultScanCount = 10;

// What the options say of the client's session.
struct SessionOptions {
  std::optional<std::string_view> token;
  std::optional<SessionPolicy> policy;
  std::optional<Duration> patience;
};

// Bytes of a client as they may stand in a message: short, one line, ASCII.
std::string printable(std::string_view bytes) {
  std::string text(bytes.substr(0, 64));
  for (char& c : text) {
    if (c < 0x20 || c > 0x7e) c = '?';
  }
  return bytes.size() > text.size() ? text + "..." : text;
}

Status malformed(const std::string& what) {
  return Status::InvalidArgument("malformed request: " + what);
}

bool is_bytes(Type type) {
  return type == Type::kBinary || type == Type::kString;
}

Status read_bytes(MsgReader& in, const std::string& what, std::string_view& bytes) {
  if (!is_bytes(in.peek())) return malformed(what + " is not bytes");
  bytes = in.bytes();
  return in.ok() ? Status() : malformed(what + " is cut off");
}

Status read_uint(MsgReader& in, const std::string& what, uint64_t& number) {
  if (in.peek() != Type::kUint) return malformed(what + " is not an unsigned integer");
  number = in.uint();
  return in.ok() ? Status() : malformed(what + " is cut off");
}

Status read_int(MsgReader& in, const std::string& what, int64_t& number) {
  if (in.peek() != Type::kUint && in.peek() != Type::kNegative) return malformed(what + " is not an integer");
  number = in.sint();
  return in.ok() ? Status() : malformed(what + " is cut off or beyond 64 bits with a sign");
}

Status read_expiry(MsgReader& in, Now now, Expiry& expiry) {
  if (in.peek() == Type::kNil) {
    in.nil();
    expiry = {};
    return {};
  }
  int64_t at = 0;
  RETURN_IF_ERROR(read_int(in, "expiry", at));
  if (at == -1) {
    expiry = {Expiry::Kind::kNone, {}};
    return {};
  }
  if (at < 0)
    return Status::InvalidArgument("expiry: " + std::to_string(at) + " is no time since 1970 in milliseconds");
  if (at > now.wall.ms && at - now.wall.ms > limits::kTtlMs) {
    return Status::InvalidArgument("expiry: the longest time to live is " +
                                   std::to_string(limits::kTtlMs / 86'400'000) + " days");
  }
  expiry = {Expiry::Kind::kAt, WallTime{at}};
  return {};
}

Status read_option_key(MsgReader& in, RpcOption& option) {
  uint64_t number = 0;
  if (is_bytes(in.peek())) {
    std::string_view word;
    RETURN_IF_ERROR(read_bytes(in, "the name of an option", word));
    const auto* found =
        std::find_if(kOptions.begin() + 1, kOptions.end(), [&](const OptionInfo& info) { return info.word == word; });
    if (found == kOptions.end()) {
      return {Code::kUnsupported, "no option has the name '" + printable(word) + "'"};
    }
    number = static_cast<uint64_t>(found - kOptions.begin());
  } else {
    RETURN_IF_ERROR(read_uint(in, "the name of an option", number));
    if (number < 1 || number >= kOptions.size()) {
      return {Code::kUnsupported, "no option has the number " + std::to_string(number)};
    }
  }
  option = static_cast<RpcOption>(number);
  return {};
}

Status read_policy(MsgReader& in, std::optional<SessionPolicy>& policy) {
  std::string_view text;
  RETURN_IF_ERROR(read_bytes(in, "token_policy", text));
  if (text == "wait") {
    policy = SessionPolicy::kWait;
  } else if (text == "forward") {
    policy = SessionPolicy::kForward;
  } else if (text == "stale") {
    policy = SessionPolicy::kStale;
  } else {
    return Status::InvalidArgument("token_policy is wait, forward or stale, not '" + printable(text) + "'");
  }
  return {};
}

Status read_bool(MsgReader& in, const std::string& what, bool& value) {
  if (in.peek() != Type::kBool) return malformed(what + " is not a boolean");
  value = in.boolean();
  return {};
}

Status read_option(MsgReader& in, RpcOption option, Now now, RpcCall& call, SessionOptions& session) {
  Request& request = call.request;
  Operation& op = request.operation;
  switch (option) {
    case RpcOption::kNumber:
      return read_int(in, "number", op.number);
    case RpcOption::kCount: {
      uint64_t count = 0;
      RETURN_IF_ERROR(read_uint(in, "count", count));
      // validate() names the bound; here it only must survive the narrowing.
      op.count = static_cast<uint32_t>(std::min<uint64_t>(count, UINT32_MAX));
      return {};
    }
    case RpcOption::kExpiry:
      return read_expiry(in, now, op.expiry);
    case RpcOption::kWantOld:
      return read_bool(in, "want_old", op.want_old);
    case RpcOption::kLevel: {
      std::string_view text;
      RETURN_IF_ERROR(read_bytes(in, "level", text));
      Result<Level> level = Level::parse(printable(text));
      if (!level.ok()) return level.status();
      request.level = *level;
      return {};
    }
    case RpcOption::kTimeoutMs: {
      uint64_t timeout = 0;
      RETURN_IF_ERROR(read_uint(in, "timeout_ms", timeout));
      if (timeout < 1 || timeout > static_cast<uint64_t>(kRpcTimeoutMs)) {
        return Status::InvalidArgument("timeout_ms is outside 1 to " + std::to_string(kRpcTimeoutMs));
      }
      request.deadline = now.instant + Duration::millis(static_cast<int64_t>(timeout));
      return {};
    }
    case RpcOption::kToken:
      return read_bytes(in, "token", session.token.emplace());
    case RpcOption::kTokenPolicy:
      return read_policy(in, session.policy);
    case RpcOption::kTokenWaitMs: {
      uint64_t patience = 0;
      RETURN_IF_ERROR(read_uint(in, "token_wait_ms", patience));
      if (patience < 1 || patience > static_cast<uint64_t>(kRpcTimeoutMs)) {
        return Status::InvalidArgument("token_wait_ms is outside 1 to " + std::to_string(kRpcTimeoutMs));
      }
      session.patience = Duration::millis(static_cast<int64_t>(patience));
      return {};
    }
    case RpcOption::kWantFallbacks:
      return read_bool(in, "want_fallbacks", call.want_fallbacks);
  }
  return malformed("an option");
}

Status read_options(MsgReader& in, const VerbInfo& verb, Now now, RpcCall& call, SessionOptions& session) {
  if (in.peek() == Type::kNil) {
    in.nil();
    return {};
  }
  if (in.peek() != Type::kMap) return malformed("the options are neither a map nor nil");
  const uint32_t pairs = in.map();
  if (!in.ok()) return malformed("the options are cut off");
  unsigned seen = 0;
  for (uint32_t i = 0; i < pairs; ++i) {
    RpcOption option{};
    RETURN_IF_ERROR(read_option_key(in, option));
    const OptionInfo& info = kOptions[static_cast<size_t>(option)];
    const unsigned bit = 1u << static_cast<unsigned>(option);
    if (seen & bit) return Status::InvalidArgument("option " + std::string(info.word) + " is given twice");
    seen |= bit;
    if (info.takes != 0 && (verb.takes & info.takes) == 0) {
      return Status::InvalidArgument(std::string(verb.name) + ": it does not take the option " +
                                     std::string(info.word));
    }
    RETURN_IF_ERROR(read_option(in, option, now, call, session));
  }
  return {};
}

Status read_arguments(MsgReader& in, std::vector<std::string>& args) {
  if (in.peek() != Type::kArray) return malformed("the arguments are not an array");
  const uint32_t count = in.array();
  if (!in.ok()) return malformed("the arguments are cut off");
  if (count > limits::kRequestArguments) {
    return {Code::kTooLarge,
            std::to_string(count) + " arguments, the limit is " + std::to_string(limits::kRequestArguments)};
  }
  args.reserve(count);
  for (uint32_t i = 0; i < count; ++i) {
    if (!is_bytes(in.peek())) return malformed("argument " + std::to_string(i + 1) + " is not bytes");
    args.emplace_back(in.bytes());
    if (!in.ok()) return malformed("argument " + std::to_string(i + 1) + " is cut off");
  }
  return {};
}

Status find_keyspace(const ClusterConfig& cluster, std::string_view name, uint16_t& index) {
  for (size_t i = 0; i < cluster.keyspaces.size(); ++i) {
    if (cluster.keyspaces[i].name != name) continue;
    index = static_cast<uint16_t>(i);
    return {};
  }
  return {Code::kNotFound, "no keyspace is called '" + printable(name) + "'"};
}

// What the token demands of the request's partition. An empty token begins a session.
Status begin_session(const SessionOptions& session, const ClusterConfig& cluster, RpcCall& call) {
  if (!session.token) {
    if (!session.policy && !session.patience) return {};
    return Status::InvalidArgument("token_policy and token_wait_ms are of a token, which is missing");
  }
  if (session.policy == SessionPolicy::kStale && session.patience) {
    return Status::InvalidArgument("token_wait_ms: with token_policy stale nothing waits");
  }
  auto token = std::make_unique<SessionToken>();
  if (!session.token->empty()) {
    auto parsed = SessionToken::parse(*session.token, cluster.name);
    if (!parsed.ok()) return parsed.status();
    *token = std::move(*parsed);
  }
  Request& request = call.request;
  auto demand = std::make_shared<SessionDemand>(
      token->demand(request.keyspace, arc_of(request.operation.key, cluster.partitions)));
  demand->policy = session.policy.value_or(SessionPolicy::kWait);
  demand->patience = session.patience.value_or(Duration{});
  request.session = std::move(demand);
  call.token = std::move(token);
  return {};
}

Status read_operation(MsgReader& in, const ClusterConfig& cluster, Now now, RpcCall& call) {
  Request& request = call.request;
  SessionOptions session;
  std::string_view keyspace, key;
  uint64_t number = 0;
  RETURN_IF_ERROR(read_bytes(in, "the keyspace", keyspace));
  RETURN_IF_ERROR(read_uint(in, "the verb", number));
  const VerbInfo* verb = verb_info(number);
  if (verb == nullptr) return {Code::kUnsupported, "no verb has the number " + std::to_string(number)};
  Operation& op = request.operation;
  op.verb = static_cast<Verb>(number);
  if (verb->takes & VerbInfo::kCount) op.count = kDefaultScanCount;
  if (op.verb == Verb::kSet) op.expiry.kind = Expiry::Kind::kNone;
  RETURN_IF_ERROR(read_bytes(in, "the key", key));
  RETURN_IF_ERROR(read_arguments(in, op.args));
  RETURN_IF_ERROR(read_options(in, *verb, now, call, session));
  if (!in.ok()) return malformed("it is cut off");
  if (!in.done()) return malformed("bytes behind the request");

  RETURN_IF_ERROR(find_keyspace(cluster, keyspace, request.keyspace));
  if (key.size() <= limits::kKeyBytes) {
    op.key = key;
  } else {
    return {Code::kTooLarge, std::string(verb->name) + ": a key of " + std::to_string(key.size()) +
                                 " bytes, the limit is " + std::to_string(limits::kKeyBytes)};
  }
  RETURN_IF_ERROR(validate(op));
  if (op.verb == Verb::kCountKeys && op.number >= int64_t{cluster.partitions}) {
    return Status::InvalidArgument("count_keys: there are " + std::to_string(cluster.partitions) + " arcs");
  }
  return begin_session(session, cluster, call);
}

Status read_named(MsgReader& in, RpcCall& call) {
  std::string_view name;
  RETURN_IF_ERROR(read_bytes(in, "the name of the request", name));
  if (name == "admin") {
    call.kind = RpcCall::Kind::kAdmin;
    RETURN_IF_ERROR(read_bytes(in, "the document", call.document));
  }
  if (!in.done()) return malformed("bytes behind the request");
  if (name == "admin") return {};
  if (name == "ping") {
    call.kind = RpcCall::Kind::kPing;
  } else if (name == "status") {
    call.kind = RpcCall::Kind::kStatus;
  } else if (name == "topology") {
    call.kind = RpcCall::Kind::kTopology;
  } else if (name == "watch") {
    call.kind = RpcCall::Kind::kWatch;
  } else {
    return {Code::kUnsupported, "no request is called '" + printable(name) + "'"};
  }
  return {};
}

}  // namespace

Status decode_call(std::string_view payload, const ClusterConfig& cluster, Now now, Duration default_timeout,
                   RpcCall& call) {
  MsgReader in(payload);
  if (in.peek() != Type::kArray) return malformed("it is not an array");
  const uint32_t elements = in.array();
  uint64_t id = 0;
  if (!in.ok() || elements == 0) return malformed("it has no id");
  RETURN_IF_ERROR(read_uint(in, "the id", id));
  call.id = id;
  if (payload.size() > limits::kRequestBytes) {
    return {Code::kTooLarge, "a request of " + std::to_string(payload.size()) + " bytes, the limit is " +
                                 std::to_string(limits::kRequestBytes)};
  }
  if (elements == 2 || elements == 3) return read_named(in, call);
  if (elements != 6)
    return malformed(std::to_string(elements) + " elements, an operation has 6 and a named request 2 or 3");
  call.kind = RpcCall::Kind::kOperation;
  call.request.deadline = now.instant + default_timeout;
  return read_operation(in, cluster, now, call);
}

}  // namespace cartwheel::node
