#include "crdt/clock.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "base/limits.h"

namespace cartwheel::crdt {

std::string to_string(const Dot& dot) {
  return std::to_string(dot.actor.node) + "." + std::to_string(dot.actor.epoch) + ":" + std::to_string(dot.seq);
}

namespace {

template <typename Rows>
auto find_row(Rows& rows, const Actor& actor) {
  return std::lower_bound(rows.begin(), rows.end(), actor,
                          [](const DotSet::Row& row, const Actor& a) { return row.actor < a; });
}

// The row with the dots of `actor`: its own, or the fold above it. (A fold is the first row of its node.)
const DotSet::Row* row_of(const std::vector<DotSet::Row>& rows, const Actor& actor) {
  auto row = find_row(rows, actor);
  const bool found = row != rows.end() && (row->actor == actor || (row->fold != 0 && row->actor.node == actor.node));
  return found ? &*row : nullptr;
}

// The first interval that ends at or behind `seq`.
template <typename Intervals>
auto first_reaching(Intervals& intervals, uint64_t seq) {
  return std::lower_bound(intervals.begin(), intervals.end(), seq,
                          [](const DotSet::Interval& i, uint64_t s) { return i.last < s; });
}

template <typename Rows>
auto first_row(Rows& rows, uint32_t node) {
  return find_row(rows, Actor{node, 0});
}

// The hash of a fold that replaces what has the hash `before` and the row behind it. Never 0.
uint64_t chained(uint64_t before, const DotSet::Row& row) {
  if (row.fold != 0) return row.fold;
  std::string bytes;
  Encoder out(bytes);
  out.u64(before);
  out.u64(row.actor.epoch);
  for (const DotSet::Interval& i : row.intervals) {
    out.varint(i.first);
    out.varint(i.last);
  }
  return std::max<uint64_t>(hash64(bytes), 1);
}

std::vector<DotSet::Interval> difference(const std::vector<DotSet::Interval>& a,
                                         const std::vector<DotSet::Interval>& b) {
  std::vector<DotSet::Interval> out;
  auto other = b.begin();
  for (DotSet::Interval rest : a) {
    while (other != b.end() && other->last < rest.first) ++other;
    for (auto o = other; o != b.end() && o->first <= rest.last; ++o) {
      if (o->first > rest.first) out.push_back({rest.first, o->first - 1});
      if (o->last >= rest.last) {
        rest.first = 0;  // nothing is left of it
        break;
      }
      rest.first = o->last + 1;
    }
    if (rest.first != 0) out.push_back(rest);
  }
  return out;
}

}  // namespace

const DotSet::Row* DotSet::fold_of(uint32_t node) const {
  auto row = first_row(rows_, node);
  return row != rows_.end() && row->actor.node == node && row->fold != 0 ? &*row : nullptr;
}

bool DotSet::contains(const Dot& dot) const {
  const Row* row = row_of(rows_, dot.actor);
  if (row == nullptr) return false;
  auto i = first_reaching(row->intervals, dot.seq);
  return i != row->intervals.end() && i->first <= dot.seq;
}

bool DotSet::add(const Actor& actor, Interval add) {
  auto row = find_row(rows_, actor);
  if (row != rows_.end() && row->fold != 0 && row->actor.node == actor.node) return false;
  if (row == rows_.end() || row->actor != actor) {
    rows_.insert(row, {actor, {add}});
    return true;
  }
  auto& intervals = row->intervals;
  if (intervals.back().last + 1 == add.first) {  // the usual case: the next number
    intervals.back().last = add.last;
    return true;
  }
  auto begin = std::lower_bound(intervals.begin(), intervals.end(), add.first,
                                [](const Interval& i, uint64_t s) { return i.last + 1 < s; });
  if (begin != intervals.end() && begin->first <= add.first && begin->last >= add.last) return false;
  auto end = begin;
  while (end != intervals.end() && end->first <= add.last + 1) {
    add.first = std::min(add.first, end->first);
    add.last = std::max(add.last, end->last);
    ++end;
  }
  intervals.insert(intervals.erase(begin, end), add);
  return true;
}

void DotSet::merge(const DotSet& other) {
  for (const Row& row : other.rows_) {
    if (row.fold != 0) {
      fold(row.actor, row.fold);
      continue;
    }
    for (const Interval& interval : row.intervals) add(row.actor, interval);
  }
}

DotSet DotSet::minus(const DotSet& other) const {
  DotSet out;
  for (const Row& row : rows_) {
    if (row.fold != 0) {
      if (!other.covers_fold(row.actor, row.fold)) out.rows_.push_back(row);
      continue;
    }
    const Row* theirs = row_of(other.rows_, row.actor);
    auto rest = theirs == nullptr ? row.intervals : difference(row.intervals, theirs->intervals);
    if (!rest.empty()) out.rows_.push_back({row.actor, std::move(rest)});
  }
  return out;
}

void DotSet::subtract(const DotSet& other) {
  if (!rows_.empty()) *this = minus(other);
}

bool DotSet::covers(const DotSet& other) const {
  for (const Row& row : other.rows_) {
    if (row.fold != 0) {
      if (!covers_fold(row.actor, row.fold)) return false;
      continue;
    }
    const Row* mine = row_of(rows_, row.actor);
    if (mine == nullptr) return false;
    for (const Interval& interval : row.intervals) {
      auto i = first_reaching(mine->intervals, interval.first);
      if (i == mine->intervals.end() || i->first > interval.first || i->last < interval.last) return false;
    }
  }
  return true;
}

bool DotSet::intersects(const DotSet& other) const {
  for (const Row& row : other.rows_) {
    if (row.fold != 0) {
      auto lowest = first_row(rows_, row.actor.node);
      if (lowest != rows_.end() && lowest->actor <= row.actor) return true;
    }
    const Row* mine = row_of(rows_, row.actor);
    if (mine == nullptr) continue;
    for (const Interval& interval : row.intervals) {
      auto i = first_reaching(mine->intervals, interval.first);
      if (i != mine->intervals.end() && i->first <= interval.last) return true;
    }
  }
  return false;
}

std::optional<uint64_t> DotSet::fold_hash(uint32_t node, uint64_t epoch) const {
  uint64_t hash = 0;
  for (auto row = first_row(rows_, node); row != rows_.end() && row->actor.node == node; ++row) {
    if (row->actor.epoch > epoch) {
      if (row->fold != 0) return {};
      break;
    }
    hash = chained(hash, *row);
  }
  return hash;
}

bool DotSet::covers_fold(const Actor& actor, uint64_t hash) const {
  const Row* mine = fold_of(actor.node);
  if (mine != nullptr && mine->actor == actor) return mine->fold >= hash;
  auto unfolded = fold_hash(actor.node, actor.epoch);
  return !unfolded || *unfolded == hash;
}

std::optional<uint64_t> DotSet::folded_through(uint32_t node) const {
  const Row* fold = fold_of(node);
  return fold == nullptr ? std::nullopt : std::optional(fold->actor.epoch);
}

void DotSet::fold(const Actor& actor, uint64_t hash) {
  CHECK(hash != 0);
  if (const Row* mine = fold_of(actor.node)) {
    if (mine->actor.epoch > actor.epoch || (mine->actor.epoch == actor.epoch && mine->fold >= hash)) return;
  }
  auto begin = first_row(rows_, actor.node);
  auto end = std::find_if(begin, rows_.end(), [&](const Row& row) { return actor < row.actor; });
  rows_.insert(rows_.erase(begin, end), {actor, {{1, kMaxSeq}}, hash});
}

bool DotSet::has_folds() const {
  return std::any_of(rows_.begin(), rows_.end(), [](const Row& row) { return row.fold != 0; });
}

DotSet DotSet::without_folds() const {
  DotSet out = *this;
  std::erase_if(out.rows_, [](const Row& row) { return row.fold != 0; });
  return out;
}

uint64_t DotSet::size() const {
  uint64_t n = 0;
  for (const Row& row : rows_) {
    n += row.fold != 0;
    for (const Interval& i : row.intervals) n += row.fold != 0 ? 0 : i.last - i.first + 1;
  }
  return n;
}

uint64_t DotSet::last(const Actor& actor) const {
  const Row* row = row_of(rows_, actor);
  return row == nullptr ? 0 : row->intervals.back().last;
}

uint64_t DotSet::hash() const {
  std::string bytes;
  Encoder out(bytes);
  for (auto row = rows_.begin(); row != rows_.end();) {
    const uint32_t node = row->actor.node;
    uint64_t hash = 0;
    for (; row != rows_.end() && row->actor.node == node; ++row) hash = chained(hash, *row);
    out.u32(node);
    out.u64(hash);
  }
  return hash64(bytes);
}

void DotSet::encode(Encoder& out) const {
  out.varint(rows_.size());
  for (const Row& row : rows_) {
    crdt::encode(out, row.actor);
    if (row.fold != 0) {
      out.varint(0);
      out.u64(row.fold);
      continue;
    }
    out.varint(row.intervals.size());
    uint64_t end = 0;
    for (const Interval& i : row.intervals) {
      out.varint(i.first - end - 1);
      out.varint(i.last - i.first);
      end = i.last;
    }
  }
}

DotSet DotSet::decode(Decoder& in) {
  DotSet set;
  size_t actors = in.count(15);
  if (actors > limits::kClockActors) in.fail();
  for (size_t a = 0; a < actors && in.ok(); ++a) {
    Row row{decode_actor(in), {}};
    if (!set.rows_.empty() && !(set.rows_.back().actor < row.actor)) in.fail();
    size_t count = in.count(2);
    if (count == 0) {  // a fold, the first row of its node
      row.fold = in.u64();
      row.intervals = {{1, kMaxSeq}};
      if (row.fold == 0 || (!set.rows_.empty() && set.rows_.back().actor.node == row.actor.node)) in.fail();
    }
    uint64_t end = 0;
    for (size_t i = 0; i < count && in.ok(); ++i) {
      uint64_t gap = in.varint(), extra = in.varint();
      // Intervals do not touch, so only the first may have no gap. The sum cannot overflow: each part is below 2^62
      // + 2.
      if ((i > 0 && gap == 0) || gap > kMaxSeq || extra > kMaxSeq) in.fail();
      uint64_t first = end + gap + 1;
      end = first + extra;
      if (end > kMaxSeq) in.fail();
      row.intervals.push_back({first, end});
    }
    if (in.ok()) set.rows_.push_back(std::move(row));
  }
  return in.ok() ? std::move(set) : DotSet();
}

DotSet DotSet::decode_unfolded(Decoder& in) {
  DotSet set = decode(in);
  if (set.has_folds()) in.fail();
  return in.ok() ? std::move(set) : DotSet();
}

}  // namespace cartwheel::crdt
