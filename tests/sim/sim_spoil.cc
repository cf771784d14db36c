// Rows that a disk spoils behind the stripe's back. As long as something of a node is spoiled, or its partition is not
// rebuilt yet, nothing else is lost (SimWorld::may_lose): the other replicas are whole, so no checker excuses anything.
#include <algorithm>
#include <map>
#include <utility>

#include "base/check.h"
#include "node/core/rows.h"
#include "tests/sim/sim_world.h"

namespace cartwheel::sim {

using node::NodeIndex;

namespace {
constexpr char kGarbage[] = "\xff\xff spoiled";
}  // namespace

bool SimWorld::spoil(NodeIndex n, Rng& rng) {
  if (!may_lose(n, true)) return false;
  std::vector<std::pair<Partition, std::string>> rows;
  for (Partition partition : partitions()) {
    const auto& all = owners(partition);
    bool held_by_others = owns(n, partition) && std::any_of(all.begin(), all.end(), [&](NodeIndex other) {
                            return other != n && !removed(other);
                          });
    if (!held_by_others || config_->keyspaces[partition.keyspace].dropped) continue;
    const node::PartitionId id{partition.keyspace, partition.arc};
    const std::string prefix = node::object_prefix(id);
    auto walk = stripe_of(n, partition).engine().scan(prefix, node::prefix_end(prefix));
    for (; walk->valid(); walk->next()) rows.emplace_back(partition, walk->key());
    // Of the partition itself only a start would notice. With the clock goes the knowledge of what only this node has.
    crdt::Clock elsewhere;
    for (NodeIndex other : all) {
      if (other != n) elsewhere.merge(stripe_of(other, partition).clock(partition));
    }
    bool had_by_others = elsewhere.covers(std::as_const(*this).stripe_of(n, partition).clock(partition));
    if (machines_[n].down && had_by_others && rng.chance(0.3)) rows.emplace_back(partition, node::partition_row(id));
  }
  if (rows.empty()) return false;
  for (size_t count = 1 + rng.below(3); count > 0; --count) {
    const auto& [partition, row] = rows[rng.below(rows.size())];
    storage::WriteBatch batch;
    batch.put(row, kGarbage);
    CHECK(stripe_of(n, partition).engine().write(std::move(batch)).ok());
    note("spoil a row of keyspace " + std::to_string(partition.keyspace) + " arc " + std::to_string(partition.arc) +
         " at " + name(n));
    spoiled_rows_.push_back({n, partition, row});
    spoiled_.emplace(n, partition);
  }
  return true;
}

bool SimWorld::spoil_all_owners(Rng& rng) {
  std::vector<Partition> all = partitions();
  for (size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[rng.below(i)]);
  for (Partition partition : all) {
    std::vector<NodeIndex> holders;
    for (NodeIndex n : owners(partition)) {
      if (!removed(n)) holders.push_back(n);
    }
    if (config_->keyspaces[partition.keyspace].dropped || holders.size() < 2) continue;
    const std::string prefix = node::object_prefix({partition.keyspace, partition.arc});
    std::map<std::string, NodeIndex> spoiler;  // by key
    std::vector<std::pair<NodeIndex, std::string>> rows;
    bool apart = true;
    // First what is spoiled already, behind a cache that is right.
    for (bool already : {true, false}) {
      for (NodeIndex n : holders) {
        auto walk = stripe_of(n, partition).engine().scan(prefix, node::prefix_end(prefix));
        for (; walk->valid(); walk->next()) {
          auto row = node::parse_object_row(walk->key());
          if (!row.ok() || already != (walk->value() == kGarbage)) continue;
          const NodeIndex one = already ? n : holders[rng.below(holders.size())];
          auto found = spoiler.try_emplace(std::string(row->key), one).first;
          apart = apart && (!already || found->second == n);
          if (found->second == n && (already || rng.chance(0.5))) rows.emplace_back(n, walk->key());
        }
      }
    }
    if (!apart) continue;
    const bool each = std::all_of(holders.begin(), holders.end(), [&](NodeIndex n) {
      return std::any_of(rows.begin(), rows.end(), [&](const auto& row) { return row.first == n; });
    });
    if (!each) continue;
    // A start looks through the rows; before it what is cached may hide them.
    for (NodeIndex n : holders) kill(n);
    for (const auto& [n, row] : rows) {
      storage::WriteBatch batch;
      batch.put(row, kGarbage);
      CHECK(stripe_of(n, partition).engine().write(std::move(batch)).ok());
      spoiled_rows_.push_back({n, partition, row});
      spoiled_.emplace(n, partition);
    }
    note("spoil " + std::to_string(rows.size()) + " rows of keyspace " + std::to_string(partition.keyspace) + " arc " +
         std::to_string(partition.arc) + ", some at every owner");
    for (NodeIndex n : holders) start(n);
    return true;
  }
  return false;
}

void SimWorld::accept_salvage() {
  for (Machine& machine : machines_) {
    for (auto& each : machine.stripes) {
      if (each->stats() == nullptr || each->stats()->quarantined == 0) continue;
      each->post([](node::Stripe& stripe, Now now) { stripe.accept_losses(now); });
    }
  }
}

bool SimWorld::any_spoiled() const {
  for (const SpoiledRow& each : spoiled_rows_) {
    SimStripe& holder = *machines_[each.node].stripes[each.partition.arc % config_->stripes];
    std::string value;
    auto found = holder.engine().get(each.row, &value);
    if (found.ok() && *found && value == kGarbage) return true;
    const node::StripeStats* stats = holder.stats();
    if (stats == nullptr || stats->quarantined > 0) return true;
  }
  return false;
}

bool SimWorld::read_spoiled() {
  bool any = false;
  for (const SpoiledRow& each : spoiled_rows_) {
    SimStripe& holder = stripe_of(each.node, each.partition);
    std::string value;
    auto found = holder.engine().get(each.row, &value);
    auto row = node::parse_object_row(each.row);
    if (!found.ok() || !*found || value != kGarbage || !row.ok() || !holder.at_rest()) continue;
    // What is cached is right, and is found out by the scrub.
    if (holder.stripe().inspect(each.partition.keyspace, std::string(row->key)).ok()) continue;
    any = true;
    holder.post([](node::Stripe& stripe, Now now) { stripe.on_tick(now); });
  }
  return any;
}

void SimWorld::accept_losses() {
  for (NodeIndex n = 0; n < machines_.size(); ++n) {
    for (auto& each : machines_[n].stripes) {
      if (each->stats() == nullptr || each->stats()->quarantined == 0) continue;
      note("accept the losses of " + name(n));
      Loss loss;
      loss.node = n;
      loss.wiped = true;
      loss.at_us = loss.recovered_us = queue_.now();
      for (Partition partition : each->partitions()) {
        if (!spoiled_.contains({n, partition})) continue;
        loss.held.insert(partition);
        crdt::Clock lost = each->clock(partition);
        for (NodeIndex other = 0; other < machines_.size(); ++other) {
          if (other != n) lost.subtract(std::as_const(*this).stripe_of(other, partition).clock(partition));
        }
        for (const auto& row : lost.rows()) {
          for (const auto& interval : row.intervals) {
            for (uint64_t seq = interval.first; seq <= interval.last; ++seq) {
              Event* event = history_.find(partition, {row.actor, seq});
              if (event != nullptr && event->gone < 0) event->gone = static_cast<int>(history_.losses().size());
            }
          }
        }
      }
      history_.losses().push_back(std::move(loss));
      each->post([](node::Stripe& stripe, Now now) { stripe.accept_losses(now); });
    }
  }
}

}  // namespace cartwheel::sim
