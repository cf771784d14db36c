#include "tests/crdt/model/history.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <tuple>

#include "crdt/types.h"

namespace cartwheel::crdt::model {

Tag last_tag(std::string_view path) {
  Tag tag = Tag::kField;
  while (auto step = take_step(path)) tag = step->tag;
  return tag;
}

int History::record(Event event) {
  CHECK(events_.size() < kMaxEvents);
  if (event.puts || event.increments) {
    std::pair place(event.key, event.path);
    if (std::find(places_.begin(), places_.end(), place) == places_.end()) places_.push_back(place);
  }
  events_.push_back(std::move(event));
  return static_cast<int>(events_.size()) - 1;
}

// The puts at (key, path) that show: seen, and superseded by nothing that is seen.
Seen History::puts(const Seen& seen, std::string_view key, std::string_view path) const {
  Seen shown, superseded;
  for (size_t i = 0; i < events_.size(); ++i) {
    if (!seen[i] || events_[i].key != key) continue;
    superseded |= events_[i].superseded;
    if (events_[i].puts && events_[i].path == path) shown.set(i);
  }
  return shown & ~superseded;
}

Seen History::shown(const Seen& seen, const std::string& key, const std::string& prefix) const {
  Seen all;
  for (const auto& [place_key, path] : places_) {
    if (place_key == key && path.starts_with(prefix)) all |= puts(seen, key, path);
  }
  return all;
}

Seen History::taken_off(const Seen& seen, std::string_view key, std::string_view path) const {
  Seen off;
  for (size_t i = 0; i < events_.size(); ++i) {
    if (seen[i] && events_[i].key == key && events_[i].path == path) off |= events_[i].taken_off;
  }
  return off;
}

Seen History::known_increments(const Seen& seen, std::string_view key, std::string_view path) const {
  Seen known;
  std::vector<int> chains;  // those of which a later increment is seen
  for (size_t i = events_.size(); i-- > 0;) {
    const Event& e = events_[i];
    if (!e.increments || e.key != key || e.path != path) continue;
    bool later = std::find(chains.begin(), chains.end(), e.chain) != chains.end();
    if (seen[i] && !later) chains.push_back(e.chain);
    if (seen[i] || later) known.set(i);
  }
  return known;
}

// All known increments of the chains whose last known increment still counts.
Seen History::open_chains(const Seen& seen, std::string_view key, std::string_view path) const {
  Seen known = known_increments(seen, key, path), off = taken_off(seen, key, path), open;
  std::map<int, bool> is_open;  // by chain; the last increment comes first
  for (size_t i = events_.size(); i-- > 0;) {
    if (known[i] && is_open.try_emplace(events_[i].chain, !off[i]).first->second) open.set(i);
  }
  return open;
}

// The increments of the open chains, and what these carry: a chain starts anew only after a reset of the one before.
Seen History::taken_by_reset(const Seen& seen, std::string_view key, std::string_view path) const {
  Seen open = open_chains(seen, key, path), taken = open;
  for (size_t i = 0; i < events_.size(); ++i) {
    if (open[i]) taken |= events_[i].taken_off;
  }
  return taken;
}

namespace {

Event event_at(Dot dot, const std::string& key, const std::string& path) {
  Event e;
  e.dot = dot;
  e.key = key;
  e.path = path;
  return e;
}

Event put_event(Dot dot, const std::string& key, const std::string& path, Hlc time, std::string value) {
  Event e = event_at(dot, key, path);
  e.puts = true;
  e.time = time;
  e.value = std::move(value);
  return e;
}

}  // namespace

int History::assign(Dot dot, const std::string& key, const std::string& path, const Seen& seen, Hlc time,
                    std::string value) {
  Event e = put_event(dot, key, path, time, std::move(value));
  e.superseded = puts(seen, key, path);
  e.taken_off = taken_by_reset(seen, key, path);
  return record(std::move(e));
}

int History::put(Dot dot, const std::string& key, const std::string& path, const Seen& seen, std::string value) {
  Event e = put_event(dot, key, path, {}, std::move(value));
  e.superseded = puts(seen, key, path);
  return record(std::move(e));
}

int History::increment(Dot dot, const std::string& key, const std::string& path, const Seen& seen, int64_t amount) {
  Event e = event_at(dot, key, path);
  e.increments = true;
  e.amount = amount;
  Seen open = open_chains(seen, key, path), off = taken_off(seen, key, path);
  for (size_t i = 0; i < events_.size(); ++i) {
    const Event& earlier = events_[i];
    if (!earlier.increments || earlier.dot.actor != dot.actor || earlier.key != key || earlier.path != path) continue;
    if (open[i]) e.chain = earlier.chain;
    if (off[i]) e.taken_off.set(i);
  }
  if (e.chain < 0) e.chain = chains_++;
  return record(std::move(e));
}

int History::remove(Dot dot, const std::string& key, const std::string& path, const Seen& seen) {
  Event e = event_at(dot, key, path);
  e.superseded = puts(seen, key, path);
  e.taken_off = taken_by_reset(seen, key, path);
  return record(std::move(e));
}

int History::remove_range(Dot dot, const std::string& key, const std::string& prefix, const Seen& seen) {
  Event e = event_at(dot, key, prefix);
  for (size_t i = 0; i < events_.size(); ++i) {
    if (seen[i] && events_[i].puts && events_[i].key == key && events_[i].path.starts_with(prefix)) e.superseded.set(i);
  }
  return record(std::move(e));
}

int History::reset_counter(Dot dot, const std::string& key, const std::string& path, const Seen& seen) {
  Event e = event_at(dot, key, path);
  e.taken_off = taken_by_reset(seen, key, path);
  return record(std::move(e));
}

std::vector<std::string> History::counters(const Seen& seen, const std::string& key, const std::string& prefix) const {
  std::vector<std::string> paths;
  for (const auto& [k, path] : places_) {
    if (k == key && path.starts_with(prefix) && open_chains(seen, key, path).any()) paths.push_back(path);
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

namespace {

bool is_number(const std::string& text) {
  errno = 0;
  char* end = nullptr;
  long long n = std::strtoll(text.c_str(), &end, 10);
  return !text.empty() && *end == 0 && errno == 0 && std::to_string(n) == text;
}

std::string text_of(const std::vector<Dot>& dots, bool has_chains, int64_t count, const std::string& value) {
  if (dots.empty() && !has_chains) return {};
  std::string text = "[";
  for (const Dot& dot : dots) text += " " + to_string(dot);
  text += " ]";
  if (has_chains) text += " count " + std::to_string(count);
  return text + " shows " + value;
}

}  // namespace

std::string History::view(const Seen& seen, const std::string& key, const std::string& path) const {
  Seen shown = puts(seen, key, path), open = open_chains(seen, key, path);
  Seen counted = known_increments(seen, key, path) & ~taken_off(seen, key, path);
  std::vector<Dot> dots;
  const Event* winner = nullptr;
  bool any_on = false, any_off = false;
  int64_t count = 0, expiry = 0;
  bool never = false;
  for (size_t i = 0; i < events_.size(); ++i) {
    const Event& e = events_[i];
    if (counted[i]) count += e.amount;
    if (!shown[i]) continue;
    dots.push_back(e.dot);
    (e.value == "1" ? any_on : any_off) = true;
    if (winner == nullptr ||
        std::tie(e.time, e.dot.actor, e.value) > std::tie(winner->time, winner->dot.actor, winner->value)) {
      winner = &e;
    }
    if (e.value.size() == 8) {
      Decoder in(e.value);
      expiry = std::max(expiry, static_cast<int64_t>(in.u64()));
    } else {
      never = true;
    }
  }
  std::sort(dots.begin(), dots.end());
  std::string value;
  switch (last_tag(path)) {
    case Tag::kString:
      if (winner == nullptr)
        value = std::to_string(count);
      else if (open.any() && is_number(winner->value))
        value = std::to_string(std::stoll(winner->value) + count);
      else
        value = winner->value;
      break;
    case Tag::kFlagEnableWins:
      value = any_on ? "on" : "off";
      break;
    case Tag::kFlagDisableWins:
      value = any_on && !any_off ? "on" : "off";
      break;
    case Tag::kExpiry:
      value = dots.empty() || never ? "never" : std::to_string(expiry);
      break;
    default:
      value = "in";
      break;
  }
  return text_of(dots, open.any(), count, value);
}

std::string History::view(const Document& document, const std::string& key, const std::string& path) {
  const Leaf* leaf = document.object(key).find(path);
  if (leaf == nullptr || !leaf->visible()) return {};
  std::vector<Dot> dots;
  for (const Entry& e : leaf->entries) dots.push_back(e.dot);
  std::string value;
  switch (Tag tag = last_tag(path)) {
    case Tag::kString:
      value = string_value(*leaf).value_or("nothing");
      break;
    case Tag::kFlagEnableWins:
    case Tag::kFlagDisableWins:
      value = flag_value(tag, *leaf) ? "on" : "off";
      break;
    case Tag::kExpiry: {
      auto at = expiry_ms(leaf);
      value = at ? std::to_string(*at) : "never";
      break;
    }
    default:
      value = "in";
      break;
  }
  return text_of(dots, !leaf->chains.empty(), leaf->count(), value);
}

}  // namespace cartwheel::crdt::model
