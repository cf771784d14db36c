// The end of a node's service. A request that is passed on to a node while it stops would be lost with its connection,
// and a write's outcome unknown. So it says farewell to the others, and is done when all of them have answered: links
// keep the order, so nothing that they have passed on to it is under way behind an answer. Whatever came meanwhile was
// refused before anything was done, and is passed on to another node by the one that sent it.
//
// When nothing is in flight any more it says farewell once more: whoever answers that has got all answers before it.
// The end of a node is noticed on another connection than the one that its answers come on, and could be noticed first.
//
// A farewell is repeated until it is answered, and believed until the connection breaks or the node announces itself
// anew, for ten seconds at most. It names the life that stops: one that comes late says nothing about the next.

#include <algorithm>

#include "base/planted.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

namespace {

constexpr Duration kBelieved = Duration::seconds(10);  // longer than a stop takes
constexpr Duration kBetweenFarewells = Duration::millis(100);
constexpr Duration kFarewellLimit = Duration::seconds(1);  // for answers: who does not answer may be gone

}  // namespace

bool Stripe::drain(Now now) {
  impl_->begin_event(now);
  return impl_->drain();
}

bool Stripe::Impl::drain() {
  if (farewell_round_ == 0) {
    farewell_round_ = 1;
    farewell_until_ = now_.instant + kFarewellLimit;
  }
  const bool idle = pending_.empty() && gated_ == 0;
  bool awaited = say_farewell();
  if (idle && !awaited && farewell_round_ == 1 && !planted(Bug::kLastAnswersNotAwaited)) {
    farewell_round_ = 2;
    next_farewell_ = now_.instant;
    awaited = say_farewell();
  }
  if (planted(Bug::kFarewellNotAwaited)) awaited = false;
  return idle && (!awaited || farewell_until_ <= now_.instant);
}

// Whether some peer has not answered yet. Those are told, if it is time.
bool Stripe::Impl::say_farewell() {
  const bool say = next_farewell_ <= now_.instant;
  if (say) next_farewell_ = now_.instant + kBetweenFarewells;
  bool awaited = false;
  for (NodeIndex n = 0; n < peers_.size(); ++n) {
    if (!peers_[n].reachable || peers_[n].let_go >= farewell_round_) continue;
    awaited = true;
    if (say) send(n, FarewellMessage{false, actor_.epoch, farewell_round_}.encode());
  }
  return awaited;
}

void Stripe::Impl::on_farewell(NodeIndex from, const FarewellMessage& m) {
  if (m.answer) {
    const bool known = m.instance == actor_.epoch && m.round <= farewell_round_;
    if (known) peers_[from].let_go = std::max(peers_[from].let_go, m.round);
    return;
  }
  if (m.instance < peers_[from].instance) return;  // it has started anew since
  believe_stopping(from);
  send(from, FarewellMessage{true, m.instance, m.round}.encode());
}

void Stripe::Impl::believe_stopping(NodeIndex peer) {
  peers_[peer].stops_until = now_.instant + kBelieved;
}

bool Stripe::Impl::stops(NodeIndex peer) const {
  return peers_[peer].stops_until > now_.instant;
}

}  // namespace cartwheel::node
