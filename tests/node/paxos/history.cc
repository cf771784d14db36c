#include "tests/node/paxos/history.h"

#include <algorithm>
#include <tuple>

namespace cartwheel::node::paxos::model {

uint32_t History::begin(std::string what, int64_t now) {
  operations_.push_back({std::move(what), now, -1, Outcome::Kind::kUnknown, {}, {}, {}});
  return static_cast<uint32_t>(operations_.size());
}

void History::end(uint32_t id, const Outcome& outcome, const std::vector<uint32_t>& ids, int64_t now) {
  Operation& op = operations_[id - 1];
  op.ended = now;
  op.kind = outcome.kind;
  op.status = outcome.status.to_string();
  op.ids = ids;
  op.ballot = outcome.ballot;
}

size_t History::count(Outcome::Kind kind) const {
  return static_cast<size_t>(
      std::count_if(operations_.begin(), operations_.end(), [&](const Operation& op) { return op.kind == kind; }));
}

std::string History::describe(uint32_t id) const {
  const Operation& op = operations_[id - 1];
  const char* const kinds[] = {"chosen", "refused", "not applied", "unknown"};
  return "operation " + std::to_string(id) + " (" + op.what + ", " + std::to_string(op.begun) + " to " +
         std::to_string(op.ended) + ", " + kinds[static_cast<int>(op.kind)] + ", " + op.status + ", saw " +
         to_string(op.ids) + ")";
}

std::optional<std::string> History::check(const std::vector<uint32_t>& last) const {
  std::string end = "; the last value is " + to_string(last);
  std::vector<size_t> position(operations_.size() + 1, 0);  // from 1, 0: not in the last value
  for (size_t i = 0; i < last.size(); ++i) {
    if (last[i] == 0 || last[i] > operations_.size()) return "an id that nobody appended" + end;
    if (position[last[i]]) return describe(last[i]) + " is applied twice" + end;
    position[last[i]] = i + 1;
  }
  // When each operation happened, as a count of changes; and for the pass over time, what begins and ends when.
  struct Point {
    int64_t time;
    bool ends;  // an end and a beginning at one time are concurrent: beginnings first
    uint32_t id;
  };
  std::vector<Point> points;
  for (uint32_t id = 1; id <= operations_.size(); ++id) {
    const Operation& op = operations_[id - 1];
    bool saw = op.kind == Outcome::Kind::kChosen || op.kind == Outcome::Kind::kRefused;
    bool change = op.what != "read" && op.what != "keep";
    if (op.ended >= 0 && op.status.starts_with("corruption")) return describe(id) + end;
    if (saw && !prefix(op.ids, last)) return describe(id) + " saw what is not a beginning of the last value" + end;
    if (op.kind == Outcome::Kind::kChosen && change && (position[id] == 0 || position[id] > op.ids.size())) {
      return describe(id) + " was told to be applied and is not" + end;
    }
    if (op.kind != Outcome::Kind::kChosen && op.kind != Outcome::Kind::kUnknown && position[id]) {
      return describe(id) + " is applied all the same" + end;
    }
    points.push_back({op.begun, false, id});
    if (op.ended >= 0) points.push_back({op.ended, true, id});
  }
  Ballot token;
  for (uint32_t id : last) {
    const Operation& op = operations_[id - 1];
    if (op.kind != Outcome::Kind::kChosen || op.ids.size() != position[id]) continue;  // told with a later value
    if (op.ballot <= token) return describe(id) + " has a ballot that is not above that of an earlier change" + end;
    token = op.ballot;
  }
  std::sort(points.begin(), points.end(), [](const Point& a, const Point& b) {
    return std::tie(a.time, a.ends, a.id) < std::tie(b.time, b.ends, b.id);
  });
  size_t happened = 0;  // so many changes have surely happened
  uint32_t witness = 0;
  for (const Point& point : points) {
    const Operation& op = operations_[point.id - 1];
    bool saw = op.kind == Outcome::Kind::kChosen || op.kind == Outcome::Kind::kRefused;
    size_t at = position[point.id] ? position[point.id] : op.ids.size();
    if (point.ends) {
      // A repeatable change may be told with a later value than its own: that value had happened too.
      if (saw && op.ids.size() > happened) happened = op.ids.size(), witness = point.id;
    } else if (position[point.id] ? at <= happened : saw && at < happened) {
      return describe(point.id) + " happened before " + describe(witness) + ", which had ended" + end;
    }
  }
  return {};
}

}  // namespace cartwheel::node::paxos::model
