// ObjectStore: the objects of a stripe between the engine's rows and the code that reads and changes leaves. It holds a
// bounded cache of decoded objects, collects what a turn changes and puts it into the turn's batch.
//
// A small object is one packed row, decoded whole. One with more than limits::kPackedLeaves leaves (or kPackedBytes) is
// a header row and a row per leaf: touching one element touches one row. The layout is local; digests do not depend on
// it.
//
// Changes are visible to reads at once and reach the engine with flush(); the engine must have the batch before the
// next turn. Pointers to objects are valid until end_turn().
#pragma once

#include <tsl/robin_map.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "crdt/object.h"
#include "node/core/rows.h"
#include "storage/engine.h"

namespace cartwheel::node {

class StoredObject {
 public:
  const std::string& key() const { return key_; }
  PartitionId partition() const { return partition_; }
  uint64_t hash() const { return hash_; }

  // Whether anything but an expiry shows, whatever the time.
  bool visible() const { return content() > 0; }
  // The number of visible leaves whose path starts with `root`.
  uint64_t count(crdt::Tag root) const;
  // The number of visible leaves other than the expiry.
  uint64_t content() const { return summary().content; }
  // Whether all visible map fields are plain strings, so that count(kField) is the number of fields.
  bool flat() const;
  // The tag that shows at the root: the highest of the visible ones. REQUIRES: visible().
  crdt::Tag root() const {
    CHECK(visible());
    return summary().root;
  }
  const crdt::Leaf* expiry() const { return packed_.find(crdt::path_step(crdt::Tag::kExpiry)); }
  // When it expires, or nothing.
  std::optional<int64_t> expires_at() const { return summary().expires_at; }
  // What a plain string shows (one value and no increments beside it); nullptr for anything else. Until the next
  // change.
  const std::string* plain_string() const { return summary().plain_string; }
  bool is_exploded() const { return exploded_; }
  // Of a packed object: all its leaves. Of another: only the expiry.
  const crdt::Object& packed() const { return packed_; }
  uint64_t digest() const;

 private:
  friend class ObjectStore;
  struct Counts {
    uint64_t by_tag[7] = {};  // visible leaves by the tag of their first step
    uint64_t nested = 0;      // visible field leaves that are not plain strings
    uint64_t rows = 0;        // leaf rows in the engine
    uint64_t digest = 0;      // XOR over the visible leaf rows
    // Returns the leaf's digest, 0 if it is not visible.
    uint64_t add(std::string_view path, const crdt::Leaf& leaf, int sign);
  };

  // What most operations want to know, worked out once between changes.
  struct Summary {
    bool valid = false;
    crdt::Tag root = crdt::Tag::kExpiry;
    uint64_t content = 0;
    std::optional<int64_t> expires_at;
    const std::string* plain_string = nullptr;
  };
  const Summary& summary() const {
    if (!summary_.valid) summarize();
    return summary_;
  }
  void summarize() const;
  uint64_t packed_digest() const {
    if (!packed_digest_) packed_digest_ = packed_.digest();
    return *packed_digest_;
  }
  // What `leaf` of packed_ adds to it. That of the only leaf is known mostly: a string that is replaced is not read
  // again.
  uint64_t digest_of(std::string_view path, const crdt::Leaf& leaf) const {
    if (!leaf.visible()) return 0;
    return packed_.rows().size() == 1 ? packed_digest() : leaf.digest(path);
  }
  // Notes that a leaf of packed_ which had the digest `before` has, or will have, `after`.
  void change_digest(uint64_t before, uint64_t after) {
    digest_change_ ^= before ^ after;
    if (packed_digest_) *packed_digest_ ^= before ^ after;
  }

  std::string key_;
  PartitionId partition_;
  mutable Summary summary_;
  uint64_t hash_ = 0;
  crdt::Object packed_;
  mutable std::optional<uint64_t> packed_digest_ = 0;  // XOR over its visible leaves, if it was worked out
  bool exploded_ = false;
  Counts counts_;               // of the leaf rows of an exploded object
  uint64_t digest_change_ = 0;  // by what the turn did, as PartitionTree::change() takes it
  uint64_t resets_change_ = 0;  // likewise
  bool dirty_ = false;
  bool referenced_ = true;  // second chance of the cache
  bool stored_ = false;     // the engine has its row
  bool counted_ = false;    // it is in its partition's number of keys
  size_t cost_ = 0;
  StoredObject* next_ = nullptr;  // in the same bucket
};

class ObjectStore {
 public:
  ObjectStore(const storage::Engine& engine, size_t cache_bytes) : engine_(engine), cache_limit_(cache_bytes) {}
  ~ObjectStore();

  // The object called `key`; one without leaves if there is none. Errors: what the engine or a row's decoding says.
  Result<StoredObject*> open(PartitionId partition, uint64_t hash, std::string_view key);
  // The same for who will hardly come back to it: the cache keeps it for this turn only, so that a walk through many
  // objects does not push out those that are in use.
  Result<StoredObject*> open_once(PartitionId partition, uint64_t hash, std::string_view key);

