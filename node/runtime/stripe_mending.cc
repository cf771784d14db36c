#include "node/runtime/stripe_mending.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/codec.h"
#include "node/core/rows.h"
#include "storage/readable_rows.h"

namespace cartwheel::node {

namespace {

using Hole = storage::ReadableRows::Hole;

constexpr size_t kAddBytes = 1 << 20;
constexpr size_t kLoadBytes = 64 << 20;  // of a table

bool overlaps(const Hole& hole, const std::string& begin, const std::string& end) {
  return (hole.end.empty() || begin < hole.end) && hole.begin < end;
}
bool any_overlaps(const std::vector<Hole>& holes, const std::string& begin, const std::string& end) {
  return std::any_of(holes.begin(), holes.end(), [&](const Hole& hole) { return overlaps(hole, begin, end); });
}

// The partitions that this node may have rows of, by the configuration.
std::set<PartitionId> partitions_of(const ClusterConfig& config, NodeIndex self, uint32_t stripe) {
  std::set<PartitionId> ids;
  for (uint16_t k = 0; k < config.keyspaces.size(); ++k) {
    if (config.keyspaces[k].dropped) continue;
    for (uint32_t arc = stripe; arc < config.partitions; arc += config.stripes) {
      const auto& owners = config.assignments[k].owners[arc];
      const Move* move = config.assignments[k].move(arc);
      const bool joins = move != nullptr && std::count(move->others.begin(), move->others.end(), self) > 0;
      if (joins || std::count(owners.begin(), owners.end(), self) > 0) ids.insert({k, arc});
    }
  }
  return ids;
}

// Writes rows in ascending order, as tables of a moderate size.
class Copy {
 public:
  explicit Copy(storage::Engine& to) : to_(to) {}
  Status add(std::string_view key, std::string_view value) {
    bytes_ += key.size() + value.size();
    rows_.emplace_back(key, value);
    if (bytes_ < kAddBytes) return {};
    RETURN_IF_ERROR(pass_on());
    return load_bytes_ < kLoadBytes ? Status::Ok() : commit();
  }
  Status commit() {
    RETURN_IF_ERROR(pass_on());
    load_bytes_ = 0;
    return to_.commit_load(load_++);
  }

 private:
  Status pass_on() {
    load_bytes_ += std::exchange(bytes_, 0);
    return to_.add_to_load(load_, std::exchange(rows_, {}));
  }
  storage::Engine& to_;
  storage::Engine::Rows rows_;
  uint64_t load_ = 1;
  size_t bytes_ = 0, load_bytes_ = 0;
};

// Walks the rows that can be read, section by section, so that no hole hides more than its own section.
class Walk {
 public:
  Walk(const storage::Engine& from, std::set<PartitionId> ids) : from_(from), ids_(std::move(ids)) {
    for (const char* kind : {"", "f", "g", "m", "n", "o", "p", "q", "r", "s", "x", "y"}) borders_.insert(kind);
    (void)for_each_of("p", "q", [&](std::string_view row, std::string_view) {
      Decoder key(row.substr(1));
      const PartitionId id = decode_partition_id(key);
      if (key.done()) ids_.insert(id);
      return Status::Ok();
    });
    holes_.clear();  // which are met again
    for (PartitionId id : ids_) {
      borders_.insert(object_prefix(id));
      borders_.insert(prefix_end(object_prefix(id)));
    }
  }
  template <typename Visit>
  Status for_each(Visit visit) {
    for (auto border = borders_.begin(); border != borders_.end(); ++border) {
      const auto next = std::next(border);
      RETURN_IF_ERROR(for_each_of(*border, next == borders_.end() ? "" : *next, visit));
    }
    return {};
  }
  const std::set<PartitionId>& ids() const { return ids_; }
  const std::vector<Hole>& holes() const { return holes_; }

 private:
  template <typename Visit>
  Status for_each_of(const std::string& begin, const std::string& end, Visit visit) {
    storage::ReadableRows rows(from_, begin, end);
    for (; rows.valid(); rows.next()) RETURN_IF_ERROR(visit(rows.key(), rows.value()));
    for (const Hole& hole : rows.holes()) holes_.push_back({hole.begin, hole.end.empty() ? end : hole.end});
    return {};
  }
  const storage::Engine& from_;
  std::set<PartitionId> ids_;
  std::set<std::string> borders_;
  std::vector<Hole> holes_;
};

}  // namespace

Result<Mending> mend_stripe(const storage::Engine& from, storage::Engine& to, const ClusterConfig& config,
                            NodeIndex self, uint32_t stripe) {
  Mending mending;
  std::set<PartitionId> with_row;
  uint64_t last_record = 0;  // no row contains more of the log than the records up to it
  Copy copy(to);
  Walk walk(from, partitions_of(config, self, stripe));
  RETURN_IF_ERROR(walk.for_each([&](std::string_view row, std::string_view value) -> Status {
    const char kind = row.empty() ? '\0' : row[0];
    if (kind == 'h') return {};
    ++mending.rows;
    Decoder key(row.substr(1));
    if (kind == 'p') {
      const PartitionId id = decode_partition_id(key);
      with_row.insert(id);
      if (auto clock = PartitionRow::decode(value); clock.ok()) last_record = std::max(last_record, clock->record);
    } else if (kind == 'r') {
      if (const uint64_t number = key.u64(); key.done()) last_record = std::max(last_record, number);
    }
    return copy.add(row, value);
  }));
  RETURN_IF_ERROR(copy.commit());
  const std::vector<Hole>& holes = walk.holes();
  mending.holes = holes.size();
  storage::WriteBatch marks;
  const bool all = any_overlaps(holes, "q", "r") || any_overlaps(holes, "x", "y");
  for (PartitionId id : walk.ids()) {
    const std::string prefix = object_prefix(id), row = partition_row(id);
    const bool clock_lost = !with_row.contains(id) && any_overlaps(holes, row, row + '\0');
    if (clock_lost) marks.put(row, "");
    if (!all && !clock_lost && !any_overlaps(holes, prefix, prefix_end(prefix))) continue;
    marks.put(quarantine_row(id), "");
    ++mending.quarantined;
  }
  // Behind every record that a partition row may contain.
  if (any_overlaps(holes, "r", "s")) marks.put(record_row(last_record + 1), "");
  RETURN_IF_ERROR(to.write(std::move(marks)));
  RETURN_IF_ERROR(to.sync());
  return mending;
}

}  // namespace cartwheel::node
