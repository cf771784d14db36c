#include "node/runtime/explanation.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>

#include "base/limits.h"
#include "crdt/types.h"

namespace cartwheel::node {

namespace {

using Json = nlohmann::ordered_json;
using crdt::Tag;

Json binary(std::string_view bytes) {
  return Json::binary({bytes.begin(), bytes.end()});
}

// The bytes of a value that the answer has room for.
void put_value(Json& to, std::string_view value) {
  to["value"] = binary(value.substr(0, limits::kExplainedBytes));
  to["bytes"] = value.size();
}

Tag last_tag(std::string_view path) {
  Tag tag = Tag::kString;
  while (auto step = crdt::take_step(path)) tag = step->tag;
  return tag;
}

std::string plural(size_t n, const char* what) {
  return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
}

// Why `shown` stands before the other entries of its leaf: the first part of the tie rule that tells them apart.
std::string tie_text(const crdt::Leaf& leaf, const crdt::Entry& shown) {
  if (leaf.entries.size() == 1) return "the only value";
  const crdt::Entry* second = nullptr;
  for (const crdt::Entry& each : leaf.entries) {
    if (&each == &shown) continue;
    if (second == nullptr ||
        std::tie(each.time, each.dot.actor, each.value) > std::tie(second->time, second->dot.actor, second->value)) {
      second = &each;
    }
  }
  const std::string rule = second->time != shown.time             ? "the latest hybrid time"
                           : second->dot.actor != shown.dot.actor ? "equal hybrid times, so the greater actor"
                           : second->value != shown.value         ? "equal times and actors, so the greater bytes"
                                                                  : "all are the same";
  return plural(leaf.entries.size(), "concurrent value") + ", shown: " + rule;
}

void explain_string(const crdt::Leaf& leaf, Json& to) {
  const crdt::Entry* shown = crdt::winner(leaf);
  put_value(to["shown"], crdt::string_value(leaf).value_or(""));
  std::string why = shown != nullptr ? tie_text(leaf, *shown) : "";
  if (!leaf.chains.empty()) {
    const std::string sum =
        "the increments of " + plural(leaf.chains.size(), "actor") + ", " + std::to_string(leaf.count()) + " in all";
    if (shown == nullptr) {
      why = sum;
    } else {
      why += crdt::parse_number(shown->value) ? "; a number, to which are added " + sum
                                              : "; no number, so that " + sum + ", do not show";
    }
  }
  to["why"] = why;
}

void explain_flag(Tag tag, const crdt::Leaf& leaf, Json& to) {
  put_value(to["shown"], crdt::flag_value(tag, leaf) ? "on" : "off");
  const auto on = static_cast<size_t>(
      std::count_if(leaf.entries.begin(), leaf.entries.end(), [](const auto& each) { return each.value == "1"; }));
  to["why"] = std::to_string(on) + " of " + plural(leaf.entries.size(), "write") +
              " that stand say on: " + (tag == Tag::kFlagEnableWins ? "enable wins" : "disable wins");
}

void explain_expiry(const crdt::Leaf& leaf, Json& to) {
  const auto at = crdt::expiry_ms(&leaf);
  to["shown"] = at ? Json{{"at_ms", *at}} : Json{{"never", true}};
  to["why"] = leaf.entries.size() == 1 ? "the only one"
              : at                     ? plural(leaf.entries.size(), "concurrent expiry time") + ", shown: the latest"
                                       : plural(leaf.entries.size(), "concurrent expiry time") + ", shown: never wins";
}

// What the leaf shows and why, the type of the key as a whole aside.
void explain_leaf(Tag tag, const crdt::Leaf& leaf, Json& to) {
  to["shown"] = nullptr;
  if (!leaf.visible()) {
    to["why"] = "nothing shows: only resets are remembered, until every replica has them";
  } else if (tag == Tag::kElement) {
    put_value(to["shown"], "member");
    to["why"] = plural(leaf.entries.size(), "add") + " that no removal has seen: an add wins over a concurrent remove";
  } else if (tag == Tag::kExpiry) {
    explain_expiry(leaf, to);
  } else if (tag == Tag::kFlagEnableWins || tag == Tag::kFlagDisableWins) {
    explain_flag(tag, leaf, to);
  } else {
    explain_string(leaf, to);
  }
}

const char* type_name(Tag root) {
  switch (root) {
    case Tag::kString:
      return "string";
    case Tag::kFlagEnableWins:
    case Tag::kFlagDisableWins:
      return "flag";
    case Tag::kElement:
      return "set";
    case Tag::kField:
      return "hash";
    case Tag::kExpiry:
      break;
  }
  return "none";
}

// The bytes of a whole UTF-8 character at the front of `text`, 0 if there is none; control characters are none.
size_t utf8_length(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = at(0);
  const size_t length = first < 0x80                    ? 1
                        : first >= 0xc2 && first < 0xe0 ? 2
                        : first >= 0xe0 && first < 0xf0 ? 3
                        : first >= 0xf0 && first < 0xf5 ? 4
                                                        : 0;
  if (length == 1) return first >= 0x20 && first != 0x7f ? 1 : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
  }
  if (first == 0xc2 && at(1) < 0xa0) return 0;  // control characters too
  if ((first == 0xe0 && at(1) < 0xa0) || (first == 0xed && at(1) > 0x9f)) return 0;
  if ((first == 0xf0 && at(1) < 0x90) || (first == 0xf4 && at(1) > 0x8f)) return 0;
  return length;
}

}  // namespace

struct Explanation::Parts {
  const ClusterConfig& config;
  std::map<uint32_t, NodeIndex> nodes = {};  // by their number in dots
  struct Added {
    Tag root;
    bool visible;
    Json document;
  };
  std::vector<Added> leaves = {};
  uint64_t visible = 0;
  size_t bytes = 0;
  bool full = false;

