// The process `cartwheel`: parses the command line and runs one command. The thread that runs main() owns the node and
// waits for signals; everything else happens on the shards' threads.
#include <sys/prctl.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "client/bench/bench_main.h"
#include "node/runtime/cluster_command.h"
#include "node/runtime/cluster_file.h"
#include "node/runtime/enroll.h"
#include "node/runtime/log.h"
#include "node/runtime/node.h"
#include "node/runtime/options.h"
#include "node/runtime/packet_sealer.h"
#include "node/runtime/setting_text.h"
#include "node/runtime/status_command.h"
#include "node/runtime/version.h"

namespace cartwheel::node {
namespace {

// Whatever the machine's setting: a huge page is zeroed as a whole at its first touch, which stops a shard, and whoever
// else needs the core, for 0.1 to 14 ms. That is more than its fewer TLB misses bring (docs/benchmarks.md).
void forbid_huge_pages() {
  (void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);  // where the kernel cannot, requests only wait longer at times
}

int complain(const std::string& message, int exit_code) {
  std::fprintf(stderr, "cartwheel: %s\n", message.c_str());
  return exit_code;
}

std::string door_text(const Address& address, uint16_t port) {
  return port == 0 ? "closed" : Address{address.host, port}.to_string();
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream content;
  if (in) content << in.rdbuf();
  if (!in || content.str().size() > kGossipKeyFileBytes) return Status::Io("cannot read the key file " + path);
  return content.str();
}

// The cluster file, if it has the node.
Result<ClusterConfig> checked_cluster_file(const ServeOptions& options) {
  auto config = load_cluster_file(options.cluster_file);
  if (!config.ok()) return config.status();
  if (config->node(options.node) == kNoNode) {
    std::string names;
    for (const NodeInfo& node : config->nodes) names += (names.empty() ? "" : ", ") + node.name;
    return Status::InvalidArgument("node '" + options.node + "' is not in " + options.cluster_file +
                                   ", there are: " + names);
  }
  return config;
}

// Until a member has admitted this node, or a signal comes.
Result<Enrollment> enroll_by_flags(const ServeOptions& options, const sigset_t& signals) {
  EnrollOptions enroll_options;
  enroll_options.data_dir = options.data_dir;
  enroll_options.cluster = options.cluster;
  enroll_options.bootstrap = options.bootstrap;
  enroll_options.replace = options.replace;
  enroll_options.replace_dead = options.replace_dead;
  enroll_options.partitions = options.partitions;
  enroll_options.stripes = options.stripes;
  NodeInfo& node = enroll_options.node;
  node.name = options.name;
  node.region = options.region;
  node.zone = options.zone.value_or("");
  node.capacity = options.capacity.value_or(1.0);
  enroll_options.has_zone = options.zone.has_value();
  enroll_options.has_capacity = options.capacity.has_value();
  for (auto [text, address] : {std::pair(&options.rpc, &node.rpc), std::pair(&options.resp, &node.resp),
                               std::pair(&options.http, &node.http)}) {
    if (text->empty()) continue;
    const auto parsed = parse_address(*text);
    if (!parsed) return Status::InvalidArgument("'" + *text + "' is not HOST:PORT");
    *address = *parsed;
  }
  for (const std::string& text : options.join) {
    const auto parsed = parse_address(text);
    if (!parsed) return Status::InvalidArgument("--join '" + text + "' is not HOST:PORT");
    enroll_options.join.push_back(*parsed);
  }
  enroll_options.wait = [&signals](uint64_t ms) {
    const timespec limit{static_cast<time_t>(ms / 1000), static_cast<long>(ms % 1000 * 1'000'000)};
    return sigtimedwait(&signals, nullptr, &limit) < 0;
  };
  return enroll(enroll_options);
}

int serve(const ServeOptions& options) {
  // Before any thread exists, so that all inherit it and the signals wait for sigwait().
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  const auto level = logs::parse_level(options.log_level);
  const auto format = logs::parse_format(options.log_format);
  if (!level.ok()) return complain(level.status().message(), kExitUsage);
  if (!format.ok()) return complain(format.status().message(), kExitUsage);
  logs::start(*level, *format, options.node.empty() ? options.name : options.node);

  NodeOptions node_options;
  if (!options.cluster_key_file.empty()) {
    auto keys = read_file(options.cluster_key_file);
    if (!keys.ok()) return complain(keys.status().message(), kExitUsage);
    node_options.key_file = *std::move(keys);
  }
  const bool by_file = !options.cluster_file.empty();
  auto file = by_file ? checked_cluster_file(options) : ClusterConfig();
  if (!file.ok()) return complain(file.status().message(), kExitUsage);
  auto enrollment =
      by_file ? enroll_from_file(*file, options.node, options.data_dir) : enroll_by_flags(options, signals);
  if (!enrollment.ok()) {
    if (enrollment.status().code() == Code::kShuttingDown) return kExitOk;
    logs::error("cannot start", {{"reason", enrollment.status().message()}});
    return kExitFailed;
  }
  const ClusterConfig& config = enrollment->config;
  const NodeInfo info = enrollment->wanted;
  node_options.enrollment = *enrollment;
  node_options.data_dir = options.data_dir;
  node_options.shards = options.shards;
  node_options.region_links.batches.window = Duration::millis(options.wan_window_ms);
  node_options.region_links.batches.bytes = size_t{options.wan_batch_kb} << 10;
  node_options.region_links.compress = options.wan_compression == "zstd";
  node_options.set_aside_broken_data = options.set_aside_broken_data;
  node_options.memtable_bytes = size_t{options.memtable_mb} << 20;
  node_options.cache_bytes = size_t{options.cache_mb} << 20;
  auto started = Node::start(std::move(node_options));
  if (!started.ok()) {
    logs::error("cannot start", {{"reason", started.status().message()}});
    return kExitFailed;
  }
  std::unique_ptr<Node> node = std::move(started).value();
  logs::info("serving", {{"cluster", config.name},
                         {"region", info.region},
                         {"resp", door_text(info.resp, node->port(Door::kResp))},
                         {"rpc", door_text(info.rpc, node->port(Door::kRpc))},
                         {"http", door_text(info.http, node->port(Door::kHttp))},
                         {"shards", std::to_string(node->shards())},
                         {"stripes", std::to_string(config.stripes)},
                         {"data", options.data_dir},
                         {"version", kVersion}});

  int signal = 0;
  sigwait(&signals, &signal);
  const auto expulsion = node->expulsion();
  if (expulsion) {
    logs::write(expulsion->left ? logs::Level::kInfo : logs::Level::kError, "this node is not a member any more",
                {{"reason", expulsion->reason}});
  } else {
    logs::info("stopping", {{"signal", signal == SIGINT ? "SIGINT" : "SIGTERM"}});
  }
  const Status status = node->stop();
  node.reset();
  if (!status.ok()) {
    logs::error("stopped, but the last changes may not be durable", {{"reason", status.to_string()}});
    return kExitFailed;
  }
  logs::info("stopped");
  return expulsion && !expulsion->left ? kExitFailed : kExitOk;
}

int run(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  forbid_huge_pages();
  if (!arguments.empty() && arguments[0] == "bench") return bench_main(argc - 1, argv + 1);
  const CommandLine line = parse_command_line(arguments, process_environment());
  switch (line.command) {
    case CommandLine::Command::kServe:
      return serve(line.serve);
    case CommandLine::Command::kStatus:
      return run_status(line.status);
    case CommandLine::Command::kCluster:
      return run_cluster_command(line.cluster);
    case CommandLine::Command::kVersion:
      std::printf("cartwheel %s\n", kVersion);
      return kExitOk;
    case CommandLine::Command::kText:
      break;
  }
  std::fputs(line.text.c_str(), line.exit_code == 0 ? stdout : stderr);
  return line.exit_code;
}

}  // namespace
}  // namespace cartwheel::node

int main(int argc, char** argv) {
  return cartwheel::node::run(argc, argv);
}