  // The leaf at `path`, or nullptr. Valid until the next call of any method.
  Result<const crdt::Leaf*> leaf(const StoredObject& object, std::string_view path);
  // Lets `change` work on the leaf at `path`, an empty one if there is none; one that is left empty is removed.
  template <typename Change>
  Status modify(StoredObject& object, std::string_view path, Change change) {
    if (!keeps_inside(object, path)) {
      auto before = leaf(object, path);
      if (!before.ok()) return before.status();
      crdt::Leaf copy = *before == nullptr ? crdt::Leaf() : **before;
      change(copy);
      return update(object, path, std::move(copy));
    }
    mark_dirty(object);
    crdt::Leaf& inside = object.packed_.at(path);
    const uint64_t before = object.digest_of(path, inside);
    object.resets_change_ ^= inside.resets_hash();
    change(inside);
    object.change_digest(before, visible_digest(path, inside));
    object.resets_change_ ^= inside.resets_hash();
    if (inside.empty()) object.packed_.erase(path);
    return Status::Ok();
  }
  // Replaces the leaf at `path`; an empty one removes it.
  Status update(StoredObject& object, std::string_view path, crdt::Leaf leaf);
  // Calls `visit` for each leaf whose path starts with `prefix`, until it returns false. `visit` must not change
  // anything.
  Status for_each(const StoredObject& object, std::string_view prefix,
                  const std::function<bool(std::string_view path, const crdt::Leaf&)>& visit);
  // As above, in the order of first steps' hashes, from `step_hash` on. REQUIRES: is_exploded().
  Status for_each_from(const StoredObject& object, uint64_t step_hash,
                       const std::function<bool(uint64_t hash, std::string_view path, const crdt::Leaf&)>& visit);
  // The leaves that an object's header row holds: all of a packed object, the expiry of another. `elsewhere`, if given,
  // gets what the row says is the digest of the others.
  static Result<crdt::Object> decode_header(std::string_view value, uint64_t* elsewhere = nullptr);
  // Reads what stands before them: whether the other leaves have rows of their own, and then their digest.
  static bool decode_layout(Decoder& in, uint64_t* elsewhere);
  // Counts the leaf rows of a large object anew, where its header is not believed.
  Status recount(StoredObject& object);

  // Calls `visit` with the keys of a partition in the order of their hashes, from `hash` on, until it returns false.
  Status for_each_key(PartitionId partition, uint64_t hash,
                      const std::function<bool(uint64_t hash, std::string_view key)>& visit);

  // What a turn did to an object, beside its rows.
  struct Changed {
    PartitionId partition;
    uint64_t hash;    // of its key
    int64_t keys;     // by how much the number of keys changed
    uint64_t digest;  // XOR of the digests of visible leaves before and after
    uint64_t resets;  // likewise of the hashes of remembered resets
  };
  // Puts all changes of the turn into `batch`, and tells of each object that had one.
  void flush(storage::WriteBatch& batch, const std::function<void(const Changed&)>& changed);
  // What the turn has done so far to the objects of a partition, `keys` excepted.
  void for_each_changed(PartitionId partition, const std::function<void(const Changed&)>& visit) const;
  // Forgets the cached objects of the partitions that are `gone`; their rows are the caller's business. REQUIRES: the
  // turn's changes are flushed. Invalidates pointers.
  void forget(const std::function<bool(PartitionId)>& gone);
  // The partitions of objects that the turn has changed so far.
  std::set<PartitionId> changed_partitions() const;
  // Lets go of what the cache has too much. Invalidates pointers.
  void end_turn();

  // Who reads rows past this store tells here what could not be read.
  void note_unreadable(PartitionId partition, const Status& why) { unreadable_.try_emplace(partition, why); }
  // The partitions of which something could not be read, or did not decode, since the last call, and the first error.
  std::map<PartitionId, Status> take_unreadable() { return std::exchange(unreadable_, {}); }

  size_t cache_bytes() const { return cache_used_; }
  uint64_t hits() const { return hits_; }
  uint64_t misses() const { return misses_; }

 private:
  using Overlay = std::map<std::string, std::optional<std::string>>;

  static uint64_t visible_digest(std::string_view path, const crdt::Leaf& leaf) {
    return leaf.visible() ? leaf.digest(path) : 0;
  }
  // Whether the leaf at `path` is part of the object's own row.
  static bool keeps_inside(const StoredObject& object, std::string_view path) {
    return !object.exploded_ || path[0] == static_cast<char>(crdt::Tag::kExpiry);
  }
  Status load(StoredObject& object);
  Status noted(PartitionId partition, Status status) {
    if (!status.ok()) unreadable_.try_emplace(partition, status);
    return status;
  }
  void mark_dirty(StoredObject& object);
  void explode(StoredObject& object);
  // Walks the rows in [begin, end) as they will be after flush().
  Status merged_scan(const std::string& begin, const std::string& end,
                     const std::function<bool(std::string_view row, std::string_view value)>& visit);
  void evict_one();
  void drop(size_t ring_index);

  const storage::Engine& engine_;
  tsl::robin_map<uint64_t, StoredObject*> buckets_;  // by key hash mixed with the keyspace; owns the chains
  std::vector<uint64_t> clock_hand_;                 // bucket ids in the order of arrival, a ring of candidates
  size_t hand_ = 0;
  std::vector<uint64_t> once_;  // bucket ids of what open_once() has loaded in this turn
  std::vector<StoredObject*> dirty_;
  Overlay overlay_;          // leaf rows that the turn has changed
  crdt::Leaf scratch_;       // the last leaf row that was asked for
  std::string scratch_row_;  // its row, empty if scratch_ is of no use
  bool scratch_found_ = false;
  size_t cache_limit_;
  size_t cache_used_ = 0;
  uint64_t hits_ = 0, misses_ = 0;
  std::map<PartitionId, Status> unreadable_;
};

}  // namespace cartwheel::node
