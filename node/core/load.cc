// Loading: a new owner of an arc begins with a snapshot of another one's rows, as they are stored, which the engine
// takes in bulk (storage/engine.h). Until it is complete the partition does not exist here: no delta is taken, nobody
// is told anything about it. What was written meanwhile comes by catch-up, because whoever serves a snapshot keeps its
// dot log from there on for the node that takes it.

#include <algorithm>

#include "base/planted.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

namespace {
constexpr Duration kBurst = Duration::millis(200);  // of load_bytes_per_second, that may be asked for at once
}  // namespace

// Begins to load partitions that wait for it, as many at a time as there may be.
void Stripe::Impl::start_loads() {
  if (loading_.empty()) return;
  size_t under_way = static_cast<size_t>(
      std::count_if(repairs_.begin(), repairs_.end(), [](const auto& entry) { return entry.second.raw; }));
  for (PartitionId id : loading_) {
    if (under_way >= limits::kLoads) return;
    if (repairs_.contains(id)) continue;
    Partition& p = partitions_.at(id);
    if (std::all_of(p.owners.begin(), p.owners.end(), [&](NodeIndex n) { return config_->nodes[n].removed(); })) {
      finish_load(p, {}, 0);  // nobody has it any more: it begins anew
      return start_loads();
    }
    NodeIndex from = kNoNode;
    for (NodeIndex n : p.owners) {
      if (n == options_.self || !peers_[n].reachable) continue;
      if (from == kNoNode || (region_of(n) == my_region_ && region_of(from) != my_region_)) from = n;
    }
    if (from == kNoNode) continue;
    ++under_way;
    Repair& repair = repairs_[id];
    repair.id = next_id_++;
    repair.from = from;
    repair.exchange = repair.raw = true;
    request_step(p, repair);
  }
}

// The rows come from a peer: their keys must be rows of this partition in ascending order. Values are checked where
// they are read, like all that the engine holds.
void Stripe::Impl::on_raw_rows(Partition& p, Repair& repair, const ExchangeReplyMessage& m) {
  auto give_up = [&] {
    ++stats_.rejected_messages;
    end_repair(repairs_.find(p.id));
  };
  if (!p.loading) return give_up();
  if (m.step == 0) {
    Decoder in(m.causal);
    repair.snapshot = crdt::Causal::decode(in);
    if (!in.done()) return give_up();
    repair.keys = m.keys;
    repair.bytes_total = m.bytes;
  }
  Output::Load load{Output::Load::Step::kAdd, repair.id, {}};
  load.rows.reserve(m.rows.size());
  std::string prefix = object_prefix(p.id);
  uint64_t bytes = 0;
  for (const ExchangeReplyMessage::Row& row : m.rows) {
    std::string key = prefix;
    key += row.key;
    auto parsed = parse_object_row(key);
    bool belongs = parsed.ok() && arc_of_hash(parsed->hash, config_->partitions) == p.id.arc && key > repair.last_row;
    if (!belongs) return give_up();
    bytes += key.size() + row.leaf.size();
    repair.last_row = key;
    load.rows.emplace_back(std::move(key), std::string(row.leaf));
  }
  repair.bytes += bytes;
  stats_.loaded_rows += load.rows.size();
  stats_.loaded_bytes += bytes;
  load_budget_ -= static_cast<int64_t>(bytes);
  if (!load.rows.empty()) out_.loads.push_back(std::move(load));
  if (m.outcome == ExchangeReplyMessage::Outcome::kMore && !planted(Bug::kLoadForgetsTail)) {
    ++repair.step;
    repair.last_progress = now_.instant;
    if (options_.load_bytes_per_second == 0 || load_budget_ > 0) return request_step(p, repair);
    repair.waits = true;
    return;
  }
  out_.loads.push_back({Output::Load::Step::kCommit, repair.id, {}});
  crdt::Causal snapshot = std::move(repair.snapshot);
  uint64_t keys = repair.keys;
  p.loaded_bytes = repair.bytes;
  repairs_.erase(p.id);
  finish_load(p, std::move(snapshot), keys);
}

void Stripe::Impl::finish_load(Partition& p, crdt::Causal snapshot, uint64_t keys) {
  outlive(snapshot.clock);
  p.causal = std::move(snapshot);
  p.keys = keys;
  p.loading = p.recovering = false;
  p.next_seq = p.causal.clock.last(actor_) + 1;
  forget_tree(p);  // its rows came past the turns
  loading_.erase(p.id);
  write_row(p);
  keep_durably(p);
  clock_advanced(p);
  note_gap(p);
}

// Spends what the bound on loading allows since the last time.
void Stripe::Impl::request_waiting_loads() {
  if (options_.load_bytes_per_second == 0) return;
  auto rate = static_cast<int64_t>(options_.load_bytes_per_second);
  int64_t passed_us = load_budget_at_ ? (now_.instant - *load_budget_at_).us : kBurst.us;
  load_budget_at_ = now_.instant;
  load_budget_ = std::min(load_budget_ + rate / 1000 * std::min<int64_t>(passed_us, 1'000'000) / 1000,
                          rate / 1000 * kBurst.us / 1000);
  int64_t left = load_budget_;
  for (auto& [id, repair] : repairs_) {
    if (!repair.waits) continue;
    repair.last_progress = now_.instant;  // it is this node that waits
    if (left <= 0) continue;
    left -= static_cast<int64_t>(options_.catch_up_chunk_bytes);
    repair.waits = false;
    request_step(partitions_.at(id), repair);
  }
}

}  // namespace cartwheel::node
