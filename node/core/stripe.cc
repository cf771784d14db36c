#include "node/core/stripe.h"

#include <algorithm>

#include "base/planted.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

namespace {

constexpr Duration kHousekeeping = Duration::millis(100);
constexpr int64_t kTimerGrainUs = 5'000;
constexpr Duration kBetweenRows = Duration::seconds(1);
constexpr Duration kServingIdle = Duration::seconds(30);
constexpr Duration kDropSettles = Duration::millis(500);  // more than the sync of a turn takes

}  // namespace

Stripe::Impl::Impl(std::shared_ptr<const ClusterConfig> config, StripeOptions options, storage::Engine& engine)
    : config_(std::move(config)),
      options_(std::move(options)),
      engine_(engine),
      store_(engine, options_.cache_bytes),
      rng_(options_.seed),
      hedge_budget_(options_.hedge_percent, options_.hedge_burst) {
  read_config();
  for (uint16_t k = 0; k < config_->keyspaces.size(); ++k) {
    if (config_->keyspaces[k].dropped) continue;
    const Assignment& assignment = config_->assignments[k];
    for (uint32_t arc = options_.stripe; arc < config_->partitions; arc += config_->stripes) {
      const auto& owners = assignment.owners[arc];
      const Move* move = assignment.move(arc);
      if (std::count(owners.begin(), owners.end(), options_.self) > 0 ||
          (move != nullptr && move->stage != Stage::kDrain &&
           std::count(move->others.begin(), move->others.end(), options_.self) > 0)) {
        create_partition({k, arc});
      }
    }
  }
}

Partition* Stripe::Impl::find(PartitionId id) {
  if (id.keyspace >= by_arc_.size() || id.arc >= config_->partitions) return nullptr;
  return by_arc_[id.keyspace][id.arc];
}

// --- events ----------------------------------------------------------------------------------------------------------

void Stripe::Impl::begin_event(Now now) {
  now_ = now;
  wall_ = hlc_.wall(now.wall);
  if (!newly_quarantined_.empty()) settle_quarantines();
  if (turn_dirty_) return;
  std::erase_if(going_, [this](const auto& entry) { return now_.instant - entry.second > kDropSettles; });
  if (deferred_config_ && doomed_.empty()) on_config(std::exchange(deferred_config_, nullptr));
  if (joins_ > 0 && next_join_ <= now_.instant) join_step();
  if (!turn_dirty_ && !deferred_.empty()) serve_deferred();
  auto may_look = [this](Instant due) {
    return !turn_dirty_ && turn_deltas_.empty() && due <= now_.instant && peers_.size() > 1;
  };
  if (may_look(next_scan_)) scan_trees();
  if (may_look(next_tree_)) tick_trees();
  take_deferred_trees();
}

void Stripe::Impl::send(NodeIndex to, std::string bytes) {
  out_.messages.push_back({to, std::move(bytes)});
}

void Stripe::Impl::write_row(Partition& p) {
  turn_dirty_ = true;
  if (p.row_dirty) return;
  p.row_dirty = true;
  dirty_rows_.push_back(&p);
}

void Stripe::Impl::schedule(Instant at, uint64_t id) {
  timers_[at.us / kTimerGrainUs + 1].push_back(id);
}

bool Stripe::Impl::apply_delta(Partition& p, crdt::Delta delta, std::string_view encoded) {
  if (p.quarantined) return false;
  if (!hlc_.observe(delta.time, wall_, limits::kClockSkewMs)) {
    ++stats_.rejected_messages;
    return false;
  }
  bool any_new = false;
  for (const crdt::Change& change : delta.changes) {
    if (p.causal.clock.contains(change.dot)) continue;
    if (p.skip.contains(change.dot)) return false;
    any_new = true;
  }
  if (!any_new) {
    ++stats_.deltas_skipped;
    return true;
  }
  turn_dirty_ = true;
  if (planted(Bug::kDroppedDelta) && delta.changes[0].dot.seq > p.causal.clock.last(delta.changes[0].dot.actor) + 1) {
    for (const crdt::Change& change : delta.changes) p.causal.clock.add(change.dot);
    write_row(p);
    return true;
  }
  auto object = store_.open(p.id, hash64(delta.key), delta.key);
  if (!object.ok()) return false;
  // The record of the turn keeps the encoded form; so the values may go to the object.
  for (crdt::Change& change : delta.changes) {
    if (p.causal.clock.contains(change.dot)) continue;
    if (!apply_change_by_move(store_, p, **object, change).ok()) return false;
  }
  ++stats_.deltas_applied;
  log_delta(p, delta, std::string(encoded));
  clock_advanced(p);
  return true;
}

