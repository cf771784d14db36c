#include "node/fronts/resp/commands.h"

#include <array>
#include <cstring>

#include "base/check.h"
#include "node/fronts/resp/errors.h"

namespace cartwheel::resp {

std::span<const CommandGroup> command_groups() {
  static const std::array<CommandGroup, 8> kGroups = {{
      {"string", "Strings and counters", string_commands()},
      {"hash", "Hashes", hash_commands()},
      {"set", "Sets", set_commands()},
      {"generic", "Keys and expiry", key_commands()},
      {"connection", "Connection", connection_commands()},
      {"connection", "Session tokens", session_commands()},
      {"server", "Server", server_commands()},
      {"cluster", "Cluster-aware clients", cluster_commands()},
  }};
  return kGroups;
}

namespace {

// A name of at most 16 letters as two numbers. Setting bit 5 lowers letters and maps nothing else onto one.
struct PackedName {
  uint64_t low = 0, high = 0;
  friend bool operator==(const PackedName&, const PackedName&) = default;
};

bool pack(std::string_view name, PackedName& packed) {
  if (name.empty() || name.size() > 16) return false;
  char bytes[16] = {};
  memcpy(bytes, name.data(), name.size());
  memcpy(&packed.low, bytes, 8);
  memcpy(&packed.high, bytes + 8, 8);
  constexpr uint64_t kBit5 = 0x2020202020202020;
  size_t n = name.size();
  packed.low |= n >= 8 ? kBit5 : kBit5 & ((uint64_t{1} << (8 * n)) - 1);
  if (n > 8) packed.high |= n == 16 ? kBit5 : kBit5 & ((uint64_t{1} << (8 * (n - 8))) - 1);
  return true;
}

// Open addressing, at most a quarter full, so that a look-up is one multiplication and about one comparison.
class NameTable {
 public:
  NameTable() {
    for (const CommandGroup& group : command_groups()) {
      for (const Command& command : group.commands) {
        if (command.is_subcommand()) continue;
        PackedName name;
        CHECK(pack(command.name, name));
        size_t i = home(name);
        while (entries_[i].command != nullptr) i = (i + 1) % kSize;
        entries_[i] = {name, &command};
      }
    }
  }

  const Command* find(std::string_view text) const {
    PackedName name;
    if (!pack(text, name)) return nullptr;
    for (size_t i = home(name); entries_[i].command != nullptr; i = (i + 1) % kSize) {
      if (entries_[i].name == name) return entries_[i].command;
    }
    return nullptr;
  }

 private:
  static constexpr size_t kSize = 512;
  struct Entry {
    PackedName name;
    const Command* command = nullptr;
  };

  static size_t home(const PackedName& name) {
    return ((name.low ^ (name.high * 0x9e3779b97f4a7c15ull)) * 0xff51afd7ed558ccdull) >> (64 - 9);
  }

  Entry entries_[kSize];
};

const NameTable& name_table() {
  static const NameTable table;
  return table;
}

const Command* subcommand(const Command& container, std::string_view name) {
  std::string full = std::string(container.name) + "|" + lower(name.substr(0, 32));
  for (const CommandGroup& group : command_groups()) {
    for (const Command& command : group.commands) {
      if (command.name == full) return &command;
    }
  }
  return nullptr;
}

bool arity_holds(const Command& command, size_t size) {
  return command.arity >= 0 ? size == static_cast<size_t>(command.arity) : size >= static_cast<size_t>(-command.arity);
}

}  // namespace

const Command* find_command(std::span<const std::string_view> arguments, std::string& error) {
  const Command* command = name_table().find(arguments[0]);
  if (command == nullptr) {
    error = unknown_command(arguments);
    return nullptr;
  }
  if (command->has(Command::kContainer) && arguments.size() > 1) {
    const Command* container = command;
    command = subcommand(*container, arguments[1]);
    if (command == nullptr) {
      std::string_view shown = arguments[1].substr(0, arguments[1].find('\0')).substr(0, 128);
      error = "ERR unknown subcommand '" + std::string(shown) + "'. Try " + upper(container->name) + " HELP.";
      return nullptr;
    }
  }
  if (!arity_holds(*command, arguments.size())) {
    error = wrong_arity(command->name);
    return nullptr;
  }
  return command;
}

const Command* command_named(std::string_view name) {
  size_t bar = name.find('|');
  const Command* command = name_table().find(name.substr(0, bar));
  if (command == nullptr || bar == std::string_view::npos) return command;
  return subcommand(*command, name.substr(bar + 1));
}

bool is_http(std::string_view name) {
  return equals_ignoring_case(name, "post") || equals_ignoring_case(name, "host:");
}

}  // namespace cartwheel::resp
