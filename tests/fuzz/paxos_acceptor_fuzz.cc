// Acceptors' rows come from disks: whatever decodes encodes to the same bytes and keeps its invariants.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "node/core/paxos/acceptor.h"

using namespace cartwheel;
using namespace cartwheel::node::paxos;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  auto decoded = Acceptor::decode(input);
  if (!decoded.ok()) return 0;
  Acceptor acceptor = *decoded;
  CHECK(acceptor.encode() == input);
  CHECK(acceptor.promised() >= acceptor.accepted());
  Ballot promised = acceptor.promised();
  Request low{MessageType::kPrepare, "k", acceptor.generation(), {1, 0, 0}, {}, {}};
  Reply reply = acceptor.on_request(low).reply;
  CHECK(Reply::decode(reply.encode()).ok());
  CHECK(acceptor.is_lost() || (reply.verdict == Reply::Verdict::kConflict) == (low.ballot < promised));
  acceptor.install(7, {9, 1, 1}, "v");
  CHECK(!acceptor.is_lost());
  CHECK(Acceptor::decode(acceptor.encode()).ok());
  return 0;
}
