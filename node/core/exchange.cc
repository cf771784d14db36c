// Full exchange: the other replica streams all leaves of the partition from one snapshot. What comes is staged in rows
// of its own, and nothing here changes, until it is all here: a stream may break off and never go on, when its source
// loses what it sent. Half of it could not be told from the effects of writes that nobody has, and a clock cannot say
// "seen, but only in keys below this one". Then the leaves are joined, a stage in each turn, also those here that the
// other side does not have, and at last the clocks unite. Nothing can break that off: it needs this disk alone, and a
// new life begins it anew. In the course of it
//   - leaves here run ahead of the clock, which is harmless (what a leaf shows counts as observed), but this replica
//     serves no exchange;
//   - dots of the snapshot's clock are not taken from deltas ("skip"): they come with the stages, and a delta that was
//     superseded by something that already came would bring a dead write back;
//   - what the snapshot knew to be dead is known here from the first stage on, for deltas that come meanwhile.
// Where both sides have a hash tree only what differs is streamed (exchange_by_trees.cc); the rest is as here.

#include <algorithm>

#include "base/planted.h"
#include "node/core/stripe_impl.h"
#include "storage/readable_rows.h"

namespace cartwheel::node {

namespace {
constexpr Duration kJoinRetry = Duration::millis(100);
constexpr int kRowsPerStep = 2000;  // that a step by trees looks at: few of them may have to be sent
}  // namespace

void Stripe::Impl::start_exchange(Partition& p, NodeIndex from) {
  if (repairs_.contains(p.id) || repairs_.size() >= limits::kRepairs || p.refused.contains(from)) return;
  ++stats_.full_exchanges;
  Repair& repair = repairs_[p.id];
  repair.id = next_id_++;
  repair.from = from;
  repair.exchange = true;
  offer_tree(p, repair);
  request_step(p, repair);
}

void Stripe::Impl::request_step(Partition& p, Repair& repair) {
  repair.last_progress = now_.instant;
  ExchangeMessage m{repair.id, p.id, repair.step, repair.raw, {}};
  if (repair.by_trees && repair.step == 0) m.tree = repair.by_trees->shown;
  send(repair.from, m.encode());
}

// --- the side that serves --------------------------------------------------------------------------------------------

void Stripe::Impl::on_exchange(NodeIndex from, const ExchangeMessage& m) {
  Partition* p = find(m.partition);
  if (p == nullptr || p->loading) return;
  if (refuses_to_serve(*p, m)) return refuse_exchange(from, m);
  if (m.step == 0) {
    // A snapshot must show the engine and the clock at one instant: between turns, when nothing is only in memory.
    if (deferred_.size() < limits::kRepairs) deferred_.emplace_back(from, m);
    if (!turn_dirty_) serve_deferred();
    return;
  }
  serve_step(from, m);
}

void Stripe::Impl::serve_deferred() {
  auto requests = std::move(deferred_);
  deferred_.clear();
  for (auto& [from, m] : requests) {
    Partition* p = find(m.partition);
    if (p == nullptr) continue;
    if (refuses_to_serve(*p, m)) {
      refuse_exchange(from, m);
      continue;
    }
    auto repair = repairs_.find(m.partition);
    if (repair != repairs_.end() && repair->second.joining) {  // leaves ahead of the clock: it may ask again
      serving_.erase({from, m.partition});
      serve_step(from, m);
      continue;
    }
    Serving& serving = serving_[{from, m.partition}];
    if (serving.id != m.id) {  // not a repeated request
      serving = Serving();
      serving.id = m.id;
      serving.raw = m.raw;
      std::string prefix = object_prefix(m.partition);
      serving.salvage = p->quarantined;
      if (serving.salvage) {
        serving.rows = std::make_unique<storage::ReadableRows>(engine_, prefix, prefix_end(prefix));
      } else {
        serving.rows = engine_.scan(prefix, prefix_end(prefix));
      }
      serve_by_trees(*p, serving, m);
      // From now on this node keeps for the new owner what the snapshot does not have.
      auto peer = p->peers.find(from);
      if (m.raw && peer != p->peers.end() && !peer->second.heard) peer->second = {p->causal.clock, false, true, false};
    }
    serve_step(from, m);
  }
}

// Whoever asks tries another replica.
void Stripe::Impl::refuse_exchange(NodeIndex to, const ExchangeMessage& m) {
  ExchangeReplyMessage reply;
  reply.id = m.id;
  reply.partition = m.partition;
  reply.step = m.step;
  reply.outcome = ExchangeReplyMessage::Outcome::kLost;
  send(to, reply.encode());
}

// A row that cannot be read, or does not decode, is neither passed on nor passed off as an absent one.
void Stripe::Impl::break_off_serving(NodeIndex from, const ExchangeMessage& m) {
  serving_.erase({from, m.partition});
  quarantine(*find(m.partition), "a row does not decode, or cannot be read, for another replica");
  refuse_exchange(from, m);
}

// A quarantined partition gives nothing but what it can read, and that only where losses are accepted.
bool Stripe::Impl::refuses_to_serve(const Partition& p, const ExchangeMessage& m) const {
  return p.quarantined && (m.raw || !gives_salvage(p));
}

void Stripe::Impl::serve_step(NodeIndex from, const ExchangeMessage& m) {
  ExchangeReplyMessage reply;
  reply.id = m.id;
  reply.partition = m.partition;
  reply.step = m.step;
  auto it = serving_.find({from, m.partition});
  bool known = it != serving_.end() && it->second.id == m.id;
  if (known && m.step + 1 == it->second.step) return send(from, it->second.last_reply);  // the answer was lost
  if (!known || m.step != it->second.step) return refuse_exchange(from, m);
  Serving& serving = it->second;
  serving.last_used = now_.instant;
  std::string causal;
  if (m.step == 0) {
    Encoder out(causal);
    Partition& p = *find(m.partition);
    p.causal.encode(out);
    reply.causal = causal;
    reply.keys = p.keys;
    std::string prefix = object_prefix(p.id);
    if (serving.raw) reply.bytes = engine_.approximate_bytes(prefix, prefix_end(prefix));
    if (serving.by_trees) reply.differing = serving.differing;
  }
  std::deque<std::string> kept;  // what the views of the reply point into
  auto keep = [&](std::string_view bytes) { return std::string_view(kept.emplace_back(bytes)); };
  size_t bytes = 0;
  auto add = [&](std::string_view key, std::string_view path, std::string_view leaf) {
    bytes += key.size() + path.size() + leaf.size() + 8;
    reply.rows.push_back({keep(key), keep(path), keep(leaf)});
  };
  size_t prefix_bytes = object_prefix(m.partition).size();
  int looked = 0;
  while (serving.rows->valid() && bytes < options_.catch_up_chunk_bytes) {
    const std::string_view value = serving.rows->value();
    auto row = parse_object_row(serving.rows->key());
    auto read = row.ok() ? EncodedRow::read(*row, value) : row.status();
    if (!read.ok()) {
      if (!serving.salvage) return break_off_serving(from, m);
      serving.rows->next();
      continue;
    }
    if (pass_equal_buckets(serving, m.partition, row->hash)) continue;
    if (serving.by_trees && ++looked > kRowsPerStep) break;
    if (serving.raw) {
      add(serving.rows->key().substr(prefix_bytes), "", value);
    } else if (row->is_leaf) {
      if (is_served(serving, row->hash, read->leaf)) add(row->key, row->path, value);
    } else {
      Decoder in(read->header.object);
      crdt::EncodedObject leaves(in);
      while (leaves.next()) {
        if (is_served(serving, row->hash, leaves.leaf())) add(row->key, leaves.path(), leaves.leaf().bytes);
      }
    }
    serving.rows->next();
  }
  if (!serving.rows->status().ok()) return break_off_serving(from, m);
  serving.done = !serving.rows->valid();
  using Outcome = ExchangeReplyMessage::Outcome;
  reply.outcome = !serving.done ? Outcome::kMore : serving.salvage ? Outcome::kSalvaged : Outcome::kDone;
  ++serving.step;
  serving.last_reply = reply.encode();
  send(from, serving.last_reply);
}

// --- the side that asks ----------------------------------------------------------------------------------------------

void Stripe::Impl::on_exchange_reply(NodeIndex from, const ExchangeReplyMessage& m, size_t bytes) {
  auto it = repairs_.find(m.partition);
  Partition* p = find(m.partition);
  if (p == nullptr || it == repairs_.end() || it->second.id != m.id || it->second.from != from ||
      !it->second.exchange || it->second.joining || it->second.step != m.step) {
    return;
  }
  Repair& repair = it->second;
  stats_.full_exchange_bytes += bytes;
  if (m.outcome == ExchangeReplyMessage::Outcome::kLost) return end_repair(it);  // the next round begins anew
  if (repair.raw) return on_raw_rows(*p, repair, m);
  if (!take_differing(repair, m) || !validate_rows(*p, repair, m).ok()) {
    ++stats_.rejected_messages;
    return end_repair(it);
  }
  repair.salvage = m.outcome == ExchangeReplyMessage::Outcome::kSalvaged;
  if (repair.salvage && !(p->quarantined && p->accepts_loss)) return end_repair(it);  // holes are of no use here
  turn_dirty_ = true;
  if (m.step == 0 && repair.by_trees) keep_asked(*p, *repair.by_trees);
  out_.batch.put(stage_row(p->id, m.step), m.encode());
  ++repair.step;
  if (m.outcome == ExchangeReplyMessage::Outcome::kMore) return request_step(*p, repair);
  repair.joining = true;
  repair.step = 0;
  repair.counting = must_count(*p);
  ++joins_;
}

Status Stripe::Impl::validate_rows(const Partition& p, const Repair& repair, const ExchangeReplyMessage& m) const {
  if (m.step == 0) {
    Decoder in(m.causal);
    crdt::Causal::decode(in);
    if (!in.done()) return Status::Corruption("the knowledge of an exchange does not decode");
  }
  for (const ExchangeReplyMessage::Row& row : m.rows) {
    Decoder in(row.leaf);
    const crdt::Leaf leaf = crdt::Leaf::decode(in);
    if (!in.done() || !crdt::valid_leaf_path(row.path) || row.key.size() > limits::kKeyBytes) {
      return Status::Corruption("a leaf of an exchange does not decode");
    }
    const uint64_t hash = hash64(row.key);
    if (arc_of_hash(hash, config_->partitions) != p.id.arc) return Status::Corruption("a key of another partition");
    if (!differs(repair, hash) && leaf.resets.empty()) return Status::Corruption("a leaf that is said to be equal");
  }
  return Status::Ok();
}

// --- joining what has come -------------------------------------------------------------------------------------------

// A life begins: what came whole is joined, from the first stage on; what did not is dropped.
void Stripe::Impl::recover_exchanges() {
  std::map<PartitionId, bool> whole;
  std::set<PartitionId> begun;
  auto rows = engine_.scan("x", "y");
  for (; rows->valid(); rows->next()) {
    auto m = ExchangeReplyMessage::decode(rows->value());
    if (!m.ok()) {  // of which partition, nobody can say: all begin anew
      whole.clear();
      break;
    }
    if (is_asked_row(*m)) continue;
    if (is_join_mark(*m)) begun.insert(m->partition);
    whole[m->partition] = m->outcome == ExchangeReplyMessage::Outcome::kDone;
  }
  if (rows->valid() || !rows->status().ok()) {
    out_.batch.erase_range("x", "y");
    return;
  }
  for (const auto& [id, is_whole] : whole) {
    if (is_whole && find(id) != nullptr) {
      Repair& repair = repairs_[id];
      repair.exchange = repair.joining = true;
      repair.counting = !begun.contains(id) && must_count(*find(id));
      ++joins_;
    } else {
      out_.batch.erase_range(stage_prefix(id), prefix_end(stage_prefix(id)));
    }
  }
}

// Joins the next stage of one exchange. Only at the beginning of a turn: the last stage must have been written.
void Stripe::Impl::join_step() {
  auto it = std::find_if(repairs_.begin(), repairs_.end(), [](const auto& entry) { return entry.second.joining; });
  Partition& p = partitions_.at(it->first);
  bool done = false;
  Repair& repair = it->second;
  if (repair.salvage && !p.cleaned) return erase_unreadable(p);
  if (p.quarantined && !p.emptied && !repair.salvage) {  // what has come is joined from the next turn on, into nothing
    if (!make_room(p)) end_repair(it);
    return;
  }
  if (!join_stage(p, repair, &done).ok()) {  // the engine could not be read; what was joined is joined again
    if (p.quarantined) {                     // or is fetched anew
      p.emptied = p.cleaned = false;
      p.skip = {};
      p.recovering = true;
      return end_repair(it);
    }
    rewind(repair);
    next_join_ = now_.instant + kJoinRetry;
    return;
  }
  if (repair.refused) return end_repair(it);
  if (!done) return;
  p.accepts_removals = false;
  keep_durably(p);
  const NodeIndex from = repair.from;
  if (repair.salvage) p.salvaged_from.insert(from);
  const bool whole = !repair.salvage || salvaged_all(p);
  end_repair(it);
  if (p.quarantined && whole) release(p, from);
  clock_advanced(p);
}

// The joining begins at the first stage again.
void Stripe::Impl::rewind(Repair& repair) {
  repair.step = 0;
  repair.has_key = false;
  repair.paths.clear();
  repair.keys_to_go = 0;
  repair.key_shows = repair.key_stays = false;
  if (repair.by_trees) repair.by_trees->rows_joined = false;
}

Status Stripe::Impl::join_stage(Partition& p, Repair& repair, bool* done) {
  if (repair.by_trees && repair.by_trees->rows_joined) return end_join(p, repair, done);
  std::string bytes;
  auto found = engine_.get(stage_row(p.id, repair.step), &bytes);
  if (!found.ok()) return found.status();
  auto m = *found ? ExchangeReplyMessage::decode(bytes) : Status::Corruption("a stage is missing");
  if (!m.ok()) return m.status();
  turn_dirty_ = true;
  if (m->step == 0) {
    Decoder in(m->causal);
    repair.snapshot = crdt::Causal::decode(in);
    RETURN_IF_ERROR(begin_by_trees(p, repair, *m));
  }
  if (m->step == 0 && !repair.counting) {
    if (!repair.salvage) mark_join_begun(p);
    if (repair.salvage) RETURN_IF_ERROR(count_keys(p));
    p.skip = repair.snapshot.clock.minus(p.causal.clock);
    crdt::Causal dead;
    dead.voids = repair.snapshot.voids;
    dead.pending = repair.snapshot.pending;
    if (!planted(Bug::kDeadKnownLate)) p.causal.unite(dead);
    write_row(p);
  }
  RETURN_IF_ERROR(join_rows(p, repair, *m));
  if (m->outcome == ExchangeReplyMessage::Outcome::kMore) {
    ++repair.step;
    return Status::Ok();
  }
  RETURN_IF_ERROR(finish_key(p, repair));
  RETURN_IF_ERROR(join_own_keys(p, repair, 0, "", true));
  return end_join(p, repair, done);
}

// All rows have been joined, or counted.
Status Stripe::Impl::end_join(Partition& p, Repair& repair, bool* done) {
  bool ended = true;
  if (repair.by_trees) RETURN_IF_ERROR(join_equal_buckets(p, repair, &ended));
  if (!ended) return Status::Ok();
  if (repair.counting) {
    end_count(p, repair);
    return Status::Ok();
  }
  *done = true;
  return finish_exchange(p, repair);
}

Status Stripe::Impl::join_leaf(Partition& p, Repair& repair, StoredObject& object, std::string_view path,
                               const crdt::Leaf& theirs) {
  auto mine = store_.leaf(object, path);
  if (!mine.ok()) return mine.status();
  crdt::Leaf before = *mine == nullptr ? crdt::Leaf() : **mine;
  crdt::Leaf joined = before;
  const bool either_lacks_it = before == crdt::Leaf() || theirs == crdt::Leaf();
  if (repair.salvage && either_lacks_it && !planted(Bug::kSalvageHolesRemove)) {
    if (before == crdt::Leaf()) joined = theirs;  // where it is missing may be a hole
  } else {
    joined.join(p.causal.knowledge(), theirs, repair.snapshot.knowledge());
  }
  p.causal.apply_pending(object.key(), path, joined);
  if (repair.counting) {
    count_leaf(repair, before, joined);
    return Status::Ok();
  }
  if (joined == before) return Status::Ok();
  turn_dirty_ = true;
  return store_.update(object, path, std::move(joined));
}

Status Stripe::Impl::join_rows(Partition& p, Repair& repair, const ExchangeReplyMessage& m) {
  for (const ExchangeReplyMessage::Row& row : m.rows) {
    Decoder in(row.leaf);
    crdt::Leaf theirs = crdt::Leaf::decode(in);  // validated when it came
    uint64_t hash = hash64(row.key);
    if (!repair.has_key || repair.key != row.key) {
      RETURN_IF_ERROR(finish_key(p, repair));
      RETURN_IF_ERROR(join_own_keys(p, repair, hash, row.key, false));
      repair.has_key = true;
      repair.key = row.key;
      repair.key_hash = hash;
      stats_.full_exchange_objects += repair.counting ? 0 : 1;
    }
    repair.paths.emplace(row.path);
    auto object = store_.open(p.id, hash, row.key);
    if (!object.ok()) return object.status();
    RETURN_IF_ERROR(join_leaf(p, repair, **object, row.path, theirs));
  }
  return Status::Ok();
}

// Joins the leaves of the current object that the other side does not have.
Status Stripe::Impl::finish_key(Partition& p, Repair& repair) {
  if (!repair.has_key) return Status::Ok();
  if (!differs(repair, repair.key_hash)) {
    repair.paths.clear();
    repair.key_shows = repair.key_stays = false;
    return Status::Ok();
  }
  auto object = store_.open(p.id, repair.key_hash, repair.key);
  if (!object.ok()) return object.status();
  std::vector<std::string> mine;
  RETURN_IF_ERROR(store_.for_each(**object, "", [&](std::string_view path, const crdt::Leaf&) {
    if (!repair.paths.contains(std::string(path))) mine.emplace_back(path);
    return true;
  }));
  for (const std::string& path : mine) RETURN_IF_ERROR(join_leaf(p, repair, **object, path, crdt::Leaf()));
  repair.paths.clear();
  count_key(repair);
  return Status::Ok();
}

// Joins, with nothing, the objects here that lie between the last object that came and the one that comes now, in the
// order of rows: by hash, then by the row key (which begins with the key's length). Those in equal buckets are left
// out.
Status Stripe::Impl::join_own_keys(Partition& p, Repair& repair, uint64_t until_hash, std::string_view until_key,
                                   bool to_end) {
  auto position = [](std::string_view key) {
    std::string bytes;
    Encoder(bytes).bytes(key);
    return bytes;
  };
  std::vector<std::pair<uint64_t, std::string>> mine;
  std::string after = repair.has_key ? position(repair.key) : "", until = position(until_key);
  std::optional<uint64_t> from = repair.has_key ? repair.key_hash : 0;
  while (from) {
    const uint64_t begin = *from;
    from.reset();
    RETURN_IF_ERROR(store_.for_each_key(p.id, begin, [&](uint64_t hash, std::string_view key) {
      if (!to_end && (hash > until_hash || (hash == until_hash && position(key) >= until))) return false;
      if (!differs(repair, hash)) {
        from = next_differing(p, repair, hash);
        return false;
      }
      if (!repair.has_key || hash > repair.key_hash || position(key) > after) mine.emplace_back(hash, key);
      return true;
    }));
  }
  for (const auto& [hash, key] : mine) {
    auto object = store_.open(p.id, hash, key);
    if (!object.ok()) return object.status();
    std::vector<std::string> paths;
    RETURN_IF_ERROR(store_.for_each(**object, "", [&](std::string_view path, const crdt::Leaf&) {
      paths.emplace_back(path);
      return true;
    }));
    for (const std::string& path : paths) RETURN_IF_ERROR(join_leaf(p, repair, **object, path, crdt::Leaf()));
    count_key(repair);
  }
  return Status::Ok();
}

Status Stripe::Impl::finish_exchange(Partition& p, Repair& repair) {
  for (const crdt::PendingRange& range : repair.snapshot.pending) {
    auto object = store_.open(p.id, hash64(range.key), range.key);
    if (!object.ok()) return object.status();
    RETURN_IF_ERROR(remove_observed(store_, **object, range.prefix, range.observed));
  }
  outlive(repair.snapshot.clock);
  p.causal.unite(repair.snapshot);
  p.skip = {};
  write_row(p);
  return Status::Ok();
}

}  // namespace cartwheel::node
