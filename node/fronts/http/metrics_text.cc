#include "node/fronts/http/metrics_text.h"

#include <cstdio>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>

namespace cartwheel::node {

namespace {

struct Label {
  const char* name;
  std::string_view value;
};

class TextWriter {
 public:
  // Begins a family; its samples follow. `name` must stay valid until the next family.
  void family(const char* name, const char* type, const char* help) {
    name_ = name;
    out_ += std::string("# HELP ") + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
  }

  void sample(uint64_t value, std::initializer_list<Label> labels = {}) { line("", std::to_string(value), labels); }
  void sample(int64_t value, std::initializer_list<Label> labels = {}) { line("", std::to_string(value), labels); }
  void sample(bool value, std::initializer_list<Label> labels = {}) { line("", value ? "1" : "0", labels); }
  void sample(double value, std::initializer_list<Label> labels = {}) { line("", number(value), labels); }

  void counter(const char* name, const char* help, uint64_t value) {
    family(name, "counter", help);
    sample(value);
  }
  void gauge(const char* name, const char* help, uint64_t value) {
    family(name, "gauge", help);
    sample(value);
  }

  void histogram(const char* name, const char* help, const LatencyHistogram& histogram) {
    family(name, "histogram", help);
    uint64_t below = 0;
    // The last bucket holds everything longer as well, so its bound is +Inf.
    for (size_t i = 0; i + 1 < LatencyHistogram::kBuckets; ++i) {
      below += histogram.counts[i];
      const std::string bound = number(static_cast<double>(LatencyHistogram::bound_us(i)) / 1e6);
      line("_bucket", std::to_string(below), {{"le", bound}});
    }
    line("_bucket", std::to_string(histogram.count), {{"le", "+Inf"}});
    line("_sum", number(static_cast<double>(histogram.sum_us) / 1e6), {});
    line("_count", std::to_string(histogram.count), {});
  }

  std::string take() { return std::move(out_); }

 private:
  static std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.9g", value);
    return text;
  }

  void line(const char* suffix, std::string_view value, std::initializer_list<Label> labels) {
    out_ += name_;
    out_ += suffix;
    char before = '{';
    for (const Label& label : labels) {
      out_ += before;
      out_ += label.name;
      out_ += "=\"";
      escape(label.value);
      out_ += '"';
      before = ',';
    }
    if (labels.size() > 0) out_ += '}';
    out_ += ' ';
    out_ += value;
    out_ += '\n';
  }

  void escape(std::string_view text) {
    for (char c : text) {
      if (c == '\n') {
        out_ += "\\n";
        continue;
      }
      if (c == '\\' || c == '"') out_ += '\\';
      out_ += c;
    }
  }

