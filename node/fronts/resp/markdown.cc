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

constexpr const char* kSessions = R"(## What a session token promises

`CARTWHEEL.TOKEN` begins to track what the connection writes and reads, and returns that as a token of at most 256 characters.
`CARTWHEEL.TOKEN <token>` makes a connection to any node of any region go on from there. From then on

- **read your writes**: a read shows what the session has written,
- **monotonic reads**: a read shows no older state than the session has read before; what was read as deleted stays deleted,

for all commands that read a key, and for those that act on what is there (`DEL`, `HDEL`, `SREM`, `EXPIRE`, `GETDEL` …). Not for
`SCAN` and `DBSIZE`, nor for the number that `INCR`, `HINCRBY`, `HSET` or `SADD` returns, nor for a write that ended in `UNKNOWN`. What to do
when the node lacks some of it:

| policy | |
|---|---|
| `WAIT ms` (default: as long as a request may take, which is also the most) | wait until the node has it; past that `UNAVAILABLE session token: …`, and nothing was applied |
| `FORWARD` | let a replica answer that is known to have it, of another region too, whose levels then count there; else wait |
| `STALE` | answer; `CARTWHEEL.STALE` counts how often that was without all of it |

The token moves with every command; ask for it when the session moves. While one is tracked, a pipelined command begins when those before it
are answered. `RESET` ends tracking; a connection that never asks pays nothing. A token that is too long, damaged, of a later
format or of another cluster is `BADTOKEN`, and the connection's own stays as it was. A token can demand a write that a loss of power took from
all replicas that had it: then its reads of that partition end in `UNAVAILABLE` after the wait, and the client begins a new one with `RESET`.

)";

constexpr const char* kErrors = R"(## Errors

| Code | Meaning | Applied? |
|---|---|---|
| `ERR` | the request is wrong, too large or not possible here; the text says why | no |
| `WRONGTYPE` | the key holds another type | no |
| `UNAVAILABLE` | too few replicas could be reached for the level, or the node lacks what the session token demands | no |
| `UNKNOWN` | a write may be, or become, visible: the time was up after it was sent | perhaps |
| `BADTOKEN` | a session token is too long, damaged, of another cluster or of a later format | no |
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

## Clients

ioredis 5 and 6 and node-redis 4, 5 and 6 are tested as they are while nodes are killed (`tests/e2e/clients.test.mjs`, with
connect-redis 7 to 9 in `sessions.test.mjs`). Give a client the addresses of all nodes, and let it connect again at once.

Give node-redis 5 and 6 `disableOfflineQueue: true`. A command that is queued in the same turn of the event loop in which
the connection breaks may else be written to the broken one (seen with 5.12.1; the code of 6.3.1 is the same there). Nobody
answers it, so the first answers on the next connection go to the wrong commands, and the client waits for ever. Without the
queue such a command fails at once, and the application asks again.
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
  return text + kSessions + kErrors;
}

}  // namespace cartwheel::resp
