// Quarantine: what becomes of a partition of which a row cannot be read or does not decode, whoever found it: a
// request, a delta, a repair, the look through the rows, a start. An unreadable row must not be taken for one that is
// not there, and what lies beside it is not believed either; so the partition is out of service as a whole, and is
// rebuilt from another replica. Its steps, in this order:
//
//   1. out of service   requests for it are passed on to another owner, or refused with kUnavailable; it does not vote,
//                       takes and acknowledges no delta, serves no exchange and is not compared. A row of its own says
//                       so ('q'), so that the next life goes on here.
//   2. waits            for a replica that has said to have everything that this one has. Until then nothing is
//                       dropped: the clock stays, is announced, and what the dot log has is given to whoever lacks it,
//                       so that a write that only this replica had acknowledged finds its way to the others.
//   3. copy             a full exchange is staged (exchange.cc), and every leaf of it is checked. A source that is
//                       quarantined itself refuses, and another one is tried.
//   4. emptied          once all of it is on this disk, if its clock covers the clock here: rows, dot log and clock go,
//                       as a whole, in one batch. With the old clock the join would take every leaf that is missing
//                       here for one that was removed.
//   5. joined           into the empty partition, as any other exchange. Then it serves again, and that is synced.
//
// The clock after step 5 covers the one before step 1: nobody who relied on what this replica said or acknowledged, a
// quorum, a move of the arc, the log of another one, has to learn of it, and no dot of this actor can be used twice.
// Only where the operator had the partition rebuilt from a copy with less (accept_losses) does this not hold; then the
// actor begins a new epoch, and the replica does not vote before it has what the others have, as after a wiped disk.
//
// If all owners are quarantined, nobody has all of it, and nobody serves. When the operator accepts losses, they give
// each other what they can read, as an exchange that says that it has holes. Each erases what it cannot read itself,
// and joins what comes to the rest of what it has, with its clock: a leaf that either side shows is kept, because a
// missing one may be a hole; what both show is joined as ever. A removal that one of them had not seen may be undone by
// that. Once every other owner has given so (one that is whole gives none, and is taken as a source as above), it
// serves again.
//
// A partition without other replicas keeps its rows and stays in service: who asks for a key whose rows cannot be read
// is told kCorruption, all others are answered.

#include <algorithm>

#include "base/planted.h"
#include "node/core/stripe_impl.h"
#include "storage/readable_rows.h"

