// Folding of closed lives out of partition clocks (crdt/clock.h says what a fold is). Each start of a
// node begins a life with numbers of its own, and a row in the clock of every partition that it writes to; without this
// they would stay for ever.
//
// A fold contains every dot of these lives, so nothing of them may come any more that not everybody has. A life is
// *closed* when its node has said itself that it is in a later one, or was removed. A replica folds a life when
//   - every other replica has said that it knows that the life is closed. From then on it takes nothing of it from the
//     writer (is_of_closed_life): what it has of it grows only by what another replica has. That its news is of now,
//     and no old news, is what `lives` in an announcement is for: a replica that says nothing of it may just be getting
//     the last writes of the life;
//   - every other replica has announced exactly the same dots of it, and of all lives of the node before;
//   - nodes that may keep deltas of it as fallbacks have said that they know, too, and keep none;
//   - that has been so for StripeOptions::fold_delay, and all of them have announced since: what was on its way at the
//     beginning, from a copy that has been lost meanwhile, has arrived and would show;
//   - its epoch is older than StripeOptions::fold_age. A node that lost its disk does not know its past and begins by
//     its clock: its new life must not lie under a fold.
// Nobody is asked and nobody agrees: each replica finds that out for itself, from announcements. Who has folded and who
// has not have equal clocks all the same. A replica that finds that another one has folded exactly what it has itself
// does so too, at once; who has less of it than the fold covers lacks the whole fold, and gets it by full exchange.
//
// One fold per node that ever wrote to a partition stays, also of nodes that were removed. And nothing is folded while
// a replica is away: it may be the only one that has the last writes of a life.

#include <algorithm>

#include "base/planted.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

namespace {
constexpr Duration kLookMin = Duration::millis(100), kLookMax = Duration::seconds(5);
constexpr int kFoldsPerLook = 64;  // each has a partition's row written
}  // namespace

// The newest lives of the other nodes, the receiver included, as far as they have announced themselves here.
void Stripe::Impl::announce_lives(AnnounceMessage& message) const {
  for (NodeIndex n = 0; n < peers_.size(); ++n) {
    const PeerState& peer = peers_[n];
    if (n != options_.self && peer.instance != 0 && peer.life_version > message.since)
      message.lives.emplace_back(n, peer.instance);
  }
}

void Stripe::Impl::on_lives_announced(NodeIndex from, const AnnounceMessage& m) {
  for (const auto& [n, epoch] : m.lives) {
    if (n >= peers_.size()) continue;  // of a configuration that is not here yet: it is told again
    uint64_t& known = peers_[from].lives[n];
    known = std::max(known, epoch);
  }
}

// Whether `by` has told, in its present life, that it knows `actor` to be closed; or this node knows it.
bool Stripe::Impl::knows_closed(NodeIndex by, const crdt::Actor& actor) const {
  auto node = node_of_actor_.find(actor.node);
  if (node == node_of_actor_.end()) return false;
  const NodeIndex writer = node->second;
  const bool here = by == options_.self;
  if (config_->nodes[writer].removed()) return here || peers_[by].epoch >= config_->epoch;
  if (by == writer) return (here ? actor_.epoch : peers_[by].instance) > actor.epoch;
  if (here) return peers_[writer].instance > actor.epoch;
  auto told = peers_[by].lives.find(writer);
  return told != peers_[by].lives.end() && told->second > actor.epoch;
}

bool Stripe::Impl::all_know_closed(const std::vector<NodeIndex>& keepers, const crdt::Actor& actor) const {
  return planted(Bug::kFoldByOldNews) || planted(Bug::kFoldUnasked) ||
         std::all_of(keepers.begin(), keepers.end(), [&](NodeIndex n) { return knows_closed(n, actor); });
}

bool Stripe::Impl::announced_since(const std::vector<NodeIndex>& keepers, Instant then) const {
  return planted(Bug::kFoldByOldNews) || planted(Bug::kFoldUnasked) ||
         std::all_of(keepers.begin(), keepers.end(), [&](NodeIndex n) { return peers_[n].announced_at >= then; });
}

// Who may have something of the partition that is not here: the other replicas, and nodes that may be fallbacks.
std::vector<NodeIndex> Stripe::Impl::keepers_of(const Partition& p) const {
  std::vector<NodeIndex> keepers;
  for (const auto& [n, peer] : p.peers) keepers.push_back(n);
  if (!config_->keyspaces[p.id.keyspace].fallbacks) return keepers;
  for (NodeIndex n = 0; n < peers_.size(); ++n) {
    if (n != options_.self && !config_->nodes[n].removed() && p.owner_counts[region_of(n)] > 0 && !p.peers.contains(n))
      keepers.push_back(n);
  }
  return keepers;
}

// Whether the partition's clock says what its leaves are, and its other replicas are known.
bool Stripe::Impl::is_settled(const Partition& p) const {
  auto repair = repairs_.find(p.id);
  const bool exchange = repair != repairs_.end() && repair->second.exchange;
  return p.serves && !p.move && !p.leftover && !p.loading && !p.quarantined && p.skip.empty() && !exchange;
}

