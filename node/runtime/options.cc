#include "node/runtime/options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <map>

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace cartwheel::node {

namespace {

struct Setting {
  std::string text;
  std::string where;  // "file:line"
};

// The flat table of a settings file, values as text, each with its place for messages.
Result<std::map<std::string, Setting>> read_settings(const std::string& path) {
  toml::parse_result parsed = toml::parse_file(path);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    std::string message = path;
    if (error.source().begin.line > 0) message += ":" + std::to_string(error.source().begin.line);
    return Status::InvalidArgument(message + ": " + std::string(error.description()));
  }
  std::map<std::string, Setting> settings;
  for (const auto& [key, node] : parsed.table()) {
    const std::string where = path + ":" + std::to_string(node.source().begin.line);
    std::string text;
    if (const auto* string = node.as_string()) {
      text = string->get();
    } else if (const auto* integer = node.as_integer()) {
      text = std::to_string(integer->get());
    } else if (const auto* number = node.as_floating_point()) {
      text = std::to_string(number->get());
    } else if (const auto* boolean = node.as_boolean()) {
      text = boolean->get() ? "true" : "false";
    } else {
      return Status::InvalidArgument(where + ": '" + std::string(key.str()) +
                                     "' must be a text, a number or a boolean");
    }
    settings[std::string(key.str())] = {text, where};
  }
  return settings;
}

std::string environment_name(const std::string& option) {
  std::string name = "CARTWHEEL_";
  for (char c : option) name.push_back(c == '-' ? '_' : static_cast<char>(c - (c >= 'a' && c <= 'z' ? 32 : 0)));
  return name;
}

// Gives `option` the text as if it had been a flag. Throws CLI::Error, as CLI11 does.
void take(CLI::Option* option, const std::string& text) {
  option->add_result(text);
  option->run_callback();
}

// Fills what no flag has set. `required` are the names that must have a value in the end.
Status complete(CLI::App& command, const std::vector<std::string>& names, const std::vector<std::string>& required,
                const std::string& config_flag, const Environment& environment) {
  std::string config = config_flag;
  if (config.empty()) config = environment("CARTWHEEL_CONFIG").value_or("");
  std::map<std::string, Setting> settings;
  if (!config.empty()) {
    auto read = read_settings(config);
    if (!read.ok()) return read.status();
    settings = *read;
  }
  std::string known;
  for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
  for (const auto& [key, setting] : settings) {
    if (std::find(names.begin(), names.end(), key) == names.end()) {
      return Status::InvalidArgument(setting.where + ": unknown setting '" + key + "', there are: " + known);
    }
  }
  for (const std::string& name : names) {
    CLI::Option* option = command.get_option("--" + name);
    if (option->count() > 0) continue;
    const auto variable = environment(environment_name(name));
    const auto setting = settings.find(name);
    const std::string where = variable                    ? environment_name(name)
                              : setting != settings.end() ? setting->second.where
                                                          : "";
    if (where.empty()) continue;
    try {
      take(option, variable ? *variable : setting->second.text);
    } catch (const CLI::Error& error) {
      return Status::InvalidArgument(where + ": " + error.what());
    }
  }
  for (const std::string& name : required) {
    if (command.get_option("--" + name)->count() == 0) {
      return Status::InvalidArgument("--" + name + " is missing (or " + environment_name(name) + ", or '" + name +
                                     "' in a settings file)");
    }
  }
  return {};
}

// What one setting says against another.
Status check_serve(const ServeOptions& options) {
  const bool by_file = !options.cluster_file.empty();
  if (by_file && options.node.empty())
    return Status::InvalidArgument("--node is missing: which one of the cluster file?");
  if (!by_file && !options.node.empty())
    return Status::InvalidArgument("--node is of a --cluster-file, which is missing");
  if (by_file && (options.bootstrap || !options.join.empty())) {
    return Status::InvalidArgument(
        "a --cluster-file says who is in the cluster: --bootstrap and --join are without one");
  }
  if (options.bootstrap && !options.join.empty()) {
    return Status::InvalidArgument("--bootstrap begins a new cluster, --join goes into one that there is: choose");
  }
  return Status::Ok();
}

CommandLine text(std::string message, int exit_code) {
  CommandLine result;
  result.text = std::move(message);
  result.exit_code = exit_code;
  return result;
}

// What a node that runs can be told. A node is one of a cluster file, or the flags from --cluster on say what it is.
void add_serve_options(CLI::App& command, ServeOptions& options, std::string& config) {
  command.add_option("--data-dir", options.data_dir, "Where this node keeps its data; made if it does not exist");
  command.add_option("--cluster-file", options.cluster_file, "The cluster file, the same on every node");
  command.add_option("--node", options.node, "Which node of the cluster file this is");
  command.add_option("--cluster", options.cluster, "The name of the cluster");
  command.add_option("--name", options.name, "The name of this node, unique in the cluster");
  command.add_option("--region", options.region, "The region that this node is in");
  command.add_option("--zone", options.zone, "Its zone: copies are spread over as many as there are");
  command
      .add_option("--capacity", options.capacity, "Its share of the region's data, relative to the others (default 1)")
      ->check(CLI::Range(0.001, 1'000'000.0));
  command.add_option("--rpc", options.rpc, "HOST:PORT of the RPC door, at which the other nodes find this one");
  command.add_option("--resp", options.resp, "HOST:PORT of the Redis door; closed if not given");
  command.add_option("--http", options.http, "HOST:PORT of the HTTP door; closed if not given");
  command.add_option("--partitions", options.partitions, "Arcs of the rings of a new cluster, a power of two")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command.add_option("--stripes", options.stripes, "Storage instances of each node of a new cluster")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command.add_flag("--replace-dead", options.replace_dead,
                   "With an empty data directory: take the place of the member of this name, if it is dead");
  command.add_option(
      "--cluster-key-file", options.cluster_key_file,
      "A file of keys, one per line, 32 bytes as hex or base64: the first one seals gossip, all open it");
  command.add_option("--shards", options.shards, "Threads that serve, at most one per stripe (default: one per core)")
      ->check(CLI::Range(1, 256));
  command.add_option("--log-level", options.log_level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  command.add_option("--log-format", options.log_format, "text or json, one line per event on standard error")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  command
      .add_option("--cache-mb", options.cache_mb,
                  "Megabytes for decoded objects, all stripes together; blocks of the disk take a quarter of it on top")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command
      .add_option("--memtable-mb", options.memtable_mb,
                  "Megabytes of written rows that wait to become tables, all stripes together, before stripes that "
                  "write make tables of them earlier")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command
      .add_option("--wan-window-ms", options.wan_window_ms,
                  "Milliseconds for which replication to other regions is held, to go in company; 0: not at all")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  command.add_option("--wan-batch-kb", options.wan_batch_kb, "Kilobytes at which it goes earlier")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command
      .add_option("--wan-compression", options.wan_compression,
                  "zstd or none: of what goes to other regions, and what this node offers to read")
      ->check(CLI::IsMember({"zstd", "none"}))
      ->capture_default_str();
  command.add_flag("--set-aside-broken-data", options.set_aside_broken_data,
                   "Start empty where a stripe's files are broken, although nobody else has what they held");
  command.add_option("--config", config,
                     "A settings file in TOML with any of the settings above, such as node = \"eu-1\"");
  command.footer(
      "A data directory that belongs to a member already is enough: --join and the like are for the first start.\n"
      "Every setting may also come from the environment (CARTWHEEL_DATA_DIR for --data-dir and so on). A flag wins "
      "over\n"
      "the environment, the environment over the settings file.");
}

const std::vector<std::string> kServeSettings = {"cluster-file",
                                                 "node",
                                                 "data-dir",
                                                 "cluster",
                                                 "name",
                                                 "region",
                                                 "zone",
                                                 "capacity",
                                                 "rpc",
                                                 "resp",
                                                 "http",
                                                 "partitions",
                                                 "stripes",
                                                 "shards",
                                                 "log-level",
                                                 "log-format",
                                                 "cache-mb",
                                                 "memtable-mb",
                                                 "wan-window-ms",
                                                 "wan-batch-kb",
                                                 "wan-compression",
                                                 "replace-dead",
                                                 "cluster-key-file"};

// --at, --json and what the commands about the cluster take besides; returns by kind.
using Kind = ClusterCommand::Kind;
std::map<CLI::App*, Kind> add_cluster_commands(CLI::App& app, ClusterCommand& options) {
  std::map<CLI::App*, Kind> commands;
  auto add = [&](CLI::App& parent, const char* name, Kind kind, const char* about) {
    CLI::App* command = parent.add_subcommand(name, about);
    command->add_option("--at", options.at, "HOST:PORT of the RPC door of any node (or CARTWHEEL_AT)");
    command->add_flag("--json", options.json, "Print JSON");
    commands[command] = kind;
    return command;
  };
  add(app, "members", Kind::kMembers, "The nodes of the cluster, their states and loads");
  add(app, "ring", Kind::kRing, "Who owns what: arcs per node and keyspace, and how even that is");
  add(app, "keyspaces", Kind::kKeyspaces, "The keyspaces and their settings");
  CLI::App* wait = add(app, "wait", Kind::kWait, "Wait until every member is up and no data is moving");
  wait->add_flag("--ready", options.ready, "What to wait for")->required();
  wait->add_option("--timeout", options.timeout, "How long, such as 90s (default: 60s)");
  CLI::App* decommission = add(app, "decommission", Kind::kDecommission,
                               "Have a node hand over its data and leave; returns when it has left");
  CLI::App* leave = add(app, "leave", Kind::kLeave, "As decommission, without waiting");
  for (CLI::App* command : {decommission, leave}) {
    command->add_option("node", options.name, "The name of the node")->required();
    command->add_flag("--yes", options.yes, "Do not ask whether that is meant");
    command->add_flag("--dead", options.dead, "The node is gone for good: its copies are made anew from the others");
  }
  decommission->add_option("--timeout", options.timeout, "Stop waiting after this time; the change goes on");
  add(app, "rebalance", Kind::kRebalance, "Move arcs to where they belong");
  add(app, "cancel", Kind::kCancel, "Give up the change of the ring that is running");
  add(app, "lag", Kind::kLag, "What the replicas of each region lack of what each node wrote");
  CLI::App* explain = add(app, "explain", Kind::kExplain,
                          "What each replica stores of a key, written by whom and when, and what of it shows and why");
  explain->add_option("key", options.key, "The key")->required();
  explain->add_option("field", options.field, "Only this field of a hash or element of a set");
  explain->add_option("--keyspace", options.keyspace, "The keyspace (default: the one with select 0)");
  CLI::App* verify = add(app, "verify", Kind::kVerify,
                         "Whether all replicas in all regions are equal; exit code 4 and where, if they are not");
  CLI::App* repair = add(app, "repair", Kind::kRepair, "How far the replicas have compared what they hold");
  CLI::Option* now = repair->add_flag("--now", options.now, "Compare everything now; returns when all was found equal");
  repair->add_option("--region", options.region, "Only comparisons with a replica in this region");
  CLI::Option* pause =
      repair->add_flag("--pause", options.pause, "Stop comparing and scrubbing, until --resume or a restart")
          ->excludes(now);
  repair->add_flag("--resume", options.resume, "Go on comparing and scrubbing")->excludes(now)->excludes(pause);
  repair
      ->add_flag(
          "--accept-losses", options.accept_losses,
          "Let stopped exchanges remove what they would remove, and rebuild quarantined partitions from what there is")
      ->needs(now);
  for (CLI::App* command : {verify, repair}) {
    command->add_option("--keyspace", options.keyspace, "Only this keyspace");
    command->add_option("--timeout", options.timeout, "Stop waiting after this time, such as 90s");
  }
  CLI::App* keyspace = app.add_subcommand("keyspace", "Create, alter or drop a keyspace");
  keyspace->require_subcommand(1);
  CLI::App* create = add(*keyspace, "create", Kind::kKeyspaceCreate, "Create a keyspace");
  CLI::App* alter = add(*keyspace, "alter", Kind::kKeyspaceAlter, "Change settings of a keyspace, or its replicas");
  CLI::App* drop = add(*keyspace, "drop", Kind::kKeyspaceDrop, "Drop a keyspace and all its data");
  drop->add_flag("--yes", options.yes, "Do not ask whether that is meant");
  for (CLI::App* command : {create, alter, drop}) {
    command->add_option("name", options.name, "The name of the keyspace")->required();
  }
  for (CLI::App* command : {create, alter}) {
    command->add_option("--select", options.select, "The number of the Redis database that it is")
        ->check(CLI::Range(0, INT32_MAX));
    command->add_option("--replicas", options.replicas, "Copies per region, such as eu=3,us=3")
        ->required(command == create);
    command->add_option("--read", options.read, "The level of reads: one, quorum, local_quorum, each_quorum, all ...");
    command->add_option("--write", options.write, "The level of writes");
    command->add_option("--default-ttl", options.default_ttl,
                        "Expiry of keys that are written without one, such as 30m");
    command->add_option("--durability", options.durability, "os: an ack means the kernel has it; always: fsynced")
        ->check(CLI::IsMember({"os", "always"}));
    command
        ->add_option(
            "--fallbacks", options.fallbacks,
            "on: another node keeps what is written for an owner that cannot be reached, and counts for levels")
        ->check(CLI::IsMember({"on", "off"}));
    command->add_option("--kind", options.kind_name, "eventual");
  }
  return commands;
}

}  // namespace

CommandLine parse_command_line(const std::vector<std::string>& arguments, const Environment& environment) {
  CommandLine result;
  CLI::App app("Cartwheel: a key-value store of several regions that converges", "cartwheel");
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 no node could be reached, 4 the cluster is not healthy.\n"
      "'cartwheel COMMAND --help' tells more about a command.");

  std::string config;
  ServeOptions& options = result.serve;
  CLI::App* serve = app.add_subcommand("serve", "Run one node in the foreground; SIGTERM drains and stops it");
  add_serve_options(*serve, options, config);
  serve->add_flag("--bootstrap", options.bootstrap, "Begin a new cluster, of which this is the first node");
  serve->add_option("--join", options.join, "HOST:PORT of a member's RPC door to ask for admission; may be repeated")
      ->delimiter(',');
  CLI::App* join = app.add_subcommand("join", "As serve --join: run a new node of the cluster that MEMBER is in");
  join->add_option("member", options.join, "HOST:PORT of a member's RPC door")->required();
  add_serve_options(*join, options, config);
  CLI::App* replace = app.add_subcommand("replace", "As serve --join: run a new node in the place of a dead one");
  replace->add_option("dead", options.replace, "The name of the dead node")->required();
  replace->add_option("--join", options.join, "HOST:PORT of a member's RPC door; may be repeated")
      ->required()
      ->delimiter(',');
  add_serve_options(*replace, options, config);

  CLI::App* status = app.add_subcommand("status", "Ask every node and print a table of nodes, regions and lag");
  status->add_option("--at", result.cluster.at, "HOST:PORT of the RPC door of any node, which tells of all");
  status->add_option("--cluster-file", result.status.cluster_file, "Or: ask every node of this cluster file");
  status->add_option("--node", result.status.node, "Of the cluster file, ask only this node");
  status->add_flag("--json", result.status.json, "Print JSON");
  status->add_option("--timeout-ms", result.status.timeout_ms, "How long to wait for a node")
      ->check(CLI::Range(1, 60'000))
      ->capture_default_str();

  const std::map<CLI::App*, Kind> cluster_commands = add_cluster_commands(app, result.cluster);
  CLI::App* version = app.add_subcommand("version", "Print the version");
  // Listed for --help; main() passes it to the load tool before anything is parsed here.
  app.add_subcommand("bench", "Put load on a cluster and measure it ('cartwheel bench --help')");

  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    for (const CLI::App* command : app.get_subcommands()) {
      for (const CLI::App* inner : command->get_subcommands()) return text(inner->help(), 0);
      return text(command->help(), 0);
    }
    return text(app.help(), 0);
  } catch (const CLI::ParseError& error) {
    return text(std::string("cartwheel: ") + error.what() + "\nTry 'cartwheel --help'.\n", 2);
  }

  if (version->parsed()) {
    result.command = CommandLine::Command::kVersion;
    return result;
  }
  Status complete_status;
  for (CLI::App* each : {serve, join, replace}) {
    if (!each->parsed()) continue;
    result.command = CommandLine::Command::kServe;
    std::vector<std::string> names = kServeSettings;
    if (each == serve) names.insert(names.end(), {"bootstrap", "join"});
    complete_status = complete(*each, names, {"data-dir"}, config, environment);
    if (complete_status.ok()) complete_status = check_serve(options);
  }
  for (const auto& [command, kind] : cluster_commands) {
    if (!command->parsed()) continue;
    result.command = CommandLine::Command::kCluster;
    result.cluster.kind = kind;
    complete_status = complete(*command, {"at"}, {"at"}, "", environment);
  }
  if (result.command == CommandLine::Command::kText && status->parsed() &&
      (!result.cluster.at.empty() || (result.status.cluster_file.empty() && environment("CARTWHEEL_AT")))) {
    result.command = CommandLine::Command::kCluster;
    if (result.cluster.at.empty()) result.cluster.at = *environment("CARTWHEEL_AT");
    result.cluster.json = result.status.json;
  } else if (result.command != CommandLine::Command::kText) {
    // Done above.
  } else if (status->parsed()) {
    result.command = CommandLine::Command::kStatus;
    complete_status = complete(*status, {"cluster-file"}, {"cluster-file"}, "", environment);
    if (!complete_status.ok()) complete_status = Status::InvalidArgument("--at HOST:PORT or --cluster-file is missing");
  } else {
    return text(app.help(), 2);
  }
  if (!complete_status.ok()) {
    return text("cartwheel: " + complete_status.message() + "\nTry 'cartwheel --help'.\n", 2);
  }
  return result;
}

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
}

}  // namespace cartwheel::node