namespace cartwheel::node {

namespace {
constexpr Duration kWaitsLong = Duration::seconds(30);  // for a source, before the operator is told

}  // namespace

bool Stripe::Impl::is_unreadable(const Status& status) {
  return status.code() == Code::kCorruption || status.code() == Code::kIo;
}

// Whether somebody else may have what is here.
bool Stripe::Impl::can_be_rebuilt(const Partition& p) const {
  return !p.loading && !p.leftover && by_arc_[p.id.keyspace][p.id.arc] == &p &&
         std::any_of(p.owners.begin(), p.owners.end(),
                     [&](NodeIndex n) { return n != options_.self && !config_->nodes[n].removed(); });
}

void Stripe::Impl::tell_operator(Output::Event::Kind kind, PartitionId id, std::string why, NodeIndex peer) {
  if (out_.events.size() < Output::kEventsMax) {
    out_.events.push_back({kind, id, peer, std::move(why)});
  } else {
    ++out_.events_left_out;
  }
}

// From now on the partition is out of service. What is under way for it ends with the next event: this is called from
// the midst of whatever has found the row.
void Stripe::Impl::quarantine(Partition& p, const std::string& why) {
  if (p.quarantined || p.loading) return;
  if (!can_be_rebuilt(p)) return tell_operator(Output::Event::Kind::kUnreadable, p.id, why);
  p.quarantined = true;
  p.quarantined_at = now_.instant;
  p.told_that_it_waits = false;
  tell_operator(Output::Event::Kind::kQuarantined, p.id, why);
  ++stats_.quarantines;
  quarantined_.insert(p.id);
  newly_quarantined_.push_back(p.id);
}

void Stripe::Impl::quarantine_unreadable() {
  for (const auto& [id, why] : store_.take_unreadable()) {
    if (Partition* p = find(id)) quarantine(*p, why.message());
  }
}

// Ends what is under way for partitions that have just been quarantined.
void Stripe::Impl::settle_quarantines() {
  for (PartitionId id : std::exchange(newly_quarantined_, {})) {
    Partition* p = find(id);
    if (p == nullptr || !p->quarantined) continue;
    out_.batch.put(quarantine_row(id), "");
    if (auto repair = repairs_.find(id); repair != repairs_.end()) end_repair(repair);
    p->skip = {};
    gaps_.erase(id);
    gap_.erase(id);
    p->behind_since.reset();
    awaiting_clock_.erase(id);
    tree_exchanges_.erase(id);
    forget_tree(*p);
    std::erase_if(serving_, [&](const auto& entry) { return entry.first.second == id; });
    std::vector<uint64_t> reading;
    for (const auto& [op_id, op] : pending_) {
      if (op.phase == Pending::Phase::kReading && op.partition == p) reading.push_back(op_id);
    }
    std::sort(reading.begin(), reading.end());
    for (uint64_t op_id : reading) {
      if (pending_.contains(op_id)) end_read_phase(op_id, Status::Ok());  // which passes it on
    }
  }
}

// Answers for a partition out of service.
void Stripe::Impl::pass_on(Caller caller, Request request, const Partition& p) {
  std::vector<NodeIndex> others;
  const bool local = needs_local(request);
  for (NodeIndex n : p.owners) {
    if (n == options_.self || n == caller.origin || !peers_[n].reachable) continue;
    if (!local || region_of(n) == my_region_) others.push_back(n);
  }
  if (!others.empty()) return forward(std::move(caller), std::move(request), others);
  ++stats_.unavailable;
  answer(caller, {Status::Unavailable("the copy of the key's partition on " + node_name(options_.self) +
                                      " is quarantined, because rows of it cannot be read, and no other replica that "
                                      "could answer can be reached"),
                  {}});
}

// Answers a request that found a row that cannot be read.
void Stripe::Impl::answer_unreadable(Caller caller, Request request, Partition& p, Status why) {
  quarantine(p, why.message());
  if (p.quarantined) return pass_on(std::move(caller), std::move(request), p);
  answer(caller, {std::move(why), {}}, true);
}

// --- rebuilding ------------------------------------------------------------------------------------------------------

// The source may be behind this replica where the operator said so.
bool Stripe::Impl::is_enough(const Partition& p, const crdt::Clock& theirs) const {
  return p.accepts_loss || theirs.covers(p.causal.clock) || planted(Bug::kQuarantineTakesLess);
}

// Replicas that have said to have all that is here, owners and the own region first.
std::vector<NodeIndex> Stripe::Impl::rebuild_sources(const Partition& p) const {
  std::vector<NodeIndex> sources;
  for (const auto& [n, peer] : p.peers) {
    if (peers_[n].reachable && peer.heard && is_enough(p, peer.clock)) sources.push_back(n);
  }
  std::stable_sort(sources.begin(), sources.end(), [&](NodeIndex a, NodeIndex b) {
    auto rank = [&](NodeIndex n) {
      return 4 * p.salvaged_from.contains(n) + 2 * !contains(p.owners, n) + (region_of(n) != my_region_);
    };
    return rank(a) < rank(b);
  });
  return sources;
}

void Stripe::Impl::rebuild_quarantined() {
  const std::vector<PartitionId> ids(quarantined_.begin(), quarantined_.end());
  for (PartitionId id : ids) {
    Partition& p = partitions_.at(id);
    if (!p.emptied && !can_be_rebuilt(p)) {  // the ring has changed: what is here may be the last copy
      release(p);
      continue;
    }
    if (auto repair = repairs_.find(id); repair != repairs_.end()) {
      if (repair->second.step > 0 || repair->second.joining) p.quarantined_at = now_.instant;  // something comes
      continue;
    }
    if (repairs_.size() >= limits::kRepairs) continue;
    const std::vector<NodeIndex> sources = rebuild_sources(p);
    tell_if_it_waits(p, !sources.empty());
    if (!sources.empty()) start_exchange(p, sources[p.rebuild_tries++ % sources.size()]);
  }
}

// All stages of the copy are here. Makes room for them, or returns false: the copy is of no use. Only at the beginning
// of a turn.
bool Stripe::Impl::make_room(Partition& p) {
  std::string bytes;
  auto found = engine_.get(stage_row(p.id, 0), &bytes);
  auto first = found.ok() && *found ? ExchangeReplyMessage::decode(bytes) : Status::Corruption("no stage");
  if (!first.ok()) return false;
  Decoder in(first->causal);
  const crdt::Causal theirs = crdt::Causal::decode(in);
  if (!in.done() || !is_enough(p, theirs.clock) || first->differing) return false;  // by trees it is not all
  p.recovering = p.recovering || !theirs.clock.covers(p.causal.clock);
  const std::string prefix = object_prefix(p.id);
  out_.batch.erase_range(prefix, prefix_end(prefix));
  store_.forget([&](PartitionId id) { return id == p.id; });
  forget_tree(p);
  if (!planted(Bug::kQuarantineKeepsClock)) p.causal = {};
  p.log = {};
  p.keys = 0;
  p.emptied = true;
  write_row(p);
  return true;
}

// --- salvage, where nobody has all of it -----------------------------------------------------------------------------

bool Stripe::Impl::gives_salvage(const Partition& p) const {
  return p.accepts_loss && !p.emptied;
}

// Only at the beginning of a turn. The next one finds rows that can all be read. The leaves of a large object whose own
// row cannot be read go with it.
void Stripe::Impl::erase_unreadable(Partition& p) {
  const std::string prefix = object_prefix(p.id), end = prefix_end(prefix);
  storage::ReadableRows rows(engine_, prefix, end);
  std::string object;  // the last one whose own row can be read
  for (; rows.valid(); rows.next()) {
    auto row = parse_object_row(rows.key());
    const bool decodes = row.ok() && EncodedRow::read(*row, rows.value()).ok();
    if (decodes && !row->is_leaf) object = row->key;
    if (decodes && row->key == object) continue;
    out_.batch.erase(std::string(rows.key()));
    if (row.ok() && !row->is_leaf) object.clear();
  }
  for (const auto& hole : rows.holes()) out_.batch.erase_range(hole.begin, hole.end.empty() ? end : hole.end);
  store_.forget([&](PartitionId id) { return id == p.id; });
  forget_tree(p);
  p.cleaned = true;
  write_row(p);
}

bool Stripe::Impl::salvaged_all(const Partition& p) const {
  return std::all_of(p.owners.begin(), p.owners.end(), [&](NodeIndex n) {
    return n == options_.self || config_->nodes[n].removed() || p.salvaged_from.contains(n);
  });
}

void Stripe::Impl::tell_if_it_waits(Partition& p, bool any_source) {
  const bool tried = p.rebuild_tries > 0 || !any_source;
  if (p.told_that_it_waits || !tried || now_.instant - p.quarantined_at < kWaitsLong) return;
  p.told_that_it_waits = true;
  tell_operator(Output::Event::Kind::kWaits, p.id,
                any_source ? "the replicas that have all of it are quarantined themselves, or do not give it"
                           : "no replica that can be reached has all that this one has acknowledged");
}

// The partition is in service again.
void Stripe::Impl::release(Partition& p, NodeIndex from) {
  using Kind = Output::Event::Kind;
  const bool salvaged = !p.emptied && p.cleaned && salvaged_all(p);
  tell_operator(p.emptied  ? Kind::kRebuilt
                : salvaged ? Kind::kSalvaged
                           : Kind::kReleased,
                p.id, p.emptied || salvaged ? "" : "no other node owns it any more", from);
  if (p.emptied || salvaged) {
    ++stats_.rebuilt_partitions;
    if (p.emptied) p.next_seq = std::max(p.next_seq, p.causal.clock.last(actor_) + 1);
    if (p.recovering) begin_epoch_above(actor_.epoch);
    out_.sync = true;
  }
  p.quarantined = p.emptied = p.accepts_loss = p.cleaned = false;
  p.salvaged_from.clear();
  quarantined_.erase(p.id);
  unreadable_.erase(p.id);
  out_.batch.erase(quarantine_row(p.id));
  p.version = ++version_;
  note_gap(p);
}

// A life begins: the partitions that the one before had out of service, and did not rebuild. A copy that was joined, or
// was about to be, is joined anew (exchange.cc).
void Stripe::Impl::recover_quarantines() {
  auto rows = engine_.scan("q", "r");
  for (; rows->valid(); rows->next()) {
    Decoder key(rows->key().substr(1));
    const PartitionId id = decode_partition_id(key);
    Partition* p = key.done() ? find(id) : nullptr;
    if (p == nullptr) {
      out_.batch.erase(std::string(rows->key()));
      continue;
    }
    // Emptied, it does not know any more what it had.
    p->recovering = p->recovering || (p->causal.clock.empty() && p->replicated());
    quarantine(*p, "it was quarantined before the start, and not rebuilt yet");
    if (!p->quarantined) out_.batch.erase(std::string(rows->key()));
  }
  if (!rows->status().ok()) {  // any of them may be one
    for (auto& [id, p] : partitions_) quarantine(p, rows->status().message());
  }
  settle_quarantines();
}

}  // namespace cartwheel::node
