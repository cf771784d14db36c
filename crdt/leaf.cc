#include "crdt/leaf.h"

#include <algorithm>
#include <tuple>

#include "base/hash.h"
#include "base/planted.h"
#include "crdt/encoded.h"

namespace cartwheel::crdt {

namespace {

// What was seen of the chain that starts at `start`, or of a later one of the same actor: a chain starts anew only
// after a reset of the old one, so to have seen the new one is to have seen all of the old one reset.
const ObservedChain* seen_of(const std::vector<ObservedChain>& seen, const Actor& actor, uint64_t start) {
  for (const ObservedChain& o : seen) {
    if (o.actor == actor && o.start >= start) return &o;
  }
  return nullptr;
}

auto find_chain(std::vector<ActorChain>& chains, const Actor& actor) {
  return std::lower_bound(chains.begin(), chains.end(), actor,
                          [](const ActorChain& c, const Actor& a) { return c.actor < a; });
}

const ActorChain* chain_of(const std::vector<ActorChain>& chains, const Actor& actor) {
  for (const ActorChain& c : chains) {
    if (c.actor == actor) return &c;
  }
  return nullptr;
}

void insert_entry(std::vector<Entry>& entries, Entry entry) {
  auto at = std::lower_bound(entries.begin(), entries.end(), entry.dot,
                             [](const Entry& e, const Dot& d) { return e.dot < d; });
  if (at == entries.end() || at->dot != entry.dot) entries.insert(at, std::move(entry));
}

bool has_entry(const std::vector<Entry>& entries, const Dot& dot) {
  auto at =
      std::lower_bound(entries.begin(), entries.end(), dot, [](const Entry& e, const Dot& d) { return e.dot < d; });
  return at != entries.end() && at->dot == dot;
}

}  // namespace

void Leaf::apply(const Change& change, bool put_is_dead, std::string value) {
  if (!change.superseded.empty()) {
    std::erase_if(entries, [&](const Entry& e) {
      return std::find(change.superseded.begin(), change.superseded.end(), e.dot) != change.superseded.end();
    });
  }
  if (change.puts && planted(Bug::kLwwByArrival)) entries.clear();
  if (change.puts && !put_is_dead) insert_entry(entries, {change.dot, change.time, std::move(value)});
  if (!change.reset.empty()) remember_reset(change.dot, change.reset);
  if (change.increment) put_chain(change.dot.actor, *change.increment);
}

bool Leaf::remove_observed(const Clock& observed) {
  return std::erase_if(entries, [&](const Entry& e) { return observed.contains(e.dot); }) > 0;
}

// Keeps the latest state of an actor's chain, less what the remembered resets saw of it.
void Leaf::put_chain(const Actor& actor, Chain chain) {
  auto mine = find_chain(chains, actor);
  bool have = mine != chains.end() && mine->actor == actor;
  if (have) {
    Chain other = mine->chain;
    if (other.seq > chain.seq) std::swap(other, chain);
    if (other.start == chain.start) chain.raise_base(other.base_seq, other.base);
  }
  for (const Reset& reset : resets) {
    const ObservedChain* seen = seen_of(reset.seen, actor, chain.start);
    if (seen == nullptr) continue;
    chain.raise_base(seen->seq, seen->total);
    if (seen->seq >= chain.seq) {  // the reset saw all of it
      if (have) chains.erase(mine);
      return;
    }
  }
  if (have) {
    mine->chain = chain;
  } else {
    chains.insert(mine, {actor, chain});
  }
}

void Leaf::remember_reset(const Dot& dot, const std::vector<ObservedChain>& seen) {
  if (!planted(Bug::kResetForgotten)) {
    auto at =
        std::lower_bound(resets.begin(), resets.end(), dot, [](const Reset& r, const Dot& d) { return r.dot < d; });
    if (at == resets.end() || at->dot != dot) resets.insert(at, {dot, seen});
  }
  for (const ObservedChain& o : seen) {
    auto mine = find_chain(chains, o.actor);
    if (mine == chains.end() || mine->actor != o.actor || mine->chain.start > o.start) continue;
    if (mine->chain.seq <= o.seq) {
      chains.erase(mine);
    } else {
      mine->chain.raise_base(o.seq, o.total);
    }
  }
}

void Leaf::join(const Knowledge& mine, const Leaf& theirs, const Knowledge& other) {
  std::vector<Entry> kept;
  for (Entry& e : entries) {
    bool both = has_entry(theirs.entries, e.dot);
    if (both || !other.has_seen(e.dot)) kept.push_back(std::move(e));
  }
  for (const Entry& e : theirs.entries) {
    if (!mine.has_seen(e.dot)) insert_entry(kept, e);
  }
  if (planted(Bug::kBothSidesKeep)) {  // the mistake of keeping whatever is on either side when both have the element
    if (!entries.empty() && !theirs.entries.empty()) {
      for (const Entry& e : theirs.entries) insert_entry(kept, e);
    }
  }
  entries = std::move(kept);

  // Chains: a chain whose last dot the other has seen and which it no longer has was reset there.
  std::vector<ActorChain> before = chains;
  std::erase_if(chains, [&](const ActorChain& c) {
    return chain_of(theirs.chains, c.actor) == nullptr && other.clock.contains({c.actor, c.chain.seq});
  });
  for (const ActorChain& c : theirs.chains) {
    if (chain_of(before, c.actor) != nullptr || !mine.clock.contains({c.actor, c.chain.seq}))
      put_chain(c.actor, c.chain);
  }
  std::vector<Dot> known;
  for (const Reset& reset : resets) known.push_back(reset.dot);
  for (const Reset& reset : theirs.resets) {
    bool remembered = std::find(known.begin(), known.end(), reset.dot) != known.end();
    if (remembered || !mine.clock.contains(reset.dot)) remember_reset(reset.dot, reset.seen);
  }
}

void Leaf::unite(const Leaf& theirs) {
  for (const Entry& theirs_entry : theirs.entries) {
    auto at = std::lower_bound(entries.begin(), entries.end(), theirs_entry.dot,
                               [](const Entry& e, const Dot& dot) { return e.dot < dot; });
    if (at == entries.end() || !(at->dot == theirs_entry.dot))
      entries.insert(at, theirs_entry);
    else if (std::tie(at->time.value, at->value) < std::tie(theirs_entry.time.value, theirs_entry.value))
      *at = theirs_entry;
  }
  for (const ActorChain& c : theirs.chains) put_chain(c.actor, c.chain);
}

int64_t Leaf::count() const {
  __int128 sum = 0;
  for (const ActorChain& c : chains) sum += static_cast<__int128>(c.chain.total) - c.chain.base;
  if (sum > INT64_MAX) return INT64_MAX;
  if (sum < INT64_MIN) return INT64_MIN;
  return static_cast<int64_t>(sum);
}

namespace {

void encode_content(Encoder& out, const Leaf& leaf) {
  out.varint(leaf.entries.size());
  for (const Entry& e : leaf.entries) {
    encode(out, e.dot);
    out.varint(e.time.value);
    out.bytes(e.value);
  }
  out.varint(leaf.chains.size());
  for (const ActorChain& c : leaf.chains) {
    encode(out, c.actor);
    encode(out, c.chain);
  }
}

}  // namespace

size_t Leaf::size_hint() const {
  size_t size = 8 + chains.size() * 48 + resets.size() * 96;
  for (const Entry& e : entries) size += e.value.size() + 32;
  return size;
}

void Leaf::encode(Encoder& out) const {
  encode_content(out, *this);
  encode_resets(out);
}

void Leaf::encode_resets(Encoder& out) const {
  out.varint(resets.size());
  for (const Reset& reset : resets) {
    crdt::encode(out, reset.dot);
    out.varint(reset.seen.size());
    for (const ObservedChain& o : reset.seen) crdt::encode(out, o);
  }
}

Leaf Leaf::decode(Decoder& in) {
  struct Sink {
    Leaf leaf;
    void entry(const Dot& dot, Hlc time, std::string_view value) {
      leaf.entries.push_back({dot, time, std::string(value)});
    }
    void chain(const Actor& actor, const Chain& chain) { leaf.chains.push_back({actor, chain}); }
    void end_of_content() {}
    void reset(const Dot& dot) { leaf.resets.push_back({dot, {}}); }
    void seen(const ObservedChain& o) { leaf.resets.back().seen.push_back(o); }
  } sink;
  read_leaf(in, sink);
  return in.ok() ? std::move(sink.leaf) : Leaf();
}

uint64_t Leaf::resets_hash() const {
  if (resets.empty()) return 0;
  std::string bytes;
  Encoder out(bytes);
  encode_resets(out);
  return hash64(bytes);
}

uint64_t Leaf::digest(std::string_view path) const {
  std::string bytes;
  bytes.reserve(path.size() + size_hint());
  Encoder out(bytes);
  out.bytes(path);
  encode_content(out, *this);
  return hash64(bytes);
}

}  // namespace cartwheel::crdt
