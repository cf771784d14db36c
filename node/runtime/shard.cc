#include "node/runtime/shard.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

#include "node/runtime/control.h"
#include "node/runtime/doors.h"
#include "node/runtime/log.h"
#include "node/runtime/peer_link.h"

namespace cartwheel::node {

namespace {

constexpr int kRounds = 16;  // of one turn, see the header
constexpr uint64_t kDrainCheckMs = 10;
constexpr uint64_t kRetryMs = 1;  // to push to a shard whose queue was full
constexpr uint64_t kSweepMs = 1000;
constexpr size_t kMaxRefusals = 256;  // distinct reasons remembered for log_refused

uv_handle_t* as_handle(void* handle) {
  return static_cast<uv_handle_t*>(handle);
}

Now read_clocks() {
  timespec wall{};
  clock_gettime(CLOCK_REALTIME, &wall);
  return {{static_cast<int64_t>(uv_hrtime() / 1000)}, {wall.tv_sec * 1000 + wall.tv_nsec / 1'000'000}};
}

}  // namespace

// --- connections

ShardConnection::ShardConnection(Shard& shard, Door door, bool accepted)
    : TcpStream(shard.streams()), shard_(shard), door_(door), accepted_(accepted) {
  shard.connections_.insert(this);
  if (accepted) shard.node_.connections.fetch_add(1, std::memory_order_relaxed);
}

ShardConnection::~ShardConnection() {
  if (dirty_) {
    std::replace(shard_.dirty_connections_.begin(), shard_.dirty_connections_.end(), this,
                 static_cast<ShardConnection*>(nullptr));
  }
}

void ShardConnection::on_closed(const std::string&) {
  shard_.connections_.erase(this);
  DoorMetrics& door = shard_.doors_[static_cast<size_t>(door_)];
  door.bytes_in += bytes_in();
  door.bytes_out += bytes_out();
  if (accepted_) shard_.node_.connections.fetch_sub(1, std::memory_order_relaxed);
}

// --- life

void ShardConnection::note_answer() {
  answered_ = answered_ || shard_.sends_clients_away_;
}

Shard::Shard(NodeContext& node, uint32_t number)
    : node_(node),
      config_(node.first_config),
      number_(number),
      rng_(node.process ^ (0x9e3779b97f4a7c15ull * (number + 1))) {
  CHECK(uv_loop_init(&loop_) == 0);
  streams_.loop = &loop_;
  CHECK(uv_async_init(&loop_, &wake_, [](uv_async_t* h) { static_cast<Shard*>(h->data)->on_wake(); }) == 0);
  uv_prepare_init(&loop_, &prepare_);
  uv_check_init(&loop_, &check_);
  uv_idle_init(&loop_, &idle_);
  uv_timer_init(&loop_, &tick_);
  uv_timer_init(&loop_, &drain_timer_);
  uv_timer_init(&loop_, &retry_timer_);
  uv_timer_init(&loop_, &sweep_timer_);
  wake_.data = prepare_.data = check_.data = idle_.data = tick_.data = drain_timer_.data = retry_timer_.data =
      sweep_timer_.data = this;
  doors_backends_ = std::make_unique<Doors>(*this);
  // Timers run before the loop sleeps and sockets after it, so the turn is ended on both sides of the sleep.
  uv_prepare_start(&prepare_, [](uv_prepare_t* h) { static_cast<Shard*>(h->data)->end_turn(); });
  uv_check_start(&check_, [](uv_check_t* h) { static_cast<Shard*>(h->data)->end_turn(); });
}

Shard::~Shard() {
  CHECK(!thread_.joinable());
}

std::future<Status> Shard::start(MakeStripe make) {
  for (size_t i = 0; i < node_.shards.size(); ++i) inboxes_.push_back(std::make_unique<ShardInbox>());
  remotes_ = std::vector<Remote>(node_.shards.size());
  received_.assign(config_->nodes.size(), 0);
  std::promise<Status> started;
  std::future<Status> result = started.get_future();
  thread_ = std::thread(
      [this, make = std::move(make), promise = std::move(started)]() mutable { run(make, std::move(promise)); });
  return result;
}

void Shard::run(const MakeStripe& make, std::promise<Status> started) {
  const Status status = open_stripes(make);
  started.set_value(status);
  uv_run(&loop_, UV_RUN_DEFAULT);
  // Everything is closed: nothing else refers to the stripes now, and the engines are closed by the thread that used
  // them.
  syncer_.reset();
  drivers_.clear();
  links_.clear();
  closed_links_.clear();
  CHECK(uv_loop_close(&loop_) == 0);
}

Status Shard::open_stripes(const MakeStripe& make) {
  std::vector<storage::Engine*> engines;
  for (uint32_t stripe = number_; stripe < node_.stripes(); stripe += static_cast<uint32_t>(node_.shards.size())) {
    auto driver = make(stripe, [this](uint32_t from, const Output::Message& m) { send_to_peer(from, m); });
    if (!driver.ok()) return driver.status();
    RETURN_IF_ERROR(driver.value()->start(read_clocks()));
    driver.value()->on_newer_config([this](const Output::Newer& newer) {
      if (node_.control != nullptr) node_.control->on_newer_config(newer.from, newer.epoch);
    });
    engines.push_back(&driver.value()->engine());
    drivers_.push_back(std::move(driver).value());
  }
  stripe_is_dirty_.assign(drivers_.size(), 0);
  syncer_ = std::make_unique<Syncer>(engines, [this] { uv_async_send(&wake_); });
  for (size_t i = 0; i < drivers_.size(); ++i) drivers_[i]->use(syncer_.get(), i);
  add_links();
  return {};
}

// A link to each member that has none yet.
void Shard::add_links() {
  received_.resize(config_->nodes.size(), 0);
  links_.resize(config_->nodes.size());
  for (NodeIndex peer = 0; peer < links_.size(); ++peer) {
    if (peer == node_.self || links_[peer] || config_->nodes[peer].removed()) continue;
    links_[peer] = std::make_unique<PeerLink>(*this, peer);
    if (begun_) links_[peer]->begin();
  }
}

// Which peers cannot be reached yet.
void Shard::tell_of_links() {
  for (NodeIndex peer = 0; peer < links_.size(); ++peer) {
    if (!links_[peer] || links_[peer]->up()) continue;
    for (auto& driver : drivers_) driver->stripe().on_peer_connection(peer, false, now());
  }
}

void Shard::adopt(std::shared_ptr<const ClusterConfig> config) {
  if (stopped_ || config->epoch < config_->epoch) return;
  config_ = std::move(config);
  touched_ = true;
  for (NodeIndex peer = 0; peer < links_.size(); ++peer) {
    if (!links_[peer] || !config_->nodes[peer].removed()) continue;
    links_[peer]->close();
    closed_links_.push_back(std::move(links_[peer]));
    on_peer_connection(peer, false);
  }
  add_links();
  for (size_t i = 0; i < drivers_.size(); ++i) {
    drivers_[i]->stripe().on_config(config_, now());
    mark_stripe(i);
  }
  tell_of_links();
  const std::vector<ShardConnection*> open(connections_.begin(), connections_.end());
  for (ShardConnection* connection : open) connection->on_config();
}

uint64_t Shard::clients() const {
  return static_cast<uint64_t>(
      std::count_if(connections_.begin(), connections_.end(), [](const ShardConnection* c) { return c->is_client(); }));
}

Hello Shard::hello() const {
  Hello hello;
  hello.cluster = node_.cluster();
  hello.node = node_.node().name;
  hello.shard = number_;
  hello.process = node_.process;
  hello.epoch = config_->epoch;
  hello.rpc_host = node_.address.host;
  hello.rpc_port = node_.address.port;
  if (node_.region_links.compress) hello.offers |= Hello::kReadsBatches;
  return hello;
}

ShardProgress Shard::progress() {
  ShardProgress result;
  result.ring.epoch = UINT64_MAX;
  for (auto& driver : drivers_) {
    RingProgress one = driver->stripe().ring_progress();
    result.ring.epoch = std::min(result.ring.epoch, one.epoch);
    result.ring.leftovers += one.leftovers;
    result.ring.bytes_done += one.bytes_done;
    result.ring.bytes_to_do += one.bytes_to_do;
    result.ring.steps.insert(result.ring.steps.end(), one.steps.begin(), one.steps.end());
    const StripeStats& stats = driver->stripe().stats();
    result.keys += stats.keys;
    result.quarantined += stats.quarantined;
    result.alarms += stats.alarmed;
    result.ready = result.ready && driver->stripe().ready();
    const storage::Engine::Usage usage = driver->engine().usage();
    result.disk_bytes += usage.disk_bytes;
    result.memory_bytes += usage.memory_bytes;
  }
  result.clients = clients();
  return result;
}

void Shard::for_each_stripe(const std::function<void(Stripe&)>& visit) {
  for (auto& driver : drivers_) visit(driver->stripe());
}

void Shard::begin() {
  post([this] {
    begun_ = true;
    tell_of_links();
    for (auto& link : links_) {
      if (link) link->begin();
    }
    for (size_t i = 0; i < drivers_.size(); ++i) mark_stripe(i);  // arms the first deadline
  });
}

std::future<void> Shard::drain() {
  std::promise<void> promise;
  std::future<void> result = promise.get_future();
  // A std::function has to be copyable, a promise is not.
  post([this, shared = std::make_shared<std::promise<void>>(std::move(promise))] {
    drained_ = std::move(*shared);
    draining_ = true;
    uv_timer_start(
        &drain_timer_, [](uv_timer_t* h) { static_cast<Shard*>(h->data)->on_drain_check(); }, 0, kDrainCheckMs);
  });
  return result;
}

void Shard::on_drain_check() {
  bool idle = waiting_count_ == 0;
  for (size_t i = 0; i < drivers_.size(); ++i) {
    if (!drivers_[i]->stripe().drain(now())) idle = false;
    if (drivers_[i]->has_parked()) idle = false;
    mark_stripe(i);
  }
  if (idle && drained_) {
    drained_->set_value();
    drained_.reset();
  }
}

std::future<Status> Shard::stop() {
  auto promise = std::make_shared<std::promise<Status>>();
  std::future<Status> result = promise->get_future();
  post([this, promise] {
    uv_timer_stop(&drain_timer_);
    for (ShardConnection* connection : connections_) connection->set_reading(false);
    end_turn();
    Status status;
    for (auto& driver : drivers_) {
      const Status stopped = driver->stop(now());
      if (status.ok()) status = stopped;
    }
    for (auto& link : links_) {
      if (link) link->release();
    }
    run_rounds();
    stopped_ = true;
    promise->set_value(status);
  });
  return result;
}

void Shard::finish() {
  if (!thread_.joinable()) {  // never started
    close_all();
    uv_run(&loop_, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&loop_) == 0);
    return;
  }
  post([this] { close_all(); });
  thread_.join();
}

