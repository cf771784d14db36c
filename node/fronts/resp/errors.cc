#include "node/fronts/resp/errors.h"

#include <algorithm>

namespace cartwheel::resp {

namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

// Redis prints arguments as C strings.
std::string_view shown(std::string_view text, size_t most) {
  text = text.substr(0, text.find('\0'));
  return text.substr(0, most);
}

struct Refusal {
  std::string_view reason;
  std::span<const std::string_view> commands;
};

constexpr std::string_view kTransactions[] = {"multi", "exec", "discard", "watch", "unwatch"};
constexpr std::string_view kScripts[] = {"eval",  "evalsha", "eval_ro",  "evalsha_ro",
                                         "fcall", "script",  "fcall_ro", "function"};
constexpr std::string_view kPubSub[] = {"subscribe", "unsubscribe", "psubscribe", "punsubscribe", "publish",
                                        "pubsub",    "spublish",    "ssubscribe", "sunsubscribe"};
constexpr std::string_view kReplication[] = {"wait", "waitaof", "replicaof", "slaveof", "psync", "sync", "failover"};
constexpr std::string_view kBlocking[] = {"blpop", "brpop", "blmove", "blmpop", "brpoplpush", "bzpopmin", "bzpopmax"};
constexpr std::string_view kWhole[] = {"keys", "flushdb", "flushall", "randomkey", "swapdb"};

const Refusal kRefusals[] = {
    {"Cartwheel has no transactions: a key of an eventual keyspace can change in another region at any moment",
     kTransactions},
    {"Cartwheel runs no scripts: replicas would not agree on what a script saw", kScripts},
    {"Cartwheel has no publish and subscribe", kPubSub},
    {"Cartwheel replicates by the levels of the keyspace, set in the cluster file", kReplication},
    {"Cartwheel has no blocking commands: two regions could hand out the same element", kBlocking},
    {"Cartwheel does not touch a whole keyspace in one command; use SCAN", kWhole},
};

}  // namespace

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = lower(c);
  return result;
}

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = c >= 'a' && c <= 'z' ? static_cast<char>(c & ~0x20) : c;
  return result;
}

bool equals_ignoring_case(std::string_view text, std::string_view lower_case) {
  return text.size() == lower_case.size() &&
         std::equal(text.begin(), text.end(), lower_case.begin(), [](char a, char b) { return lower(a) == b; });
}

std::string error_text(const Status& status, bool hash_number) {
  const std::string& message = status.message();
  switch (status.code()) {
    case Code::kWrongType:
      return "WRONGTYPE Operation against a key holding the wrong kind of value";
    case Code::kNotANumber:
      if (!message.empty()) return "ERR " + message;
      return hash_number ? "ERR hash value is not an integer" : std::string(kNotAnInteger);
    case Code::kUnavailable:
      return "UNAVAILABLE " + message;
    case Code::kUnknownOutcome:
      return "UNKNOWN " + message;
    case Code::kOverloaded:
      return "OVERLOADED " + message;
    case Code::kShuttingDown:
      return "LOADING " + message;
    case Code::kBadToken:
      return "BADTOKEN " + message;
    case Code::kInvalidArgument:
    case Code::kTooLarge:
    case Code::kNotFound:
    case Code::kUnsupported:
      return "ERR " + message;
    case Code::kOk:
    case Code::kCorruption:
    case Code::kIo:
      break;
  }
  return "ERR " + status.to_string();
}

std::string wrong_arity(std::string_view command) {
  return "ERR wrong number of arguments for '" + std::string(command) + "' command";
}

std::string unknown_command(std::span<const std::string_view> arguments) {
  std::string list;
  for (size_t i = 1; i < arguments.size() && list.size() < 128; ++i) {
    list += "'";
    list += shown(arguments[i], 128 - (list.size() - 1));
    list += "' ";
  }
  std::string text = "ERR unknown command '";
  text += shown(arguments[0], 128);
  text += "', with args beginning with: " + list;
  std::string name = lower(arguments[0]);
  for (const Refusal& refusal : kRefusals) {
    if (std::find(refusal.commands.begin(), refusal.commands.end(), name) == refusal.commands.end()) continue;
    text += "(" + std::string(refusal.reason) + ")";
  }
  return text;
}

}  // namespace cartwheel::resp