  void put_actor(const crdt::Actor& actor, Json& to) const {
    const auto found = nodes.find(actor.node);
    to["node"] = found == nodes.end() ? "unknown " + std::to_string(actor.node) : config.nodes[found->second].name;
    to["epoch"] = actor.epoch;
  }
};

Explanation::Explanation(const ClusterConfig& config) : parts_(new Parts{config}) {
  for (NodeIndex n = 0; n < config.nodes.size(); ++n) parts_->nodes[actor_node_id(config, n)] = n;
}
Explanation::~Explanation() = default;

bool Explanation::add(std::string_view path, const crdt::Leaf& leaf) {
  Parts& parts = *parts_;
  if (parts.full || parts.leaves.size() >= limits::kExplainedLeaves || parts.bytes >= limits::kExplainedAnswer) {
    parts.full = true;
    return false;
  }
  parts.bytes += 2 * path.size() + 256;
  const Tag tag = last_tag(path);
  Json document = {{"path", binary(path)}, {"where", readable_path(path)}};
  const crdt::Entry* shown = tag == Tag::kString ? crdt::winner(leaf) : nullptr;
  Json values = Json::array();
  for (const crdt::Entry& each : leaf.entries) {
    if (values.size() == limits::kExplainedWrites) break;
    Json value = Json::object();
    parts.put_actor(each.dot.actor, value);
    value["seq"] = each.dot.seq;
    value["time_ms"] = each.time.value == 0 ? Json(nullptr) : Json(each.time.ms());
    value["time_count"] = each.time.value & 0xffff;
    put_value(value, each.value);
    if (tag == Tag::kString) value["wins"] = &each == shown;
    parts.bytes += std::min(each.value.size(), limits::kExplainedBytes) + 128;
    values.push_back(std::move(value));
  }
  Json chains = Json::array();
  for (const crdt::ActorChain& each : leaf.chains) {
    if (chains.size() == limits::kExplainedWrites) break;
    Json chain = Json::object();
    parts.put_actor(each.actor, chain);
    chain["seq"] = each.chain.seq;
    chain["total"] = each.chain.total;
    chain["base"] = each.chain.base;
    parts.bytes += 128;
    chains.push_back(std::move(chain));
  }
  document["values"] = std::move(values);
  document["values_left_out"] = leaf.entries.size() - document["values"].size();
  document["chains"] = std::move(chains);
  document["chains_left_out"] = leaf.chains.size() - document["chains"].size();
  document["resets"] = leaf.resets.size();
  document["digest"] = leaf.digest(path);
  explain_leaf(tag, leaf, document);
  parts.visible += leaf.visible();
  parts.leaves.push_back({static_cast<Tag>(path[0]), leaf.visible(), std::move(document)});
  return true;
}

std::string Explanation::document(const KeySummary& summary, NodeIndex self, uint32_t arc, bool whole, WallTime wall) {
  Parts& parts = *parts_;
  const bool expired = summary.expires_at && *summary.expires_at <= wall.ms;
  Json leaves = Json::array();
  for (Parts::Added& each : parts.leaves) {
    const bool hidden = each.visible && each.root != Tag::kExpiry && each.root != summary.root;
    if (hidden) {
      each.document["why"] =
          std::string("hidden: the key is also a ") + type_name(summary.root.value_or(Tag::kExpiry)) +
          ", and of several types the highest shows; by itself: " + each.document["why"].get<std::string>();
    }
    each.document["hidden"] = hidden || expired;
    leaves.push_back(std::move(each.document));
  }
  const uint64_t left_out = whole && summary.leaves > parts.visible ? summary.leaves - parts.visible : 0;
  Json document = {{"node", parts.config.nodes[self].name},
                   {"region", parts.config.nodes[self].region},
                   {"epoch", parts.config.epoch},
                   {"arc", arc},
                   {"found", !leaves.empty()},
                   {"type", summary.root ? type_name(*summary.root) : "none"},
                   {"expires_at_ms", summary.expires_at ? Json(*summary.expires_at) : Json(nullptr)},
                   {"expired", expired},
                   {"wall_ms", wall.ms},
                   {"leaves", std::move(leaves)},
                   {"leaves_left_out", left_out}};
  std::string out;
  Json::to_msgpack(document, out);
  return out;
}

std::string readable_path(std::string_view path) {
  std::string text;
  const auto more = [&](const std::string& word) { text += (text.empty() ? "" : " ") + word; };
  while (!path.empty()) {
    const auto step = crdt::take_step(path);
    if (!step) return text + " (malformed)";
    switch (step->tag) {
      case Tag::kExpiry:
        more("expiry");
        break;
      case Tag::kString:
        if (text.empty()) more("string");
        break;
      case Tag::kFlagEnableWins:
        more("flag (enable wins)");
        break;
      case Tag::kFlagDisableWins:
        more("flag (disable wins)");
        break;
      case Tag::kElement:
        more("element \"" + readable_bytes(step->name) + "\"");
        break;
      case Tag::kField:
        more("field \"" + readable_bytes(step->name) + "\"");
        break;
    }
  }
  return text;
}

std::string readable_bytes(std::string_view bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  while (!bytes.empty()) {
    const size_t length = utf8_length(bytes);
    if (length == 0) {
      const auto byte = static_cast<unsigned char>(bytes[0]);
      text += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    } else {
      if (bytes[0] == '"' || bytes[0] == '\\') text += '\\';
      text += bytes.substr(0, length);
    }
    bytes.remove_prefix(std::max<size_t>(length, 1));
  }
  return text;
}

}  // namespace cartwheel::node