// Puts the delta into the record of this turn. Without other replicas nobody will ever ask for it, and a new life's
// epoch makes dots unique whatever the clock lost: then the clock is only saved now and then.
void Stripe::Impl::log_delta(Partition& p, const crdt::Delta& delta, std::string encoded) {
  if (!p.replicated()) {
    p.unlogged = true;
    next_rows_ = std::min(next_rows_, now_.instant + kBetweenRows);
    return;
  }
  for (const crdt::Change& change : delta.changes) {
    p.log.add(change.dot, next_record_);
    turn_dots_.emplace_back(&p, change.dot);
  }
  turn_deltas_[p.id].push_back(std::move(encoded));
}

void Stripe::Impl::clock_advanced(Partition& p) {
  p.version = ++version_;
  if (p.recovering) check_recovered(p);
  if (!awaiting_session_.empty()) check_sessions_of(&p);
  auto it = awaiting_clock_.find(p.id);
  if (it == awaiting_clock_.end()) return;
  std::vector<uint64_t> ids = std::move(it->second);
  awaiting_clock_.erase(it);
  for (uint64_t id : ids) {
    check_read_phase(id);
    auto op = pending_.find(id);
    if (op != pending_.end() && !op->second.awaited.empty()) awaiting_clock_[p.id].push_back(id);
  }
}

// --- the end of a turn -----------------------------------------------------------------------------------------------

Output Stripe::Impl::take_output() {
  quarantine_unreadable();
  truncate_log();
  if (turn_dirty_ || !turn_deltas_.empty()) {
    storage::WriteBatch lost;
    bool lose_rows = planted(Bug::kClockAheadOfData) && rng_.chance(0.2);
    store_.flush(lose_rows ? lost : out_.batch, [&](const ObjectStore::Changed& c) {
      Partition& p = partitions_.at(c.partition);
      p.keys += static_cast<uint64_t>(c.keys);
      p.tree.change(PartitionTree::bucket_of(c.hash, config_->partitions), c.digest, c.resets);
    });
    if (!turn_deltas_.empty()) {
      TurnRecord record;
      LoggedRecord logged{next_record_, 0, std::move(turn_dots_), {}};
      for (auto& [id, deltas] : turn_deltas_) {
        Partition& p = partitions_.at(id);
        logged.parts.push_back(&p);
        record.parts.push_back({id, p.keys, std::move(deltas)});
      }
      std::string bytes = record.encode();
      logged.bytes = bytes.size();
      record_bytes_ += bytes.size();
      logged_dots_ += logged.dots.size();
      records_.push_back(std::move(logged));
      out_.batch.put(record_row(next_record_++), std::move(bytes));
      turn_deltas_.clear();
      turn_dots_.clear();
    }
    for (Partition* p : dirty_rows_) {
      p->row_dirty = false;
      p->row_record = next_record_;
      out_.batch.put(partition_row(p->id), PartitionRow{next_record_, p->keys, !p->replicated(), p->causal}.encode());
    }
    dirty_rows_.clear();
    if (!doomed_.empty()) bury_doomed();
  }
  if (last_turn_) save_trees();  // with what this turn has changed
  turn_dirty_ = false;
  store_.end_turn();
  for (NodeIndex n = 0; n < peers_.size(); ++n) {
    if (peers_[n].acks.empty()) continue;
    send(n, WriteAckMessage{std::move(peers_[n].acks)}.encode());
    peers_[n].acks.clear();
  }
  Output output = std::move(out_);
  out_ = Output();
  out_.answers.reserve(output.answers.size());  // the next turn will be about as large
  return output;
}

Status write_to(storage::Engine& engine, Output& output) {
  for (const Output::Load& load : output.loads) {
    switch (load.step) {
      case Output::Load::Step::kAdd:
        RETURN_IF_ERROR(engine.add_to_load(load.id, load.rows));
        break;
      case Output::Load::Step::kCommit:
        RETURN_IF_ERROR(engine.commit_load(load.id));
        break;
      case Output::Load::Step::kAbort:
        engine.abort_load(load.id);
        break;
    }
  }
  output.loads.clear();
  return output.batch.empty() ? Status::Ok() : engine.write(std::exchange(output.batch, {}));
}

// --- the public face -------------------------------------------------------------------------------------------------