std::future<uint64_t> Shard::send_clients_away(bool last_call) {
  auto promise = std::make_shared<std::promise<uint64_t>>();
  std::future<uint64_t> result = promise->get_future();
  post([this, promise, last_call] {
    touched_ = sends_clients_away_ = true;
    if (number_ == 0) node_.close_resp_door();
    for (ShardConnection* connection : connections_) {
      if (!connection->is_client()) continue;
      connection->last_call_ = last_call;
      mark_dirty(*connection);
    }
    promise->set_value(clients());
  });
  return result;
}

std::future<size_t> Shard::unsent() {
  auto promise = std::make_shared<std::promise<size_t>>();
  std::future<size_t> result = promise->get_future();
  post([this, promise] {
    size_t bytes = 0;
    for (const ShardConnection* connection : connections_) bytes += connection->unsent();
    promise->set_value(bytes);
  });
  return result;
}

void Shard::close_all() {
  stopped_ = true;
  {
    const std::lock_guard lock(tasks_mutex_);
    accepts_tasks_ = false;
  }
  if (drained_) {
    drained_->set_value();
    drained_.reset();
  }
  for (auto& link : links_) {
    if (link) link->close();
  }
  const std::vector<ShardConnection*> open(connections_.begin(), connections_.end());
  for (ShardConnection* connection : open) connection->close("the node stops");
  for (void* handle : std::initializer_list<void*>{&wake_, &prepare_, &check_, &idle_, &tick_, &drain_timer_,
                                                   &retry_timer_, &sweep_timer_}) {
    uv_close(as_handle(handle), nullptr);
  }
}

