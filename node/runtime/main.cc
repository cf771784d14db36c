// The process `cartwheel`: parses the command line and runs one command. The thread that runs main() owns the node and
// waits for signals; everything else happens on the shards' threads.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "client/bench/bench_main.h"
#include "node/runtime/cluster_file.h"
#include "node/runtime/log.h"
#include "node/runtime/node.h"
#include "node/runtime/options.h"
#include "node/runtime/status_command.h"
#include "node/runtime/version.h"

// jemalloc's settings. Huge pages where the kernel lets a process ask for them: memtables and decoded objects are
// reached by pointers all over the heap, so most steps of a write would miss the TLB too. A bound on arenas, because
// each one rounds what it holds up to huge pages.
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = "thp:always,narenas:8";
}

namespace cartwheel::node {
namespace {

int complain(const std::string& message, int exit_code) {
  std::fprintf(stderr, "cartwheel: %s\n", message.c_str());
  return exit_code;
}

std::string door_text(const Address& address, uint16_t port) {
  return port == 0 ? "closed" : Address{address.host, port}.to_string();
}

int serve(const ServeOptions& options) {
  // Before any thread exists, so that all inherit it and the signals wait for sigwait().
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  auto config = load_cluster_file(options.cluster_file);
  if (!config.ok()) return complain(config.status().message(), kExitUsage);
  const NodeIndex self = config->node(options.node);
  if (self == kNoNode) {
    std::string names;
    for (const NodeInfo& node : config->nodes) names += (names.empty() ? "" : ", ") + node.name;
    return complain("node '" + options.node + "' is not in " + options.cluster_file + ", there are: " + names,
                    kExitUsage);
  }
  const auto level = logs::parse_level(options.log_level);
  const auto format = logs::parse_format(options.log_format);
  if (!level.ok()) return complain(level.status().message(), kExitUsage);
  if (!format.ok()) return complain(format.status().message(), kExitUsage);
  logs::start(*level, *format, options.node);

  NodeOptions node_options;
  node_options.config = *config;
  node_options.self = self;
  node_options.data_dir = options.data_dir;
  node_options.shards = options.shards;
  node_options.cache_bytes = size_t{options.cache_mb} << 20;
  auto started = Node::start(std::move(node_options));
  if (!started.ok()) {
    logs::error("cannot start", {{"reason", started.status().message()}});
    return kExitFailed;
  }
  std::unique_ptr<Node> node = std::move(started).value();
  const NodeInfo& info = config->nodes[self];
  logs::info("serving", {{"cluster", config->name},
                         {"region", info.region},
                         {"resp", door_text(info.resp, node->port(Door::kResp))},
                         {"rpc", door_text(info.rpc, node->port(Door::kRpc))},
                         {"http", door_text(info.http, node->port(Door::kHttp))},
                         {"shards", std::to_string(node->shards())},
                         {"stripes", std::to_string(config->stripes)},
                         {"data", options.data_dir},
                         {"version", kVersion}});

  int signal = 0;
  sigwait(&signals, &signal);
  logs::info("stopping", {{"signal", signal == SIGINT ? "SIGINT" : "SIGTERM"}});
  const Status status = node->stop();
  node.reset();
  if (!status.ok()) {
    logs::error("stopped, but the last changes may not be durable", {{"reason", status.to_string()}});
    return kExitFailed;
  }
  logs::info("stopped");
  return kExitOk;
}

int run(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (!arguments.empty() && arguments[0] == "bench") return bench_main(argc - 1, argv + 1);
  const CommandLine line = parse_command_line(arguments, process_environment());
  switch (line.command) {
    case CommandLine::Command::kServe:
      return serve(line.serve);
    case CommandLine::Command::kStatus:
      return run_status(line.status);
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
