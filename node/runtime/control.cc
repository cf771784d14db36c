#include "node/runtime/control.h"

#include <unistd.h>

#include <csignal>
#include <cstring>
#include <utility>

#include "node/core/cluster_codec.h"
#include "node/runtime/log.h"
#include "node/runtime/process_info.h"

namespace cartwheel::node {

namespace {

constexpr uint64_t kTickMs = 50;
constexpr Duration kLeaveLimit = Duration::millis(500);     // for telling the others that this node stops
constexpr Duration kDepartLimit = Duration::seconds(5);     // clients of a node that leaves may wait until then
constexpr Duration kBetweenUpdates = Duration::seconds(2);  // of the own addresses
constexpr Duration kUpdateTimeout = Duration::seconds(10);
constexpr Duration kBetweenLookups = Duration::seconds(10);  // of a name that did not resolve, or may have changed

// Another data directory in the same position is somebody else to gossip.
gossip::MemberId member_id(const ClusterConfig& config, NodeIndex n) {
  return config.nodes[n].lives << 16 | n;
}
NodeIndex index_of(gossip::MemberId id) {
  return static_cast<NodeIndex>(id & 0xffff);
}

uv_handle_t* as_handle(void* handle) {
  return static_cast<uv_handle_t*>(handle);
}

}  // namespace

Control::Control(NodeContext& node, Options options)
    : node_(node),
      options_(std::move(options)),
      membership_({node.self, options_.state.identity, options_.state.starts, options_.seed}, node.first_config,
                  options_.state.acceptor),
      admin_(*this),
      slab_(64 * 1024, '\0') {
  CHECK(uv_loop_init(&loop_) == 0);
  CHECK(uv_async_init(&loop_, &wake_, [](uv_async_t* h) { static_cast<Control*>(h->data)->on_wake(); }) == 0);
  uv_timer_init(&loop_, &timer_);
  uv_udp_init(&loop_, &udp_);
  wake_.data = timer_.data = udp_.data = this;
}

Control::~Control() {
  if (thread_.joinable()) return;
  if (!uv_is_closing(as_handle(&wake_))) {
    close_handles();
    uv_run(&loop_, UV_RUN_DEFAULT);
  }
  CHECK(uv_loop_close(&loop_) == 0);
  if (options_.udp >= 0) ::close(options_.udp);
}

void Control::close_handles() {
  uv_close(as_handle(&wake_), nullptr);
  uv_close(as_handle(&timer_), nullptr);
  uv_close(as_handle(&udp_), nullptr);
}

Status Control::start() {
  if (options_.udp >= 0) {
    const int error = uv_udp_open(&udp_, std::exchange(options_.udp, -1));
    if (error != 0) return Status::Io(std::string("the gossip socket: ") + uv_strerror(error));
    uv_udp_recv_start(
        &udp_,
        [](uv_handle_t* h, size_t, uv_buf_t* buffer) {
          auto* self = static_cast<Control*>(h->data);
          *buffer = uv_buf_init(self->slab_.data(), static_cast<unsigned>(self->slab_.size()));
        },
        [](uv_udp_t* h, ssize_t size, const uv_buf_t* buffer, const sockaddr* from, unsigned) {
          if (size <= 0 || from == nullptr) return;
          static_cast<Control*>(h->data)->on_packet({buffer->base, static_cast<size_t>(size)}, from);
        });
  }
  uv_timer_start(
      &timer_, [](uv_timer_t* h) { static_cast<Control*>(h->data)->on_timer(); }, kTickMs, kTickMs);
  {
    const std::lock_guard lock(mutex_);
    accepts_ = true;
  }
  persist();
  thread_ = std::thread([this] { uv_run(&loop_, UV_RUN_DEFAULT); });
  post([this] { update_gossip(); });
  return {};
}

void Control::stop() {
  if (!thread_.joinable()) return;
  post([this] {
    stopping_ = true;
    leave_until_ = now() + kLeaveLimit;
    if (swim_) swim_->leave(now());
  });
  thread_.join();
}

void Control::post(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  if (!accepts_) return;
  tasks_.push_back(std::move(task));
  uv_async_send(&wake_);
}

// --- from any thread

void Control::on_peer_message(NodeIndex from, std::string bytes) {
  post([this, from, bytes = std::move(bytes)] { membership_.on_message(from, bytes, now()); });
}

void Control::on_peer(NodeIndex peer, bool up) {
  post([this, peer, up] { membership_.on_peer(peer, up, now()); });
}

void Control::on_newer_config(NodeIndex from, uint64_t epoch) {
  post([this, from, epoch] { membership_.on_newer_config(from, epoch, now()); });
}

// A configuration in which this node is no member is newer than its own: it was removed while it was away.
void Control::on_refused(NodeIndex peer, uint64_t epoch, const std::string& reason) {
  post([this, peer, epoch, reason] {
    const ClusterConfig& config = *membership_.config();
    if (epoch <= config.epoch) return;
    const NodeInfo& me = config.nodes[node_.self];
    expel("node '" + config.nodes[peer].name + "' says: " + reason, me.state == NodeInfo::State::kLeaving);
  });
}

void Control::admin(std::string request, AdminDone done) {
  post([this, request = std::move(request), done = std::move(done)]() mutable {
    admin_.on_request(request, std::move(done));
  });
}

std::optional<Control::Expulsion> Control::expulsion() const {
  const std::lock_guard lock(expulsion_mutex_);
  return expulsion_;
}

void Control::expel(std::string reason, bool left) {
  const std::lock_guard lock(expulsion_mutex_);
  if (expulsion_) return;
  expulsion_ = Expulsion{std::move(reason), left};
  kill(getpid(), SIGTERM);
}

// --- events

Instant Control::now() const {
  return {static_cast<int64_t>(uv_hrtime() / 1000)};
}

void Control::on_wake() {
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  for (auto& task : tasks) task();
  end_turn();
}

void Control::on_timer() {
  const Instant at = now();
  if (const auto due = membership_.next_deadline(); due && *due <= at) membership_.tick(at);
  if (swim_ && swim_->next_deadline() && *swim_->next_deadline() <= at) swim_->on_tick(at);
  keep_addresses();
  end_turn();
  if (!stopping_ || (swim_ && !swim_->leave_done() && at < leave_until_)) return;
  const std::lock_guard lock(mutex_);
  accepts_ = false;
  tasks_.clear();
  close_handles();
}

void Control::on_packet(std::string_view sealed, const sockaddr* from) {
  if (!swim_) return;
  auto plain = options_.sealer->open(sealed);
  if (!plain.ok()) return;
  const std::string answer = swim_->on_packet(*plain, now());
  if (!answer.empty()) {
    const std::string bytes = options_.sealer->seal(answer);
    uv_buf_t buffer = uv_buf_init(const_cast<char*>(bytes.data()), static_cast<unsigned>(bytes.size()));
    uv_udp_try_send(&udp_, &buffer, 1, from);
  }
  drain_gossip();
}

// The membership first: what it learned from gossip must be durable before anybody is told.
void Control::end_turn() {
  for (int round = 0; round < 8; ++round) {
    drain_gossip();
    carry_out(membership_.take_output());
    if (admin_.waits()) admin_.tick();
  }
}

void Control::carry_out(Membership::Output output) {
  if (output.persist) persist();
  // Before the configuration: one that is not a member in it is to learn of that, too.
  if (!output.messages.empty()) send(std::move(output.messages));
  if (output.config) {
    logs::info("configuration", {{"epoch", std::to_string(output.config->epoch)}});
    for (auto& shard : node_.shards) {
      shard->post([to = shard.get(), config = output.config] { to->adopt(config); });
    }
    update_gossip();
  }
  for (auto& [from, bytes] : output.gossip) {
    if (swim_) swim_->on_stream(member_id(*membership_.config(), from), bytes, now());
  }
  for (auto& answer : output.answers) answer();
  if (output.want_report) gather_report();
  if (output.expelled) {
    const NodeInfo& me = membership_.config()->nodes[node_.self];
    expel(*output.expelled, me.removed());
  }
}

void Control::persist() {
  options_.state.config = encode_config(*membership_.config());
  options_.state.acceptor = membership_.acceptor_row();
  const Status status = write_node_state(node_.data_dir, options_.state);
  // What this node has promised it must not forget, and it cannot take the promise back.
  if (!status.ok()) logs::fatal("the node's state cannot be written", {{"reason", status.to_string()}});
}

void Control::send(std::vector<Membership::Output::Message> messages) {
  Shard& first = *node_.shards[0];
  first.post([&first, messages = std::move(messages)]() mutable {
    for (auto& message : messages) first.send_to_peer(kControlStripe, {message.to, std::move(message.bytes)});
  });
}

// Asks every shard how far it is.
void Control::gather_report() {
  if (gathering_) return;
  gathering_ = true;
  struct Gathering {
    std::mutex mutex;
    size_t missing = 0;
    uint64_t clients = 0;
    bool ready = true;
    MemberReport report;
  };
  auto gathering = std::make_shared<Gathering>();
  gathering->missing = node_.shards.size();
  gathering->report.ring.epoch = UINT64_MAX;
  for (auto& shard : node_.shards) {
    shard->post([this, gathering, at = shard.get()] {
      const ShardProgress part = at->progress();
      const std::lock_guard lock(gathering->mutex);
      MemberReport& report = gathering->report;
      report.ring.epoch = std::min(report.ring.epoch, part.ring.epoch);
      report.ring.leftovers += part.ring.leftovers;
      for (const RingProgress::Step& step : part.ring.steps) report.ring.steps[step.partition] = step;
      report.bytes_done += part.ring.bytes_done;
      report.bytes_to_do += part.ring.bytes_to_do;
      report.keys += part.keys;
      report.disk_bytes += part.disk_bytes;
      report.quarantined += part.quarantined;
      report.alarms += part.alarms;
      gathering->clients += part.clients;
      gathering->ready = gathering->ready && part.ready;
      if (--gathering->missing > 0) return;
      report.draining = node_.draining.load();
      report.ready = gathering->ready && !report.draining;
      report.memory_bytes = process_info().resident_bytes;
      report.uptime_seconds = (uv_hrtime() / 1000 - static_cast<uint64_t>(node_.started.us)) / 1'000'000;
      post([this, report = std::move(report), clients = gathering->clients]() mutable {
        gathering_ = false;
        maybe_depart(report, clients);
        membership_.on_own_report(std::move(report), now());
      });
    });
  }
}

// A node that leaves and holds nothing any more sends its clients elsewhere, before the others stop to talk to it:
// `report` says so once none is left. `clients`: how many there were when the shards were asked.
void Control::maybe_depart(MemberReport& report, uint64_t clients) {
  auto send_away = [this](bool last_call) {
    for (auto& shard : node_.shards) (void)shard->send_clients_away(last_call);
  };
  const ClusterConfig& config = *membership_.config();
  if (config.nodes[node_.self].state != NodeInfo::State::kLeaving) {
    if (departs_since_) expel("its departure was cancelled when it was over: start it again", false);
    return;
  }
  if (!departs_since_) {
    const bool knows = report.ring.epoch >= config.epoch;
    if (!knows || owns_anything(config, node_.self) || report.ring.leftovers > 0) return;
    departs_since_ = now();
    send_away(/*last_call=*/false);
    return;
  }
  const Duration since = now() - *departs_since_;
  report.ring.departed = clients == 0 || since >= kDepartLimit;
  if (!report.ring.departed && since >= kLastCall) send_away(/*last_call=*/true);
}

// The configuration is to say where this node can be found now.
void Control::keep_addresses() {
  if (updating_ || stopping_ || now() < next_update_ || !membership_.formed()) return;
  next_update_ = now() + kBetweenUpdates;
  const NodeInfo& known = membership_.config()->nodes[node_.self];
  const NodeInfo& wanted = options_.wanted;
  const bool same = known.rpc == wanted.rpc && known.resp == wanted.resp && known.http == wanted.http &&
                    known.zone == wanted.zone && known.capacity == wanted.capacity;
  if (same || known.removed()) return;
  updating_ = true;
  membership_.change([self = node_.self, wanted](ClusterConfig& config) { return update_node(config, self, wanted); },
                     /*repeatable=*/true, kUpdateTimeout,
                     [this](const Status& status, const Membership::ConfigPtr&) {
                       updating_ = false;
                       if (!status.ok())
                         logs::warning("the new addresses are not known yet", {{"reason", status.message()}});
                     },
                     now());
}

// --- gossip

MemberView Control::view_of(NodeIndex n) const {
  if (n == node_.self) return {true, swim_ ? "alive" : "", true};
  MemberView view;
  view.connected = membership_.is_up(n);
  if (swim_) {
    const gossip::State state = swim_->state(member_id(*membership_.config(), n));
    if (state != gossip::State::kUnknown) view.gossip = gossip::state_name(state);
    // Of a region that cannot be reached only the last state is known.
    view.alive = swim_->reachable(member_id(*membership_.config(), n));
    view.unreachable = !view.alive && (state == gossip::State::kAlive || state == gossip::State::kSuspect);
    if (state == gossip::State::kDead || state == gossip::State::kLeft) return view;
  }
  view.alive = view.alive || view.connected;
  view.unreachable = view.unreachable && !view.connected;
  return view;
}

void Control::update_gossip() {
  const ClusterConfig& config = *membership_.config();
  alive_.resize(config.nodes.size());
  const NodeInfo& me = config.nodes[node_.self];
  if (me.identity != options_.state.identity) return;  // not known yet, or not this one
  std::vector<gossip::Member> members;
  for (NodeIndex n = 0; n < config.nodes.size(); ++n) {
    const NodeInfo& info = config.nodes[n];
    if (info.removed() || info.identity == 0) continue;
    members.push_back({member_id(config, n), info.identity, info.region});
    const Address& address = node_.address_of(config, n);
    if (Peer& peer = peers_[n]; !(peer.address == address)) {
      peer = Peer();
      peer.address = address;
    }
  }
  if (!swim_) {
    swim_ = std::make_unique<gossip::Swim>(gossip::Options(),
                                           gossip::Member{member_id(config, node_.self), me.identity, me.region},
                                           gossip::first_incarnation(options_.state.starts), options_.seed);
  }
  const Status status = swim_->set_members(std::move(members), config.epoch, now());
  if (!status.ok()) logs::warning("gossip does not take the members", {{"reason", status.message()}});
}

void Control::drain_gossip() {
  if (!swim_) return;
  gossip::Output output = swim_->take_output();
  for (const auto& packet : output.packets) send_packet(packet.to, packet.bytes);
  std::vector<Membership::Output::Message> streams;
  for (const auto& stream : output.streams) {
    streams.push_back({index_of(stream.to), ControlMessage(ControlType::kGossip, stream.bytes).encode()});
  }
  if (!streams.empty()) send(std::move(streams));
  const ClusterConfig& config = *membership_.config();
  for (const gossip::Event& event : output.events) {
    const NodeIndex n = index_of(event.member);
    switch (event.kind) {
      case gossip::Event::Kind::kState: {
        const bool alive = event.state == gossip::State::kAlive || event.state == gossip::State::kSuspect;
        if (n >= alive_.size() || alive_[n] == alive) break;
        alive_[n] = alive;
        membership_.on_liveness(n, alive, now());
        logs::info("member", {{"name", config.nodes[n].name}, {"state", gossip::state_name(event.state)}});
        break;
      }
      case gossip::Event::Kind::kRegion:
        logs::info("region", {{"name", event.region}, {"reachable", event.reachable ? "yes" : "no"}});
        break;
      case gossip::Event::Kind::kConfig:
        membership_.on_newer_config(n, event.epoch, now());
        break;
      case gossip::Event::Kind::kFacts:
      case gossip::Event::Kind::kRemoved:  // on_refused() tells it too, by a connection
        break;
    }
  }
}

void Control::send_packet(gossip::MemberId to, const std::string& plain) {
  const NodeIndex n = index_of(to);
  if (!resolve(n)) return;
  const std::string bytes = options_.sealer->seal(plain);
  uv_buf_t buffer = uv_buf_init(const_cast<char*>(bytes.data()), static_cast<unsigned>(bytes.size()));
  // A full socket loses the packet, as networks do.
  uv_udp_try_send(&udp_, &buffer, 1, reinterpret_cast<const sockaddr*>(&peers_[n].socket));
}

// Whether the socket address of `n` is known. A name is looked up in the background, and again from time to time.
bool Control::resolve(NodeIndex n) {
  Peer& peer = peers_[n];
  if (peer.address.host.empty()) return false;
  if (peer.known && peer.next_try == Instant{}) return true;  // numeric
  auto* v4 = reinterpret_cast<sockaddr_in*>(&peer.socket);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&peer.socket);
  if (!peer.known && (uv_ip4_addr(peer.address.host.c_str(), peer.address.port, v4) == 0 ||
                      uv_ip6_addr(peer.address.host.c_str(), peer.address.port, v6) == 0)) {
    peer.known = true;
    return true;
  }
  if (peer.resolving || now() < peer.next_try) return peer.known;
  peer.resolving = true;
  peer.next_try = now() + kBetweenLookups;
  struct Lookup {
    uv_getaddrinfo_t request;
    Control* control;
    NodeIndex n;
    Address address;
  };
  auto* lookup = new Lookup{{}, this, n, peer.address};
  lookup->request.data = lookup;
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  const int error = uv_getaddrinfo(
      &loop_, &lookup->request,
      [](uv_getaddrinfo_t* request, int status, addrinfo* found) {
        const std::unique_ptr<Lookup> done(static_cast<Lookup*>(request->data));
        Peer& at = done->control->peers_[done->n];
        if (at.address == done->address) {
          at.resolving = false;
          if (status == 0 && found != nullptr) {
            std::memcpy(&at.socket, found->ai_addr, found->ai_addrlen);
            at.known = true;
          }
        }
        uv_freeaddrinfo(found);
      },
      lookup->address.host.c_str(), std::to_string(lookup->address.port).c_str(), &hints);
  if (error != 0) {
    delete lookup;
    peer.resolving = false;
  }
  return peer.known;
}

}  // namespace cartwheel::node
