// Session tokens come from clients: whatever parses comes back the same from its text, and can be added to.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "node/core/session_token.h"

using namespace cartwheel;
using namespace cartwheel::node;

namespace {

void check(std::string_view text) {
  auto token = SessionToken::parse(text, "shop");
  if (!token.ok()) {
    CHECK(token.status().code() == Code::kBadToken);
    return;
  }
  const std::string again = token->text("shop");
  CHECK(again.size() <= kTokenBytes);
  auto back = SessionToken::parse(again, "shop");
  CHECK(back.ok() && *back == *token);
  for (const SessionToken::Entry& entry : token->entries()) (void)token->demand(entry.keyspace, entry.arc);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check(input);
  // The checksum keeps most inputs out, so the bytes also say what a token has seen.
  SessionToken token;
  for (size_t at = 0; at + 5 <= size; at += 5) {
    SessionSeen seen;
    seen.keyspace = data[at];
    seen.arc = data[at + 1];
    seen.dots = {{{data[at + 2], uint64_t{data[at + 2]} << 40}, uint64_t{data[at + 3]} + 1}};
    seen.as_of_ms = 1'700'000'000'000 + int64_t{data[at + 4]} * 1000;
    token.add(seen);
    const std::string text = token.text("shop");
    CHECK(text.size() <= kTokenBytes);
    check(text);
    CHECK(SessionToken::parse(text, "shop").ok());
  }
  return 0;
}
