// The alarm for a full exchange that would remove much. A leaf here that the source's clock covers and the source does
// not show was removed there, or is a hole there; nobody can say which. So before a large partition is joined with what
// has come, all of it is gone through once without changing anything, and the keys are counted that would go:
//
//   count   as the join goes, stage by stage, but every joined leaf is only looked at
//   then    if more than alarm_keys, and more than half of the partition's keys, would go: the stages are dropped,
//           everything here stays, the source is refused from now on, and another one may be tried
//           else a mark among the stages says that the join has begun, and it is not broken off any more, by no later
//           life either (exchange.cc)
//
// The operator may accept the removals (accept_losses); then the refused sources are asked again, and nothing is
// counted. Catch-up needs none of this: a delta says what it removes. The tree exchange neither: it removes nothing.

#include "base/planted.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

namespace {
constexpr uint64_t kBegun = UINT64_MAX;  // the step that the mark has
}

bool Stripe::Impl::must_count(const Partition& p) const {
  return !p.quarantined && !p.accepts_removals && p.keys > options_.alarm_keys;
}

void Stripe::Impl::count_leaf(Repair& repair, const crdt::Leaf& before, const crdt::Leaf& joined) {
  repair.key_shows |= before.visible();
  repair.key_stays |= joined.visible();
}

void Stripe::Impl::count_key(Repair& repair) {
  repair.keys_to_go += repair.key_shows && !repair.key_stays;
  repair.key_shows = repair.key_stays = false;
}

// All stages have been looked at: the join begins with the next turn, or never.
void Stripe::Impl::end_count(Partition& p, Repair& repair) {
  repair.counting = false;
  repair.refused = repair.keys_to_go > options_.alarm_keys && 2 * repair.keys_to_go > p.keys;
  if (!repair.refused) return rewind(repair);
  ++stats_.repair_alarms;
  tell_operator(Output::Event::Kind::kAlarm, p.id,
                "it would remove " + std::to_string(repair.keys_to_go) + " of " + std::to_string(p.keys) + " keys",
                repair.from);
  p.refused.insert(repair.from);
}

void Stripe::Impl::mark_join_begun(const Partition& p) {
  ExchangeReplyMessage mark;
  mark.partition = p.id;
  mark.step = kBegun;
  mark.outcome = ExchangeReplyMessage::Outcome::kDone;
  out_.batch.put(stage_row(p.id, kBegun), mark.encode());
}

bool Stripe::Impl::is_join_mark(const ExchangeReplyMessage& m) {
  return m.step == kBegun;
}

// The operator accepts what is removed by exchanges that were stopped, and that quarantined partitions are rebuilt from
// replicas with less.
void Stripe::Impl::accept_losses() {
  for (PartitionId id : quarantined_) partitions_.at(id).accepts_loss = true;
  for (auto& [id, p] : partitions_) {
    if (p.refused.empty()) continue;
    p.refused.clear();
    p.accepts_removals = true;
    tell_operator(Output::Event::Kind::kAlarmLifted, id);
  }
}

}  // namespace cartwheel::node
