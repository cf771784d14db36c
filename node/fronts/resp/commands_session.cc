// Session tokens: what the connection has written and read, to go on from at another node.
#include "crdt/types.h"
#include "node/fronts/resp/call.h"
#include "node/fronts/resp/commands.h"
#include "node/fronts/resp/errors.h"

namespace cartwheel::resp {

using node::SessionPolicy;
using node::SessionToken;

namespace {

// The policy behind the token. WAIT without a number waits as long as a request may take.
bool read_policy(Call& call, TrackedSession& session) {
  if (call.size() == 2) return true;
  bool waits = equals_ignoring_case(call[2], "wait");
  if (waits && call.size() == 4) {
    int64_t ms = 0;
    if (!read_integer(call, call[3], ms)) return false;
    if (ms <= 0 || ms > 600'000) {
      call.error("ERR WAIT takes 1 to 600000 milliseconds");
      return false;
    }
    session.patience = Duration::millis(ms);
    return true;
  }
  if (call.size() == 3 && equals_ignoring_case(call[2], "forward")) {
    session.policy = SessionPolicy::kForward;
  } else if (call.size() == 3 && equals_ignoring_case(call[2], "stale")) {
    session.policy = SessionPolicy::kStale;
  } else {
    call.error(kSyntaxError);
    return false;
  }
  return true;
}

void token(Call& call) {
  const std::string& cluster = call.session.backend().cluster().name;
  if (call.size() == 1) {
    if (call.session.tracked() == nullptr) call.session.track({});
    return call.out.bulk(call.session.tracked()->token.text(cluster));
  }
  auto parsed = SessionToken::parse(call[1], cluster);
  if (!parsed.ok()) return call.error(error_text(parsed.status(), false));
  TrackedSession session;
  session.token = std::move(*parsed);
  if (!read_policy(call, session)) return;
  call.session.track(std::move(session));
  call.out.ok();
}

void stale(Call& call) {
  TrackedSession* session = call.session.tracked();
  call.out.integer(session == nullptr ? 0 : static_cast<int64_t>(std::exchange(session->stale, 0)));
}

void fallbacks(Call& call) {
  call.out.integer(static_cast<int64_t>(call.session.take_by_fallbacks()));
}

using C = Command;

const Command kCommands[] = {
    {"cartwheel.token", -1, C::kFast | C::kAnytime, 0, 0, 0, token, "[token [WAIT ms | FORWARD | STALE]]",
     "Returns the connection's session token, or goes on from one.", "See below."},
    {"cartwheel.stale", 1, C::kFast | C::kAnytime, 0, 0, 0, stale, "",
     "Returns how many operations were answered from a state that lacks something of the session, since last asked.",
     "Only with the policy STALE."},
    {"cartwheel.sloppy", 1, C::kFast | C::kAnytime, 0, 0, 0, fallbacks, "",
     "Returns how many operations of the connection met their level by the help of fallbacks, since last asked.",
     "Only in keyspaces with fallbacks."},
};

}  // namespace

std::span<const Command> session_commands() {
  return kCommands;
}

}  // namespace cartwheel::resp
