// Consensus messages come from peers: whatever decodes encodes to what decodes to the same, and neither a proposer nor
// an acceptor in any state minds it.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "node/core/paxos/acceptor.h"
#include "node/core/paxos/catch_up.h"
#include "node/core/paxos/register.h"

using namespace cartwheel;
using namespace cartwheel::node::paxos;

namespace {

// A proposer that has sent queries, prepares or accepts of the ballot that the corpus answers.
void answer_a_register(const Reply& reply, bool read) {
  BallotSource ballots(1, 1);
  Register reg(reply.key, Options(), {1, {{1, 2, 3}}}, ballots, 1);
  Proposal proposal;
  if (!read)
    proposal.change = [](const Seen& seen) { return Decision::set(seen.value.value_or("").substr(0, 9) + "x"); };
  proposal.deadline = {1'000'000};
  CHECK(reg.propose(std::move(proposal), {}).ok());
  for (NodeIndex from : {NodeIndex{1}, NodeIndex{2}, NodeIndex{3}, NodeIndex{9}}) reg.on_reply(from, reply, {});
  Reply accepted{reply.key,        MessageType::kAccept, reply.ballot, reply.verdict,
                 reply.generation, reply.promised,       {},           {}};
  for (NodeIndex from : {NodeIndex{1}, NodeIndex{2}}) reg.on_reply(from, accepted, {});
  reg.tick({500'000});
  reg.tick({1'000'000});
  CHECK(reg.idle());
  CHECK(reg.take_output().done.size() == 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  if (auto request = Request::decode(input); request.ok()) {
    std::string bytes = request->encode();
    CHECK(Request::decode(bytes).value().encode() == bytes);
    Acceptor acceptor = Acceptor::fresh(1);
    Reply reply = acceptor.on_request({MessageType::kPrepare, "k", 1, {5, 1, 1}, {}, {}}).reply;
    for (int twice = 0; twice < 2; ++twice) {
      reply = acceptor.on_request(*request).reply;
      CHECK(Reply::decode(reply.encode()).ok());
      CHECK(acceptor.promised() >= acceptor.accepted());
    }
    CHECK(Acceptor::decode(acceptor.encode()).ok());
  }
  if (auto reply = Reply::decode(input); reply.ok()) {
    std::string bytes = reply->encode();
    CHECK(Reply::decode(bytes).value().encode() == bytes);
    answer_a_register(*reply, false);
    answer_a_register(*reply, true);
    CatchUp catch_up(reply->key, 3, {1, {{1, 2, 3}}}, {1, 1, 1}, Duration::millis(1));
    catch_up.begin({});
    for (NodeIndex from : {NodeIndex{1}, NodeIndex{2}, NodeIndex{9}}) catch_up.on_reply(from, *reply);
    if (catch_up.done()) CHECK(catch_up.accepted() == reply->accepted);
  }
  return 0;
}
