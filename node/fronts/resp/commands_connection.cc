// The connection itself: greeting, protocol version, database, name.
#include <algorithm>

#include "base/limits.h"
#include "crdt/types.h"
#include "node/fronts/resp/call.h"
#include "node/fronts/resp/commands.h"
#include "node/fronts/resp/errors.h"

namespace cartwheel::resp {

namespace {

constexpr std::string_view kWrongPassword = "WRONGPASS invalid username-password pair or user is disabled.";

void ping(Call& call) {
  if (call.size() > 2) return call.error(wrong_arity(call.command.name));
  if (call.size() == 2) return call.out.bulk(call[1]);
  call.out.simple("PONG");
}

void echo(Call& call) {
  call.out.bulk(call[1]);
}

void quit(Call& call) {
  call.out.ok();
  call.session.close_after_reply();
}

void choose_database(Call& call, int64_t database, int keyspace) {
  call.session.state().database = database;
  call.session.state().keyspace = keyspace;
}

void reset(Call& call) {
  ConnectionState& state = call.session.state();
  choose_database(call, 0, call.session.backend().cluster().keyspace_of_select(0));
  state.name.clear();
  state.protocol = 2;
  call.session.track_nothing();
  call.out.simple("RESET");
}

void select(Call& call) {
  int64_t database = 0;
  if (!read_integer(call, call[1], database)) return;
  int keyspace = call.session.backend().cluster().keyspace_of_select(database);
  if (keyspace < 0) return call.error("ERR DB index is out of range");
  choose_database(call, database, keyspace);
  call.out.ok();
}

// There are no users or passwords: the default user gets in with any password, as in Redis when it has none.
bool may_enter(std::string_view user) {
  return user == "default";
}

void auth(Call& call) {
  if (call.size() > 3) return call.error(kSyntaxError);
  if (call.size() == 2) {
    return call.error(
        "ERR AUTH <password> called without any password configured for the default user. Are you sure your "
        "configuration is correct?");
  }
  if (!may_enter(call[1])) return call.error(kWrongPassword);
  call.out.ok();
}

// Names come out in CLIENT LIST, a line of words.
bool is_plain(std::string_view name) {
  return name.size() <= limits::kNameBytes &&
         std::all_of(name.begin(), name.end(), [](char c) { return c >= '!' && c <= '~'; });
}

constexpr std::string_view kClientNameError = "ERR Client names cannot contain spaces, newlines or special characters.";

void write_hello(Call& call, RespWriter& out) {
  // The server calls itself redis, with the version whose commands it follows, because clients choose by these what to
  // send.
  out.map(7);
  out.bulk("server");
  out.bulk("redis");
  out.bulk("version");
  out.bulk("7.2.0");
  out.bulk("proto");
  out.integer(out.protocol());
  out.bulk("id");
  out.integer(static_cast<int64_t>(call.session.state().id));
  out.bulk("mode");
  out.bulk("standalone");
  out.bulk("role");
  out.bulk("master");
  out.bulk("modules");
  out.array(0);
}

void hello(Call& call) {
  ConnectionState& state = call.session.state();
  int64_t version = state.protocol;
  if (call.size() > 1) {
    auto parsed = crdt::parse_number(call[1]);
    if (!parsed) return call.error("ERR Protocol version is not an integer or out of range");
    version = *parsed;
    if (version != 2 && version != 3) return call.error("NOPROTO unsupported protocol version");
  }
  const std::string_view* name = nullptr;
  for (size_t i = 2; i < call.size(); ++i) {
    if (equals_ignoring_case(call[i], "auth") && i + 2 < call.size()) {
      if (!may_enter(call[i + 1])) return call.error(kWrongPassword);
      i += 2;
    } else if (equals_ignoring_case(call[i], "setname") && i + 1 < call.size()) {
      name = &call.arguments[++i];
      if (!is_plain(*name)) return call.error(kClientNameError);
    } else {
      return call.error("ERR Syntax error in HELLO option '" + std::string(call[i].substr(0, 512)) + "'");
    }
  }
  if (name != nullptr) state.name = *name;
  state.protocol = static_cast<int>(version);
  // This reply is the first of the new protocol. It goes where `call.out` would have put it.
  RespWriter out = call.out.in_protocol(state.protocol);
  write_hello(call, out);
}

// --- CLIENT ----------------------------------------------------------------------------------------------------------

void client_setname(Call& call) {
  if (!is_plain(call[2])) return call.error(kClientNameError);
  call.session.state().name = call[2];
  call.out.ok();
}

void client_getname(Call& call) {
  const std::string& name = call.session.state().name;
  name.empty() ? call.out.nil() : call.out.bulk(name);
}

void client_setinfo(Call& call) {
  ConnectionState& state = call.session.state();
  bool is_name = equals_ignoring_case(call[2], "lib-name");
  if (!is_name && !equals_ignoring_case(call[2], "lib-ver")) {
    return call.error("ERR Unrecognized option '" + std::string(call[2].substr(0, 512)) + "'");
  }
  if (!is_plain(call[3])) {
    return call.error("ERR " + lower(call[2]) + " cannot contain spaces, newlines or special characters.");
  }
  (is_name ? state.library_name : state.library_version) = call[3];
  call.out.ok();
}

void client_id(Call& call) {
  call.out.integer(static_cast<int64_t>(call.session.state().id));
}
void client_info(Call& call) {
  call.out.verbatim(call.session.describe() + "\n");
}

// The lines of `list` that start with "id=<one of ids> ".
std::string with_ids(const std::string& list, std::span<const int64_t> ids) {
  std::string result;
  for (size_t i = 0; i < list.size();) {
    size_t end = std::min(list.find('\n', i), list.size() - 1) + 1;
    std::string_view line(list.data() + i, end - i);
    for (int64_t id : ids) {
      if (line.starts_with("id=" + std::to_string(id) + " ")) result += line;
    }
    i = end;
  }
  return result;
}

void client_list(Call& call) {
  std::string list = call.session.backend().client_list();
  if (call.size() == 2) return call.out.verbatim(list);
  if (call.size() == 4 && equals_ignoring_case(call[2], "type")) {
    // Every connection is a normal one.
    if (equals_ignoring_case(call[3], "normal")) return call.out.verbatim(list);
    for (std::string_view type : {"master", "replica", "slave", "pubsub"}) {
      if (equals_ignoring_case(call[3], type)) return call.out.verbatim("");
    }
    return call.error("ERR Unknown client type '" + std::string(call[3].substr(0, 512)) + "'");
  }
  if (call.size() > 3 && equals_ignoring_case(call[2], "id")) {
    std::vector<int64_t> ids;
    for (std::string_view text : call.arguments.subspan(3)) {
      auto id = crdt::parse_number(text);
      if (!id) return call.error("ERR Invalid client ID");
      ids.push_back(*id);
    }
    return call.out.verbatim(with_ids(list, ids));
  }
  call.error(kSyntaxError);
}

// CLIENT NO-EVICT and NO-TOUCH: nothing is ever evicted, so both are granted.
void client_on_off(Call& call) {
  if (!equals_ignoring_case(call[2], "on") && !equals_ignoring_case(call[2], "off")) return call.error(kSyntaxError);
  call.out.ok();
}

// Only reached by the bare "CLIENT", which the arity excludes.
void client(Call& call) {
  call.error(wrong_arity(call.command.name));
}

using C = Command;
constexpr uint32_t kPlain = C::kFast | C::kAnytime;

const Command kCommands[] = {
    {"ping", -1, kPlain, 0, 0, 0, ping, "[message]", "Returns PONG, or the message.", ""},
    {"echo", 2, kPlain, 0, 0, 0, echo, "message", "Returns the message.", ""},
    {"quit", -1, kPlain, 0, 0, 0, quit, "", "Closes the connection after the replies that are due.", ""},
    {"reset", 1, kPlain, 0, 0, 0, reset, "", "Puts the connection back to how it began.", ""},
    {"hello", -1, kPlain, 0, 0, 0, hello, "[protocol [AUTH user password] [SETNAME name]]",
     "Switches between RESP2 and RESP3 and describes the server.", ""},
    {"auth", -2, kPlain, 0, 0, 0, auth, "[user] password", "Logs in. There are no passwords in this version.", ""},
    {"select", 2, kPlain, 0, 0, 0, select, "number", "Chooses the keyspace with this `select` number.", ""},
    {"client", -2, C::kAnytime | C::kContainer, 0, 0, 0, client, "subcommand", "What belongs to the connection.", ""},
    {"client|setname", 3, C::kAnytime, 0, 0, 0, client_setname, "name", "Names the connection.", ""},
    {"client|getname", 2, C::kAnytime, 0, 0, 0, client_getname, "", "Returns the connection's name.", ""},
    {"client|setinfo", 4, C::kAnytime, 0, 0, 0, client_setinfo, "LIB-NAME name | LIB-VER version",
     "Notes what library the client is.", ""},
    {"client|id", 2, C::kAnytime, 0, 0, 0, client_id, "", "Returns the connection's number.", ""},
    {"client|list", -2, C::kAnytime, 0, 0, 0, client_list, "[TYPE type | ID id [id ...]]",
     "Lists the connections of the node.", ""},
    {"client|info", 2, C::kAnytime, 0, 0, 0, client_info, "", "Describes the connection.", ""},
    {"client|no-evict", 3, C::kAnytime, 0, 0, 0, client_on_off, "ON | OFF", "Granted: nothing is evicted.", ""},
    {"client|no-touch", 3, C::kAnytime, 0, 0, 0, client_on_off, "ON | OFF", "Granted: nothing is evicted.", ""},
};

}  // namespace

std::span<const Command> connection_commands() {
  return kCommands;
}

}  // namespace cartwheel::resp