  const char* name_ = "";
  std::string out_;
};

void write_node(TextWriter& out, const Metrics& m) {
  out.family("cartwheel_build_info", "gauge", "The version that runs, always 1.");
  out.sample(true, {{"version", m.version}});
  out.family("cartwheel_node_info", "gauge", "Who this node is, always 1.");
  out.sample(true, {{"cluster", m.cluster}, {"node", m.node}, {"region", m.region}, {"zone", m.zone}});
  out.gauge("cartwheel_node_uptime_seconds", "Time since the process started.", m.uptime_seconds);
  out.gauge("cartwheel_node_ready", "1 if the node serves and finds the replicas that writes need.", m.ready ? 1 : 0);
  out.gauge("cartwheel_node_draining", "1 while the node shuts down.", m.draining ? 1 : 0);
  out.gauge("cartwheel_node_shards", "Loop threads.", m.shards);
  out.gauge("cartwheel_node_stripes", "Storage instances.", m.stripes);
  out.gauge("cartwheel_cluster_config_epoch", "Epoch of the cluster configuration in use.", m.config_epoch);
  out.gauge("cartwheel_cluster_keyspace_partitions", "Arcs of each keyspace's ring.", m.partitions);
}

void write_operations(TextWriter& out, const StripeStats& s) {
  out.family("cartwheel_coordinator_operations_total", "counter", "Operations coordinated by this node.");
  out.sample(s.reads, {{"op", "read"}});
  out.sample(s.writes, {{"op", "write"}});
  out.counter("cartwheel_coordinator_forwards_total", "Operations passed on to a replica.", s.forwards);
  out.family("cartwheel_coordinator_failures_total", "counter", "Operations that failed, by reason.");
  out.sample(s.unavailable, {{"reason", "unavailable"}});
  out.sample(s.unknown_outcomes, {{"reason", "unknown_outcome"}});
  out.sample(s.overloaded, {{"reason", "overloaded"}});
  out.gauge("cartwheel_coordinator_pending_operations", "Operations in flight.", s.pending_operations);
  out.counter("cartwheel_coordinator_read_mismatches_total", "Reads whose replicas disagreed.",
              s.quorum_read_mismatches);
  out.counter("cartwheel_coordinator_shared_reads_total", "Reads, and looks before a write, that asked other nodes.",
              s.shared_reads);
  out.counter("cartwheel_coordinator_hedges_total", "Requests sent because the answer of another node was late.",
              s.hedges);
  out.counter("cartwheel_coordinator_hedges_won_total", "Reads that such a request answered first.", s.hedges_won);
  out.counter("cartwheel_coordinator_hedges_refused_total", "Reads that had to wait because the budget was spent.",
              s.hedges_refused);
  out.counter("cartwheel_coordinator_probes_total", "Requests sent to find out whether a replica is still slow.",
              s.probes);
}

void write_replication(TextWriter& out, const StripeStats& s) {
  out.counter("cartwheel_replication_deltas_sent_total", "Deltas sent to other replicas.", s.deltas_sent);
  out.counter("cartwheel_replication_deltas_applied_total", "Deltas of other replicas applied.", s.deltas_applied);
  out.counter("cartwheel_replication_deltas_skipped_total", "Deltas that were here already.", s.deltas_skipped);
  out.counter("cartwheel_replication_rejected_messages_total",
              "Messages of other nodes that were malformed or dated in the future.", s.rejected_messages);
  out.counter("cartwheel_replication_unknown_messages_total",
              "Messages of other nodes of a type or an encoding that this version does not know.", s.unknown_messages);
  out.gauge("cartwheel_replication_log_entries", "Dots that some replica may still lack.", s.log_entries);
  out.gauge("cartwheel_clock_rows", "Rows of all partition clocks: one per writing life of a node, or per fold.",
            s.clock_rows);
  out.counter("cartwheel_clock_folded_lives_total", "Ended lives of nodes folded out of partition clocks.",
              s.folded_lives);
  out.counter("cartwheel_fallback_counted_total", "Operations whose level was met by the help of fallbacks.",
              s.fallback_counted);
  out.counter("cartwheel_fallback_taken_total", "Deltas taken here for owners that could not be reached.",
              s.fallback_taken);
  out.counter("cartwheel_fallback_refused_total", "Deltas not taken because as much is kept as may be.",
              s.fallback_refused);
  out.counter("cartwheel_fallback_handed_back_total", "Deltas that went because all owners have them.",
              s.fallback_handed_back);
  out.counter("cartwheel_fallback_expired_total", "Deltas that went because they were kept too long.",
              s.fallback_expired);
  out.gauge("cartwheel_fallback_deltas", "Deltas kept here for owners.", s.fallback_deltas);
  out.gauge("cartwheel_fallback_bytes", "Their size.", s.fallback_bytes);
  out.gauge("cartwheel_fallback_oldest_seconds", "The age of the oldest of them.", s.fallback_oldest_seconds);
  out.counter("cartwheel_repair_catch_ups_total", "Catch-ups asked for.", s.catch_ups);
  out.counter("cartwheel_read_repair_told_total", "Replicas told that a read has found them behind.",
              s.read_repair_told);
  out.counter("cartwheel_read_repair_dropped_total", "Replicas not told because the budget was spent.",
              s.read_repair_dropped);
  out.counter("cartwheel_read_repair_catch_ups_total", "Catch-ups begun here because another replica told so.",
              s.read_repair_catch_ups);
  out.counter("cartwheel_repair_catch_up_deltas_total", "Deltas that came by catch-up.", s.catch_up_deltas);
  out.counter("cartwheel_repair_catch_up_bytes_total", "Bytes of the messages that brought them.", s.catch_up_bytes);
  out.gauge("cartwheel_repair_behind_partitions", "Partitions that lack writes which other replicas have.", s.behind);
  out.gauge("cartwheel_repair_behind_oldest_seconds", "For how long one of them has lacked something.",
            s.behind_oldest_seconds);
  out.counter("cartwheel_repair_full_exchanges_total", "Full exchanges of a partition.", s.full_exchanges);
  out.counter("cartwheel_repair_full_exchange_objects_total", "Objects that came by a full exchange.",
              s.full_exchange_objects);
  out.counter("cartwheel_repair_full_exchange_bytes_total", "Bytes of the messages that brought them.",
              s.full_exchange_bytes);
  out.counter("cartwheel_repair_full_exchanges_by_trees_total", "Full exchanges that brought only what differed.",
              s.full_exchanges_by_trees);
  out.counter("cartwheel_repair_full_exchange_buckets_total", "Buckets of hash trees that differed in them.",
              s.full_exchange_buckets);
  out.counter("cartwheel_repair_tree_summaries_total", "Comparisons of all hash trees with another owner.",
              s.tree_summaries);
  out.counter("cartwheel_repair_tree_bytes_total", "Bytes sent to compare hash trees, and to repair by them.",
              s.tree_bytes_sent);
  out.counter("cartwheel_repair_tree_differences_total", "Partitions found to differ at equal clocks.",
              s.tree_differences);
  out.counter("cartwheel_repair_tree_keys_total", "Keys repaired because trees differed.", s.tree_keys_repaired);
  out.gauge("cartwheel_repair_tree_unproven_seconds",
            "The longest time since a partition was found equal with another owner that this node compares it with.",
            s.unproven_seconds);
  out.counter("cartwheel_scrub_rows_total", "Rows looked through.", s.scanned_rows);
  out.counter("cartwheel_scrub_rotten_partitions_total", "Partitions whose rows were not what they should be.",
              s.rotten_partitions);
  out.counter("cartwheel_scrub_unreadable_total", "Looks through a partition that ended with an error.",
              s.unreadable_scans);
  out.counter("cartwheel_repair_alarms_total", "Full exchanges stopped because they would have removed much.",
              s.repair_alarms);
  out.gauge("cartwheel_repair_alarms", "Partitions that wait for an operator since.", s.alarmed);
  out.gauge("cartwheel_quarantined_partitions", "Partitions out of service because rows of them cannot be read.",
            s.quarantined);
  out.counter("cartwheel_quarantines_total", "Partitions taken out of service because a row could not be read.",
              s.quarantines);
  out.counter("cartwheel_quarantine_rebuilt_total", "Partitions rebuilt from another replica since.",
              s.rebuilt_partitions);
}

void write_peers(TextWriter& out, const Metrics& m) {
  auto each = [&](const char* name, const char* type, const char* help, auto value) {
    out.family(name, type, help);
    for (const PeerMetrics& peer : m.peers) out.sample(value(peer), {{"peer", peer.name}, {"region", peer.region}});
  };
  each("cartwheel_peer_connected", "gauge", "1 if every shard has its connection to the peer.",
       [](const PeerMetrics& p) { return p.connected; });
  each("cartwheel_peer_reachable", "gauge", "1 if every stripe hears from the peer.",
       [](const PeerMetrics& p) { return p.reachable; });
  each("cartwheel_peer_lag_dots", "gauge", "Writes that the peer has and this node lacks.",
       [](const PeerMetrics& p) { return p.dots; });
  each("cartwheel_peer_lag_seconds", "gauge", "Age of the peer's last announcement that this node covers.",
       [](const PeerMetrics& p) { return p.seconds; });
  each("cartwheel_peer_ahead_dots", "gauge", "Writes that this node has and the peer did not say to have.",
       [](const PeerMetrics& p) { return p.dots_there; });
  each("cartwheel_peer_output_bytes", "gauge", "Bytes waiting to be sent to the peer.",
       [](const PeerMetrics& p) { return p.output_bytes; });
  each("cartwheel_peer_messages_sent_total", "counter", "Messages sent to the peer.",
       [](const PeerMetrics& p) { return p.messages_sent; });
  each("cartwheel_peer_messages_dropped_total", "counter", "Messages to the peer that were dropped, to be repaired.",
       [](const PeerMetrics& p) { return p.messages_dropped; });
  each("cartwheel_peer_messages_received_total", "counter", "Messages received from the peer.",
       [](const PeerMetrics& p) { return p.messages_received; });
}

void write_regions(TextWriter& out, const Metrics& m) {
  std::map<std::string, RegionMetrics> regions;
  for (const PeerMetrics& peer : m.peers) {
    if (peer.region != m.region) regions[peer.region].add(peer.between_regions);
  }
  auto each = [&](const char* name, const char* help, auto value) {
    out.family(name, "counter", help);
    for (const auto& [region, metrics] : regions) out.sample(value(metrics), {{"region", region}});
  };
  each("cartwheel_region_message_bytes_total", "Bytes of messages to nodes of the region, before compression.",
       [](const RegionMetrics& r) { return r.message_bytes; });
  each("cartwheel_region_sent_bytes_total", "Bytes that became of them for the connections.",
       [](const RegionMetrics& r) { return r.sent_bytes; });
  each("cartwheel_region_batches_total", "Batches of messages to nodes of the region.",
       [](const RegionMetrics& r) { return r.batches; });
  out.counter("cartwheel_region_rejected_batches_total", "Batches of other regions that did not decode.",
              m.rejected_batches);
}

void write_doors(TextWriter& out, const Metrics& m) {
  auto each = [&](const char* name, const char* type, const char* help, auto value) {
    out.family(name, type, help);
    for (size_t i = 0; i < kDoors; ++i) out.sample(value(m.doors[i]), {{"door", kDoorNames[i]}});
  };
  each("cartwheel_door_connections", "gauge", "Connections open now.",
       [](const DoorMetrics& d) { return d.connections; });
  each("cartwheel_door_connections_accepted_total", "counter", "Connections accepted.",
       [](const DoorMetrics& d) { return d.accepted; });
  each("cartwheel_door_connections_refused_total", "counter", "Connections refused because there were too many.",
       [](const DoorMetrics& d) { return d.refused; });
  each("cartwheel_door_received_bytes_total", "counter", "Bytes received.",
       [](const DoorMetrics& d) { return d.bytes_in; });
  each("cartwheel_door_sent_bytes_total", "counter", "Bytes sent.", [](const DoorMetrics& d) { return d.bytes_out; });
}

void write_storage(TextWriter& out, const Metrics& m) {
  out.gauge("cartwheel_storage_keys", "Keys that this node holds.", m.stripe.keys);
  out.gauge("cartwheel_storage_partitions", "Partitions that this node holds.", m.stripe.partitions);
  out.counter("cartwheel_storage_expired_objects_total", "Objects removed because they had expired.",
              m.stripe.expired_objects);
  out.counter("cartwheel_ring_loaded_rows_total", "Rows taken by snapshots of partitions that this node got.",
              m.stripe.loaded_rows);
  out.counter("cartwheel_ring_loaded_bytes_total", "Bytes of those rows.", m.stripe.loaded_bytes);
  out.counter("cartwheel_storage_batches_total", "Batches written.", m.storage_batches);
  out.counter("cartwheel_storage_written_bytes_total", "Bytes of the batches written.", m.storage_bytes);
  out.histogram("cartwheel_storage_write_duration_seconds", "Time to write one batch.", m.write_latency);
  out.histogram("cartwheel_storage_sync_duration_seconds", "Time of one fsync.", m.sync_latency);
  out.gauge("cartwheel_storage_memory_bytes", "Memory of the storage engine.", m.engine_memory_bytes);
  out.gauge("cartwheel_storage_disk_bytes", "Files of the storage engine.", m.engine_disk_bytes);
  out.counter("cartwheel_cache_hits_total", "Objects found decoded in the cache.", m.stripe.cache_hits);
  out.counter("cartwheel_cache_misses_total", "Objects read from the engine.", m.stripe.cache_misses);
  out.gauge("cartwheel_cache_size_bytes", "Decoded objects in the cache.", m.stripe.cache_bytes);
}

void write_runtime(TextWriter& out, const Metrics& m) {
  out.counter("cartwheel_loop_turns_total", "Loop turns that had something to do.", m.loop_turns);
  out.counter("cartwheel_shard_hops_total", "Requests and messages passed to another shard.", m.shard_hops);
  out.counter("cartwheel_shard_queue_full_total", "Of them, refused because the queue was full.", m.shard_queue_full);
  out.gauge("process_resident_memory_bytes", "Resident memory size.", m.process_resident_bytes);
  out.family("process_cpu_seconds_total", "counter", "User and system CPU time.");
  out.sample(m.process_cpu_seconds);
  out.gauge("process_open_fds", "Open file descriptors.", m.process_open_fds);
}

}  // namespace

std::string metrics_text(const Metrics& metrics) {
  TextWriter out;
  write_node(out, metrics);
  write_operations(out, metrics.stripe);
  write_replication(out, metrics.stripe);
  write_peers(out, metrics);
  write_regions(out, metrics);
  write_doors(out, metrics);
  write_storage(out, metrics);
  write_runtime(out, metrics);
  return out.take();
}

}  // namespace cartwheel::node
