#include "tests/sim/oracle.h"

#include <algorithm>
#include <set>
#include <utility>

#include "crdt/path.h"

namespace cartwheel::sim {

namespace {

using Place = std::pair<std::string, std::string>;  // key, path

// The increments of one actor at one place, and what took increments of that actor off there.
struct Counting {
  std::vector<const Event*> increments;  // of all events, in the order of their numbers
  struct Off {
    uint64_t start, seq;  // increments up to `seq` of the chain `start` and of all earlier ones
  };
  std::vector<Off> off;
};

}  // namespace

std::map<std::string, ExpectedObject> expected_objects(const History& history, Partition partition,
                                                       const crdt::Clock& alive) {
  std::set<crdt::Dot> superseded;
  std::map<std::string, std::vector<const crdt::Change*>> ranges;  // by key
  std::map<Place, std::map<crdt::Actor, Counting>> counters;
  std::vector<const Event*> puts;

  auto it = history.events_of_partitions().find(partition);
  if (it == history.events_of_partitions().end()) return {};
  for (size_t index : it->second) {
    const Event& event = history.events()[index];
    const crdt::Change& change = event.change;
    if (history.find(partition, change.dot) != &event) continue;  // never written; its dot was free again
    Place place{event.key, change.path};
    if (change.increment) counters[place][change.dot.actor].increments.push_back(&event);
    if (!alive.contains(change.dot)) continue;
    if (change.kind == crdt::Change::Kind::kRange) {
      ranges[event.key].push_back(&change);
      continue;
    }
    superseded.insert(change.superseded.begin(), change.superseded.end());
    if (change.puts) puts.push_back(&event);
    for (const crdt::ObservedChain& seen : change.reset) {
      counters[place][seen.actor].off.push_back({seen.start, seen.seq});
    }
    if (change.increment) {
      // A chain starts anew only after all of the one before was reset; and it carries what was taken off it.
      auto& off = counters[place][change.dot.actor].off;
      off.push_back({change.increment->start - 1, change.increment->start - 1});
      off.push_back({change.increment->start, change.increment->base_seq});
    }
  }

  std::map<std::string, ExpectedObject> objects;
  for (const Event* put : puts) {
    if (superseded.contains(put->change.dot)) continue;
    const auto& removals = ranges[put->key];
    bool removed = std::any_of(removals.begin(), removals.end(), [&](const crdt::Change* range) {
      return put->change.path.starts_with(range->path) && range->observed.contains(put->change.dot);
    });
    if (!removed) objects[put->key][put->change.path].puts.emplace(put->change.dot, put);
  }
  for (const auto& [place, actors] : counters) {
    bool shows = false;
    int64_t count = 0;
    for (const auto& [actor, counting] : actors) {
      std::map<uint64_t, uint64_t> last;  // of each chain, by its start: the last increment that survived
      for (const Event* event : counting.increments) {
        if (alive.contains(event->change.dot)) {
          uint64_t& seq = last[event->change.increment->start];
          seq = std::max(seq, event->change.dot.seq);
        }
      }
      for (const Event* event : counting.increments) {
        uint64_t start = event->change.increment->start, seq = event->change.dot.seq;
        auto chain = last.find(start);
        if (chain == last.end() || seq > chain->second) continue;  // totals are cumulative: a later one brings it
        bool taken_off = std::any_of(counting.off.begin(), counting.off.end(),
                                     [&](const Counting::Off& off) { return off.start >= start && off.seq >= seq; });
        if (taken_off) continue;
        count += event->amount;
        shows = shows || seq == chain->second;
      }
    }
    if (!shows) continue;
    ExpectedLeaf& leaf = objects[place.first][place.second];
    leaf.has_count = true;
    leaf.count = count;
  }
  return objects;
}

std::optional<int64_t> expiry_of(const ExpectedObject& object) {
  auto it = object.find(crdt::path_step(crdt::Tag::kExpiry));
  if (it == object.end() || it->second.puts.empty()) return {};
  int64_t latest = 0;
  for (const auto& [dot, put] : it->second.puts) {
    if (put->change.value.empty()) return {};  // "never" wins
    Decoder in(put->change.value);
    latest = std::max(latest, static_cast<int64_t>(in.u64()));
  }
  return latest;
}

}  // namespace cartwheel::sim
