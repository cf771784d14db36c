#include "tests/crdt/model/world.h"

#include <cstdio>
#include <cstdlib>
#include <set>

#include "base/planted.h"
#include "base/rng.h"
#include "tests/crdt/model/forgetting.h"
#include "tests/crdt/model/twins.h"

namespace cartwheel::crdt::model {

namespace {

std::string field(const std::string& name, const std::string& rest) {
  return path_step(Tag::kField, name) + rest;
}

std::vector<std::string> all_paths() {
  std::string text = path_step(Tag::kString);
  std::string x = path_step(Tag::kElement, "x"), y = path_step(Tag::kElement, "y");
  std::string on = path_step(Tag::kFlagEnableWins), off = path_step(Tag::kFlagDisableWins);
  return {text,
          x,
          y,
          on,
          off,
          path_step(Tag::kExpiry),
          field("a", text),
          field("a", x),
          field("a", field("b", text)),
          field("a", field("b", on)),
          field("a", field("b", field("c", text))),
          field("a", field("b", field("c", x))),
          field("ab", text),
          field("d", field("e", field("f", off)))};
}

std::vector<std::string> all_prefixes() {
  return {"",
          field("a", ""),
          field("a", field("b", "")),
          field("a", field("b", field("c", ""))),
          field("ab", ""),
          path_step(Tag::kElement, "x")};
}

struct InFlight {
  size_t to;
  Message message;
};

class World {
 public:
  explicit World(uint64_t seed) : rng_(seed), twins_(static_cast<int>(2 + rng_.below(4))), epochs_(twins_.size(), 1) {
    if (std::getenv("CARTWHEEL_TRACE") != nullptr)
      twins_.trace = [](const std::string& line) { std::puts(line.c_str()); };
    // Every seed has its own mix (swarm): few places make contention, many make width.
    loss_ = pick({0.0, 0.1, 0.5, 0.9});
    crash_ = pick({0.0, 0.0, 0.01, 0.05});
    sync_ = pick({0.05, 0.3, 1.0});
    splits_ = pick({0.0, 0.3, 1.0});
    joins_ = pick({0.0, 0.3, 0.9});
    keys_ = 1 + rng_.below(2);
    std::vector<std::string> paths = all_paths();
    for (uint64_t n = 1 + rng_.below(6); n > 0; --n) paths_.push_back(paths[rng_.below(paths.size())]);
    for (size_t r = 0; r < twins_.size(); ++r) synced_.push_back(twins_[r]);
  }

  std::optional<std::string> run() {
    for (uint64_t steps = 5 + rng_.below(115); steps > 0; --steps) {
      if (auto why = step()) return why;
      // A life in which an exchange is being joined begins the joining anew: here it goes back to before.
      if (rng_.chance(sync_) && !twins_.document(last_).joining()) synced_[last_] = twins_[last_];
    }
    if (auto why = quiesce()) return why;
    // Late copies of what all have must change nothing, whatever was truncated and forgotten by then.
    for (int rounds = 0; rounds < 2; ++rounds) forget();
    for (const InFlight& late : wire_) {
      if (forgetting_.fenced(late.message.delta.changes[0].dot)) continue;
      twins_.apply(late.to, late.message);
      if (auto why = check(late.to, late.message)) return "late: " + *why;
    }
    return quiesce();
  }

 private:
  double pick(std::initializer_list<double> list) { return list.begin()[rng_.below(list.size())]; }
  std::string key() { return rng_.below(keys_) == 0 ? "k" : "l"; }

  std::optional<std::string> step() {
    size_t r = last_ = rng_.below(twins_.size());
    double x = rng_.uniform();
    if (x < 0.45) {
      if (twins_.history().events().size() + 20 > kMaxEvents) return {};
      Message m = write(r);
      for (const Change& c : m.delta.changes) {
        bool fresh = used_.insert(c.dot).second;
        if (!fresh && !planted(Bug::kReuseDot)) return "the dot " + to_string(c.dot) + " is used twice";
      }
      if (auto why = check(r, m)) return why;
      for (size_t q = 0; q < twins_.size(); ++q) {
        if (q != r && !rng_.chance(loss_)) wire_.push_back({q, m});
      }
    } else if (x < 0.8) {
      return deliver();
    } else if (x < 0.86) {
      size_t q = rng_.below(twins_.size());
      if (twins_.document(r).joining()) {
        twins_.join_step(r);
        return twins_.check(r);
      }
      if (q == r || twins_.document(q).joining()) return {};
      if (rng_.chance(joins_)) {
        twins_.begin_join(r, q);
        return {};
      }
      if (!twins_.catch_up(r, q) && rng_.chance(0.5)) twins_.merge(r, q);
      return twins_.check(r);
    } else if (x < 0.88) {
      if (rng_.chance(0.5))
        truncate();
      else
        forget();
    } else if (x < 0.88 + crash_) {
      crash(r);
    }
    return {};
  }

