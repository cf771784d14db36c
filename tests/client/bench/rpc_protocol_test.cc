#include "client/bench/rpc_protocol.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/limits.h"
#include "node/fronts/rpc/request.h"
#include "node/runtime/frame.h"

namespace cartwheel::bench {
namespace {

node::ClusterConfig cluster() {
  node::ClusterConfig out;
  out.keyspaces.emplace_back();
  out.keyspaces[0].name = "carts";
  return out;
}

Now now() {
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  return {.instant = {}, .wall = {std::chrono::duration_cast<std::chrono::milliseconds>(wall).count()}};
}

TEST(RpcProtocol, EveryOperationIsOneThatTheDoorTakes) {
  const RpcProtocol protocol("carts");
  for (size_t k = 0; k < kOpKinds; ++k) {
    const auto kind = static_cast<OpKind>(k);
    if (kind == OpKind::kSetWait) continue;
    std::string out;
    EXPECT_EQ(protocol.encode({.kind = kind, .key = 3, .detail = 2, .size = 10}, 77, out), 1u);
    node::FrameDecoder frames(limits::kFrameBytes);
    frames.feed(out);
    node::Frame frame;
    ASSERT_EQ(frames.next(frame), node::FrameDecoder::Outcome::kFrame) << op_name(kind);
    EXPECT_EQ(frame.kind, node::FrameKind::kRequest);
    node::RpcCall call;
    const Status status = node::decode_call(frame.payload, cluster(), now(), Duration::seconds(1), call);
    EXPECT_TRUE(status.ok()) << op_name(kind) << ": " << status.to_string();
    EXPECT_EQ(call.id, 77u);
    EXPECT_TRUE(call.request.operation.key.ends_with("000000000003")) << call.request.operation.key;
    EXPECT_EQ(frames.buffered(), 0u);
  }
}

}  // namespace
}  // namespace cartwheel::bench
