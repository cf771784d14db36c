// Full exchange: the other replica streams all leaves of the partition from one snapshot; this one joins them, also its
// own leaves that the other does not have, and then unites the clocks. In the course of it
//   - leaves here may run ahead of the clock, which is harmless (what a leaf shows counts as observed);
//   - dots of the snapshot's clock are not taken from deltas ("skip"): they come with the stream, and a delta that was
//     superseded by something that already came would bring a dead write back;
//   - if the stream breaks off, skip stays (it is persisted) and only another full exchange completes it. Dots that
//   such
//     a broken stream has left in leaves and that neither side has in its clock are adopted at the end ("orphans"):
//     their writer's copy was lost, and otherwise nobody would ever learn of them.

#include <algorithm>

#include "node/core/stripe_impl.h"

namespace cartwheel::node {

void Stripe::Impl::start_exchange(Partition& p, NodeIndex from) {
  if (repairs_.contains(p.id) || repairs_.size() >= limits::kRepairs) return;
  ++stats_.full_exchanges;
  Repair& repair = repairs_[p.id];
  repair.id = next_id_++;
  repair.from = from;
  repair.exchange = true;
  request_step(p, repair);
}

void Stripe::Impl::request_step(Partition& p, Repair& repair) {
  repair.last_progress = now_.instant;
  send(repair.from, ExchangeMessage{repair.id, p.id, repair.step, repair.raw}.encode());
}

// --- the side that serves --------------------------------------------------------------------------------------------

void Stripe::Impl::on_exchange(NodeIndex from, const ExchangeMessage& m) {
  Partition* p = find(m.partition);
  if (p == nullptr || p->loading) return;
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
    Serving& serving = serving_[{from, m.partition}];
    if (serving.id != m.id) {  // not a repeated request
      serving = Serving();
      serving.id = m.id;
      serving.raw = m.raw;
      std::string prefix = object_prefix(m.partition);
      serving.rows = engine_.scan(prefix, prefix_end(prefix));
      // From now on this node keeps for the new owner what the snapshot does not have.
      auto peer = p->peers.find(from);
      if (m.raw && peer != p->peers.end() && !peer->second.heard) peer->second = {p->causal.clock, false, true};
    }
    serve_step(from, m);
  }
}

void Stripe::Impl::serve_step(NodeIndex from, const ExchangeMessage& m) {
  ExchangeReplyMessage reply;
  reply.id = m.id;
  reply.partition = m.partition;
  reply.step = m.step;
  auto it = serving_.find({from, m.partition});
  bool known = it != serving_.end() && it->second.id == m.id;
  if (known && m.step + 1 == it->second.step) return send(from, it->second.last_reply);  // the answer was lost
  if (!known || m.step != it->second.step) {
    reply.outcome = ExchangeReplyMessage::Outcome::kLost;
    return send(from, reply.encode());
  }
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
  }
  std::deque<std::string> kept;  // what the views of the reply point into
  auto keep = [&](std::string_view bytes) { return std::string_view(kept.emplace_back(bytes)); };
  size_t bytes = 0;
  auto add = [&](std::string_view key, std::string_view path, std::string_view leaf) {
    bytes += key.size() + path.size() + leaf.size() + 8;
    reply.rows.push_back({keep(key), keep(path), keep(leaf)});
  };
  size_t prefix_bytes = object_prefix(m.partition).size();
  while (serving.rows->valid() && bytes < options_.catch_up_chunk_bytes) {
    if (serving.raw) {
      add(serving.rows->key().substr(prefix_bytes), "", serving.rows->value());
      serving.rows->next();
      continue;
    }
    auto row = parse_object_row(serving.rows->key());
    if (!row.ok()) return;
    if (row->is_leaf) {
      add(row->key, row->path, serving.rows->value());
    } else {
      auto leaves = ObjectStore::decode_header(serving.rows->value());
      if (!leaves.ok()) return;  // a corrupt row is not passed off as an absent one: the exchange does not go on
      for (const auto& [path, leaf] : leaves->rows()) {
        std::string encoded;
        Encoder out(encoded);
        leaf.encode(out);
        add(row->key, path, encoded);
      }
    }
    serving.rows->next();
  }
  if (!serving.rows->status().ok()) return;
  serving.done = !serving.rows->valid();
  reply.outcome = serving.done ? ExchangeReplyMessage::Outcome::kDone : ExchangeReplyMessage::Outcome::kMore;
  ++serving.step;
  serving.last_reply = reply.encode();
  send(from, serving.last_reply);
}

// --- the side that asks ----------------------------------------------------------------------------------------------

void Stripe::Impl::on_exchange_reply(NodeIndex from, const ExchangeReplyMessage& m) {
  auto it = repairs_.find(m.partition);
  Partition* p = find(m.partition);
  if (p == nullptr || it == repairs_.end() || it->second.id != m.id || it->second.from != from ||
      !it->second.exchange || it->second.step != m.step) {
    return;
  }
  Repair& repair = it->second;
  if (m.outcome == ExchangeReplyMessage::Outcome::kLost) {
    abort_load(repair);
    repairs_.erase(it);
    return;  // the gap is still there: the next round begins anew
  }
  if (repair.raw) return on_raw_rows(*p, repair, m);
  if (m.step == 0) {
    Decoder in(m.causal);
    repair.snapshot = crdt::Causal::decode(in);
    if (!in.done()) {
      ++stats_.rejected_messages;
      repairs_.erase(it);
      return;
    }
    p->skip.merge(repair.snapshot.clock.minus(p->causal.clock));
    write_row(*p);
  }
  Status status = join_rows(*p, repair, m);
  if (status.ok() && m.outcome == ExchangeReplyMessage::Outcome::kDone) status = finish_exchange(*p, repair);
  if (!status.ok()) {
    ++stats_.rejected_messages;
    repairs_.erase(m.partition);
    return;
  }
  if (m.outcome == ExchangeReplyMessage::Outcome::kDone) {
    repairs_.erase(m.partition);
    clock_advanced(*p);
    return;
  }
  ++repair.step;
  request_step(*p, repair);
}