void Shard::post(std::function<void()> task) {
  {
    // Under the lock also the wake-up, so that it cannot come after the handle was closed.
    const std::lock_guard lock(tasks_mutex_);
    if (!accepts_tasks_) return;
    tasks_.push_back(std::move(task));
    uv_async_send(&wake_);
  }
}

// --- events

Now Shard::now() const {
  if (!now_) now_ = read_clocks();
  return *now_;
}

void Shard::on_wake() {
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(tasks_mutex_);
    tasks.swap(tasks_);
  }
  touched_ = true;
  for (auto& task : tasks) task();
  if (stopped_) return;
  receive_from_shards();
  for (auto& driver : drivers_) driver->release_synced();
}

void Shard::on_tick() {
  armed_.reset();
  touched_ = true;
  for (size_t i = 0; i < drivers_.size(); ++i) {
    const auto deadline = drivers_[i]->stripe().next_deadline();
    if (!deadline || *deadline > now().instant) continue;
    drivers_[i]->stripe().on_tick(now());
    mark_stripe(i);
  }
}

void Shard::expect_progress() {
  if (uv_is_active(static_cast<const uv_handle_t*>(static_cast<void*>(&sweep_timer_)))) return;
  uv_timer_start(
      &sweep_timer_, [](uv_timer_t* h) { static_cast<Shard*>(h->data)->on_sweep(); }, kSweepMs, kSweepMs);
}