Stripe::Stripe(std::shared_ptr<const ClusterConfig> config, StripeOptions options, storage::Engine& engine)
    : impl_(std::make_unique<Impl>(std::move(config), std::move(options), engine)) {}
Stripe::~Stripe() = default;

Status Stripe::start(Now now) {
  return impl_->recover(now);
}

void Stripe::on_request(Request request, ReplyCallback callback, Now now) {
  impl_->begin_event(now);
  impl_->request({std::move(callback), kNoNode, 0}, std::move(request));
}

void Stripe::on_message(NodeIndex from, std::string_view bytes, Now now) {
  Impl& s = *impl_;
  s.begin_event(now);
  auto type = message_type(bytes);
  if (!type) ++s.stats_.unknown_messages;
  if (!type || from >= s.peers_.size() || from == s.options_.self || s.config_->nodes[from].removed()) {
    ++s.stats_.rejected_messages;
    return;
  }
  s.heard(from);
  auto handle = [&](auto message, auto handler) {
    if (message.ok()) return handler(std::move(*message));
    ++s.stats_.rejected_messages;
    ++s.stats_.unknown_messages;
  };
  switch (*type) {
    case MessageType::kWrite:
      return handle(WriteMessage::decode(bytes), [&](auto m) { s.on_write(from, m); });
    case MessageType::kWriteAck:
      return handle(WriteAckMessage::decode(bytes), [&](auto m) { s.on_write_ack(from, m); });
    case MessageType::kRead:
      return handle(ReadMessage::decode(bytes), [&](auto m) { s.on_read(from, m); });
    case MessageType::kReadReply:
      return handle(ReadReplyMessage::decode(bytes), [&](auto m) { s.on_read_reply(from, m); });
    case MessageType::kForward:
      return handle(ForwardMessage::decode(bytes, now.instant), [&](auto m) { s.on_forward(from, std::move(m)); });
    case MessageType::kForwardReply:
      return handle(ForwardReplyMessage::decode(bytes), [&](auto m) { s.on_forward_reply(from, std::move(m)); });
    case MessageType::kAnnounce:
      return handle(AnnounceMessage::decode(bytes), [&](auto m) { s.on_announce(from, std::move(m)); });
    case MessageType::kAnnounceAck:
      return handle(AnnounceAckMessage::decode(bytes), [&](auto m) { s.on_announce_ack(from, m); });
    case MessageType::kCatchUp:
      return handle(CatchUpMessage::decode(bytes), [&](auto m) { s.on_catch_up(from, m); });
    case MessageType::kCatchUpReply:
      return handle(CatchUpReplyMessage::decode(bytes), [&](auto m) { s.on_catch_up_reply(from, m, bytes.size()); });
    case MessageType::kExchange:
      return handle(ExchangeMessage::decode(bytes), [&](auto m) { s.on_exchange(from, m); });
    case MessageType::kExchangeReply:
      return handle(ExchangeReplyMessage::decode(bytes), [&](auto m) { s.on_exchange_reply(from, m, bytes.size()); });
    case MessageType::kNudge:
      return handle(NudgeMessage::decode(bytes), [&](auto m) { s.on_nudge(from, m); });
    case MessageType::kFarewell:
      return handle(FarewellMessage::decode(bytes), [&](auto m) { s.on_farewell(from, m); });
    case MessageType::kTree:
      if (s.defer_tree(from, bytes)) return;
      return handle(TreeMessage::decode(bytes), [&](auto m) { s.on_tree(from, m); });
    case MessageType::kTreeReply:
      s.tree_budget_.take(bytes.size());
      if (s.defer_tree(from, bytes)) return;
      return handle(TreeReplyMessage::decode(bytes), [&](auto m) { s.on_tree_reply(from, m); });
  }
}

void Stripe::on_tick(Now now) {
  Impl& s = *impl_;
  s.begin_event(now);
  s.fire_hedges();
  while (!s.timers_.empty() && s.timers_.begin()->first * kTimerGrainUs <= now.instant.us) {
    std::vector<uint64_t> due = std::move(s.timers_.begin()->second);
    s.timers_.erase(s.timers_.begin());
    for (uint64_t id : due) s.on_deadline(id);
  }
  if (s.next_laggard_ <= now.instant) s.tend_laggards();
  if (s.next_announce_ <= now.instant) {
    s.next_announce_ = now.instant + s.options_.announce_interval;
    for (NodeIndex n = 0; n < s.peers_.size(); ++n) {
      if (n != s.options_.self && !s.config_->nodes[n].removed()) s.announce(n);
    }
  }
  if (s.next_housekeeping_ <= now.instant) {
    s.next_housekeeping_ = now.instant + kHousekeeping;
    for (NodeIndex n = 0; n < s.peers_.size(); ++n) {
      if (s.peers_[n].reachable && now.instant - s.peers_[n].last_heard > s.options_.peer_timeout) s.set_unreachable(n);
    }
    s.repair_gaps();
    s.rebuild_quarantined();
    s.let_go_of_leftovers();
    s.tend_fallbacks();
    s.tend_folds();
    s.start_loads();
    s.request_waiting_loads();
    std::erase_if(s.serving_, [&](const auto& entry) { return now.instant - entry.second.last_used > kServingIdle; });
  }
  if (s.next_rows_ <= now.instant) s.write_unlogged_rows();
  if (s.next_sweep_ <= now.instant) s.sweep();
}

