#include "node/core/operation.h"

#include <algorithm>
#include <array>

#include "base/limits.h"

namespace cartwheel::node {

namespace {

constexpr uint32_t kMany = static_cast<uint32_t>(limits::kRequestArguments);
constexpr int64_t kKeyCursors = int64_t{1} << 52;  // positions in the hash space

struct Row {
  Verb verb;
  VerbInfo info;
};

constexpr std::array kRows = {
    Row{Verb::kGet, {"get", 0, 0, false, VerbInfo::kNothing}},
    Row{Verb::kExists, {"exists", 0, 0, false, VerbInfo::kNothing}},
    Row{Verb::kType, {"type", 0, 0, false, VerbInfo::kNothing}},
    Row{Verb::kTtl, {"ttl", 0, 0, false, VerbInfo::kNothing}},
    Row{Verb::kMapGet, {"map_get", 1, kMany, false, VerbInfo::kNothing}},
    Row{Verb::kMapAll, {"map_all", 0, 0, false, VerbInfo::kNothing}},
    Row{Verb::kMapLength, {"map_length", 0, 0, false, VerbInfo::kNothing}},
    Row{Verb::kMapKeys, {"map_keys", 0, 0, false, VerbInfo::kNothing}},
    Row{Verb::kMapScan, {"map_scan", 1, 1, false, VerbInfo::kNumber | VerbInfo::kCount}},
    Row{Verb::kSetHas, {"set_has", 1, kMany, false, VerbInfo::kNothing}},
    Row{Verb::kSetAll, {"set_all", 0, 0, false, VerbInfo::kNothing}},
    Row{Verb::kSetSize, {"set_size", 0, 0, false, VerbInfo::kNothing}},
    Row{Verb::kSetScan, {"set_scan", 1, 1, false, VerbInfo::kNumber | VerbInfo::kCount}},
    Row{Verb::kScanKeys, {"scan_keys", 2, 2, false, VerbInfo::kNumber | VerbInfo::kCount}},
    Row{Verb::kCountKeys, {"count_keys", 0, 0, false, VerbInfo::kNumber}},
    Row{Verb::kFlagGet, {"flag_get", 0, 1, false, VerbInfo::kNothing}},
    Row{Verb::kSet, {"set", 1, 1, false, VerbInfo::kExpiry | VerbInfo::kWantOld}},
    Row{Verb::kIncrement, {"increment", 0, 0, false, VerbInfo::kNumber}},
    Row{Verb::kMapSet, {"map_set", 2, kMany, true, VerbInfo::kNothing}},
    Row{Verb::kMapIncrement, {"map_increment", 1, 1, false, VerbInfo::kNumber}},
    Row{Verb::kSetAdd, {"set_add", 1, kMany, false, VerbInfo::kNothing}},
    Row{Verb::kFlagSet, {"flag_set", 1, 1, false, VerbInfo::kNumber}},
    Row{Verb::kDelete, {"delete", 0, 0, false, VerbInfo::kNothing}},
    Row{Verb::kExpire, {"expire", 0, 0, false, VerbInfo::kExpiry}},
    Row{Verb::kMapRemove, {"map_remove", 1, kMany, false, VerbInfo::kNothing}},
    Row{Verb::kSetRemove, {"set_remove", 1, kMany, false, VerbInfo::kNothing}},
    Row{Verb::kGetDelete, {"get_delete", 0, 0, false, VerbInfo::kNothing}},
    Row{Verb::kGetExpire, {"get_expire", 0, 0, false, VerbInfo::kExpiry}},
};

constexpr size_t kVerbs = 128;
constexpr std::array<int8_t, kVerbs> kRowOfVerb = [] {
  std::array<int8_t, kVerbs> rows{};
  rows.fill(-1);
  for (size_t i = 0; i < kRows.size(); ++i) rows[static_cast<size_t>(kRows[i].verb)] = static_cast<int8_t>(i);
  return rows;
}();

Status too_large(const char* verb, const std::string& what, size_t bytes, size_t limit) {
  return {Code::kTooLarge, std::string(verb) + ": " + what + " of " + std::to_string(bytes) + " bytes, the limit is " +
                               std::to_string(limit)};
}

Status invalid(const char* verb, const std::string& what) {
  return Status::InvalidArgument(std::string(verb) + ": " + what);
}

std::string arguments_wanted(const VerbInfo& info) {
  if (info.pairs) return "pairs of field and value";
  if (info.most == 0) return "none";
  if (info.least == info.most) return std::to_string(info.least);
  return std::to_string(info.least) + " to " + std::to_string(info.most);
}

// Whether argument i of the verb is a value; all others are names (fields, elements, globs).
bool is_value(Verb verb, size_t i) {
  return verb == Verb::kSet || (verb == Verb::kMapSet && i % 2 == 1);
}

Status validate_number(const Operation& op, const char* verb) {
  switch (op.verb) {
    case Verb::kMapScan:
    case Verb::kSetScan:
      if (op.number < 0) return invalid(verb, "the cursor is negative");
      break;
    case Verb::kScanKeys:
      if (op.number < 0 || op.number >= kKeyCursors) return invalid(verb, "the cursor is outside 0 to 2^52 - 1");
      break;
    case Verb::kCountKeys:
      if (op.number < 0) return invalid(verb, "the number of an arc is negative");
      break;
    case Verb::kFlagSet:
      if (op.number != 0 && op.number != 1) return invalid(verb, "a flag is set to 0 or 1");
      break;
    default:
      break;
  }
  return {};
}

}  // namespace

const VerbInfo* verb_info(uint64_t verb) {
  const int row = verb < kVerbs ? kRowOfVerb[verb] : -1;
  return row < 0 ? nullptr : &kRows[static_cast<size_t>(row)].info;
}

Status validate(const Operation& op) {
  const VerbInfo* info = verb_info(static_cast<uint64_t>(op.verb));
  if (info == nullptr) {
    return Status::InvalidArgument("no verb has the number " + std::to_string(static_cast<unsigned>(op.verb)));
  }
  const char* verb = info->name;
  if (is_arc_wide(op.verb) && !op.key.empty()) return invalid(verb, "it is about an arc and takes no key");
  if (op.key.size() > limits::kKeyBytes) return too_large(verb, "a key", op.key.size(), limits::kKeyBytes);
  if (op.args.size() < info->least || op.args.size() > info->most || (info->pairs && op.args.size() % 2 != 0)) {
    return invalid(verb, std::to_string(op.args.size()) + " arguments, it takes " + arguments_wanted(*info));
  }
  for (size_t i = 0; i < op.args.size(); ++i) {
    const bool value = is_value(op.verb, i);
    const size_t limit = value ? limits::kValueBytes : limits::kNameBytes;
    if (op.args[i].size() > limit) {
      return too_large(verb, value ? "a value" : "argument " + std::to_string(i + 1), op.args[i].size(), limit);
    }
  }
  if (Status status = validate_number(op, verb); !status.ok()) return status;
  if ((info->takes & VerbInfo::kCount) && (op.count < 1 || op.count > kMany)) {
    return invalid(verb, "the count is outside 1 to " + std::to_string(kMany));
  }
  if (op.verb == Verb::kExpire && op.expiry.kind == Expiry::Kind::kKeep) return invalid(verb, "it needs an expiry");
  if (op.verb == Verb::kFlagSet && op.args[0] != "ew" && op.args[0] != "dw") {
    return invalid(verb, "the kind of a flag is \"ew\" (enable wins) or \"dw\" (disable wins)");
  }
  return {};
}

}  // namespace cartwheel::node
