// The one table of the commands that the RESP door serves. It drives execution, COMMAND, COMMAND DOCS and docs/resp.md.
// Each family of commands has its rows and handlers in a file of its own (commands_string.cc and so on).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cartwheel::resp {

struct Call;

struct Command {
  enum Flag : uint32_t {
    // As COMMAND INFO shows them.
    kWrite = 1,
    kReadOnly = 2,
    kFast = 4,
    kDenyOom = 8,   // may need memory
    kAnytime = 16,  // does not touch data: loading, stale
    // For ourselves.
    kContainer = 32,        // has subcommands, rows called "parent|sub"
    kHashNumber = 64,       // a number in an error is that of a hash field
    kWrongTypeIsNil = 128,  // a key of another type counts as missing
    kRefused = 256,         // known, but answered with the reason why not
  };

  std::string_view name;  // lower case
  int arity;              // with the name; negative: at least so many
  uint32_t flags;
  int first_key, last_key, key_step;  // positions of keys, as in Redis' COMMAND; 0 for none
  void (*run)(Call&);                 // REQUIRES: the arity holds
  std::string_view syntax;            // of the arguments
  std::string_view summary;           // what it does
  std::string_view meaning;           // what that means while other regions write too; empty: nothing to add

  bool has(Flag flag) const { return (flags & flag) != 0; }
  bool is_subcommand() const { return name.find('|') != std::string_view::npos; }
};

struct CommandGroup {
  std::string_view name;     // as COMMAND DOCS has it
  std::string_view heading;  // in docs/resp.md
  std::span<const Command> commands;
};

std::span<const CommandGroup> command_groups();

// The command that the arguments call, subcommands resolved, or nullptr with the error that explains it: an unknown
// name or subcommand, or a wrong number of arguments. REQUIRES: arguments is not empty.
const Command* find_command(std::span<const std::string_view> arguments, std::string& error);
// The row called `name`, in any case ("GET", "client|list"), or nullptr.
const Command* command_named(std::string_view name);

// "POST" and "Host:", which no Redis client sends: an HTTP request that strayed, or was lured, to this port.
bool is_http(std::string_view name);

// docs/resp.md.
std::string commands_as_markdown();

// The families.
std::span<const Command> cluster_commands();
std::span<const Command> connection_commands();
std::span<const Command> session_commands();
std::span<const Command> server_commands();
std::span<const Command> key_commands();
std::span<const Command> string_commands();
std::span<const Command> hash_commands();
std::span<const Command> set_commands();

}  // namespace cartwheel::resp
