// Metrics: what one node knows about itself, gathered from its shards for /metrics, /readyz and status. Plain data
// without a thread or a handle in it: the HTTP and RPC sessions only render it. Counters count since the process
// started.
//
// A snapshot is put together from parts that the shards read at slightly different moments; each part is consistent.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "node/core/stripe.h"

namespace cartwheel::node {

enum class Door : uint8_t { kResp = 0, kRpc = 1, kHttp = 2, kPeer = 3 };
inline constexpr size_t kDoors = 4;
inline constexpr std::array<const char*, kDoors> kDoorNames = {"resp", "rpc", "http", "peer"};

// Durations in buckets of powers of two: bucket i counts those of at most 16 µs << i, the last one all the longer ones.
struct LatencyHistogram {
  static constexpr size_t kBuckets = 20;  // the last bound is about 4 s
  std::array<uint64_t, kBuckets> counts{};
  uint64_t count = 0;
  uint64_t sum_us = 0;

  static constexpr uint64_t bound_us(size_t bucket) { return uint64_t{16} << bucket; }
  void add(uint64_t us) {
    size_t bucket = 0;
    while (bucket + 1 < kBuckets && us > bound_us(bucket)) ++bucket;
    ++counts[bucket];
    ++count;
    sum_us += us;
  }
  void merge(const LatencyHistogram& other) {
    for (size_t i = 0; i < kBuckets; ++i) counts[i] += other.counts[i];
    count += other.count;
    sum_us += other.sum_us;
  }
};

struct DoorMetrics {
  uint64_t connections = 0;  // open now
  uint64_t accepted = 0;
  uint64_t refused = 0;  // over limits::kConnections
  uint64_t bytes_in = 0, bytes_out = 0;
};

// What went to nodes of another region.
struct RegionMetrics {
  uint64_t batches = 0;
  uint64_t message_bytes = 0;  // frames of messages before they were compressed
  uint64_t sent_bytes = 0;     // what became of them

  void add_plain(uint64_t bytes) { message_bytes += bytes, sent_bytes += bytes; }
  void add(const RegionMetrics& other) {
    batches += other.batches;
    message_bytes += other.message_bytes;
    sent_bytes += other.sent_bytes;
  }
};

// Another node of the cluster as this one sees it: PeerLag over all stripes, and the transport to it.
struct PeerMetrics {
  std::string name, region;
  bool connected = false;     // every shard has its connection to it
  bool reachable = false;     // every stripe hears from it
  uint64_t dots = 0;          // dots that the peer said to have and this node lacks
  uint64_t dots_there = 0;    // dots that this node has and the peer did not say to have
  int64_t seconds = 0;        // the largest age of an announcement that this node covers wholly
  uint64_t output_bytes = 0;  // waiting to be sent
  uint64_t messages_sent = 0, messages_dropped = 0, messages_received = 0;
  RegionMetrics between_regions = {};  // stays 0 in the own region
};

struct Metrics {
  std::string cluster, node, region, zone, version;
  uint64_t config_epoch = 0;
  uint32_t shards = 0, stripes = 0, partitions = 0;
  bool ready = false;  // started, not draining, and every stripe has the replicas that writes need
  bool draining = false;
  uint64_t uptime_seconds = 0;

  StripeStats stripe;                     // summed over the stripes
  std::vector<PeerMetrics> peers;         // every other node of the cluster, by name
  std::array<DoorMetrics, kDoors> doors;  // by Door

  uint64_t loop_turns = 0;  // turns that had something to do
  uint64_t storage_batches = 0, storage_bytes = 0;
  LatencyHistogram write_latency;  // of one storage batch
  LatencyHistogram sync_latency;   // of one fsync, which may cover many batches
  uint64_t rejected_batches = 0;   // of other regions, that did not decode: each cost its connection
  uint64_t shard_hops = 0;         // requests and messages that went to another shard
  uint64_t shard_queue_full = 0;   // of them refused because the queue between the shards was full
  uint64_t engine_memory_bytes = 0, engine_disk_bytes = 0;
  uint64_t process_resident_bytes = 0;
  double process_cpu_seconds = 0;
  uint64_t process_open_fds = 0;
};

using MetricsCallback = std::function<void(Metrics)>;

}  // namespace cartwheel::node
