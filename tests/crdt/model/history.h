// History: the naive model that the data types are checked against. It keeps every event for ever, and with each event
// what its writer saw; what a replica must show is then a question about sets of events. Nothing here uses the clocks,
// leaves or joins of crdt/: only dots as names, paths, and the tie rule as the documents state it.
//
// A put shows while no event that the replica has seen superseded it. Increments of one actor at one path are
// cumulative while they form a chain: whoever has seen a later one has seen the earlier ones too, what a writer knew to
// be taken off of its chain stays taken off with its next increment, and a reset takes off every increment of the
// chains it saw.
#pragma once

#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "crdt/document.h"
#include "crdt/path.h"

namespace cartwheel::crdt::model {

inline constexpr size_t kMaxEvents = 768;
using Seen = std::bitset<kMaxEvents>;  // events by number, in the order of their creation

struct Event {
  Dot dot;
  std::string key, path;
  bool puts = false;
  Hlc time;
  std::string value;
  bool increments = false;
  int64_t amount = 0;
  int chain = -1;
  Seen superseded;  // puts that this event removes
  Seen taken_off;   // increments that do not count where this event is seen
};

class History {
 public:
  // Each records an event of a writer that has seen `seen` and returns its number.
  int assign(Dot dot, const std::string& key, const std::string& path, const Seen& seen, Hlc time, std::string value);
  int put(Dot dot, const std::string& key, const std::string& path, const Seen& seen, std::string value);
  int increment(Dot dot, const std::string& key, const std::string& path, const Seen& seen, int64_t amount);
  int remove(Dot dot, const std::string& key, const std::string& path, const Seen& seen);
  int remove_range(Dot dot, const std::string& key, const std::string& prefix, const Seen& seen);
  int reset_counter(Dot dot, const std::string& key, const std::string& path, const Seen& seen);

  // Event `e` removes none but `puts`.
  void limit(int e, const Seen& puts) { events_[static_cast<size_t>(e)].superseded &= puts; }

  // The puts of `key` under `prefix` that a replica shows which has seen `seen`.
  Seen shown(const Seen& seen, const std::string& key, const std::string& prefix) const;
  // The paths under `prefix` that have a counter to reset, ascending.
  std::vector<std::string> counters(const Seen& seen, const std::string& key, const std::string& prefix) const;

  // What a replica that has seen `seen` must show at (key, path), as text: dots of the puts, the count, and the value
  // as the type of the path reads it. Empty when nothing shows.
  std::string view(const Seen& seen, const std::string& key, const std::string& path) const;
  // The same, read from a document by the functions of crdt/types.h.
  static std::string view(const Document& document, const std::string& key, const std::string& path);

  const std::vector<Event>& events() const { return events_; }
  // All (key, path) that any event put or incremented.
  const std::vector<std::pair<std::string, std::string>>& places() const { return places_; }

 private:
  int record(Event event);
  Seen puts(const Seen& seen, std::string_view key, std::string_view path) const;
  Seen taken_off(const Seen& seen, std::string_view key, std::string_view path) const;
  Seen known_increments(const Seen& seen, std::string_view key, std::string_view path) const;
  Seen open_chains(const Seen& seen, std::string_view key, std::string_view path) const;
  Seen taken_by_reset(const Seen& seen, std::string_view key, std::string_view path) const;

  std::vector<Event> events_;
  std::vector<std::pair<std::string, std::string>> places_;
  int chains_ = 0;
};

// The tag that a leaf path ends with.
Tag last_tag(std::string_view path);

}  // namespace cartwheel::crdt::model
