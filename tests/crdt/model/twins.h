// Twins: replicas of one partition, each a Document beside the set of events it has seen. Every step is done to both,
// so that at any moment a replica can be compared with what the naive model says for exactly those events. The base of
// the seeded model, of the exhaustive search and of the named scenarios.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/crdt/model/history.h"

namespace cartwheel::crdt::model {

struct Replica {
  Document document;
  Seen seen;
  Seen coming;  // what the exchange that is being joined brings
};

struct Message {
  Delta delta;
  std::vector<int> events;  // one per change
};

class Twins {
 public:
  explicit Twins(int replicas);

  size_t size() const { return replicas_.size(); }
  Replica& operator[](size_t r) { return replicas_[r]; }
  const Document& document(size_t r) const { return replicas_[r].document; }
  bool seen(size_t r, const Message& message) const { return replicas_[r].seen[message.events[0]]; }
  const History& history() const { return history_; }

  // Writes at replica `r`.
  Message assign(size_t r, const std::string& key, const std::string& path, std::string value, uint64_t time);
  Message increment(size_t r, const std::string& key, const std::string& path, int64_t amount);
  Message reset(size_t r, const std::string& key, const std::string& path);
  Message add(size_t r, const std::string& key, const std::string& path);
  Message flag(size_t r, const std::string& key, const std::string& path, bool on);
  Message expire(size_t r, const std::string& key, std::optional<int64_t> at_ms);
  Message clear(size_t r, const std::string& key, const std::string& prefix);

  void apply(size_t r, const Message& message);
  void apply_change(size_t r, const Message& message, size_t change);  // one of its changes alone
  bool catch_up(size_t r, size_t from);
  void merge(size_t r, size_t from);
  // A full exchange in steps; join_step tells whether it was the last.
  void begin_join(size_t r, size_t from);
  bool join_step(size_t r);

  // What replica `r` shows at (key, path).
  std::string view(size_t r, const std::string& key, const std::string& path) const {
    return History::view(replicas_[r].document, key, path);
  }
  int64_t count(size_t r, const std::string& key, const std::string& path) const;

  // Nothing, or how replica `r` differs from the model: at one place, in its clock, and everywhere. While it is
  // joining, its leaves run ahead of its clock, and only that is compared.
  std::optional<std::string> check_place(size_t r, const std::string& key, const std::string& path) const;
  std::optional<std::string> check_clock(size_t r) const;
  std::optional<std::string> check(size_t r) const;

  // Called with a line per step, when set: for reading a failing run.
  std::function<void(const std::string&)> trace;

 private:
  void tell(const char* what, size_t r, const Message& message) const;
  Message sent(size_t r, Delta delta, std::vector<int> events, const Seen& observed_puts);
  // What a write at `key` observes. While an exchange is being joined that is all that came of the keys joined so far;
  // of the others a put that came meanwhile is not observed where the exchange's source knew it to be dead.
  struct Observed {
    Seen seen, puts;
  };
  Observed observed(size_t r, const std::string& key) const;

  History history_;
  std::vector<Replica> replicas_;
  std::optional<std::string> clear_mismatch_;  // a clear that did not reset exactly the counters that show
};

}  // namespace cartwheel::crdt::model
