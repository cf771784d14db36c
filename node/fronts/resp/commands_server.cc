// What clients ask about the server: INFO, COMMAND, CONFIG GET, TIME.
#include <map>

#include "base/glob.h"
#include "base/limits.h"
#include "node/fronts/resp/call.h"
#include "node/fronts/resp/commands.h"
#include "node/fronts/resp/errors.h"
#include "node/fronts/resp/info.h"

namespace cartwheel::resp {

namespace {

void info(Call& call) {
  call.out.verbatim(info_text(call.session.backend().info(), call.arguments.subspan(1)));
}

void time(Call& call) {
  int64_t ms = call.session.backend().now().wall.ms;
  call.out.array(2);
  call.out.bulk(std::to_string(ms / 1000));
  call.out.bulk(std::to_string(ms % 1000 * 1000));
}

// --- CONFIG GET ------------------------------------------------------------------------------------------------------

// What benchmarks and clients look up, answered with what is the case here.
std::map<std::string, std::string> settings(const Backend& backend) {
  int64_t databases = 1;
  for (const node::Keyspace& keyspace : backend.cluster().keyspaces) {
    databases = std::max<int64_t>(databases, keyspace.select + 1);
  }
  return {
      {"appendfsync", "everysec"},
      {"appendonly", "yes"},
      {"databases", std::to_string(databases)},
      {"maxclients", std::to_string(limits::kConnections)},
      {"maxmemory", "0"},
      {"maxmemory-policy", "noeviction"},
      {"notify-keyspace-events", ""},
      {"port", std::to_string(backend.info().port)},
      {"proto-max-bulk-len", std::to_string(limits::kRequestBytes)},
      {"requirepass", ""},
      {"save", ""},
      {"timeout", "0"},
  };
}

void config_get(Call& call) {
  std::vector<std::pair<std::string, std::string>> found;
  for (const auto& [name, value] : settings(call.session.backend())) {
    for (std::string_view pattern : call.arguments.subspan(2)) {
      if (pattern.size() > limits::kRespInlineBytes || !glob_match(lower(pattern), name)) continue;
      found.emplace_back(name, value);
      break;
    }
  }
  call.out.map(found.size());
  for (const auto& [name, value] : found) {
    call.out.bulk(name);
    call.out.bulk(value);
  }
}

void config(Call& call) {
  call.error(wrong_arity(call.command.name));
}

// --- COMMAND ---------------------------------------------------------------------------------------------------------

struct Row {
  const CommandGroup* group;
  const Command* command;
};

// The rows that clients may know of: commands, not subcommands, and none that is refused.
std::vector<Row> rows() {
  std::vector<Row> result;
  for (const CommandGroup& group : command_groups()) {
    for (const Command& command : group.commands) {
      if (!command.is_subcommand() && !command.has(Command::kRefused)) result.push_back({&group, &command});
    }
  }
  return result;
}

std::vector<const Command*> subcommands(const Row& row) {
  std::vector<const Command*> result;
  for (const Command& command : row.group->commands) {
    if (command.is_subcommand() && command.name.starts_with(std::string(row.command->name) + "|")) {
      result.push_back(&command);
    }
  }
  return result;
}

void write_words(RespWriter& out, const std::vector<std::string_view>& words) {
  out.set(words.size());
  for (std::string_view word : words) out.simple(word);
}

std::vector<std::string_view> flag_words(const Command& command) {
  std::vector<std::string_view> words;
  if (command.has(Command::kWrite)) words.push_back("write");
  if (command.has(Command::kReadOnly)) words.push_back("readonly");
  if (command.has(Command::kDenyOom)) words.push_back("denyoom");
  if (command.has(Command::kAnytime)) {
    words.push_back("loading");
    words.push_back("stale");
  }
  if (command.has(Command::kFast)) words.push_back("fast");
  return words;
}

std::vector<std::string_view> category_words(const Row& row, const Command& command) {
  std::vector<std::string_view> words;
  if (command.has(Command::kWrite)) words.push_back("@write");
  if (command.has(Command::kReadOnly)) words.push_back("@read");
  if (row.group->name == "generic") words.push_back("@keyspace");
  if (row.group->name == "string") words.push_back("@string");
  if (row.group->name == "hash") words.push_back("@hash");
  if (row.group->name == "set") words.push_back("@set");
  if (row.group->name == "connection") words.push_back("@connection");
  words.push_back(command.has(Command::kFast) ? "@fast" : "@slow");
  return words;
}

void write_info(RespWriter& out, const Row& row, const Command& command, const std::vector<const Command*>& below) {
  out.array(10);
  out.bulk(command.name);
  out.integer(command.arity);
  write_words(out, flag_words(command));
  out.integer(command.first_key);
  out.integer(command.last_key);
  out.integer(command.key_step);
  write_words(out, category_words(row, command));
  out.array(0);  // tips
  out.array(0);  // key specifications: first, last and step say it all
  out.array(below.size());
  for (const Command* sub : below) write_info(out, row, *sub, {});
}

void write_docs(RespWriter& out, const Row& row, const Command& command, const std::vector<const Command*>& below) {
  out.bulk(command.name);
  out.map(below.empty() ? 4 : 5);
  out.bulk("summary");
  std::string summary(command.summary);
  if (!command.meaning.empty()) summary += " " + std::string(command.meaning);
  out.bulk(summary);
  out.bulk("since");
  out.bulk("1.0.0");
  out.bulk("group");
  out.bulk(row.group->name);
  out.bulk("complexity");
  out.bulk(command.syntax);
  if (below.empty()) return;
  out.bulk("subcommands");
  out.map(below.size());
  for (const Command* sub : below) write_docs(out, row, *sub, {});
}

void write_all_info(Call& call) {
  std::vector<Row> all = rows();
  call.out.array(all.size());
  for (const Row& row : all) write_info(call.out, row, *row.command, subcommands(row));
}

// The row of what a client calls `name`; its command may be a subcommand.
bool find_row(std::string_view name, Row& found) {
  const Command* command = command_named(name);
  if (command == nullptr || command->has(Command::kRefused)) return false;
  for (const CommandGroup& group : command_groups()) {
    if (command >= group.commands.data() && command < group.commands.data() + group.commands.size()) {
      found = {&group, command};
      return true;
    }
  }
  return false;
}

void command_info(Call& call) {
  if (call.size() == 2) return write_all_info(call);
  call.out.array(call.size() - 2);
  for (std::string_view name : call.arguments.subspan(2)) {
    Row row{};
    if (find_row(name, row)) {
      write_info(call.out, row, *row.command, subcommands(row));
    } else {
      call.out.nil();
    }
  }
}

void command_docs(Call& call) {
  std::vector<Row> wanted;
  if (call.size() == 2) wanted = rows();
  for (std::string_view name : call.arguments.subspan(2)) {
    Row row{};
    if (find_row(name, row)) wanted.push_back(row);
  }
  call.out.map(wanted.size());
  for (const Row& row : wanted) write_docs(call.out, row, *row.command, subcommands(row));
}

void command_count(Call& call) {
  call.out.integer(static_cast<int64_t>(rows().size()));
}

void command_list(Call& call) {
  if (call.size() > 2) return call.error(kSyntaxError);
  std::vector<Row> all = rows();
  call.out.array(all.size());
  for (const Row& row : all) call.out.bulk(row.command->name);
}

using C = Command;

const Command kCommands[] = {
    {"info", -1, C::kAnytime, 0, 0, 0, info, "[section ...]", "Describes the node.", ""},
    {"time", 1, C::kAnytime | C::kFast, 0, 0, 0, time, "", "Returns the node's clock.", ""},
    {"config", -2, C::kContainer, 0, 0, 0, config, "subcommand", "Settings.", ""},
    {"config|get", -3, C::kAnytime, 0, 0, 0, config_get, "pattern [pattern ...]",
     "Returns settings under the names that Redis gives them.", "Settings change in the cluster file alone."},
    {"command", -1, C::kAnytime | C::kContainer, 0, 0, 0, write_all_info, "", "Describes the commands.", ""},
    {"command|count", 2, C::kAnytime, 0, 0, 0, command_count, "", "Returns the number of commands.", ""},
    {"command|docs", -2, C::kAnytime, 0, 0, 0, command_docs, "[name ...]", "Describes commands in words.", ""},
    {"command|info", -2, C::kAnytime, 0, 0, 0, command_info, "[name ...]", "Describes commands.", ""},
    {"command|list", -2, C::kAnytime, 0, 0, 0, command_list, "", "Returns the commands' names.", ""},
};

}  // namespace

std::span<const Command> server_commands() {
  return kCommands;
}

}  // namespace cartwheel::resp
