#include "crdt/clock.h"

#include <algorithm>

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

const std::vector<DotSet::Interval>* intervals_of(const std::vector<DotSet::Row>& rows, const Actor& actor) {
  auto row = find_row(rows, actor);
  return row != rows.end() && row->actor == actor ? &row->intervals : nullptr;
}

// The first interval that ends at or behind `seq`.
template <typename Intervals>
auto first_reaching(Intervals& intervals, uint64_t seq) {
  return std::lower_bound(intervals.begin(), intervals.end(), seq,
                          [](const DotSet::Interval& i, uint64_t s) { return i.last < s; });
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

bool DotSet::contains(const Dot& dot) const {
  const auto* intervals = intervals_of(rows_, dot.actor);
  if (intervals == nullptr) return false;
  auto i = first_reaching(*intervals, dot.seq);
  return i != intervals->end() && i->first <= dot.seq;
}

bool DotSet::add(const Actor& actor, Interval add) {
  auto row = find_row(rows_, actor);
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
    for (const Interval& interval : row.intervals) add(row.actor, interval);
  }
}

DotSet DotSet::minus(const DotSet& other) const {
  DotSet out;
  for (const Row& row : rows_) {
    const auto* theirs = intervals_of(other.rows_, row.actor);
    auto rest = theirs == nullptr ? row.intervals : difference(row.intervals, *theirs);
    if (!rest.empty()) out.rows_.push_back({row.actor, std::move(rest)});
  }
  return out;
}

void DotSet::subtract(const DotSet& other) {
  if (!rows_.empty()) *this = minus(other);
}

bool DotSet::covers(const DotSet& other) const {
  for (const Row& row : other.rows_) {
    const auto* mine = intervals_of(rows_, row.actor);
    if (mine == nullptr) return false;
    for (const Interval& interval : row.intervals) {
      auto i = first_reaching(*mine, interval.first);
      if (i == mine->end() || i->first > interval.first || i->last < interval.last) return false;
    }
  }
  return true;
}

bool DotSet::intersects(const DotSet& other) const {
  for (const Row& row : other.rows_) {
    const auto* mine = intervals_of(rows_, row.actor);
    if (mine == nullptr) continue;
    for (const Interval& interval : row.intervals) {
      auto i = first_reaching(*mine, interval.first);
      if (i != mine->end() && i->first <= interval.last) return true;
    }
  }
  return false;
}

uint64_t DotSet::size() const {
  uint64_t n = 0;
  for (const Row& row : rows_) {
    for (const Interval& i : row.intervals) n += i.last - i.first + 1;
  }
  return n;
}

uint64_t DotSet::last(const Actor& actor) const {
  const auto* intervals = intervals_of(rows_, actor);
  return intervals == nullptr ? 0 : intervals->back().last;
}

void DotSet::encode(Encoder& out) const {
  out.varint(rows_.size());
  for (const Row& row : rows_) {
    crdt::encode(out, row.actor);
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
    if (count == 0) in.fail();
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
  return in.ok() ? set : DotSet();
}

}  // namespace cartwheel::crdt