void Shard::on_sweep() {
  bool more = false;
  for (ShardConnection* connection : connections_) {
    const auto expires = connection->expires();
    if (!expires || connection->closing()) continue;
    if (*expires <= now().instant) {
      connection->close("did not say hello in time");
    } else {
      more = true;
    }
  }
  if (!more) uv_timer_stop(&sweep_timer_);
}

void Shard::receive_from_shards() {
  std::vector<ShardMessage> messages;
  for (uint32_t from = 0; from < inboxes_.size(); ++from) {
    if (from == number_) continue;
    while (inboxes_[from]->ring.try_pop(messages)) {
      for (ShardMessage& message : messages) take(from, std::move(message));
      messages.clear();
    }
  }
}

void Shard::take(uint32_t from, ShardMessage message) {
  if (auto* request = std::get_if<ShardRequest>(&message)) {
    const uint32_t stripe = stripe_of(*config_, request->request);
    // Two words, so that the callback needs no memory of its own; ids are indices of a bounded table.
    const uint64_t address = uint64_t{from} << 32 | request->id;
    driver_of(stripe).stripe().on_request(
        std::move(request->request),
        [this, address](Reply reply) {
          reply_to(static_cast<uint32_t>(address >> 32), address & 0xffffffff, std::move(reply));
        },
        now());
    mark_stripe(stripe / node_.shards.size());
  } else if (auto* reply = std::get_if<ShardReply>(&message)) {
    ReplyCallback callback = std::move(waiting_[reply->id]);
    waiting_[reply->id] = nullptr;
    waiting_free_.push_back(static_cast<uint32_t>(reply->id));
    --waiting_count_;
    --remotes_[from].under_way;
    callback(std::move(reply->reply));
  } else {
    auto& delivery = std::get<ShardDelivery>(message);
    inboxes_[from]->delivery_bytes.fetch_sub(delivery.bytes.size(), std::memory_order_relaxed);
    deliver(delivery.stripe, delivery.from, delivery.bytes);
  }
}

void Shard::reply_to(uint32_t shard, uint64_t id, Reply reply) {
  remotes_[shard].outbox.push_back(ShardReply{id, std::move(reply)});
  outbox_dirty_ = true;
}

void Shard::submit(Request request, ReplyCallback callback) {
  commands_.fetch_add(1, std::memory_order_relaxed);
  const uint32_t stripe = stripe_of(*config_, request);
  const auto shard = static_cast<uint32_t>(stripe % node_.shards.size());
  touched_ = true;
  if (stopped_) {
    callback({Status(Code::kShuttingDown, "the node stops"), {}});
    return;
  }
  if (shard == number_) {
    driver_of(stripe).stripe().on_request(std::move(request), std::move(callback), now());
    mark_stripe(stripe / node_.shards.size());
    return;
  }
  Remote& remote = remotes_[shard];
  if (remote.under_way >= kShardRequests) {
    ++queue_full_;
    callback({Status(Code::kOverloaded, "the queue to another shard is full"), {}});
    return;
  }
  ++remote.under_way;
  ++hops_;
  ++waiting_count_;
  uint64_t id = waiting_.size();
  if (waiting_free_.empty()) {
    waiting_.push_back(std::move(callback));
  } else {
    id = waiting_free_.back();
    waiting_free_.pop_back();
    waiting_[id] = std::move(callback);
  }
  remote.outbox.push_back(ShardRequest{id, std::move(request)});
  outbox_dirty_ = true;
}

void Shard::on_peer_message(uint8_t stripe, NodeIndex from, std::string_view bytes) {
  ++received_[from];
  if (stripe == kControlStripe) {
    if (node_.control != nullptr) node_.control->on_peer_message(from, std::string(bytes));
    return;
  }
  deliver(stripe, from, bytes);
}