// Whether the lives of `actor.node` up to `actor` are closed, and nobody has anything of them that is not here.
bool Stripe::Impl::may_fold(const Partition& p, const crdt::Actor& actor, uint64_t hash,
                            const std::vector<NodeIndex>& keepers) const {
  if (p.recovering || !p.guests.empty() || !knows_closed(options_.self, actor)) return false;
  if (p.causal.clock.fold_hash(actor.node, actor.epoch) != hash) return false;
  if (planted(Bug::kFoldUnasked)) return true;
  return all_know_closed(keepers, actor) && std::all_of(p.peers.begin(), p.peers.end(), [&](const auto& entry) {
           return entry.second.heard && entry.second.clock.fold_hash(actor.node, actor.epoch) == hash;
         });
}

// Of the lives of a node, the last one that may be folded, or nothing. `row` is the node's first, and then the first of
// the next node.
std::optional<crdt::Actor> Stripe::Impl::last_closed(const Partition& p, const std::vector<NodeIndex>& keepers,
                                                     std::vector<crdt::DotSet::Row>::const_iterator& row) const {
  std::optional<crdt::Actor> last;
  bool closed = true;
  const uint32_t node = row->actor.node;
  for (; row != p.causal.clock.rows().end() && row->actor.node == node; ++row) {
    if (row->fold != 0) continue;
    const auto begun_ms = static_cast<int64_t>(row->actor.epoch >> 16);
    closed = closed && wall_.ms - begun_ms > options_.fold_age.us / 1000 && knows_closed(options_.self, row->actor) &&
             all_know_closed(keepers, row->actor);
    if (closed) last = row->actor;
  }
  return last;
}

void Stripe::Impl::fold_lives(Partition& p, const crdt::Actor& actor, uint64_t hash) {
  if (observer_ != nullptr) observer_->on_folded(p.id.keyspace, p.id.arc, p.causal.clock, actor, hash);
  const size_t rows = p.causal.clock.rows().size();
  const bool had_fold = p.causal.clock.folded_through(actor.node).has_value();
  p.causal.clock.fold(actor, hash);
  stats_.folded_lives += rows - p.causal.clock.rows().size() + (had_fold ? 0 : 1);
  p.causal.settle();
  write_row(p);
  clock_advanced(p);
}

// Folds what another replica has folded, where it is exactly what is here.
int Stripe::Impl::fold_as_others(Partition& p) {
  int folds = 0;
  for (const auto& [n, peer] : p.peers) {
    if (!peer.heard) continue;
    for (const crdt::DotSet::Row& row : peer.clock.rows()) {
      if (row.fold == 0 || p.causal.clock.folded_through(row.actor.node) >= row.actor.epoch) continue;
      if (p.causal.clock.fold_hash(row.actor.node, row.actor.epoch) != row.fold) continue;
      fold_lives(p, row.actor, row.fold);
      ++folds;
    }
  }
  return folds;
}

// From time to time.
void Stripe::Impl::tend_folds() {
  if (now_.instant < next_folds_) return;
  next_folds_ = now_.instant + std::clamp(Duration{options_.fold_delay.us / 10}, kLookMin, kLookMax);
  int folds = 0;
  for (auto& [id, p] : partitions_) {
    if (folds >= kFoldsPerLook) return;  // the others wait for the next look
    auto waits = folding_.lower_bound({id, 0});
    if (by_arc_[id.keyspace][id.arc] != &p || !is_settled(p)) {
      while (waits != folding_.end() && waits->first.first == id) waits = folding_.erase(waits);
      continue;
    }
    folds += fold_as_others(p);
    const std::vector<NodeIndex> keepers = keepers_of(p);
    // The lives that wait are kept to: with each later one that is closed the wait would begin anew.
    while (waits != folding_.end() && waits->first.first == id) {
      const Fold& fold = waits->second;
      const Instant due = fold.since + options_.fold_delay;
      const bool may = may_fold(p, fold.last, fold.hash, keepers);
      if (may && (due > now_.instant || !announced_since(keepers, due))) {
        ++waits;
        continue;
      }
      if (may) {
        fold_lives(p, fold.last, fold.hash);
        ++folds;
      }
      waits = folding_.erase(waits);
    }
    for (auto row = p.causal.clock.rows().begin(); row != p.causal.clock.rows().end();) {
      const uint32_t node = row->actor.node;
      const auto last = last_closed(p, keepers, row);
      if (!last || folding_.contains({id, node})) continue;
      const uint64_t hash = p.causal.clock.fold_hash(node, last->epoch).value_or(0);
      if (hash != 0 && may_fold(p, *last, hash, keepers)) folding_[{id, node}] = {*last, hash, now_.instant};
    }
  }
}

// A clock that comes from elsewhere shows later lives of this node than its own, or folds that contain its own: its
// disk was lost, or is an old copy, and its clock is behind. It goes on above them.
void Stripe::Impl::outlive(const crdt::Clock& theirs) {
  uint64_t above = 0;
  for (const crdt::DotSet::Row& row : theirs.rows()) {
    if (row.actor.node != actor_.node) continue;
    if (row.actor.epoch > actor_.epoch || (row.fold != 0 && row.actor.epoch == actor_.epoch)) above = row.actor.epoch;
  }
  if (above != 0 && above <= UINT64_MAX - 2 * kEpochStep) begin_epoch_above(above);
}

}  // namespace cartwheel::node
