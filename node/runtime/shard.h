// Shard: one thread with one loop. It owns the stripes s with s % shards == its number, a share of the connections, and
// one outgoing connection to each other node, and drives the stripes' turns:
//
//   poll (every readable socket, what other shards passed on) → end of turn: for each stripe with work one batch into
//   its engine, then its messages and answers → one write per connection → one wake-up per other shard → sleep until
//   the next event or the stripes' next deadline
//
// Answers may let a connection go on with input that it had held back; the end of the turn is repeated until nothing
// new comes, at most kRounds times, then other connections are read first.
//
// Threads: everything is called on the shard's thread, but for the calls under "from any thread".
#pragma once

#include <uv.h>

#include <array>
#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include "base/rng.h"
#include "node/core/stripe.h"
#include "node/runtime/batch_window.h"
#include "node/runtime/frame.h"
#include "node/runtime/metrics.h"
#include "node/runtime/shard_inbox.h"
#include "node/runtime/stripe_driver.h"
#include "node/runtime/syncer.h"
#include "node/runtime/tcp_stream.h"

namespace cartwheel::node {

class Shard;
class PeerLink;
class Doors;
class Control;

// How this node talks to those of other regions.
struct RegionLinks {
  BatchWindow::Limits batches;
  bool compress = true;  // what is sent to nodes that offer to read it, and whether this one offers
};

// What all shards of a node share. Only the atomics change once the shards run.
struct NodeContext {
  // With which the node started. The name of the cluster, its division, and name and region of this node stay; for
  // everything else ask the shard's config().
  std::shared_ptr<const ClusterConfig> first_config;
  NodeIndex self = 0;
  Address address;             // at which others find this node's RPC door
  Control* control = nullptr;  // none in tests of single parts
  // By NodeIndex: where the cluster file of this node says that another one is, which may be this node's view alone, by
  // way of a proxy say. An empty host, or none: where the configuration says.
  std::vector<Address> file_addresses;
  std::string data_dir;
  RegionLinks region_links;
  uint64_t process = 0;  // see Hello
  Instant started;
  std::vector<std::unique_ptr<Shard>> shards;
  std::array<uint16_t, kDoors> ports{};  // by Door, 0: closed
  std::atomic<bool> draining{false};
  std::atomic<uint64_t> connections{0};  // open on all doors
  std::atomic<uint64_t> connection_ids{0};
  std::array<std::atomic<uint64_t>, kDoors> accepted{}, refused{};

  const NodeInfo& node() const { return first_config->nodes[self]; }
  // Closes the RESP door, on the first shard's thread. Set before the control starts.
  std::function<void()> close_resp_door;
  std::vector<Address> seeds;  // where some members may be found, whoever they are
  const Address& address_of(const ClusterConfig& config, NodeIndex n) const {
    const bool own = n < file_addresses.size() && !file_addresses[n].host.empty();
    return own ? file_addresses[n] : config.nodes[n].rpc;
  }
  const std::string& cluster() const { return first_config->name; }
  uint32_t stripes() const { return first_config->stripes; }
  Shard& shard_of_stripe(uint32_t stripe) { return *shards[stripe % shards.size()]; }
};

// Clients of a node that leaves or stops may ask until then.
inline constexpr Duration kLastCall = Duration::seconds(1);

// A connection of a door as the shard sees it.
class ShardConnection : public TcpStream {
 public:
  // Takes and writes what there is to write; called at the end of a turn in which mark_dirty(*this) was called.
  virtual void end_turn() = 0;
  // The shard works by another configuration now.
  virtual void on_config() {}
  // Whether a client waits behind it, which a node that leaves or stops sends elsewhere.
  virtual bool is_client() const { return false; }
  // When the shard should close it if it has not come further by then. REQUIRES: expect_progress() was called.
  virtual std::optional<Instant> expires() const { return std::nullopt; }
  Door door() const { return door_; }

 protected:
  // `accepted`: counts against limits::kConnections.
  ShardConnection(Shard& shard, Door door, bool accepted);
  ~ShardConnection() override;
  void on_closed(const std::string& reason) override;
  // To be called with each answer.
  void note_answer();
  // A client's connection whose client is sent away is to close once nothing of it waits for an answer: behind the next
  // answer, when the client is least likely to be asking something, or at the last call, from which on nothing is read.
  bool is_to_close() const { return is_client() && (last_call_ || answered_); }
  bool last_call() const { return last_call_; }

