#include "node/runtime/node.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>
#include <utility>

#include "node/runtime/data_dir.h"
#include "node/runtime/doors.h"
#include "node/runtime/log.h"
#include "node/runtime/packet_sealer.h"
#include "node/runtime/process_info.h"
#include "node/runtime/stripe_directory.h"
#include "storage/rocks/rocks_engine.h"

namespace cartwheel::node {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFlushLimit{500};  // for replies that clients have not taken yet when the node stops
constexpr milliseconds kFlushCheck{5};

uint64_t random64() {
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

uint32_t shard_count(uint32_t wanted, uint32_t stripes) {
  const uint32_t cores = std::max(1u, std::thread::hardware_concurrency());
  return std::clamp(wanted == 0 ? cores : wanted, 1u, stripes);
}

// Runs `task` on the shard and waits for it.
template <typename Task>
auto on_shard(Shard& shard, Task task) {
  auto promise = std::make_shared<std::promise<decltype(task())>>();
  auto result = promise->get_future();
  shard.post([promise, task = std::move(task)] { promise->set_value(task()); });
  return result.get();
}

// A table that cannot be read through ends compaction and, soon, writing. The next start deals with it.
[[noreturn]] void end_damaged(const StripeDirectory& directory, const std::string& reason) {
  const Status marked = mark_damaged(directory, reason);
  if (!marked.ok()) logs::error("the mark of a damaged stripe cannot be written", {{"reason", marked.to_string()}});
  logs::fatal("a table of a stripe is damaged: the process ends, and the next start copies what can be read",
              {{"stripe", std::to_string(directory.stripe)}, {"reason", reason}});
}

Result<std::unique_ptr<gossip::Sealer>> make_sealer(const NodeOptions& options) {
  const std::string& cluster = options.enrollment.config.name;
  if (options.key_file.empty()) {
    return std::unique_ptr<gossip::Sealer>(std::make_unique<PacketSealer>(PacketSealer::without_secret(cluster)));
  }
  auto sealer = PacketSealer::create(cluster, options.key_file);
  if (!sealer.ok()) return Status::InvalidArgument("the key file: " + sealer.status().message());
  return std::unique_ptr<gossip::Sealer>(std::make_unique<PacketSealer>(std::move(sealer).value()));
}

}  // namespace

Result<std::unique_ptr<Node>> Node::start(NodeOptions options) {
  std::unique_ptr<Node> node(new Node());
  auto sealer = make_sealer(options);
  if (!sealer.ok()) return sealer.status();
  node->sockets_ = options.sockets;
  NodeContext& context = node->context_;
  context.first_config = std::make_shared<const ClusterConfig>(options.enrollment.config);
  context.self = options.enrollment.self;
  context.seeds = options.enrollment.seeds;
  context.file_addresses = options.enrollment.file_addresses;
  context.address = options.enrollment.wanted.rpc;
  context.data_dir = options.data_dir;
  context.region_links = options.region_links;
  context.process = random64();
  context.started = {static_cast<int64_t>(uv_hrtime() / 1000)};
  RETURN_IF_ERROR(node->bind_doors(options));
  RETURN_IF_ERROR(node->make_control(options, std::move(sealer).value()));
  const uint32_t shards = shard_count(options.shards, context.stripes());
  for (uint32_t i = 0; i < shards; ++i) context.shards.push_back(std::make_unique<Shard>(context, i));
  RETURN_IF_ERROR(node->open_stripes(options));
  context.close_resp_door = [self = node.get()] {
    if (!self->acceptors_.empty()) self->acceptors_[0]->close();
  };
  RETURN_IF_ERROR(node->control_->start());
  RETURN_IF_ERROR(node->open_doors());
  for (auto& shard : context.shards) shard->begin();
  return node;
}

Status Node::bind_doors(NodeOptions& options) {
  const NodeInfo& info = options.enrollment.wanted;
  const std::array<const Address*, 3> addresses = {&info.resp, &info.rpc, &info.http};
  for (size_t door = 0; door < addresses.size(); ++door) {
    if (options.sockets[door] < 0) {
      if (addresses[door]->host.empty()) continue;
      auto fd = bind_to(*addresses[door]);
      if (!fd.ok()) return fd.status();
      sockets_[door] = *fd;
    }
    context_.ports[door] = port_of(sockets_[door]);
  }
  // Gossip has the number of the RPC port.
  auto udp = bind_udp({info.rpc.host, context_.ports[static_cast<size_t>(Door::kRpc)]});
  if (!udp.ok()) return udp.status();
  udp_ = *udp;
  return {};
}

Status Node::make_control(NodeOptions& options, std::unique_ptr<gossip::Sealer> sealer) {
  Control::Options control;
  control.state = std::move(options.enrollment.state);
  control.wanted = std::move(options.enrollment.wanted);
  control.seed = random64();
  control.sealer = std::move(sealer);
  control.udp = std::exchange(udp_, -1);
  control_ = std::make_unique<Control>(context_, std::move(control));
  context_.control = control_.get();
  return {};
}

Status Node::open_stripes(const NodeOptions& options) {
  RETURN_IF_ERROR(check_data_dir(context_.data_dir, *context_.first_config, context_.self));
  storage::RocksOptions rocks;
  rocks.shared = storage::RocksShared::create(options.cache_bytes / 4, options.memtable_bytes);
  const uint64_t seed = random64();
  const std::string boot_id = kernel_boot_id();
  const size_t objects = std::min(limits::kCacheBytes, options.cache_bytes / context_.stripes());
  const auto config = context_.first_config;
  const bool force = options.set_aside_broken_data;
  const auto make = [this, config, rocks, seed, boot_id, objects, force](
                        uint32_t stripe, StripeDriver::Send send) -> Result<std::unique_ptr<StripeDriver>> {
    const StripeDirectory directory{context_.data_dir, stripe, force};
    auto engine = open_stripe_directory(
        directory, *config, context_.self,
        [&rocks, directory](const std::string& path, bool compacts) -> Result<std::unique_ptr<storage::Engine>> {
          storage::RocksOptions own = rocks;
          own.compacts = compacts;
          if (compacts) own.on_damage = [directory](const std::string& reason) { end_damaged(directory, reason); };
          auto opened = storage::RocksEngine::open(path, own);
          if (!opened.ok()) return opened.status();
          return std::unique_ptr<storage::Engine>(std::move(opened).value());
        });
    if (!engine.ok()) return engine.status();
    StripeOptions stripe_options;
    stripe_options.self = context_.self;
    stripe_options.stripe = stripe;
    stripe_options.seed = seed + stripe;
    stripe_options.boot_id = boot_id;
    stripe_options.cache_bytes = objects;
    return std::make_unique<StripeDriver>(config, std::move(stripe_options), std::move(engine).value(),
                                          std::move(send));
  };
  std::vector<std::future<Status>> started;
  for (auto& shard : context_.shards) started.push_back(shard->start(make));
  Status status;
  for (auto& result : started) {
    const Status one = result.get();
    if (status.ok()) status = one;
  }
  if (status.ok()) status = claim_data_dir(context_.data_dir, *context_.first_config, context_.self);
  return status;
}

Status Node::open_doors() {
  return on_shard(*context_.shards[0], [this]() -> Status {
    for (size_t door = 0; door < sockets_.size(); ++door) {
      if (sockets_[door] < 0) continue;
      acceptors_.push_back(
          std::make_unique<Acceptor>(*context_.shards[0], static_cast<Door>(door), std::exchange(sockets_[door], -1)));
      RETURN_IF_ERROR(acceptors_.back()->start());
    }
    return {};
  });
}

Status Node::stop() {
  if (std::exchange(stopped_, true)) return {};
  context_.draining = true;
  // HTTP stays, so that a load balancer reads "draining" rather than nothing. The other nodes' connections stay too:
  // operations under way need them.
  send_clients_away();
  control_->stop();
  const auto limit = std::chrono::steady_clock::now() + std::chrono::microseconds(kDrainLimit.us);
  std::vector<std::future<void>> drained;
  for (auto& shard : context_.shards) drained.push_back(shard->drain());
  for (auto& done : drained) {
    if (done.wait_until(limit) != std::future_status::ready) {
      logs::warning("stops with operations in flight: their clients do not learn the outcome");
      break;
    }
  }
  Status status;
  std::vector<std::future<Status>> stopping;
  for (auto& shard : context_.shards) stopping.push_back(shard->stop());
  for (auto& done : stopping) {
    const Status one = done.get();
    if (status.ok()) status = one;
  }
  const auto flush_limit = std::chrono::steady_clock::now() + kFlushLimit;
  while (std::chrono::steady_clock::now() < flush_limit) {
    size_t unsent = 0;
    for (auto& shard : context_.shards) unsent += shard->unsent().get();
    if (unsent == 0) break;
    std::this_thread::sleep_for(kFlushCheck);
  }
  return status;
}

// Each client's connection closes behind its next answer, where no request that is under way is lost; those that ask
// nothing for a while close then. A node that is no member any more has no answers to give.
void Node::send_clients_away() {
  const Duration patience = control_->expulsion() ? Duration{0} : kLastCall;
  const auto limit = std::chrono::steady_clock::now() + std::chrono::microseconds(patience.us);
  bool last_call = false;
  while (!last_call) {
    last_call = std::chrono::steady_clock::now() >= limit;
    uint64_t clients = 0;
    for (auto& shard : context_.shards) clients += shard->send_clients_away(last_call).get();
    if (clients == 0) break;
    std::this_thread::sleep_for(kFlushCheck);
  }
}

Node::~Node() {
  bool running = !context_.shards.empty() && !acceptors_.empty();
  if (running) (void)stop();
  if (running) {
    on_shard(*context_.shards[0], [this] {
      for (auto& acceptor : acceptors_) acceptor->close();
      return true;
    });
  }
  if (control_) control_->stop();
  for (auto& shard : context_.shards) shard->finish();
  if (udp_ >= 0) ::close(udp_);
  for (int fd : sockets_) {
    if (fd >= 0) ::close(fd);
  }
}

}  // namespace cartwheel::node