std::optional<Instant> Stripe::next_deadline() const {
  const Impl& s = *impl_;
  if (!s.deferred_.empty() || !s.deferred_trees_.empty() || !s.newly_quarantined_.empty() || s.deferred_config_) {
    return s.now_.instant;
  }
  Instant next = std::min(s.next_announce_, s.next_sweep_);
  if (s.joins_ > 0) next = std::min(next, std::max(s.next_join_, s.now_.instant));
  // Housekeeping has something to do only while others exist.
  if (s.peers_.size() > 1)
    next = std::min({next, s.next_housekeeping_, s.next_tree_, std::max(s.next_scan_, s.now_.instant)});
  else
    next = s.next_sweep_;
  next = std::min({next, s.next_rows_, s.next_laggard_});
  if (!s.hedges_.empty()) next = std::min(next, s.hedges_.begin()->first);
  if (!s.timers_.empty()) next = std::min(next, Instant{s.timers_.begin()->first * kTimerGrainUs});
  return next;
}

void Stripe::on_config(std::shared_ptr<const ClusterConfig> config, Now now) {
  impl_->begin_event(now);
  impl_->on_config(std::move(config));
}

void Stripe::on_peer_connection(NodeIndex peer, bool up, Now now) {
  impl_->begin_event(now);
  if (peer >= impl_->peers_.size() || peer == impl_->options_.self) return;
  impl_->peers_[peer].linked = up;
  if (up)
    impl_->announce(peer);
  else
    impl_->set_unreachable(peer);
}

Output Stripe::take_output() {
  return impl_->take_output();
}

void Stripe::stop(Now now) {
  impl_->begin_event(now);
  impl_->write_unlogged_rows();
  impl_->last_turn_ = true;
  impl_->identity_.clean = true;
  impl_->identity_.next_record = impl_->next_record_ + (impl_->turn_deltas_.empty() ? 0 : 1);
  impl_->out_.batch.put(identity_row(), impl_->identity_.encode());
  impl_->out_.sync = true;
}

// --- looking in ------------------------------------------------------------------------------------------------------

uint64_t Stripe::keys() const {
  uint64_t keys = 0;
  for (const auto& [id, p] : impl_->partitions_) keys += p.keys;
  return keys;
}

const StripeStats& Stripe::stats() const {
  StripeStats& stats = impl_->stats_;
  stats.cache_hits = impl_->store_.hits();
  stats.cache_misses = impl_->store_.misses();
  stats.cache_bytes = impl_->store_.cache_bytes();
  stats.keys = keys();
  stats.log_entries = impl_->logged_dots_;
  stats.pending_operations = impl_->pending_.size() + impl_->gated_;
  stats.partitions = impl_->partitions_.size();
  stats.fallback_bytes = impl_->fallback_bytes_;
  stats.fallback_deltas = 0;
  WallTime oldest = impl_->wall_;
  for (const auto& [id, kept] : impl_->fallbacks_) {
    stats.fallback_deltas += kept.rows.size();
    if (!kept.rows.empty()) oldest = std::min(oldest, kept.rows.front().at);
  }
  stats.fallback_oldest_seconds = static_cast<uint64_t>((impl_->wall_.ms - oldest.ms) / 1000);
  stats.quarantined = impl_->quarantined_.size();
  stats.alarmed = stats.clock_rows = 0;
  for (const auto& [id, p] : impl_->partitions_) {
    stats.alarmed += !p.refused.empty();
    stats.clock_rows += p.causal.clock.rows().size();
  }
  impl_->measure_differences(stats);
  return stats;
}

