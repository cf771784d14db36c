// docs/resp.md, rendered from the table of commands.
#include "node/fronts/resp/commands.h"
#include "node/fronts/resp/errors.h"

namespace cartwheel::resp {

namespace {

constexpr const char* kIntroduction = R"(# The Redis door

Cartwheel speaks RESP2 and RESP3 on the `resp` address of each node. Any node answers for any key. `SELECT n` chooses the
keyspace with `select = n` in the cluster file; a new connection is in 0. This page is rendered from the table that the
server executes (`node/fronts/resp/commands_*.cc`); a test fails when the two differ.

Replies and errors are those of Redis 7 unless said otherwise. The last column says what a command means while other
regions write too; where it is empty, the command returns what the keyspace's read level finds.

Commands of one connection take effect in order for each key, and replies come in the order of commands. A command about
several keys is not atomic: each key is read or written for itself.

)";

constexpr const char* kErrors = R"(## Errors

| Code | Meaning | Applied? |
|---|---|---|
| `ERR` | the request is wrong, too large or not possible here; the text says why | no |
| `WRONGTYPE` | the key holds another type | no |
| `UNAVAILABLE` | too few replicas could be reached for the level | no |
| `UNKNOWN` | a write may be, or become, visible: the time was up after it was sent | perhaps |
| `OVERLOADED` | a queue is full; try again later | no |
| `LOADING` | the node is shutting down and about to close; another one answers | no |
| `NOPROTO`, `WRONGPASS` | as in Redis | no |

After an error of a command about several keys, such as `MSET` or `DEL`, some of the keys may have been written.

## Differences from Redis

- An option is checked before the key is looked up, so a wrong one is an error on a missing key too (`GETEX`, `HSCAN`).
- The longest time to live is ten years; a longer one is an invalid expire time.
- Keys, fields and elements have at most 16 KB, values 8 MB, a request 32 MB and 65536 arguments.
- `SCAN` cursors are positions in the hash space; a walk can be continued on another node.
- A cursor that no reply can have given (above 52 bits for `SCAN`, 63 for the others) is invalid.
)";

void row(std::string& text, const Command& command) {
  std::string name = upper(command.name);
  if (size_t bar = name.find('|'); bar != std::string::npos) name[bar] = ' ';
  text += "| `" + name + (command.syntax.empty() ? "" : " ");
  // A bar would end the cell.
  for (char c : command.syntax) text += c == '|' ? std::string("\\|") : std::string(1, c);
  text += "` | " + std::string(command.summary) + " | " + std::string(command.meaning) + " |\n";
}

}  // namespace

std::string commands_as_markdown() {
  std::string text = kIntroduction;
  for (const CommandGroup& group : command_groups()) {
    text +=
        "## " + std::string(group.heading) + "\n\n| Command | What it does | With concurrent writes |\n|---|---|---|\n";
    for (const Command& command : group.commands) {
      bool only_container = command.has(Command::kContainer) && !command.syntax.empty();
      if (!only_container) row(text, command);
    }
    text += "\n";
  }
  return text + kErrors;
}

}  // namespace cartwheel::resp
