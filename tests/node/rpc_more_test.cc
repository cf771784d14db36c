// What a client asks of the RPC door beside the operation and is told beside its result: session tokens, fallbacks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/msgpack.h"
#include "client/cpp/rpc_codec.h"
#include "tests/node/doors_testing.h"
#include "tests/node/rpc_testing.h"

namespace cartwheel::node {
namespace {

using client::encode_request;
using client::parse_reply;
using client::parse_value;
using testing::Answer;
using testing::Client;
using testing::FakeBackend;
using testing::get;

// A dot that some replica may lack, of the partition that the request is about.
std::shared_ptr<const SessionSeen> seen_by(const Request& request, const ClusterConfig& cluster, bool stale) {
  auto seen = std::make_shared<SessionSeen>();
  seen->keyspace = request.keyspace;
  seen->arc = arc_of(request.operation.key, cluster.partitions);
  seen->dots = {{{7, 100}, 5}};
  seen->as_of_ms = 1'700'000'000'000;
  seen->stale = stale;
  return seen;
}

TEST(RpcSession, ATokenGoesInAndTheNextOneComesOut) {
  FakeBackend backend;
  bool stale = false;
  backend.answer = [&](const Request& request) {
    Reply reply{{}, Value::Bytes("v")};
    if (request.session) reply.seen = seen_by(request, backend.config, stale);
    return reply;
  };
  std::string last;
  RpcSession session(backend, [&](std::string_view payload) { last = payload; });
  const auto ask = [&](const client::RpcOptions& options) {
    std::string payload;
    encode_request(3, "carts", get("k"), options, payload);
    session.receive(payload);
    return *parse_reply(last);
  };
  // Without a token nothing of it is in the reply.
  EXPECT_EQ(ask({}).token, "");
  EXPECT_EQ(last[0], '\x94');
  EXPECT_EQ(backend.requests.back().session, nullptr);
  // An empty token begins a session.
  client::RpcOptions options;
  options.token = "";
  client::RpcReply reply = ask(options);
  EXPECT_EQ(last[0], '\x96');
  EXPECT_FALSE(reply.stale);
  EXPECT_EQ(parse_value(reply.value)->bytes, "v");
  EXPECT_TRUE(backend.requests.back().session->dots.empty());
  const std::string token(reply.token);
  ASSERT_TRUE(SessionToken::parse(token, "shop").ok());
  // The next request demands what that reply had shown.
  options = {.token = token, .token_policy = "stale"};
  stale = true;
  reply = ask(options);
  EXPECT_TRUE(reply.stale);
  EXPECT_EQ(reply.token, token);
  const SessionDemand& demand = *backend.requests.back().session;
  EXPECT_EQ(demand.policy, SessionPolicy::kStale);
  EXPECT_EQ(demand.dots, (std::vector<SessionDot>{{{7, 100}, 5}}));
  options = {.token = token, .token_policy = "forward", .token_wait_ms = 250};
  ask(options);
  EXPECT_EQ(backend.requests.back().session->policy, SessionPolicy::kForward);
  EXPECT_EQ(backend.requests.back().session->patience, Duration::millis(250));
}

TEST(RpcSession, AWrongTokenIsRefusedByItsCodeAndNothingIsSubmitted) {
  Client client;
  SessionToken other;
  for (const std::string& token :
       {std::string("AAAA"), std::string(300, 'A'), std::string("\xff\n"), other.text("attic")}) {
    const Answer answer = client.ask(get("k"), {.token = token});
    EXPECT_EQ(answer.code, Code::kBadToken) << token;
    EXPECT_EQ(answer.value, "\xc0");
  }
  const auto refused = [&](const client::RpcOptions& options) { return client.ask(get("k"), options).code; };
  EXPECT_EQ(refused({.token = "", .token_policy = "hope"}), Code::kInvalidArgument);
  EXPECT_EQ(refused({.token_policy = "stale"}), Code::kInvalidArgument);
  EXPECT_EQ(refused({.token_wait_ms = 5}), Code::kInvalidArgument);
  EXPECT_EQ(refused({.token = "", .token_wait_ms = 0}), Code::kInvalidArgument);
  EXPECT_EQ(refused({.token = "", .token_policy = "stale", .token_wait_ms = 5}), Code::kInvalidArgument);
  EXPECT_TRUE(client.backend.submitted.empty());
}

TEST(RpcSession, AnErrorLeavesTheTokenAsItWas) {
  Client client;
  client.backend.answer = [](const Request&) { return Reply{Status(Code::kUnavailable, "none"), {}}; };
  EXPECT_EQ(client.ask(get("k"), {.token = ""}).code, Code::kUnavailable);
}

struct Fallbacks : ::testing::Test {
  FakeBackend backend;
  std::string last;
  RpcSession session{backend, [this](std::string_view payload) { last = payload; }};

