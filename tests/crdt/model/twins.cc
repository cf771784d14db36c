#include "tests/crdt/model/twins.h"

#include <algorithm>
#include <utility>

namespace cartwheel::crdt::model {

Twins::Twins(int replicas) {
  for (int i = 0; i < replicas; ++i) replicas_.push_back({Document(Actor{static_cast<uint32_t>(i + 1), 1}), {}, {}});
}

namespace {

std::string readable(const std::string& path) {
  std::string text;
  std::string_view rest = path;
  while (auto step = take_step(rest)) {
    text += "/" + std::to_string(static_cast<int>(step->tag));
    if (!step->name.empty()) text += ":" + std::string(step->name);
  }
  return text;
}

}  // namespace

void Twins::tell(const char* what, size_t r, const Message& message) const {
  if (!trace) return;
  for (const Change& c : message.delta.changes) {
    std::string line =
        std::to_string(r) + " " + what + " " + to_string(c.dot) + " " + message.delta.key + readable(c.path);
    if (c.kind == Change::Kind::kRange) line += " range";
    if (c.puts) line += " puts \"" + c.value + "\" at " + std::to_string(c.time.value);
    for (const Dot& dot : c.superseded) line += " supersedes " + to_string(dot);
    if (c.increment) {
      line += " chain from " + std::to_string(c.increment->start) + " total " + std::to_string(c.increment->total) +
              " base " + std::to_string(c.increment->base);
    }
    for (const ObservedChain& o : c.reset)
      line += " resets " + to_string({o.actor, o.seq}) + " total " + std::to_string(o.total);
    trace(line);
  }
}

Message Twins::sent(size_t r, Delta delta, std::vector<int> events, const Seen& observed_puts) {
  for (int e : events) {
    history_.limit(e, observed_puts);
    replicas_[r].seen.set(e);
  }
  Message message{std::move(delta), std::move(events)};
  tell("writes", r, message);
  return message;
}

Message Twins::assign(size_t r, const std::string& key, const std::string& path, std::string value, uint64_t time) {
  Replica& at = replicas_[r];
  Observed observed = this->observed(r, key);
  Delta d = at.document.assign(key, path, value, Hlc{time});
  int e = history_.assign(d.changes[0].dot, key, path, observed.seen, Hlc{time}, value);
  return sent(r, std::move(d), {e}, observed.puts);
}

Message Twins::increment(size_t r, const std::string& key, const std::string& path, int64_t amount) {
  Replica& at = replicas_[r];
  Observed observed = this->observed(r, key);
  Delta d = at.document.increment(key, path, amount);
  int e = history_.increment(d.changes[0].dot, key, path, observed.seen, amount);
  return sent(r, std::move(d), {e}, observed.puts);
}

Message Twins::reset(size_t r, const std::string& key, const std::string& path) {
  Replica& at = replicas_[r];
  Observed observed = this->observed(r, key);
  Delta d = at.document.reset(key, path);
  int e = history_.remove(d.changes[0].dot, key, path, observed.seen);
  return sent(r, std::move(d), {e}, observed.puts);
}

Message Twins::add(size_t r, const std::string& key, const std::string& path) {
  Replica& at = replicas_[r];
  Observed observed = this->observed(r, key);
  Delta d = at.document.add(key, path);
  int e = history_.put(d.changes[0].dot, key, path, observed.seen, {});
  return sent(r, std::move(d), {e}, observed.puts);
}

Message Twins::flag(size_t r, const std::string& key, const std::string& path, bool on) {
  Replica& at = replicas_[r];
  Observed observed = this->observed(r, key);
  Delta d = at.document.flag(key, path, on);
  int e = history_.put(d.changes[0].dot, key, path, observed.seen, on ? "1" : "0");
  return sent(r, std::move(d), {e}, observed.puts);
}

Message Twins::expire(size_t r, const std::string& key, std::optional<int64_t> at_ms) {
  Replica& at = replicas_[r];
  Observed observed = this->observed(r, key);
  Delta d = at.document.expire(key, at_ms);
  std::string value;
  if (at_ms) Encoder(value).u64(static_cast<uint64_t>(*at_ms));
  int e = history_.put(d.changes[0].dot, key, path_step(Tag::kExpiry), observed.seen, value);
  return sent(r, std::move(d), {e}, observed.puts);
}

Message Twins::clear(size_t r, const std::string& key, const std::string& prefix) {
  Replica& at = replicas_[r];
  Observed observed = this->observed(r, key);
  std::vector<std::string> counters = history_.counters(observed.seen, key, prefix);
  Delta d = at.document.clear(key, prefix);
  std::vector<int> events = {
      history_.remove_range(d.changes[0].dot, key, prefix, at.seen | history_.shown(observed.seen, key, prefix))};
  // Events are made from what the delta says it does; that it says enough is for check() to find.
  for (size_t i = 1; i < d.changes.size(); ++i) {
    events.push_back(history_.reset_counter(d.changes[i].dot, key, d.changes[i].path, observed.seen));
  }
  std::vector<std::string> reset;
  for (size_t i = 1; i < d.changes.size(); ++i) reset.push_back(d.changes[i].path);
  Message message = sent(r, std::move(d), std::move(events), Seen().set());
  if (reset != counters)
    clear_mismatch_ = "a clear resets " + std::to_string(reset.size()) + " counters where " +
                      std::to_string(counters.size()) + " show";
  return message;
}

void Twins::apply(size_t r, const Message& message) {
  tell("applies", r, message);
  if (!replicas_[r].document.apply(message.delta)) return;
  for (int e : message.events) replicas_[r].seen.set(e);
}

void Twins::apply_change(size_t r, const Message& message, size_t change) {
  apply(r, {{message.delta.key, message.delta.time, {message.delta.changes[change]}}, {message.events[change]}});
}

bool Twins::catch_up(size_t r, size_t from) {
  if (!replicas_[r].document.catch_up_from(replicas_[from].document)) return false;
  replicas_[r].seen |= replicas_[from].seen;
  if (trace) trace(std::to_string(r) + " catches up from " + std::to_string(from));
  return true;
}

void Twins::merge(size_t r, size_t from) {
  if (trace) trace(std::to_string(r) + " merges " + std::to_string(from));
  replicas_[r].document.merge(replicas_[from].document);
  replicas_[r].seen |= replicas_[from].seen;
}

void Twins::begin_join(size_t r, size_t from) {
  if (trace) trace(std::to_string(r) + " begins to join " + std::to_string(from));
  replicas_[r].document.begin_join(replicas_[from].document);
  replicas_[r].coming = replicas_[from].seen;
}

bool Twins::join_step(size_t r) {
  Replica& at = replicas_[r];
  bool last = at.document.join_step();
  if (trace) trace(std::to_string(r) + (last ? " joins the last" : " joins one"));
  if (last) at.seen |= std::exchange(at.coming, {});
  return last;
}

Twins::Observed Twins::observed(size_t r, const std::string& key) const {
  const Replica& at = replicas_[r];
  Observed all{at.seen, Seen().set()};
  if (at.document.joined(key)) all.seen |= at.coming;
  if (!at.document.joining() || at.document.joined(key)) return all;
  for (size_t i = 0; i < history_.events().size(); ++i) {
    const Event& e = history_.events()[i];
    if (!e.puts || e.key != key) continue;
    const Leaf* leaf = document(r).object(key).find(e.path);
    auto is_it = [&](const Entry& entry) { return entry.dot == e.dot; };
    if (leaf == nullptr || std::none_of(leaf->entries.begin(), leaf->entries.end(), is_it)) all.puts.reset(i);
  }
  return all;
}

int64_t Twins::count(size_t r, const std::string& key, const std::string& path) const {
  const Leaf* leaf = document(r).object(key).find(path);
  return leaf == nullptr ? 0 : leaf->count();
}

std::optional<std::string> Twins::check_place(size_t r, const std::string& key, const std::string& path) const {
  if (document(r).joining()) return {};
  std::string have = view(r, key, path), want = history_.view(replicas_[r].seen, key, path);
  if (have == want) return {};
  return "replica " + std::to_string(r) + " at " + key + readable(path) + ": has \"" + have + "\", the model \"" +
         want + "\"";
}

std::optional<std::string> Twins::check_clock(size_t r) const {
  if (clear_mismatch_) return clear_mismatch_;
  const Clock& clock = document(r).causal().clock;
  uint64_t dots = 0;
  for (size_t i = 0; i < history_.events().size(); ++i) {
    if (!replicas_[r].seen[i]) continue;
    ++dots;
    if (!clock.contains(history_.events()[i].dot)) {
      return "replica " + std::to_string(r) + ": its clock lacks " + to_string(history_.events()[i].dot);
    }
  }
  if (dots == clock.size()) return {};
  return "replica " + std::to_string(r) + ": its clock has " + std::to_string(clock.size()) + " dots, the model " +
         std::to_string(dots);
}

std::optional<std::string> Twins::check(size_t r) const {
  if (auto why = check_clock(r)) return why;
  if (document(r).joining()) return {};
  size_t visible = 0;
  for (const auto& [key, object] : document(r).objects()) {
    for (const auto& row : object.rows()) visible += row.second.visible();
  }
  for (const auto& [key, path] : history_.places()) {
    if (auto why = check_place(r, key, path)) return why;
    visible -= !view(r, key, path).empty();
  }
  if (visible != 0) return "replica " + std::to_string(r) + " shows a leaf that nobody wrote";
  return {};
}

}  // namespace cartwheel::crdt::model