void Shard::deliver(uint8_t stripe, NodeIndex from, std::string_view bytes) {
  touched_ = true;
  if (stopped_ || stripe >= node_.stripes()) return;
  const auto shard = static_cast<uint32_t>(stripe % node_.shards.size());
  if (shard == number_) {
    driver_of(stripe).stripe().on_message(from, bytes, now());
    mark_stripe(stripe / node_.shards.size());
    return;
  }
  ShardInbox& inbox = *node_.shards[shard]->inboxes_[number_];
  if (inbox.delivery_bytes.load(std::memory_order_relaxed) + bytes.size() > limits::kPeerOutputBytes) {
    ++queue_full_;
    return;
  }
  inbox.delivery_bytes.fetch_add(bytes.size(), std::memory_order_relaxed);
  ++hops_;
  remotes_[shard].outbox.push_back(ShardDelivery{stripe, from, std::string(bytes)});
  outbox_dirty_ = true;
}

void Shard::send_to_peer(uint32_t stripe, const Output::Message& message) {
  if (message.to >= links_.size() || !links_[message.to]) return;  // also while the stripes start
  links_[message.to]->send(static_cast<uint8_t>(stripe), message.bytes);
}

void Shard::on_peer_arrived(NodeIndex peer, const Address& address) {
  if (stopped_ || !links_[peer]) return;
  links_[peer]->hurry();
  const bool by_file = peer < node_.file_addresses.size() && !node_.file_addresses[peer].host.empty();
  if (by_file || address.host.empty() || address == config_->nodes[peer].rpc) return;
  for (auto& shard : node_.shards) {  // its address has changed, and the configuration does not know yet
    shard->post([to = shard.get(), peer, address] {
      if (!to->stopped_ && to->links_[peer]) to->links_[peer]->try_also(address);
    });
  }
}

void Shard::on_refused(NodeIndex peer, uint64_t epoch, const std::string& reason) {
  if (node_.control != nullptr) node_.control->on_refused(peer, epoch, reason);
}

void Shard::on_peer_connection(NodeIndex peer, bool up) {
  touched_ = true;
  if (stopped_) return;
  if (number_ == 0 && node_.control != nullptr) node_.control->on_peer(peer, up);
  for (size_t i = 0; i < drivers_.size(); ++i) {
    drivers_[i]->stripe().on_peer_connection(peer, up, now());
    mark_stripe(i);
  }
}

// --- the end of a turn

void Shard::mark_stripe(size_t i) {
  touched_ = true;
  if (stripe_is_dirty_[i]) return;
  stripe_is_dirty_[i] = 1;
  dirty_stripes_.push_back(i);
}

void Shard::mark_dirty(ShardConnection& connection) {
  touched_ = true;
  if (connection.dirty_ || connection.closing()) return;
  connection.dirty_ = true;
  dirty_connections_.push_back(&connection);
}

void Shard::end_turn() {
  if (!touched_) {
    now_.reset();
    return;
  }
  touched_ = false;
  ++turns_;
  run_rounds();
  if (!stopped_) {
    arm_tick();
    const bool more = !dirty_stripes_.empty() || !dirty_connections_.empty();
    touched_ = more;
    if (more) {
      uv_idle_start(&idle_, [](uv_idle_t*) {});  // the loop polls without sleeping
    } else {
      uv_idle_stop(&idle_);
    }
  }
  now_.reset();
}

void Shard::run_rounds() {
  for (int round = 0; round < kRounds && (!dirty_stripes_.empty() || !dirty_connections_.empty()); ++round) {
    stripes_scratch_.clear();
    stripes_scratch_.swap(dirty_stripes_);
    for (size_t i : stripes_scratch_) {
      stripe_is_dirty_[i] = 0;
      if (!stopped_) drivers_[i]->end_turn();
    }
    // Answers of the stripes may have made requests: those go first, so that a connection is written once.
    if (!dirty_stripes_.empty() && round + 1 < kRounds) continue;
    connections_scratch_.clear();
    connections_scratch_.swap(dirty_connections_);
    for (ShardConnection* connection : connections_scratch_) {
      if (connection == nullptr) continue;
      connection->dirty_ = false;
      if (!connection->closing()) connection->end_turn();
    }
  }
  flush_outboxes();
}

