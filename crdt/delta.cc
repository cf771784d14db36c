#include "crdt/delta.h"

#include <utility>

#include "base/limits.h"
#include "crdt/path.h"

namespace cartwheel::crdt {

void encode(Encoder& out, const Chain& chain) {
  out.varint(chain.seq);
  out.varint(chain.start);
  out.zigzag(chain.total);
  out.varint(chain.base_seq);
  if (chain.base_seq != 0) out.zigzag(chain.base);
}

Chain decode_chain(Decoder& in) {
  Chain chain;
  chain.seq = in.varint();
  chain.start = in.varint();
  chain.total = in.zigzag();
  chain.base_seq = in.varint();
  if (chain.base_seq != 0) chain.base = in.zigzag();
  if (chain.start == 0 || chain.start > chain.seq) in.fail();
  // A reset that saw the last increment too would have left nothing of the chain.
  if (chain.base_seq != 0 && (chain.base_seq < chain.start || chain.base_seq >= chain.seq)) in.fail();
  return chain;
}

void encode(Encoder& out, const ObservedChain& observed) {
  encode(out, observed.actor);
  out.varint(observed.seq);
  out.varint(observed.start);
  out.zigzag(observed.total);
}

ObservedChain decode_observed(Decoder& in) {
  ObservedChain observed;
  observed.actor = decode_actor(in);
  observed.seq = in.varint();
  observed.start = in.varint();
  observed.total = in.zigzag();
  if (observed.start == 0 || observed.start > observed.seq) in.fail();
  return observed;
}

namespace {

constexpr uint8_t kPuts = 1, kIncrements = 2;

void encode_leaf_change(Encoder& out, const Change& c) {
  out.u8(static_cast<uint8_t>((c.puts ? kPuts : 0) | (c.increment ? kIncrements : 0)));
  if (c.puts) {
    out.varint(c.time.value);
    out.bytes(c.value);
  }
  out.varint(c.superseded.size());
  for (const Dot& dot : c.superseded) encode(out, dot);
  if (c.increment) encode(out, *c.increment);
  out.varint(c.reset.size());
  for (const ObservedChain& o : c.reset) encode(out, o);
}

void decode_leaf_change(Decoder& in, Change& c) {
  uint8_t flags = in.u8();
  if (flags > (kPuts | kIncrements)) in.fail();
  c.puts = flags & kPuts;
  if (c.puts) {
    c.time.value = in.varint();
    c.value = in.bytes();
  }
  for (size_t n = in.count(13); n > 0 && in.ok(); --n) c.superseded.push_back(decode_dot(in));
  if (flags & kIncrements) {
    c.increment = decode_chain(in);
    if (c.increment->seq != c.dot.seq) in.fail();
  }
  for (size_t n = in.count(15); n > 0 && in.ok(); --n) c.reset.push_back(decode_observed(in));
}

}  // namespace

size_t Delta::size_hint() const {
  size_t size = key.size() + 24;
  for (const Change& c : changes) size += c.path.size() + c.value.size() + 64 + c.superseded.size() * 24;
  return size;
}

void Delta::encode(Encoder& out) const {
  out.bytes(key);
  out.u64(time.value);
  out.varint(changes.size());
  for (const Change& c : changes) {
    out.u8(static_cast<uint8_t>(c.kind));
    crdt::encode(out, c.dot);
    out.bytes(c.path);
    if (c.kind == Change::Kind::kLeaf) {
      encode_leaf_change(out, c);
    } else {
      c.observed.encode(out);
    }
  }
}

Delta Delta::decode(Decoder& in) {
  Delta delta;
  delta.key = in.bytes();
  if (delta.key.size() > limits::kKeyBytes) in.fail();
  delta.time.value = in.u64();
  for (size_t n = in.count(16); n > 0 && in.ok(); --n) {
    Change c;
    uint8_t kind = in.u8();
    if (kind > static_cast<uint8_t>(Change::Kind::kRange)) in.fail();
    c.kind = static_cast<Change::Kind>(kind);
    c.dot = decode_dot(in);
    if (!delta.changes.empty()) {
      const Dot& before = delta.changes.back().dot;
      if (before.actor != c.dot.actor || before.seq >= c.dot.seq) in.fail();
    }
    c.path = in.bytes();
    if (c.kind == Change::Kind::kLeaf) {
      if (!valid_leaf_path(c.path)) in.fail();
      decode_leaf_change(in, c);
    } else {
      if (!valid_prefix(c.path)) in.fail();
      c.observed = Clock::decode_unfolded(in);
    }
    if (in.ok()) delta.changes.push_back(std::move(c));
  }
  if (delta.changes.empty()) in.fail();
  return in.ok() ? std::move(delta) : Delta();
}

}  // namespace cartwheel::crdt
