#include "crdt/document.h"

#include "base/limits.h"
#include "base/planted.h"
#include "crdt/types.h"

namespace cartwheel::crdt {

const Object& Document::object(const std::string& key) const {
  static const Object kEmpty;
  auto it = objects_.find(key);
  return it == objects_.end() ? kEmpty : it->second;
}

const Leaf* Document::leaf(const std::string& key, const std::string& path) const {
  return object(key).find(path);
}

void Document::drop_if_empty(const std::string& key) {
  auto it = objects_.find(key);
  if (it != objects_.end() && it->second.empty()) objects_.erase(it);
}

Delta Document::commit(const std::string& key, std::vector<Change> changes) {
  Delta delta{key, {}, std::move(changes)};
  for (const Change& change : delta.changes) delta.time = std::max(delta.time, change.time);
  apply(delta);
  return delta;
}

namespace {
Change named(Change change, Dot dot, const std::string& path) {
  change.dot = dot;
  change.path = path;
  return change;
}
}  // namespace

Delta Document::assign(const std::string& key, const std::string& path, std::string value, Hlc time) {
  return commit(key, {named(crdt::assign(leaf(key, path), std::move(value), time), next_dot(), path)});
}

Delta Document::increment(const std::string& key, const std::string& path, int64_t amount) {
  auto change = crdt::increment(leaf(key, path), actor_, next_seq_, amount);
  CHECK(change);
  return commit(key, {named(std::move(*change), next_dot(), path)});
}

Delta Document::reset(const std::string& key, const std::string& path) {
  const Leaf* observed = leaf(key, path);
  return commit(key, {named(observed == nullptr ? Change() : crdt::remove(*observed), next_dot(), path)});
}

Delta Document::add(const std::string& key, const std::string& path) {
  return commit(key, {named(crdt::add_element(leaf(key, path)), next_dot(), path)});
}

Delta Document::flag(const std::string& key, const std::string& path, bool on) {
  return commit(key, {named(crdt::set_flag(leaf(key, path), on), next_dot(), path)});
}

Delta Document::expire(const std::string& key, std::optional<int64_t> at_ms) {
  std::string path = path_step(Tag::kExpiry);
  return commit(key, {named(crdt::set_expiry(leaf(key, path), at_ms), next_dot(), path)});
}

Delta Document::clear(const std::string& key, const std::string& prefix) {
  std::vector<Change> changes;
  Change range;
  range.kind = Change::Kind::kRange;
  range.observed = causal_.clock;
  if (joining_) {  // what this replica shows ahead of its clock, it has observed
    const auto& rows = object(key).rows();
    for (const auto& [path, leaf] : rows) {
      for (const Entry& entry : leaf.entries) {
        if (path.starts_with(prefix)) range.observed.add(entry.dot);
      }
    }
  }
  changes.push_back(named(std::move(range), next_dot(), prefix));
  const Object& target = object(key);
  auto [first, last] = target.range(prefix);
  for (size_t i = first; i < last; ++i) {
    const auto& [path, leaf] = target.rows()[i];
    if (leaf.chains.empty()) continue;
    Leaf counter;
    counter.chains = leaf.chains;
    changes.push_back(named(crdt::remove(counter), next_dot(), path));
  }
  return commit(key, std::move(changes));
}

bool Document::apply(const Delta& delta) {
  if (joining_) {
    for (const Change& change : delta.changes) {
      if (joining_->skip.contains(change.dot)) return false;
    }
  }
  for (const Change& change : delta.changes) {
    if (!causal_.clock.contains(change.dot)) apply_change(delta.key, change);
  }
  return true;
}

void Document::apply_change(const std::string& key, const Change& change) {
  LogEntry entry{key, change.path, {}};
  if (change.kind == Change::Kind::kRange) {
    entry.range = change.observed;
    Object& target = objects_[key];
    for (auto& [path, leaf] : target.rows()) {
      if (path.starts_with(change.path)) leaf.remove_observed(change.observed);
    }
    std::erase_if(target.rows(), [](const Object::Row& row) { return row.second.empty(); });
  } else {
    bool dead = change.puts && causal_.put_is_dead(key, change.path, change.dot);
    Object& target = objects_[key];
    Leaf& leaf = target.at(change.path);
    leaf.apply(change, dead);
    if (leaf.empty()) target.erase(change.path);
  }
  drop_if_empty(key);
  causal_.record(key, change);
  log_[change.dot] = std::move(entry);
}

void Document::join_leaf(const std::string& key, const std::string& path, const Leaf* theirs, const Causal& other) {
  static const Leaf kNone;
  Object& target = objects_[key];
  Leaf& mine = target.at(path);
  mine.join(causal_.knowledge(), theirs == nullptr ? kNone : *theirs, other.knowledge());
  causal_.apply_pending(key, path, mine);
  if (mine.empty()) target.erase(path);
  drop_if_empty(key);
}

void Document::take_pending(const Causal& other) {
  for (const PendingRange& range : other.pending) {
    auto it = objects_.find(range.key);
    if (it == objects_.end()) continue;
    for (auto& [path, leaf] : it->second.rows()) {
      if (path.starts_with(range.prefix)) leaf.remove_observed(range.observed);
    }
    std::erase_if(it->second.rows(), [](const Object::Row& row) { return row.second.empty(); });
    drop_if_empty(range.key);
  }
}

bool Document::catch_up_from(const Document& other) {
  if (!causal_.clock.covers(other.floor_) && !planted(Bug::kUnionWithoutFloorCheck)) return false;
  DotSet missing = other.causal_.clock.minus(causal_.clock);
  for (const auto& [dot, entry] : other.log_) {
    if (!missing.contains(dot)) continue;
    if (entry.range) {
      Change range;
      range.kind = Change::Kind::kRange;
      range.dot = dot;
      range.path = entry.path;
      range.observed = *entry.range;
      apply_change(entry.key, range);
    } else {
      join_leaf(entry.key, entry.path, other.leaf(entry.key, entry.path), other.causal_);
    }
    log_[dot] = entry;
  }
  take_pending(other.causal_);
  causal_.unite(other.causal_);
  return true;
}

void Document::merge(const Document& other) {
  begin_join(other);
  while (!join_step()) continue;
}

void Document::begin_join(const Document& other) {
  CHECK(!joining_ && !other.joining_);
  joining_ = Joining{other.causal_, other.objects_, other.log_, {}, other.causal_.clock.minus(causal_.clock)};
  for (const auto* side : {&objects_, &joining_->objects}) {
    for (const auto& [key, object] : *side) joining_->keys.insert(key);
  }
  if (planted(Bug::kDeadKnownLate)) return;
  // What the other one knew to be dead must not come in by a delta meanwhile.
  Causal dead;
  dead.voids = other.causal_.voids;
  dead.pending = other.causal_.pending;
  causal_.unite(dead);
}

bool Document::join_step() {
  if (!joining_->keys.empty()) {
    std::string key = joining_->keys.extract(joining_->keys.begin()).value();
    const Object& theirs = joining_->objects[key];
    std::set<std::string> paths;
    for (const Object* side : {&object(key), &theirs}) {
      for (const auto& row : side->rows()) paths.insert(row.first);
    }
    for (const std::string& path : paths) join_leaf(key, path, theirs.find(path), joining_->causal);
    if (!joining_->keys.empty()) return false;
  }
  Joining done = std::move(*joining_);
  joining_.reset();
  take_pending(done.causal);
  DotSet gained = done.causal.clock.minus(causal_.clock);
  for (const auto& [dot, entry] : done.log) {
    if (gained.contains(dot)) log_[dot] = entry;
  }
  causal_.unite(done.causal);
  DotSet logged;
  for (const auto& [dot, entry] : log_) logged.add(dot);
  floor_.merge(gained.minus(logged));
  return true;
}

void Document::truncate(const DotSet& stable) {
  for (auto it = log_.begin(); it != log_.end();) {
    if (!stable.contains(it->first)) {
      ++it;
      continue;
    }
    floor_.add(it->first);
    it = log_.erase(it);
  }
}

void Document::forget_reset(const Dot& dot) {
  for (auto it = objects_.begin(); it != objects_.end();) {
    for (auto& row : it->second.rows()) row.second.forget_resets([&](const Dot& d) { return d == dot; });
    std::erase_if(it->second.rows(), [](const Object::Row& row) { return row.second.empty(); });
    it = it->second.empty() ? objects_.erase(it) : std::next(it);
  }
}

bool Document::same_state(const Document& other) const {
  if (causal_.clock != other.causal_.clock) return false;
  auto visible = [](const Document& d) {
    std::map<std::string, uint64_t> out;
    for (const auto& [key, object] : d.objects_) {
      if (uint64_t digest = object.digest(); digest != 0) out[key] = digest;
    }
    return out;
  };
  return visible(*this) == visible(other);
}

std::string Document::encode() const {
  std::string bytes;
  Encoder out(bytes);
  crdt::encode(out, actor_);
  out.varint(next_seq_);
  causal_.encode(out);
  floor_.encode(out);
  out.varint(objects_.size());
  for (const auto& [key, object] : objects_) {
    out.bytes(key);
    object.encode(out);
  }
  out.varint(log_.size());
  for (const auto& [dot, entry] : log_) {
    crdt::encode(out, dot);
    out.bytes(entry.key);
    out.bytes(entry.path);
    out.u8(entry.range ? 1 : 0);
    if (entry.range) entry.range->encode(out);
  }
  return bytes;
}

Result<Document> Document::decode(std::string_view bytes) {
  Decoder in(bytes);
  Document d(decode_actor(in));
  d.next_seq_ = in.varint();
  if (d.next_seq_ == 0 || d.next_seq_ > kMaxSeq) in.fail();
  d.causal_ = Causal::decode(in);
  d.floor_ = DotSet::decode(in);
  for (size_t n = in.count(2); n > 0 && in.ok(); --n) {
    std::string key(in.bytes());
    if (key.size() > limits::kKeyBytes || (!d.objects_.empty() && !(d.objects_.rbegin()->first < key))) in.fail();
    Object object = Object::decode(in);
    if (object.empty()) in.fail();
    d.objects_.emplace_hint(d.objects_.end(), std::move(key), std::move(object));
  }
  for (size_t n = in.count(16); n > 0 && in.ok(); --n) {
    Dot dot = decode_dot(in);
    if (!d.log_.empty() && !(d.log_.rbegin()->first < dot)) in.fail();
    LogEntry entry{std::string(in.bytes()), std::string(in.bytes()), {}};
    uint8_t is_range = in.u8();
    bool valid_path = is_range == 1 ? valid_prefix(entry.path) : valid_leaf_path(entry.path);
    if (is_range > 1 || !valid_path || entry.key.size() > limits::kKeyBytes) in.fail();
    if (is_range == 1) entry.range = Clock::decode(in);
    d.log_.emplace_hint(d.log_.end(), dot, std::move(entry));
  }
  if (!in.done()) return Status::Corruption("a document that does not decode");
  return d;
}

}  // namespace cartwheel::crdt