std::vector<PeerLag> Stripe::lag(Now now) const {
  std::vector<PeerLag> out;
  for (NodeIndex n = 0; n < impl_->peers_.size(); ++n) {
    if (n == impl_->options_.self || impl_->config_->nodes[n].removed()) continue;
    const Impl::PeerState& peer = impl_->peers_[n];
    PeerLag lag{n, peer.reachable, 0, 0, 0};
    for (const auto& [id, p] : impl_->partitions_) {
      auto it = p.peers.find(n);
      if (it == p.peers.end()) continue;
      lag.dots += it->second.clock.minus(p.causal.clock).size();
      lag.dots_there += p.causal.clock.minus(it->second.clock).size();
    }
    if (peer.as_of.ms != INT64_MIN)
      lag.seconds = std::max<int64_t>(0, (now.wall.ms - peer.as_of.ms) / 1000);
    else
      lag.seconds = -1;
    out.push_back(lag);
  }
  return out;
}

bool Stripe::ready() const {
  for (const auto& [id, p] : impl_->partitions_) {
    if (!p.serves || p.quarantined) continue;  // others answer for it
    if (p.recovering || !impl_->reachable_enough(impl_->default_write_needs(id.keyspace), p)) return false;
  }
  // Requests for what others own are passed on.
  const ClusterConfig& config = *impl_->config_;
  for (uint16_t k = 0; k < config.keyspaces.size(); ++k) {
    if (config.keyspaces[k].dropped) continue;
    for (uint32_t arc = impl_->options_.stripe; arc < config.partitions; arc += config.stripes) {
      const auto& owners = config.assignments[k].owners[arc];
      bool reached = std::any_of(owners.begin(), owners.end(),
                                 [&](NodeIndex n) { return n == impl_->options_.self || impl_->peers_[n].reachable; });
      if (!reached) return false;
    }
  }
  return true;
}

RingProgress Stripe::ring_progress() const {
  return impl_->ring_progress();
}

uint64_t Stripe::epoch() const {
  return impl_->actor_.epoch;
}

const ClusterConfig& Stripe::config() const {
  return *impl_->config_;
}

void Stripe::set_observer(StripeObserver* observer) {
  impl_->observer_ = observer;
}

Result<std::string> Stripe::canonical_state(uint16_t keyspace, uint32_t arc, WallTime wall) {
  Partition* p = impl_->find({keyspace, arc});
  if (p == nullptr || p->loading) return Status(Code::kNotFound, "not a replica of this partition");
  if (p->quarantined) return Status(Code::kUnavailable, "the partition is quarantined");
  std::string state;
  Encoder out(state);
  out.u64(p->causal.clock.hash());
  std::vector<std::pair<uint64_t, std::string>> keys;
  RETURN_IF_ERROR(impl_->store_.for_each_key(p->id, 0, [&](uint64_t hash, std::string_view key) {
    keys.emplace_back(hash, key);
    return true;
  }));
  for (const auto& [hash, key] : keys) {
    auto object = impl_->store_.open(p->id, hash, key);
    if (!object.ok()) return object.status();
    auto at = (*object)->expires_at();
    if ((at && *at <= wall.ms) || (*object)->digest() == 0) continue;
    out.bytes(key);
    out.u64((*object)->digest());
  }
  return state;
}

Result<crdt::Object> Stripe::inspect(uint16_t keyspace, const std::string& key) {
  Partition* p = impl_->find({keyspace, arc_of(key, impl_->config_->partitions)});
  if (p == nullptr || p->loading) return Status(Code::kNotFound, "not a replica of this key");
  if (p->quarantined) return Status(Code::kUnavailable, "the partition is quarantined");
  auto object = impl_->store_.open(p->id, hash64(key), key);
  if (!object.ok()) return object.status();
  crdt::Object copy;
  RETURN_IF_ERROR(impl_->store_.for_each(**object, "", [&](std::string_view path, const crdt::Leaf& leaf) {
    copy.set(path, leaf);
    return true;
  }));
  return copy;
}

const crdt::Clock& Stripe::fallback_clock(uint16_t keyspace, uint32_t arc) const {
  static const crdt::Clock kEmpty;
  auto kept = impl_->fallbacks_.find({keyspace, arc});
  return kept == impl_->fallbacks_.end() ? kEmpty : kept->second.clock;
}

const crdt::Clock& Stripe::clock(uint16_t keyspace, uint32_t arc) const {
  static const crdt::Clock kEmpty;
  Partition* p = impl_->find({keyspace, arc});
  return p == nullptr ? kEmpty : p->causal.clock;
}

}  // namespace cartwheel::node
