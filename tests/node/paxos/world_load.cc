// What happens to a world: its clients, its operator, and its misfortunes.
#include <algorithm>

#include "tests/node/paxos/world.h"

namespace cartwheel::node::paxos::model {

namespace {
constexpr int64_t kMs = 1000;
}  // namespace

std::string World::appended(const Seen& seen, uint32_t id) const {
  List list = List::of(seen.value, first_);
  list.ids.push_back(id);
  return list.encode();
}

uint32_t World::submit(NodeIndex n, std::string what, Proposal proposal) {
  Node& node = nodes_[n];
  uint32_t id = history_.begin(std::move(what), queue_.now());
  node.tickets.emplace_back(node.proposals->propose(std::move(proposal), now()).value(), id);
  drain(n);
  return id;
}

// One operation of a random kind.
void World::client(NodeIndex n) {
  if (!nodes_[n].up) return;
  uint32_t id = static_cast<uint32_t>(history_.size()) + 1;
  Proposal proposal;
  proposal.deadline = now() + Duration{20 * kMs + static_cast<int64_t>(rng_.below(400 * kMs))};
  const char* what = "read";
  switch (rng_.below(7)) {
    case 0:
      break;
    case 1:
      what = "keep";
      proposal.change = [](const Seen&) { return Decision::keep(); };
      break;
    case 2:
      what = "append if nothing came between";
      proposal.change = [this, id, length = longest_.size()](const Seen& seen) {
        if (List::of(seen.value, first_).ids.size() != length)
          return Decision::refuse(Status::InvalidArgument("other"));
        return Decision::set(appended(seen, id));
      };
      break;
    case 3:
      // A lease that may be taken now, but not after a failed attempt, as when time has passed.
      what = "append at the first attempt";
      proposal.change = [this, id, attempts = 0](const Seen& seen) mutable {
        if (attempts++ > 0) return Decision::refuse(Status::InvalidArgument("too late"));
        return Decision::set(appended(seen, id));
      };
      break;
    case 4:
      what = "append, repeatable";
      proposal.repeatable = true;
      proposal.change = [this, id](const Seen& seen) {
        if (List::of(seen.value, first_).contains(id)) return Decision::keep();
        return Decision::set(appended(seen, id));
      };
      break;
    default:
      what = "append";
      proposal.change = [this, id](const Seen& seen) { return Decision::set(appended(seen, id)); };
  }
  submit(n, what, std::move(proposal));
}

// ---- the operator

// Decides the next generation, if there is something to decide: ends a joint configuration, readmits an acceptor that
// lost its disk, or begins a change to other acceptors.
void World::change_sets(NodeIndex n) {
  if (!nodes_[n].up) return;
  const Configuration& known = nodes_[n].configuration;
  std::optional<NodeIndex> readmit;
  for (NodeIndex m = 0; m < kNodes; ++m) {
    if (known.member(m) && lost(m) && known.lives[m] != nodes_[m].life) readmit = m;
  }
  Mask target = 0;
  if (!readmit && !known.next) {
    if (!faults_.reconfigure || healed_) return;
    size_t size = 1 + rng_.below(5);
    while (size_of(target) < size) target |= static_cast<Mask>(1 << rng_.below(kNodes));
    size_t gone = 0;
    for (NodeIndex m = 0; m < kNodes; ++m) gone += has(target & known.current, m) && lost(m);
    if (target == known.current || gone + majority(size) > size) return;
    masks_.push_back(target);
  }
  std::array<uint8_t, kNodes> lives;
  for (NodeIndex m = 0; m < kNodes; ++m) lives[m] = nodes_[m].life;

  uint32_t id = static_cast<uint32_t>(history_.size()) + 1;
  Proposal proposal;
  proposal.repeatable = true;
  proposal.deadline = now() + Duration::millis(300);
  proposal.change = [this, id, readmit, target, lives, generation = known.generation](const Seen& seen) {
    List list = List::of(seen.value, first_);
    Configuration& c = list.configuration;
    if (list.contains(id)) return Decision::keep();
    // Decided for the generation that this node knows, in a round of that generation, and not for any other.
    bool as_planned = c.generation == seen.generation && c.generation == generation;
    if (careless_ == Careless::kDecidesFromAfar) as_planned = (c.next == 0) == (readmit || target);
    if (!as_planned) return Decision::refuse(Status::InvalidArgument("another generation"));
    if (readmit) {
      c.lives[*readmit] = lives[*readmit];
      c.fresh &= static_cast<Mask>(~(1 << *readmit));
    } else if (target) {
      Mask before = c.current;
      c.next = target;
      if (careless_ == Careless::kChangesAtOnce) c.current = target, c.next = 0;
      for (NodeIndex m = 0; m < kNodes; ++m) {
        if (!has(target, m) || has(before, m)) continue;
        c.lives[m] = lives[m];
        c.fresh |= static_cast<Mask>(1 << m);
      }
    } else {
      c.current = c.next;
      c.next = 0;
    }
    ++c.generation;
    list.ids.push_back(id);
    return Decision::set(list.encode());
  };
  submit(n, readmit ? "readmit" : target ? "begin a change of acceptors" : "end it", std::move(proposal));
}

void World::operate() {
  change_sets(static_cast<NodeIndex>(rng_.below(kNodes)));
  queue_.after(60 * kMs, [this] { operate(); });
}

// ---- faults

void World::misfortune() {
  if (healed_) return;
  auto n = static_cast<NodeIndex>(rng_.below(kNodes));
  if (faults_.restless && rng_.chance(0.5)) n = clients_[rng_.below(clients_.size())];
  int64_t length = static_cast<int64_t>(rng_.below(faults_.restless ? 20 * kMs : 200 * kMs));
  bool wipe = faults_.wipes && rng_.chance(0.5) && may_lose_disk(n);
  if (wipe || (faults_.crashes && rng_.chance(0.6))) {
    crash(n, wipe);
    queue_.after(length, [this, n] {
      if (!nodes_[n].up) start(n);
    });
  } else if (faults_.cuts) {
    auto other = static_cast<NodeIndex>(rng_.below(kNodes));
    bool alone = rng_.chance(0.5);
    for (NodeIndex m = 0; m < kNodes; ++m) {
      if (m != n && (alone || m == other)) cut_[n][m] = cut_[m][n] = true;
    }
    if (rng_.chance(0.3)) cut_[other][n] = false;  // one way
    queue_.after(length, [this, n] {
      for (NodeIndex m = 0; m < kNodes; ++m) cut_[n][m] = cut_[m][n] = false;
    });
  }
}

void World::heal() {
  healed_ = true;
  cut_.assign(kNodes, std::vector<bool>(kNodes, false));
  for (NodeIndex n = 0; n < kNodes; ++n) {
    if (!nodes_[n].up) start(n);
  }
  operate();
}

}  // namespace cartwheel::node::paxos::model
