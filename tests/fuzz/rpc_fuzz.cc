// The RPC door and the client's codec under arbitrary payloads.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "client/cpp/rpc_codec.h"
#include "node/fronts/rpc/session.h"
#include "tests/node/doors_testing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cartwheel;
  const std::string_view payload(reinterpret_cast<const char*>(data), size);
  node::testing::FakeBackend backend;
  backend.answer = [](const node::Request& request) {
    // What is submitted is well formed: the coordinator relies on it.
    CHECK(validate(request.operation).ok());
    return node::Reply{{}, node::Value::Bytes(request.operation.key)};
  };
  size_t replies = 0;
  node::RpcSession session(backend, [&](std::string_view reply) {
    ++replies;
    CHECK(client::parse_reply(reply).ok());
  });
  session.receive(payload);
  CHECK(replies + session.want_close() == 1);
  if (Result<client::RpcReply> reply = client::parse_reply(payload); reply.ok()) {
    (void)client::parse_value(reply->value);
  }
  (void)client::parse_value(payload);
  return 0;
}