  client::RpcReply ask(const client::RpcOptions& options) {
    std::string payload;
    encode_request(3, "carts", get("k"), options, payload);
    session.receive(payload);
    const auto reply = parse_reply(last);
    EXPECT_TRUE(reply.ok());
    return reply.ok() ? *reply : client::RpcReply{};
  }
};

TEST_F(Fallbacks, AreToldToARequestThatWantsToKnow) {
  backend.answer = [](const Request&) { return Reply{{}, Value::Bytes("v"), nullptr, 2}; };
  client::RpcReply reply = ask({.want_fallbacks = true});
  EXPECT_EQ(last[0], '\x97');
  EXPECT_EQ(reply.fallbacks, 2u);
  EXPECT_EQ(reply.token, "");
  EXPECT_FALSE(reply.stale);
  EXPECT_EQ(parse_value(reply.value)->bytes, "v");
  // Who does not want to know gets the reply that clients without this option understand.
  reply = ask({});
  EXPECT_EQ(last[0], '\x94');
  EXPECT_EQ(reply.fallbacks, std::nullopt);
}

TEST_F(Fallbacks, ThatWereNotNeededAreZeroAndNotLeftOut) {
  backend.answer = [](const Request&) { return Reply{}; };
  EXPECT_EQ(ask({.want_fallbacks = true}).fallbacks, 0u);
}

TEST_F(Fallbacks, StandBehindWhatASessionIsTold) {
  backend.answer = [&](const Request& request) {
    return Reply{{}, Value::Bytes("v"), seen_by(request, backend.config, true), 1};
  };
  const client::RpcReply reply = ask({.token = "", .want_fallbacks = true});
  EXPECT_TRUE(SessionToken::parse(reply.token, "shop").ok());
  EXPECT_TRUE(reply.stale);
  EXPECT_EQ(reply.fallbacks, 1u);
}

TEST_F(Fallbacks, OfAnErrorAreNotTold) {
  backend.answer = [](const Request&) { return Reply{Status(Code::kUnavailable, "none"), {}, nullptr, 1}; };
  const client::RpcReply reply = ask({.want_fallbacks = true});
  EXPECT_EQ(last[0], '\x94');
  EXPECT_EQ(reply.code, Code::kUnavailable);
}

TEST_F(Fallbacks, AreAskedForByNumberOrWordAndABoolean) {
  backend.answer = [](const Request&) { return Reply{{}, {}, nullptr, 1}; };
  const auto asked = [&](const std::function<void(MsgWriter&)>& option) {
    std::string payload;
    MsgWriter out(payload);
    out.array(6);
    out.uint(7);
    out.str("carts");
    out.uint(static_cast<uint64_t>(Verb::kGet));
    out.bin("k");
    out.array(0);
    out.map(1);
    option(out);
    session.receive(payload);
    return *parse_reply(last);
  };
  EXPECT_EQ(asked([](MsgWriter& out) { out.str("want_fallbacks"), out.boolean(true); }).fallbacks, 1u);
  EXPECT_EQ(asked([](MsgWriter& out) { out.uint(10), out.boolean(true); }).fallbacks, 1u);
  EXPECT_EQ(asked([](MsgWriter& out) { out.uint(10), out.boolean(false); }).fallbacks, std::nullopt);
  EXPECT_EQ(asked([](MsgWriter& out) { out.uint(10), out.uint(1); }).code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace cartwheel::node
