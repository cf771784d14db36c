#include <set>

#include "base/limits.h"
#include "tests/sim/checkers.h"
#include "tests/sim/oracle.h"

namespace cartwheel::sim {

namespace {

Verdict check_dots(SimWorld& world, Partition partition, const crdt::Clock& alive) {
  for (const auto& row : alive.rows()) {
    for (const auto& interval : row.intervals) {
      for (uint64_t seq = interval.first; seq <= interval.last; ++seq) {
        crdt::Dot dot{row.actor, seq};
        const Event* event = world.history().find(partition, dot);
        std::string where = "dot " + to_string(dot) + " of arc " + std::to_string(partition.arc);
        if (event == nullptr) return where + " is in the clocks, but nobody coordinated it";
        if (!event->written) return where + " is in the clocks, but its coordinator never wrote it";
      }
    }
  }
  return {};
}

// The beginning of `bytes`, fit for a terminal.
std::string printable(std::string_view bytes) {
  std::string text;
  for (char c : bytes.substr(0, 24)) {
    if (c >= ' ' && c <= '~')
      text.push_back(c);
    else
      text += "\\" + std::to_string(static_cast<unsigned char>(c));
  }
  return text;
}

std::string describe(const crdt::Leaf& leaf) {
  std::string text = "entries";
  for (const crdt::Entry& entry : leaf.entries) text += " " + to_string(entry.dot) + "=" + printable(entry.value);
  return text + ", " + std::to_string(leaf.chains.size()) + " chains, count " + std::to_string(leaf.count());
}

std::string describe(const ExpectedLeaf& leaf) {
  std::string text = "entries";
  for (const auto& [dot, put] : leaf.puts) text += " " + to_string(dot) + "=" + printable(put->change.value);
  return text + (leaf.has_count ? ", count " + std::to_string(leaf.count) : ", no count");
}

bool same(const ExpectedLeaf& expected, const crdt::Leaf& leaf) {
  if (expected.puts.size() != leaf.entries.size()) return false;
  for (const crdt::Entry& entry : leaf.entries) {
    auto put = expected.puts.find(entry.dot);
    if (put == expected.puts.end()) return false;
    const crdt::Change& change = put->second->change;
    if (change.value != entry.value || change.time != entry.time) return false;
  }
  return expected.has_count == !leaf.chains.empty() && expected.count == leaf.count();
}

Verdict compare(const std::string& where, const ExpectedObject& expected, const crdt::Object& object) {
  static const crdt::Leaf kNone;
  for (const auto& [path, leaf] : expected) {
    const crdt::Leaf* have = object.find(path);
    if (have == nullptr) have = &kNone;
    if (!same(leaf, *have))
      return where + " " + printable(path) + ": has " + describe(*have) + "; the events say " + describe(leaf);
  }
  for (const auto& [path, leaf] : object.rows()) {
    if (leaf.visible() && !expected.contains(path))
      return where + " " + printable(path) + ": has " + describe(leaf) + "; the events say nothing";
  }
  return {};
}

}  // namespace

Verdict check_oracle(SimWorld& world) {
  for (const auto& [partition, indexes] : world.history().events_of_partitions()) {
    auto alive = world.survivors(partition);
    if (!alive) continue;
    if (Verdict wrong = check_dots(world, partition, *alive)) return wrong;
    auto expected = expected_objects(world.history(), partition, *alive);
    std::set<std::string> keys;
    for (size_t index : indexes) keys.insert(world.history().events()[index].key);
    for (const std::string& key : keys) {
      const ExpectedObject& object = expected[key];
      auto expiry = expiry_of(object);
      if (expiry && *expiry <= world.wall().ms + world.skew_ms()) continue;  // may be hidden or gone: check_purged
      for (node::NodeIndex n : world.owners(partition)) {
        auto have = world.stripe_of(n, partition).stripe().inspect(partition.keyspace, key);
        std::string where = "'" + key + "' at " + world.config().nodes[n].name;
        if (!have.ok()) return where + ": " + have.status().to_string();
        if (Verdict wrong = compare(where, object, *have)) return wrong;
      }
    }
  }
  return {};
}

Verdict check_purged(SimWorld& world) {
  int64_t long_ago = world.wall().ms - limits::kExpiryGraceMs - 2 * world.skew_ms() - 30'000;
  for (const auto& [partition, indexes] : world.history().events_of_partitions()) {
    auto alive = world.survivors(partition);
    if (!alive) continue;
    for (const auto& [key, object] : expected_objects(world.history(), partition, *alive)) {
      auto expiry = expiry_of(object);
      if (!expiry || *expiry > long_ago) continue;
      for (node::NodeIndex n : world.owners(partition)) {
        auto have = world.stripe_of(n, partition).stripe().inspect(partition.keyspace, key);
        std::string where = "'" + key + "' at " + world.config().nodes[n].name;
        if (!have.ok()) return where + ": " + have.status().to_string();
        for (const auto& [path, leaf] : have->rows()) {
          if (leaf.visible())
            return where + " expired " + std::to_string(world.wall().ms - *expiry) + " ms ago and is still stored";
        }
      }
    }
  }
  return {};
}

}  // namespace cartwheel::sim