void Shard::flush_outboxes() {
  if (!outbox_dirty_ || stopped_) return;
  outbox_dirty_ = false;
  for (uint32_t shard = 0; shard < remotes_.size(); ++shard) {
    std::vector<ShardMessage>& outbox = remotes_[shard].outbox;
    if (outbox.empty()) continue;
    Shard& to = *node_.shards[shard];
    if (!to.inboxes_[number_]->ring.try_push(std::move(outbox))) {
      outbox_dirty_ = true;  // try_push left the outbox as it was
      continue;
    }
    outbox.clear();
    uv_async_send(&to.wake_);
  }
  if (outbox_dirty_) {
    uv_timer_start(
        &retry_timer_, [](uv_timer_t* h) { static_cast<Shard*>(h->data)->touched_ = true; }, kRetryMs, 0);
  }
}

void Shard::arm_tick() {
  std::optional<Instant> next;
  uint64_t keys = 0;
  for (auto& driver : drivers_) {
    const auto deadline = driver->stripe().next_deadline();
    if (deadline && (!next || *deadline < *next)) next = deadline;
    keys += driver->stripe().keys();
  }
  keys_.store(keys, std::memory_order_relaxed);
  if (next == armed_) return;
  armed_ = next;
  if (!next) {
    uv_timer_stop(&tick_);
    return;
  }
  // Rounded up: a timer that fires early would find nothing due. At least 1 ms: a deadline that stays due must not
  // keep the loop from its sockets.
  uv_update_time(&loop_);
  const int64_t us = next->us - static_cast<int64_t>(uv_hrtime() / 1000);
  const int64_t ms = std::max<int64_t>(1, (us + 999) / 1000);
  uv_timer_start(
      &tick_, [](uv_timer_t* h) { static_cast<Shard*>(h->data)->on_tick(); }, static_cast<uint64_t>(ms), 0);
}

// --- numbers

void Shard::log_refused(const std::string& from, const std::string& reason) {
  const auto it = refusals_logged_.find(reason);
  if (it != refusals_logged_.end() && now().instant - it->second < Duration::seconds(60)) return;
  if (refusals_logged_.size() >= kMaxRefusals) refusals_logged_.clear();
  refusals_logged_[reason] = now().instant;
  logs::warning("connection refused", {{"from", from}, {"reason", reason}});
}

ShardMetrics Shard::snapshot() {
  ShardMetrics result;
  result.doors = doors_;
  for (const ShardConnection* connection : connections_) {
    DoorMetrics& door = result.doors[static_cast<size_t>(connection->door())];
    door.bytes_in += connection->bytes_in();
    door.bytes_out += connection->bytes_out();
    ++door.connections;
  }
  for (NodeIndex peer = 0; peer < links_.size(); ++peer) {
    if (!links_[peer]) continue;
    PeerMetrics& metrics = result.peers[peer];
    metrics.connected = metrics.reachable = true;
    links_[peer]->add_to(metrics);
    metrics.messages_received = received_[peer];
  }
  for (auto& driver : drivers_) {
    add(result.stripe, driver->stripe().stats());
    for (const PeerLag& lag : driver->stripe().lag(now())) {
      const auto it = result.peers.find(lag.node);
      if (it == result.peers.end()) continue;
      it->second.reachable = it->second.reachable && lag.reachable;
      it->second.dots += lag.dots;
      it->second.dots_there += lag.dots_there;
      it->second.seconds = std::max(it->second.seconds, lag.seconds);
    }
    result.ready = result.ready && driver->stripe().ready();
    result.batches += driver->counters().batches;
    result.batch_bytes += driver->counters().batch_bytes;
    result.write_latency.merge(driver->counters().write_latency);
    const storage::Engine::Usage usage = driver->engine().usage();
    result.usage.memory_bytes += usage.memory_bytes;
    result.usage.disk_bytes += usage.disk_bytes;
  }
  if (syncer_) result.sync_latency = syncer_->latency();
  result.turns = turns_;
  result.hops = hops_;
  result.queue_full = queue_full_;
  result.rejected_batches = rejected_batches_;
  return result;
}

void Shard::collect(MetricsCallback callback) {
  struct Gathering {
    std::mutex mutex;
    std::vector<ShardMetrics> parts;
    size_t missing = 0;
    MetricsCallback callback;
  };
  auto gathering = std::make_shared<Gathering>();
  gathering->missing = node_.shards.size();
  gathering->callback = std::move(callback);
  for (auto& shard : node_.shards) {
    shard->post([this, gathering, at = shard.get()] {
      ShardMetrics part = at->snapshot();
      const std::lock_guard lock(gathering->mutex);
      gathering->parts.push_back(std::move(part));
      if (--gathering->missing > 0) return;
      post([this, gathering] { gathering->callback(gather(node_, *config_, gathering->parts)); });
    });
  }
}

}  // namespace cartwheel::node