  Message write(size_t r) {
    std::string k = key(), path = paths_[rng_.below(paths_.size())];
    double x = rng_.uniform();
    if (x < 0.06) {
      std::vector<std::string> prefixes = all_prefixes();
      return twins_.clear(r, k, prefixes[rng_.below(prefixes.size())]);
    }
    if (x < 0.22) return twins_.reset(r, k, path);
    switch (Tag tag = last_tag(path)) {
      case Tag::kString: {
        if (x < 0.75) return twins_.increment(r, k, path, static_cast<int64_t>(rng_.below(19)) - 9);
        static const char* const kValues[] = {"7", "-12", "text", ""};
        return twins_.assign(r, k, path, kValues[rng_.below(4)],
                             1 + rng_.below(3));  // few times, so that ties are common
      }
      case Tag::kFlagEnableWins:
      case Tag::kFlagDisableWins:
        return twins_.flag(r, k, path, rng_.chance(tag == Tag::kFlagEnableWins ? 0.4 : 0.6));
      case Tag::kExpiry:
        return twins_.expire(r, k, rng_.chance(0.2) ? std::nullopt : std::optional<int64_t>(1 + rng_.below(1000)));
      default:
        return twins_.add(r, k, path);
    }
  }

  std::optional<std::string> deliver() {
    if (wire_.empty()) return {};
    size_t at = rng_.below(wire_.size());
    size_t to = last_ = wire_[at].to;
    Message m = wire_[at].message;
    if (forgetting_.fenced(m.delta.changes[0].dot)) return {};
    if (m.events.size() > 1 && rng_.chance(splits_)) {
      twins_.apply_change(to, m, rng_.below(m.events.size()));
    } else {
      twins_.apply(to, m);
      if (rng_.chance(0.7)) {
        wire_[at] = std::move(wire_.back());
        wire_.pop_back();
      }
    }
    return check(to, m);
  }

  std::optional<std::string> check(size_t r, const Message& m) const {
    if (m.delta.changes.size() > 1 || m.delta.changes[0].kind == Change::Kind::kRange) return twins_.check(r);
    if (auto why = twins_.check_clock(r)) return why;
    return twins_.check_place(r, m.delta.key, m.delta.changes[0].path);
  }

  void truncate() {
    // The dots that every replica has: what none of them lacks.
    Clock all, stable;
    for (size_t r = 0; r < twins_.size(); ++r) all.merge(twins_.document(r).causal().clock);
    stable = all;
    for (size_t r = 0; r < twins_.size(); ++r) stable.subtract(all.minus(twins_.document(r).causal().clock));
    for (size_t r = 0; r < twins_.size(); ++r) twins_[r].document.truncate(stable);
  }

  void forget() {
    std::vector<Document*> documents;
    for (size_t r = 0; r < twins_.size(); ++r) documents.push_back(&twins_[r].document);
    if (twins_.trace) twins_.trace("a round of forgetting");
    forgetting_.round(documents);
  }

  // Loses what was not synced; now and then the whole disk. A life that may have lost something is a new epoch.
  void crash(size_t r) {
    if (twins_.trace) twins_.trace(std::to_string(r) + " crashes");
    if (rng_.chance(0.2)) {
      twins_[r] = {Document(twins_.document(r).actor()), {}, {}};
    } else {
      auto restored = Document::decode(synced_[r].document.encode());
      CHECK(restored.ok());
      twins_[r] = {*restored, synced_[r].seen, {}};
    }
    if (!planted(Bug::kReuseDot)) twins_[r].document.restart(++epochs_[r]);
    synced_[r] = twins_[r];
  }

  std::optional<std::string> quiesce() {
    for (size_t r = 0; r < twins_.size(); ++r) {
      while (twins_.document(r).joining()) twins_.join_step(r);
    }
    for (int round = 0; round < 3; ++round) {
      for (size_t r = 0; r < twins_.size(); ++r) {
        for (size_t q = 0; q < twins_.size(); ++q) {
          if (q != r && !twins_.catch_up(r, q)) twins_.merge(r, q);
        }
      }
    }
    for (size_t r = 0; r < twins_.size(); ++r) {
      if (auto why = twins_.check(r)) return "at rest: " + *why;
      if (!twins_.document(r).same_state(twins_.document(0)))
        return "at rest: replicas 0 and " + std::to_string(r) + " differ";
      if (twins_[r].seen != twins_[0].seen) return "at rest: the model's replicas differ";
      const Causal& causal = twins_.document(r).causal();
      if (!only_gone(causal.voids)) return "at rest: a void is stuck";
      for (const PendingRange& range : causal.pending) {
        if (!only_gone(range.observed.minus(causal.clock))) return "at rest: a pending range is stuck";
      }
      for (const auto& [k, object] : twins_.document(r).objects()) {
        std::string bytes;
        Encoder out(bytes);
        object.encode(out);
        Decoder in(bytes);
        Object decoded = Object::decode(in);
        if (!in.done() || !(decoded == object)) return "at rest: an object does not survive its encoding";
      }
    }
    return {};
  }

  // Whether all of `dots` are of closed epochs: no replica has them, so they count as covered.
  bool only_gone(const DotSet& dots) const {
    for (const DotSet::Row& row : dots.rows()) {
      if (row.actor.epoch >= epochs_[row.actor.node - 1]) return false;
    }
    return true;
  }

  Rng rng_;
  Twins twins_;
  std::vector<Replica> synced_;  // what a crash goes back to
  std::vector<uint64_t> epochs_;
  std::vector<InFlight> wire_;
  std::set<Dot> used_;
  Forgetting forgetting_;
  std::vector<std::string> paths_;
  uint64_t keys_ = 1;
  size_t last_ = 0;
  double loss_ = 0, crash_ = 0, sync_ = 0, splits_ = 0, joins_ = 0;
};

}  // namespace

std::optional<std::string> run_seed(uint64_t seed) {
  auto why = World(seed).run();
  if (why) return "seed " + std::to_string(seed) + ": " + *why;
  return {};
}

}  // namespace cartwheel::crdt::model
