#include "crdt/types.h"

#include <charconv>
#include <tuple>

#include "base/planted.h"

namespace cartwheel::crdt {

const Entry* winner(const Leaf& leaf) {
  const Entry* best = nullptr;
  for (const Entry& e : leaf.entries) {
    if (best == nullptr ||
        std::tie(e.time, e.dot.actor, e.value) > std::tie(best->time, best->dot.actor, best->value)) {
      best = &e;
    }
  }
  return best;
}

std::optional<int64_t> parse_number(std::string_view text) {
  if (text.empty() || text[0] == '+') return {};
  size_t digits = text[0] == '-' ? 1 : 0;
  if (text.size() > digits + 1 && text[digits] == '0') return {};
  if (text == "-0") return {};
  int64_t n = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return n;
}

namespace {
int64_t saturated_sum(int64_t a, int64_t b) {
  int64_t sum;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return b > 0 ? INT64_MAX : INT64_MIN;
}
}  // namespace

std::optional<int64_t> number_value(const Leaf& leaf) {
  const Entry* shown = winner(leaf);
  if (shown == nullptr) return leaf.count();
  auto base = parse_number(shown->value);
  if (!base) return {};
  return saturated_sum(*base, leaf.count());
}

std::optional<std::string> string_value(const Leaf& leaf) {
  if (!leaf.visible()) return {};
  if (leaf.chains.empty()) return winner(leaf)->value;
  if (auto number = number_value(leaf)) return std::to_string(*number);
  return winner(leaf)->value;
}

bool flag_value(Tag tag, const Leaf& leaf) {
  bool any_on = false, any_off = false;
  for (const Entry& e : leaf.entries) (e.value == "1" ? any_on : any_off) = true;
  return tag == Tag::kFlagEnableWins ? any_on : any_on && !any_off;
}

std::optional<int64_t> expiry_ms(const Leaf* leaf) {
  if (leaf == nullptr || leaf->entries.empty()) return {};
  int64_t latest = 0;
  for (const Entry& e : leaf->entries) {
    if (e.value.empty()) return {};  // "never" wins
    Decoder in(e.value);
    latest = std::max(latest, static_cast<int64_t>(in.u64()));
    if (!in.done()) return {};  // not an expiry that we know how to read: do not expire on it
  }
  return latest;
}

namespace {

void supersede(Change& change, const Leaf* observed) {
  if (observed == nullptr) return;
  for (const Entry& e : observed->entries) change.superseded.push_back(e.dot);
}

void reset_chains(Change& change, const Leaf* observed) {
  if (observed == nullptr) return;
  for (const ActorChain& c : observed->chains) {
    change.reset.push_back({c.actor, c.chain.seq, c.chain.start, c.chain.total});
  }
}

Change put(const Leaf* observed, std::string value) {
  Change change;
  change.puts = true;
  change.value = std::move(value);
  supersede(change, observed);
  return change;
}

}  // namespace

Change assign(const Leaf* observed, std::string value, Hlc time) {
  Change change = put(observed, std::move(value));
  change.time = time;
  reset_chains(change, observed);
  return change;
}

std::optional<Change> increment(const Leaf* observed, const Actor& actor, uint64_t seq, int64_t amount) {
  Chain chain{seq, seq, 0, 0};
  if (observed != nullptr) {
    for (const ActorChain& c : observed->chains) {
      if (c.actor == actor) chain = c.chain;
    }
  }
  if (__builtin_add_overflow(chain.total, amount, &chain.total)) return {};
  chain.seq = seq;
  Change change;
  change.increment = chain;
  return change;
}

Change add_element(const Leaf* observed) {
  return put(observed, {});
}
Change set_flag(const Leaf* observed, bool on) {
  return put(observed, on ? "1" : "0");
}

Change set_expiry(const Leaf* observed, std::optional<int64_t> at_ms) {
  std::string value;
  if (at_ms) Encoder(value).u64(static_cast<uint64_t>(*at_ms));
  return put(observed, std::move(value));
}

Change remove(const Leaf& observed) {
  Change change;
  supersede(change, &observed);
  reset_chains(change, &observed);
  return change;
}

}  // namespace cartwheel::crdt
