#include "node/core/object_store.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/limits.h"
#include "base/planted.h"
#include "crdt/types.h"

namespace cartwheel::node {

namespace {

constexpr uint8_t kPacked = 1, kHeader = 2;
const std::string kExpiryPath = crdt::path_step(crdt::Tag::kExpiry);

crdt::Tag root_tag(std::string_view path) {
  return static_cast<crdt::Tag>(path[0]);
}

bool is_flat_field(std::string_view path) {
  crdt::take_step(path);
  return path.size() == 1 && path[0] == static_cast<char>(crdt::Tag::kString);
}

uint64_t bucket_of(PartitionId partition, uint64_t hash) {
  return hash ^ (static_cast<uint64_t>(partition.keyspace + 1) * 0x9e3779b97f4a7c15ull);
}

Status corrupt(std::string_view key) {
  return Status::Corruption("the stored object '" + std::string(key.substr(0, 64)) + "' does not decode");
}

// About what a decoded object takes in memory.
size_t cost_of(const StoredObject& object) {
  size_t cost = sizeof(StoredObject) + 64 + object.key().size();
  for (const auto& [path, leaf] : object.packed().rows()) {
    cost += sizeof(crdt::Object::Row) + path.size() + leaf.chains.size() * sizeof(crdt::ActorChain) +
            leaf.resets.size() * 96;
    for (const auto& entry : leaf.entries) cost += sizeof(entry) + entry.value.size();
  }
  return cost;
}

}  // namespace

uint64_t StoredObject::Counts::add(std::string_view path, const crdt::Leaf& leaf, int sign) {
  rows += static_cast<uint64_t>(sign);
  if (!leaf.visible()) return 0;
  by_tag[static_cast<size_t>(root_tag(path))] += static_cast<uint64_t>(sign);
  if (root_tag(path) == crdt::Tag::kField && !is_flat_field(path)) nested += static_cast<uint64_t>(sign);
  const uint64_t of_leaf = leaf.digest(path);
  digest ^= of_leaf;
  return of_leaf;
}

uint64_t StoredObject::count(crdt::Tag root) const {
  if (exploded_) return counts_.by_tag[static_cast<size_t>(root)];
  uint64_t n = 0;
  for (const auto& [path, leaf] : packed_.rows()) n += root_tag(path) == root && leaf.visible();
  return n;
}

bool StoredObject::flat() const {
  if (exploded_) return counts_.nested == 0;
  for (const auto& [path, leaf] : packed_.rows()) {
    if (root_tag(path) == crdt::Tag::kField && leaf.visible() && !is_flat_field(path)) return false;
  }
  return true;
}

void StoredObject::summarize() const {
  Summary s;
  s.valid = true;
  s.expires_at = crdt::expiry_ms(expiry());
  if (exploded_) {
    for (size_t tag = static_cast<size_t>(crdt::Tag::kString); tag < std::size(counts_.by_tag); ++tag) {
      s.content += counts_.by_tag[tag];
      if (counts_.by_tag[tag] > 0) s.root = static_cast<crdt::Tag>(tag);
    }
  } else {
    for (const auto& [path, leaf] : packed_.rows()) {  // paths ascend, and start with the tag
      if (root_tag(path) == crdt::Tag::kExpiry || !leaf.visible()) continue;
      ++s.content;
      s.root = root_tag(path);
      s.plain_string = s.root == crdt::Tag::kString && leaf.chains.empty() ? &crdt::winner(leaf)->value : nullptr;
    }
  }
  summary_ = s;
}

uint64_t StoredObject::digest() const {
  return packed_digest() ^ (exploded_ ? counts_.digest : 0);
}

ObjectStore::~ObjectStore() {
  for (auto [id, object] : buckets_) {
    while (object != nullptr) {
      StoredObject* next = object->next_;
      delete object;
      object = next;
    }
  }
}

Result<StoredObject*> ObjectStore::open(PartitionId partition, uint64_t hash, std::string_view key) {
  const uint64_t id = bucket_of(partition, hash);
  auto found = buckets_.find(id);
  for (StoredObject* o = found == buckets_.end() ? nullptr : found->second; o != nullptr; o = o->next_) {
    if (o->key_ == key && o->partition_.keyspace == partition.keyspace) {
      o->referenced_ = true;
      ++hits_;
      return o;
    }
  }
  ++misses_;
  auto object = std::make_unique<StoredObject>();
  object->partition_ = partition;
  object->hash_ = hash;
  object->key_ = key;
  if (Status loaded = load(*object); !loaded.ok()) {
    if (!planted(Bug::kUnreadableIsAbsent)) return noted(partition, std::move(loaded));
    object->packed_ = crdt::Object();
    object->packed_digest_ = 0;
    object->exploded_ = false;
  }
  object->cost_ = cost_of(*object);
  cache_used_ += object->cost_;
  StoredObject*& bucket = buckets_[id];
  if (bucket == nullptr) clock_hand_.push_back(id);
  object->next_ = bucket;
  bucket = object.release();
  return bucket;
}

Result<StoredObject*> ObjectStore::open_once(PartitionId partition, uint64_t hash, std::string_view key) {
  const uint64_t misses = misses_;
  auto object = open(partition, hash, key);
  if (object.ok() && misses_ != misses) once_.push_back(bucket_of(partition, hash));
  return object;
}

Status ObjectStore::load(StoredObject& object) {
  std::string value;
  auto found = engine_.get(header_row(object_base(object.partition_, object.hash_, object.key_)), &value);
  if (!found.ok()) return found.status();
  if (!*found) return Status::Ok();
  Decoder in(value);
  const uint8_t format = in.u8();
  if (format != kPacked && format != kHeader) return corrupt(object.key_);
  object.exploded_ = format == kHeader;
  if (object.exploded_) {
    for (uint64_t& n : object.counts_.by_tag) n = in.varint();
    object.counts_.nested = in.varint();
    object.counts_.rows = in.varint();
    object.counts_.digest = in.u64();
  }
  object.packed_ = crdt::Object::decode(in);
  object.packed_digest_.reset();
  if (!in.done()) return corrupt(object.key_);
  object.stored_ = true;
  object.counted_ = object.visible();
  return Status::Ok();
}

Result<crdt::Object> ObjectStore::decode_header(std::string_view value, uint64_t* elsewhere) {
  Decoder in(value);
  uint64_t digest = 0;
  decode_layout(in, &digest);
  crdt::Object object = crdt::Object::decode(in);
  if (!in.done()) return Status::Corruption("a stored object does not decode");
  if (elsewhere != nullptr) *elsewhere = digest;
  return object;
}

bool ObjectStore::decode_layout(Decoder& in, uint64_t* elsewhere) {
  const uint8_t format = in.u8();
  if (format != kHeader) {
    if (format != kPacked) in.fail();
    return false;
  }
  for (int i = 0; i < 9; ++i) in.varint();
  *elsewhere = in.u64();
  return true;
}

Status ObjectStore::recount(StoredObject& object) {
  if (!object.exploded_) return Status::Ok();
  StoredObject::Counts counts;
  RETURN_IF_ERROR(for_each_from(object, 0, [&](uint64_t, std::string_view path, const crdt::Leaf& leaf) {
    counts.add(path, leaf, +1);
    return true;
  }));
  object.counts_ = counts;
  mark_dirty(object);
  return Status::Ok();
}

Result<const crdt::Leaf*> ObjectStore::leaf(const StoredObject& object, std::string_view path) {
  if (keeps_inside(object, path)) return object.packed_.find(path);
  // One operation asks for the same leaf several times.
  std::string row = leaf_row(object_base(object.partition_, object.hash_, object.key_), path);
  if (row == scratch_row_) return scratch_found_ ? &scratch_ : nullptr;
  scratch_row_.clear();
  std::string value;
  if (auto it = overlay_.find(row); it != overlay_.end()) {
    scratch_found_ = it->second.has_value();
    if (scratch_found_) value = *it->second;
  } else {
    auto found = engine_.get(row, &value);
    if (!found.ok()) return noted(object.partition_, found.status());
    scratch_found_ = *found;
  }
  if (scratch_found_) {
    Decoder in(value);
    scratch_ = crdt::Leaf::decode(in);
    if (!in.done()) return noted(object.partition_, corrupt(object.key_));
  }
  scratch_row_ = std::move(row);
  return scratch_found_ ? &scratch_ : nullptr;
}

void ObjectStore::mark_dirty(StoredObject& object) {
  object.summary_.valid = false;
  if (object.dirty_) return;
  object.dirty_ = true;
  dirty_.push_back(&object);
}

Status ObjectStore::update(StoredObject& object, std::string_view path, crdt::Leaf leaf) {
  mark_dirty(object);
  if (keeps_inside(object, path)) {
    uint64_t digest_before = 0;
    if (const crdt::Leaf* before = object.packed_.find(path)) {
      digest_before = object.digest_of(path, *before);
      object.resets_change_ ^= before->resets_hash();
    }
    object.change_digest(digest_before, visible_digest(path, leaf));
    object.resets_change_ ^= leaf.resets_hash();
    object.packed_.set(path, std::move(leaf));
    return Status::Ok();
  }
  auto before = this->leaf(object, path);
  if (!before.ok()) return before.status();
  if (*before != nullptr) {
    object.digest_change_ ^= object.counts_.add(path, **before, -1);
    object.resets_change_ ^= (*before)->resets_hash();
  }
  std::string row = std::move(scratch_row_);
  scratch_row_.clear();
  if (leaf.empty()) {
    overlay_[row] = std::nullopt;
    return Status::Ok();
  }
  object.digest_change_ ^= object.counts_.add(path, leaf, +1);
  object.resets_change_ ^= leaf.resets_hash();
  std::string value;
  Encoder out(value);
  leaf.encode(out);
  overlay_[row] = std::move(value);
  return Status::Ok();
}

// Moves every leaf but the expiry into a row of its own.
void ObjectStore::explode(StoredObject& object) {
  std::string base = object_base(object.partition_, object.hash_, object.key_);
  crdt::Object rest;
  for (auto& [path, leaf] : object.packed_.rows()) {
    if (path == kExpiryPath) {
      rest.set(path, std::move(leaf));
      continue;
    }
    object.counts_.add(path, leaf, +1);
    std::string value;
    Encoder out(value);
    leaf.encode(out);
    overlay_[leaf_row(base, path)] = std::move(value);
  }
  object.packed_ = std::move(rest);
  object.packed_digest_.reset();
  object.exploded_ = true;
  object.summary_.valid = false;
}

Status ObjectStore::merged_scan(const std::string& begin, const std::string& end,
                                const std::function<bool(std::string_view, std::string_view)>& visit) {
  auto rows = engine_.scan(begin, end);
  auto changed = overlay_.lower_bound(begin);
  auto changed_end = overlay_.lower_bound(end);
  while (rows->valid() || changed != changed_end) {
    if (changed == changed_end || (rows->valid() && rows->key() < changed->first)) {
      if (!visit(rows->key(), rows->value())) return Status::Ok();
      rows->next();
      continue;
    }
    if (rows->valid() && rows->key() == changed->first) rows->next();
    if (changed->second && !visit(changed->first, *changed->second)) return Status::Ok();
    ++changed;
  }
  return rows->status();
}

Status ObjectStore::for_each(const StoredObject& object, std::string_view prefix,
                             const std::function<bool(std::string_view, const crdt::Leaf&)>& visit) {
  for (const auto& [path, leaf] : object.packed_.rows()) {
    if (path.starts_with(prefix) && !visit(path, leaf)) return Status::Ok();
  }
  if (!object.exploded_) return Status::Ok();
  return for_each_from(object, 0, [&](uint64_t, std::string_view path, const crdt::Leaf& leaf) {
    return !path.starts_with(prefix) || visit(path, leaf);
  });
}

Status ObjectStore::for_each_from(const StoredObject& object, uint64_t step_hash,
                                  const std::function<bool(uint64_t, std::string_view, const crdt::Leaf&)>& visit) {
  std::string base = object_base(object.partition_, object.hash_, object.key_);
  std::string end = base + '\2';
  Status bad = Status::Ok();
  size_t fixed = base.size() + 1;
  Status scanned = merged_scan(leaf_position(base, step_hash), end, [&](std::string_view row, std::string_view value) {
    Decoder position(row.substr(fixed));
    uint64_t hash = position.u64();
    Decoder in(value);
    crdt::Leaf leaf = crdt::Leaf::decode(in);
    if (!position.ok() || !crdt::valid_leaf_path(position.rest()) || !in.done()) {
      bad = corrupt(object.key_);
      return false;
    }
    return visit(hash, position.rest(), leaf);
  });
  return noted(object.partition_, bad.ok() ? scanned : bad);
}

Status ObjectStore::for_each_key(PartitionId partition, uint64_t hash,
                                 const std::function<bool(uint64_t, std::string_view)>& visit) {
  // Objects that this turn made are not in the engine yet.
  std::vector<const StoredObject*> fresh;
  for (const StoredObject* o : dirty_) {
    if (o->partition_ == partition && !o->stored_ && o->hash_ >= hash && o->visible()) fresh.push_back(o);
  }
  std::sort(fresh.begin(), fresh.end(), [](const StoredObject* a, const StoredObject* b) {
    return std::tie(a->hash_, a->key_) < std::tie(b->hash_, b->key_);
  });
  auto next_fresh = fresh.begin();
  std::string begin = object_position(partition, hash), end = prefix_end(object_prefix(partition));
  auto rows = engine_.scan(begin, end);
  while (rows->valid()) {
    auto row = parse_object_row(rows->key());
    if (!row.ok()) return noted(partition, row.status());
    if (row->is_leaf) {  // step over the leaves of a large object
      begin = object_base(partition, row->hash, row->key) + '\2';
      rows = engine_.scan(begin, end);
      continue;
    }
    for (; next_fresh != fresh.end() && (*next_fresh)->hash_ < row->hash; ++next_fresh) {
      if (!visit((*next_fresh)->hash_, (*next_fresh)->key_)) return Status::Ok();
    }
    if (!visit(row->hash, row->key)) return Status::Ok();
    rows->next();
  }
  for (; next_fresh != fresh.end() && rows->status().ok(); ++next_fresh) {
    if (!visit((*next_fresh)->hash_, (*next_fresh)->key_)) break;
  }
  return noted(partition, rows->status());
}

void ObjectStore::flush(storage::WriteBatch& batch, const std::function<void(const Changed&)>& changed) {
  // In the order of rows, in which an engine takes a batch with fewer comparisons.
  std::sort(dirty_.begin(), dirty_.end(), [](const StoredObject* a, const StoredObject* b) {
    return std::tie(a->partition_, a->hash_, a->key_) < std::tie(b->partition_, b->hash_, b->key_);
  });
  batch.reserve(dirty_.size() + overlay_.size() + 1);  // and the record of the turn
  for (StoredObject* object : dirty_) {
    object->dirty_ = false;
    std::string row = header_row(object_base(object->partition_, object->hash_, object->key_));
    std::string value;
    value.reserve(object->packed_.size_hint());
    Encoder out(value);
    if (!object->exploded_) {
      out.u8(kPacked);
      object->packed_.encode(out);
      size_t leaves = object->packed_.rows().size();
      if (leaves > limits::kPackedLeaves ||
          (value.size() > limits::kPackedBytes && leaves > limits::kPackedMinLeaves)) {
        explode(*object);
      }
    }
    if (object->exploded_ && object->counts_.rows == 0) object->exploded_ = false;  // shrunk to nothing: packed again
    object->summary_.valid = false;
    if (!object->exploded_ && object->packed_.empty()) {
      if (object->stored_) batch.erase(row);
      object->stored_ = false;
    } else {
      if (object->exploded_) {
        value.clear();
        out.u8(kHeader);
        for (uint64_t n : object->counts_.by_tag) out.varint(n);
        out.varint(object->counts_.nested);
        out.varint(object->counts_.rows);
        out.u64(object->counts_.digest);
        object->packed_.encode(out);
      } else if (value.empty()) {
        out.u8(kPacked);
        object->packed_.encode(out);
      }
      batch.put(std::move(row), std::move(value));
      object->stored_ = true;
    }
    bool counts_now = object->visible();
    const int64_t keys = static_cast<int64_t>(counts_now) - static_cast<int64_t>(object->counted_);
    object->counted_ = counts_now;
    changed({object->partition_, object->hash_, keys, std::exchange(object->digest_change_, 0),
             std::exchange(object->resets_change_, 0)});
    cache_used_ -= object->cost_;
    object->cost_ = cost_of(*object);
    cache_used_ += object->cost_;
  }
  dirty_.clear();
  for (auto& [row, value] : overlay_) {
    if (value)
      batch.put(row, std::move(*value));
    else
      batch.erase(row);
  }
  overlay_.clear();
}

void ObjectStore::for_each_changed(PartitionId partition, const std::function<void(const Changed&)>& visit) const {
  for (const StoredObject* o : dirty_) {
    if (o->partition_ == partition) visit({partition, o->hash_, 0, o->digest_change_, o->resets_change_});
  }
}

std::set<PartitionId> ObjectStore::changed_partitions() const {
  std::set<PartitionId> partitions;
  for (const StoredObject* object : dirty_) partitions.insert(object->partition_);
  return partitions;
}

void ObjectStore::end_turn() {
  // They are the last ones that came. One that is not has company that stays.
  for (; !once_.empty(); once_.pop_back()) {
    if (!clock_hand_.empty() && clock_hand_.back() == once_.back()) drop(clock_hand_.size() - 1);
  }
  while (cache_used_ > cache_limit_ && !clock_hand_.empty()) evict_one();
}

void ObjectStore::forget(const std::function<bool(PartitionId)>& gone) {
  scratch_row_.clear();
  for (size_t i = 0; i < clock_hand_.size();) {
    auto bucket = buckets_.find(clock_hand_[i]);
    StoredObject** link = &bucket.value();
    while (StoredObject* o = *link) {
      if (!gone(o->partition_)) {
        link = &o->next_;
        continue;
      }
      *link = o->next_;
      cache_used_ -= o->cost_;
      delete o;
    }
    if (bucket->second != nullptr) {
      ++i;
      continue;
    }
    buckets_.erase(bucket);
    clock_hand_[i] = clock_hand_.back();
    clock_hand_.pop_back();
  }
}

// CLOCK: a bucket that was used since the hand came by gets a second chance.
void ObjectStore::evict_one() {
  if (hand_ >= clock_hand_.size()) hand_ = 0;
  uint64_t id = clock_hand_[hand_];
  auto bucket = buckets_.find(id);
  bool used = false;
  for (StoredObject* o = bucket->second; o != nullptr; o = o->next_) {
    used |= o->referenced_;
    o->referenced_ = false;
  }
  if (used) {
    ++hand_;
    return;
  }
  drop(hand_);
}

// Forgets the objects of the bucket that stands at this place in the ring.
void ObjectStore::drop(size_t ring_index) {
  auto bucket = buckets_.find(clock_hand_[ring_index]);
  for (StoredObject* o = bucket->second; o != nullptr;) {
    StoredObject* next = o->next_;
    cache_used_ -= o->cost_;
    delete o;
    o = next;
  }
  buckets_.erase(bucket);
  clock_hand_[ring_index] = clock_hand_.back();
  clock_hand_.pop_back();
}

}  // namespace cartwheel::node
