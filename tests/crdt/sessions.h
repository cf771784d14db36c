// Sessions: small random histories for property tests, interpreted from plain numbers so that RapidCheck can shrink
// them. Three replicas write, exchange and apply; what is left is their documents and all deltas.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "crdt/document.h"
#include "tests/crdt/model/history.h"

namespace cartwheel::crdt {

// The places that one type's laws are about, and the prefixes that are cleared there.
struct TypeUnderTest {
  const char* name;
  std::vector<std::string> paths;
  std::vector<std::string> prefixes;
};

inline std::vector<TypeUnderTest> types_under_test() {
  std::string text = path_step(Tag::kString), x = path_step(Tag::kElement, "x"), y = path_step(Tag::kElement, "y");
  std::string enable = path_step(Tag::kFlagEnableWins), disable = path_step(Tag::kFlagDisableWins);
  std::string a = path_step(Tag::kField, "a"), b = path_step(Tag::kField, "b"), c = path_step(Tag::kField, "c");
  std::vector<std::string> nested = {
      a + text, a + x, a + b + text, a + b + enable, a + b + c + y, a + b + c + text, b + c + a + disable, c + text};
  std::vector<std::string> whole = {text, x, enable, disable, path_step(Tag::kExpiry), a + b + text};
  return {{"Register", {text}, {}},
          {"Counter", {text}, {}},
          {"StringWithIncrements", {text}, {""}},
          {"Set", {x, y}, {"", x}},
          {"Map", nested, {a, a + b, a + b + c, b, ""}},
          {"EnableWinsFlag", {enable}, {""}},
          {"DisableWinsFlag", {disable}, {""}},
          {"Expiry", {path_step(Tag::kExpiry)}, {""}},
          {"WholeKeys", whole, {""}}};
}

using Move = std::array<uint8_t, 4>;
using Moves = std::vector<Move>;

struct Session {
  std::vector<Document> replicas = {Document({1, 1}), Document({2, 1}), Document({3, 1})};
  std::vector<Delta> deltas;
};

// One write of `type` at `d`.
inline Delta write(Document& d, const TypeUnderTest& type, uint8_t what, uint8_t arg) {
  std::string key = arg & 128 ? "k" : "l";
  const std::string& path = type.paths[arg % type.paths.size()];
  if (what < 50) return d.reset(key, path);
  if (what < 80 && !type.prefixes.empty()) return d.clear(key, type.prefixes[arg % type.prefixes.size()]);
  static const char* const kValues[] = {"7", "-12", "text", ""};
  std::string_view name = type.name;
  switch (model::last_tag(path)) {
    case Tag::kString:
      if (name == "Counter" || (name != "Register" && what % 2)) return d.increment(key, path, arg % 19 - 9);
      return d.assign(key, path, kValues[arg % 4], Hlc{static_cast<uint64_t>(1 + what % 3)});
    case Tag::kFlagEnableWins:
    case Tag::kFlagDisableWins:
      return d.flag(key, path, what % 2);
    case Tag::kExpiry:
      return d.expire(key, what % 5 == 0 ? std::nullopt : std::optional<int64_t>(what * 10));
    default:
      return d.add(key, path);
  }
}

// Calls `after(replica)` after every step at that replica.
template <typename After>
Session play(const TypeUnderTest& type, const Moves& moves, After after) {
  Session s;
  for (const Move& step : moves) {
    size_t r = step[1] % 3, q = (r + 1 + step[3] % 2) % 3;
    if (step[0] < 140) {
      s.deltas.push_back(write(s.replicas[r], type, step[2], step[3]));
    } else if (step[0] < 210) {
      if (!s.deltas.empty()) s.replicas[r].apply(s.deltas[step[2] % s.deltas.size()]);
    } else if (step[0] < 235) {
      s.replicas[r].merge(s.replicas[q]);
    } else {
      s.replicas[r].catch_up_from(s.replicas[q]);
    }
    after(s.replicas[r]);
  }
  return s;
}
inline Session play(const TypeUnderTest& type, const Moves& moves) {
  return play(type, moves, [](const Document&) {});
}

}  // namespace cartwheel::crdt