  Shard& shard_;
  Door door_;

 private:
  friend class Shard;
  const bool accepted_;
  bool dirty_ = false;
  bool answered_ = false;   // since clients are sent away
  bool last_call_ = false;  // only of a client
};

// The part of Metrics that one shard knows.
struct ShardMetrics {
  StripeStats stripe;
  std::map<NodeIndex, PeerMetrics> peers;
  std::array<DoorMetrics, kDoors> doors{};
  bool ready = true;
  uint64_t turns = 0, batches = 0, batch_bytes = 0, hops = 0, queue_full = 0, rejected_batches = 0;
  LatencyHistogram write_latency, sync_latency;
  storage::Engine::Usage usage;
};
// Adds every counter of `from` to `to`.
void add(StripeStats& to, const StripeStats& from);
// The node's numbers from its shards', and what the process says about itself.
Metrics gather(const NodeContext& node, const ClusterConfig& config, const std::vector<ShardMetrics>& parts);

// What a shard's stripes say of the change of the ring, all together, and what they hold.
struct ShardProgress {
  RingProgress ring;
  uint64_t keys = 0, disk_bytes = 0, memory_bytes = 0;
  uint64_t quarantined = 0, alarms = 0;  // partitions
  uint64_t clients = 0;                  // connections
  bool ready = true;
};

class Shard {
 public:
  Shard(NodeContext& node, uint32_t number);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  // --- from any thread
  // Runs `task` on the shard's thread, soon. For what is rare: connections handed over, metrics, stopping.
  void post(std::function<void()> task);
  uint64_t keys() const { return keys_.load(std::memory_order_relaxed); }
  uint64_t commands() const { return commands_.load(std::memory_order_relaxed); }
  uint32_t number() const { return number_; }

  // --- from the thread that owns the node
  // Starts the thread; the future tells whether all stripes recovered. `make` opens one stripe, called on the shard's
  // thread. After a failure only finish() may be called.
  using MakeStripe = std::function<Result<std::unique_ptr<StripeDriver>>(uint32_t stripe, StripeDriver::Send send)>;
  std::future<Status> start(MakeStripe make);
  // Lets the shard connect to the other nodes. REQUIRES: every shard has started.
  void begin();
  // The three steps of a stop; each is taken on all shards before the next. drain() is done when no operation is in
  // flight, stop() when the stripes' last turn is on disk; nothing is read or passed to other shards from then on.
  // finish() closes everything and joins the thread.
  std::future<void> drain();
  std::future<Status> stop();
  void finish();
  // Bytes that connections have not taken yet.
  std::future<size_t> unsent();
  // This node leaves the cluster, or stops: its RESP door closes, and so do clients' connections, as is_to_close()
  // says, also those that come later. How many connections of clients there are still.
  std::future<uint64_t> send_clients_away(bool last_call);

  // --- on the shard's thread
  // Passes `request` to its stripe here or on another shard; `callback` is called once, here, now or later.
  void submit(Request request, ReplyCallback callback);
  // A message of a peer, who has said hello as `from`, for any stripe of this node.
  void on_peer_message(uint8_t stripe, NodeIndex from, std::string_view bytes);
  // A peer sent a batch that does not decode.
  void on_rejected_batch() { ++rejected_batches_; }
  // The peer has connected to this shard, and says where it listens.
  void on_peer_arrived(NodeIndex peer, const Address& address);
  // A peer does not talk to this node, because its configuration, of `epoch`, has no such member.
  void on_refused(NodeIndex peer, uint64_t epoch, const std::string& reason);
  void send_to_peer(uint32_t stripe, const Output::Message& message);
  void on_peer_connection(NodeIndex peer, bool up);
  void mark_dirty(ShardConnection& connection);
  // Watches the connections' expires() from now on, until none has one.
  void expect_progress();
  // The time of this turn.
  Now now() const;
  Doors& doors() { return *doors_backends_; }
  NodeContext& node() { return node_; }
  // By which this shard works. The reference is valid until the loop's next turn.
  const ClusterConfig& config() const { return *config_; }
  void adopt(std::shared_ptr<const ClusterConfig> config);
  // What this node says first on a connection.
  Hello hello() const;
  ShardProgress progress();
  // REQUIRES: the stripe is one of this shard's.
  Stripe& stripe(uint32_t number) { return driver_of(number).stripe(); }
  void for_each_stripe(const std::function<void(Stripe&)>& visit);
  StreamContext& streams() { return streams_; }
  uv_loop_t* loop() { return &loop_; }
  Rng& rng() { return rng_; }
  // Gathers from all shards and calls back here.
  void collect(MetricsCallback callback);
  // Logs that a connection was refused, the same reason at most once a minute.
  void log_refused(const std::string& from, const std::string& reason);

