// How the parts of the shards become the Metrics of the node (declared in shard.h).
#include <uv.h>

#include <algorithm>

#include "node/runtime/process_info.h"
#include "node/runtime/shard.h"
#include "node/runtime/version.h"

namespace cartwheel::node {

void add(StripeStats& to, const StripeStats& from) {
  // A counter that is added to StripeStats has to be added here: the size tells when that was forgotten.
  static_assert(sizeof(StripeStats) == 66 * sizeof(uint64_t), "sum the new counters too");
  to.reads += from.reads;
  to.writes += from.writes;
  to.forwards += from.forwards;
  to.unavailable += from.unavailable;
  to.unknown_outcomes += from.unknown_outcomes;
  to.overloaded += from.overloaded;
  to.deltas_sent += from.deltas_sent;
  to.deltas_applied += from.deltas_applied;
  to.deltas_skipped += from.deltas_skipped;
  to.catch_ups += from.catch_ups;
  to.catch_up_deltas += from.catch_up_deltas;
  to.full_exchanges += from.full_exchanges;
  to.full_exchange_objects += from.full_exchange_objects;
  to.catch_up_bytes += from.catch_up_bytes;
  to.full_exchange_bytes += from.full_exchange_bytes;
  to.behind += from.behind;
  to.behind_oldest_seconds = std::max(to.behind_oldest_seconds, from.behind_oldest_seconds);
  to.unproven_seconds = std::max(to.unproven_seconds, from.unproven_seconds);
  to.full_exchanges_by_trees += from.full_exchanges_by_trees;
  to.full_exchange_buckets += from.full_exchange_buckets;
  to.tree_messages_sent += from.tree_messages_sent;
  to.tree_bytes_sent += from.tree_bytes_sent;
  to.tree_summaries += from.tree_summaries;
  to.tree_differences += from.tree_differences;
  to.tree_keys_repaired += from.tree_keys_repaired;
  to.tree_leaves_repaired += from.tree_leaves_repaired;
  to.scanned_rows += from.scanned_rows;
  to.scrub_passes += from.scrub_passes;
  to.rotten_partitions += from.rotten_partitions;
  to.unreadable_scans += from.unreadable_scans;
  to.fallback_taken += from.fallback_taken;
  to.fallback_refused += from.fallback_refused;
  to.fallback_handed_back += from.fallback_handed_back;
  to.fallback_expired += from.fallback_expired;
  to.fallback_deltas += from.fallback_deltas;
  to.fallback_bytes += from.fallback_bytes;
  to.fallback_oldest_seconds = std::max(to.fallback_oldest_seconds, from.fallback_oldest_seconds);
  to.fallback_counted += from.fallback_counted;
  to.quarantines += from.quarantines;
  to.rebuilt_partitions += from.rebuilt_partitions;
  to.quarantined += from.quarantined;
  to.repair_alarms += from.repair_alarms;
  to.alarmed += from.alarmed;
  to.quorum_read_mismatches += from.quorum_read_mismatches;
  to.read_repair_told += from.read_repair_told;
  to.read_repair_dropped += from.read_repair_dropped;
  to.read_repair_catch_ups += from.read_repair_catch_ups;
  to.shared_reads += from.shared_reads;
  to.hedges += from.hedges;
  to.hedges_won += from.hedges_won;
  to.hedges_refused += from.hedges_refused;
  to.probes += from.probes;
  to.rejected_messages += from.rejected_messages;
  to.unknown_messages += from.unknown_messages;
  to.expired_objects += from.expired_objects;
  to.loaded_rows += from.loaded_rows;
  to.loaded_bytes += from.loaded_bytes;
  to.folded_lives += from.folded_lives;
  to.clock_rows += from.clock_rows;
  to.cache_hits += from.cache_hits;
  to.cache_misses += from.cache_misses;
  to.cache_bytes += from.cache_bytes;
  to.keys += from.keys;
  to.log_entries += from.log_entries;
  to.pending_operations += from.pending_operations;
  to.partitions += from.partitions;
}

Metrics gather(const NodeContext& node, const ClusterConfig& config, const std::vector<ShardMetrics>& parts) {
  Metrics metrics;
  metrics.cluster = config.name;
  metrics.node = node.node().name;
  metrics.region = node.node().region;
  metrics.zone = node.node().zone;
  metrics.version = kVersion;
  metrics.config_epoch = config.epoch;
  metrics.shards = static_cast<uint32_t>(node.shards.size());
  metrics.stripes = config.stripes;
  metrics.partitions = config.partitions;
  metrics.draining = node.draining.load();
  metrics.ready = !metrics.draining;
  metrics.uptime_seconds = (uv_hrtime() / 1000 - static_cast<uint64_t>(node.started.us)) / 1'000'000;
  std::map<NodeIndex, PeerMetrics> peers;
  for (const ShardMetrics& part : parts) {
    add(metrics.stripe, part.stripe);
    metrics.ready = metrics.ready && part.ready;
    for (const auto& [index, peer] : part.peers) {
      auto [it, first] = peers.try_emplace(index, peer);
      if (first) continue;
      PeerMetrics& sum = it->second;
      sum.connected = sum.connected && peer.connected;
      sum.reachable = sum.reachable && peer.reachable;
      sum.dots += peer.dots;
      sum.dots_there += peer.dots_there;
      sum.seconds = std::max(sum.seconds, peer.seconds);
      sum.output_bytes += peer.output_bytes;
      sum.messages_sent += peer.messages_sent;
      sum.messages_dropped += peer.messages_dropped;
      sum.messages_received += peer.messages_received;
      sum.between_regions.add(peer.between_regions);
    }
    for (size_t i = 0; i < kDoors; ++i) {
      metrics.doors[i].connections += part.doors[i].connections;
      metrics.doors[i].bytes_in += part.doors[i].bytes_in;
      metrics.doors[i].bytes_out += part.doors[i].bytes_out;
    }
    metrics.loop_turns += part.turns;
    metrics.storage_batches += part.batches;
    metrics.storage_bytes += part.batch_bytes;
    metrics.write_latency.merge(part.write_latency);
    metrics.sync_latency.merge(part.sync_latency);
    metrics.rejected_batches += part.rejected_batches;
    metrics.shard_hops += part.hops;
    metrics.shard_queue_full += part.queue_full;
    metrics.engine_memory_bytes += part.usage.memory_bytes;
    metrics.engine_disk_bytes += part.usage.disk_bytes;
  }
  for (auto& [index, peer] : peers) {
    peer.name = config.nodes[index].name;
    peer.region = config.nodes[index].region;
    metrics.peers.push_back(std::move(peer));
  }
  for (size_t i = 0; i < kDoors; ++i) {
    metrics.doors[i].accepted = node.accepted[i].load(std::memory_order_relaxed);
    metrics.doors[i].refused = node.refused[i].load(std::memory_order_relaxed);
  }
  const ProcessInfo process = process_info();
  metrics.process_resident_bytes = process.resident_bytes;
  metrics.process_cpu_seconds = process.user_seconds + process.system_seconds;
  metrics.process_open_fds = open_file_descriptors();
  return metrics;
}

}  // namespace cartwheel::node
