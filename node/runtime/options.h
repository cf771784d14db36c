// What the command line says. Settings of `serve` come from four places, the first that has one wins:
//   1. a flag                 --data-dir /var/lib/cartwheel
//   2. the environment        CARTWHEEL_DATA_DIR=/var/lib/cartwheel
//   3. the settings file      data-dir = "/var/lib/cartwheel"      TOML, named by --config or CARTWHEEL_CONFIG
//   4. the default
// Pure but for reading that file: the environment is passed in.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"

namespace cartwheel::node {

// Of `serve`, `join` and `replace`. A node is one of a cluster file, or says itself what it is.
struct ServeOptions {
  std::string cluster_file, node, data_dir;
  bool bootstrap = false, replace_dead = false;
  std::vector<std::string> join;  // host:port of members
  std::string cluster, name, region, rpc, resp, http;
  std::optional<std::string> zone;
  std::optional<double> capacity;
  uint32_t partitions = 1024, stripes = 1;
  std::string cluster_key_file;
  std::string replace;  // the dead node whose place this one takes
  uint32_t shards = 0;  // 0: as many as there are cores, and no more than stripes
  std::string log_level = "info", log_format = "text";
  // Of what goes to other regions: how long and up to what size it is held to go in company, and zstd or none.
  uint32_t wan_window_ms = 5, wan_batch_kb = 64;
  std::string wan_compression = "zstd";
  bool set_aside_broken_data = false;
  uint32_t memtable_mb = 192;
  uint32_t cache_mb = 256;  // decoded objects, all stripes together; blocks read from disk take a quarter of it on top
};

// The commands that ask one node about the cluster, or for a change of it.
struct ClusterCommand {
  enum class Kind : uint8_t {
    kStatus,
    kMembers,
    kRing,
    kKeyspaces,
    kWait,
    kDecommission,
    kLeave,
    kRebalance,
    kCancel,
    kKeyspaceCreate,
    kKeyspaceAlter,
    kKeyspaceDrop,
    kLag,
    kExplain,
    kVerify,
    kRepair
  };
  Kind kind = Kind::kStatus;
  std::string at;  // host:port of any node
  bool json = false;
  std::string name;      // of the node or the keyspace
  std::string keyspace;  // of kExplain (default: the one with select 0), kVerify and kRepair (default: all)
  bool now = false, pause = false, resume = false, accept_losses = false;  // of kRepair
  std::string region;                                                      // of kRepair (default: all)
  // Of kExplain.
  std::string key;
  std::optional<std::string> field;
  bool yes = false, dead = false, ready = false;
  std::string timeout;  // of kWait and kDecommission; a duration, or a number of seconds
  // Of keyspaces; what is not given is left out of the request.
  std::optional<int> select;
  std::string replicas, read, write, default_ttl, durability, fallbacks, kind_name;
};

struct StatusOptions {
  std::string cluster_file;
  std::string node;  // ask only this one
  bool json = false;
  uint32_t timeout_ms = 1000;
};

struct CommandLine {
  enum class Command { kServe, kStatus, kCluster, kVersion, kText };
  Command command = Command::kText;
  ServeOptions serve;
  StatusOptions status;
  ClusterCommand cluster;
  std::string text;   // of kText: help, or what is wrong
  int exit_code = 0;  // of kText: 0 for help, 2 for wrong usage
};

using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// `arguments` without the program's name. Never fails: a mistake is a kText with exit code 2. `bench` is not known
// here.
CommandLine parse_command_line(const std::vector<std::string>& arguments, const Environment& environment);

// The environment of this process.
Environment process_environment();

}  // namespace cartwheel::node