 private:
  friend class ShardConnection;
  struct Remote {  // another shard
    std::vector<ShardMessage> outbox;
    size_t under_way = 0;  // requests without a reply
  };

  void run(const MakeStripe& make, std::promise<Status> started);
  Status open_stripes(const MakeStripe& make);
  void add_links();
  void tell_of_links();
  void mark_stripe(size_t i);
  void end_turn();
  void run_rounds();
  void flush_outboxes();
  void arm_tick();
  void on_wake();
  void on_tick();
  void on_drain_check();
  void on_sweep();
  void receive_from_shards();
  void take(uint32_t from, ShardMessage message);
  void deliver(uint8_t stripe, NodeIndex from, std::string_view bytes);
  void reply_to(uint32_t shard, uint64_t id, Reply reply);
  ShardMetrics snapshot();
  uint64_t clients() const;
  void close_all();
  StripeDriver& driver_of(uint32_t stripe) { return *drivers_[stripe / node_.shards.size()]; }

  NodeContext& node_;
  std::shared_ptr<const ClusterConfig> config_;
  const uint32_t number_;
  std::thread thread_;
  uv_loop_t loop_{};
  uv_async_t wake_{};
  uv_prepare_t prepare_{};
  uv_check_t check_{};
  uv_idle_t idle_{};
  uv_timer_t tick_{}, drain_timer_{}, retry_timer_{}, sweep_timer_{};
  StreamContext streams_;
  Rng rng_;

  std::vector<std::unique_ptr<StripeDriver>> drivers_;  // of stripe number_ + i * shards
  std::unique_ptr<Syncer> syncer_;
  std::vector<std::unique_ptr<PeerLink>> links_;  // by NodeIndex, none for this node and those that were removed
  std::vector<std::unique_ptr<PeerLink>> closed_links_;
  std::unordered_set<ShardConnection*> connections_;

  std::unique_ptr<Doors> doors_backends_;

  mutable std::optional<Now> now_;
  std::vector<size_t> dirty_stripes_, stripes_scratch_;
  std::vector<char> stripe_is_dirty_;
  std::vector<ShardConnection*> dirty_connections_, connections_scratch_;
  std::optional<Instant> armed_;  // when tick_ fires
  bool outbox_dirty_ = false;
  bool touched_ = false;  // something happened in this turn
  bool sends_clients_away_ = false;

  std::vector<std::unique_ptr<ShardInbox>> inboxes_;  // by sending shard
  std::vector<Remote> remotes_;                       // by shard
  std::vector<ReplyCallback> waiting_;                // for replies of other shards, by id
  std::vector<uint32_t> waiting_free_;
  size_t waiting_count_ = 0;

  std::mutex tasks_mutex_;
  bool accepts_tasks_ = true;
  std::vector<std::function<void()>> tasks_;

  std::optional<std::promise<void>> drained_;
  bool begun_ = false, draining_ = false, stopped_ = false;

  std::array<DoorMetrics, kDoors> doors_{};  // of closed connections
  std::vector<uint64_t> received_;           // messages, by NodeIndex
  uint64_t turns_ = 0, hops_ = 0, queue_full_ = 0, rejected_batches_ = 0;
  std::atomic<uint64_t> keys_{0}, commands_{0};
  std::map<std::string, Instant> refusals_logged_;
};

}  // namespace cartwheel::node
