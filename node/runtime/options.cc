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
    } else {
      return Status::InvalidArgument(where + ": '" + std::string(key.str()) + "' must be a text or a whole number");
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

CommandLine text(std::string message, int exit_code) {
  CommandLine result;
  result.text = std::move(message);
  result.exit_code = exit_code;
  return result;
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
  CLI::App* serve = app.add_subcommand("serve", "Run one node in the foreground; SIGTERM drains and stops it");
  serve->add_option("--cluster-file", result.serve.cluster_file, "The cluster file, the same on every node");
  serve->add_option("--node", result.serve.node, "Which node of the cluster file this is");
  serve->add_option("--data-dir", result.serve.data_dir, "Where this node keeps its data; made if it does not exist");
  serve
      ->add_option("--shards", result.serve.shards,
                   "Threads that serve, at most one per stripe (default: one per core)")
      ->check(CLI::Range(1, 256));
  serve->add_option("--log-level", result.serve.log_level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  serve->add_option("--log-format", result.serve.log_format, "text or json, one line per event on standard error")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  serve
      ->add_option(
          "--cache-mb", result.serve.cache_mb,
          "Megabytes for decoded objects, all stripes together; blocks of the disk take a quarter of it on top")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  serve->add_option("--config", config,
                    "A settings file in TOML with any of the settings above, such as node = \"eu-1\"");
  serve->footer(
      "Every setting may also come from the environment (CARTWHEEL_DATA_DIR for --data-dir and so on). A flag wins "
      "over\n"
      "the environment, the environment over the settings file.");

  CLI::App* status = app.add_subcommand("status", "Ask every node and print a table of nodes, regions and lag");
  status->add_option("--cluster-file", result.status.cluster_file, "The cluster file");
  status->add_option("--node", result.status.node, "Ask only this node");
  status->add_flag("--json", result.status.json, "Print JSON");
  status->add_option("--timeout-ms", result.status.timeout_ms, "How long to wait for a node")
      ->check(CLI::Range(1, 60'000))
      ->capture_default_str();

  CLI::App* version = app.add_subcommand("version", "Print the version");
  // Listed for --help; main() passes it to the load tool before anything is parsed here.
  app.add_subcommand("bench", "Put load on a cluster and measure it ('cartwheel bench --help')");

  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    for (const CLI::App* command : app.get_subcommands()) return text(command->help(), 0);
    return text(app.help(), 0);
  } catch (const CLI::ParseError& error) {
    return text(std::string("cartwheel: ") + error.what() + "\nTry 'cartwheel --help'.\n", 2);
  }

  if (version->parsed()) {
    result.command = CommandLine::Command::kVersion;
    return result;
  }
  Status complete_status;
  if (serve->parsed()) {
    result.command = CommandLine::Command::kServe;
    complete_status =
        complete(*serve, {"cluster-file", "node", "data-dir", "shards", "log-level", "log-format", "cache-mb"},
                 {"cluster-file", "node", "data-dir"}, config, environment);
  } else if (status->parsed()) {
    result.command = CommandLine::Command::kStatus;
    complete_status = complete(*status, {"cluster-file"}, {"cluster-file"}, "", environment);
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