Status Stripe::Impl::join_leaf(Partition& p, Repair& repair, StoredObject& object, std::string_view path,
                               const crdt::Leaf& theirs) {
  auto mine = store_.leaf(object, path);
  if (!mine.ok()) return mine.status();
  crdt::Leaf before = *mine == nullptr ? crdt::Leaf() : **mine;
  crdt::Leaf joined = before;
  joined.join(p.causal.knowledge(), theirs, repair.snapshot.knowledge());
  p.causal.apply_pending(object.key(), path, joined);
  for (const crdt::Entry& e : joined.entries) {
    if (!p.causal.clock.contains(e.dot) && !repair.snapshot.clock.contains(e.dot)) repair.orphans.add(e.dot);
  }
  for (const crdt::ActorChain& c : joined.chains) {
    crdt::Dot dot{c.actor, c.chain.seq};
    if (!p.causal.clock.contains(dot) && !repair.snapshot.clock.contains(dot)) repair.orphans.add(dot);
  }
  if (joined == before) return Status::Ok();
  turn_dirty_ = true;
  return store_.update(object, path, std::move(joined));
}

Status Stripe::Impl::join_rows(Partition& p, Repair& repair, const ExchangeReplyMessage& m) {
  for (const ExchangeReplyMessage::Row& row : m.rows) {
    Decoder in(row.leaf);
    crdt::Leaf theirs = crdt::Leaf::decode(in);
    if (!in.done() || !crdt::valid_leaf_path(row.path) || row.key.size() > limits::kKeyBytes) {
      return Status::Corruption("a leaf of an exchange does not decode");
    }
    uint64_t hash = hash64(row.key);
    if (arc_of_hash(hash, config_->partitions) != p.id.arc) return Status::Corruption("a key of another partition");
    if (!repair.has_key || repair.key != row.key) {
      RETURN_IF_ERROR(finish_key(p, repair));
      RETURN_IF_ERROR(join_own_keys(p, repair, hash, row.key, false));
      repair.has_key = true;
      repair.key = row.key;
      repair.key_hash = hash;
      ++stats_.full_exchange_objects;
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
  auto object = store_.open(p.id, repair.key_hash, repair.key);
  if (!object.ok()) return object.status();
  std::vector<std::string> mine;
  RETURN_IF_ERROR(store_.for_each(**object, "", [&](std::string_view path, const crdt::Leaf&) {
    if (!repair.paths.contains(std::string(path))) mine.emplace_back(path);
    return true;
  }));
  for (const std::string& path : mine) RETURN_IF_ERROR(join_leaf(p, repair, **object, path, crdt::Leaf()));
  repair.paths.clear();
  return Status::Ok();
}

// Joins, with nothing, the objects here that lie between the last object that came and the one that comes now, in the
// order of rows: by hash, then by the row key (which begins with the key's length).
Status Stripe::Impl::join_own_keys(Partition& p, Repair& repair, uint64_t until_hash, std::string_view until_key,
                                   bool to_end) {
  auto position = [](std::string_view key) {
    std::string bytes;
    Encoder(bytes).bytes(key);
    return bytes;
  };
  std::vector<std::pair<uint64_t, std::string>> mine;
  std::string after = repair.has_key ? position(repair.key) : "", until = position(until_key);
  RETURN_IF_ERROR(
      store_.for_each_key(p.id, repair.has_key ? repair.key_hash : 0, [&](uint64_t hash, std::string_view key) {
        if (!to_end && (hash > until_hash || (hash == until_hash && position(key) >= until))) return false;
        if (!repair.has_key || hash > repair.key_hash || position(key) > after) mine.emplace_back(hash, key);
        return true;
      }));
  for (const auto& [hash, key] : mine) {
    auto object = store_.open(p.id, hash, key);
    if (!object.ok()) return object.status();
    std::vector<std::string> paths;
    RETURN_IF_ERROR(store_.for_each(**object, "", [&](std::string_view path, const crdt::Leaf&) {
      paths.emplace_back(path);
      return true;
    }));
    for (const std::string& path : paths) RETURN_IF_ERROR(join_leaf(p, repair, **object, path, crdt::Leaf()));
  }
  return Status::Ok();
}

Status Stripe::Impl::finish_exchange(Partition& p, Repair& repair) {
  RETURN_IF_ERROR(finish_key(p, repair));
  RETURN_IF_ERROR(join_own_keys(p, repair, 0, "", true));
  for (const crdt::PendingRange& range : repair.snapshot.pending) {
    auto object = store_.open(p.id, hash64(range.key), range.key);
    if (!object.ok()) return object.status();
    RETURN_IF_ERROR(remove_observed(store_, **object, range.prefix, range.observed));
  }
  p.causal.unite(repair.snapshot);
  p.causal.clock.merge(repair.orphans);
  p.causal.settle();
  p.skip = {};
  write_row(p);
  return Status::Ok();
}

}  // namespace cartwheel::node
