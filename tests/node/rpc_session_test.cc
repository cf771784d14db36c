// The RPC door against the client's codec, with a backend that records what reaches it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <memory>

#include "base/limits.h"
#include "base/msgpack.h"
#include "base/rng.h"
#include "client/cpp/rpc_codec.h"
#include "node/fronts/rpc/session.h"
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
using ::testing::HasSubstr;

// Writes [7, "carts", verb, key, args, <options>] with options by hand.
std::string with_options(Verb verb, const std::function<void(MsgWriter&)>& options,
                         const std::vector<std::string>& args = {}) {
  std::string payload;
  MsgWriter out(payload);
  out.array(6);
  out.uint(7);
  out.str("carts");
  out.uint(static_cast<uint64_t>(verb));
  out.bin(is_arc_wide(verb) ? "" : "k");
  out.array(static_cast<uint32_t>(args.size()));
  for (const std::string& arg : args) out.bin(arg);
  options(out);
  return payload;
}

rc::Gen<std::string> bytes() {
  return rc::gen::container<std::string>(rc::gen::arbitrary<char>());
}

// Any operation that its verb allows.
rc::Gen<Operation> operations() {
  return rc::gen::exec([] {
    Operation op;
    uint64_t number =
        *rc::gen::suchThat(rc::gen::inRange<uint64_t>(0, 128), [](uint64_t n) { return verb_info(n) != nullptr; });
    const VerbInfo& verb = *verb_info(number);
    op.verb = static_cast<Verb>(number);
    if (!is_arc_wide(op.verb)) op.key = *bytes();
    size_t args = *rc::gen::inRange<size_t>(verb.least, std::min(verb.most, verb.least + 6) + 1);
    if (verb.pairs) args += args % 2;
    for (size_t i = 0; i < args; ++i) op.args.push_back(*bytes());
    if (op.verb == Verb::kFlagSet) op.args[0] = *rc::gen::element<std::string>("ew", "dw");
    if (verb.takes & VerbInfo::kNumber) {
      op.number = *rc::gen::arbitrary<int64_t>();
      if (op.verb == Verb::kFlagSet) op.number &= 1;
      if (op.verb == Verb::kCountKeys) op.number &= 3;
      if (verb.takes & VerbInfo::kCount) op.number &= (int64_t{1} << 52) - 1;
    }
    if (verb.takes & VerbInfo::kCount) op.count = *rc::gen::inRange<uint32_t>(1, 1001);
    if (verb.takes & VerbInfo::kExpiry) {
      op.expiry.kind = *rc::gen::element(Expiry::Kind::kKeep, Expiry::Kind::kNone, Expiry::Kind::kAt);
      if (op.verb == Verb::kExpire && op.expiry.kind == Expiry::Kind::kKeep) op.expiry.kind = Expiry::Kind::kNone;
      if (op.expiry.kind == Expiry::Kind::kAt) op.expiry.at.ms = *rc::gen::inRange<int64_t>(0, 1'700'000'000'000);
    }
    if (verb.takes & VerbInfo::kWantOld) op.want_old = *rc::gen::arbitrary<bool>();
    return op;
  });
}

bool equal(const Operation& a, const Operation& b) {
  return a.verb == b.verb && a.key == b.key && a.args == b.args && a.number == b.number && a.count == b.count &&
         a.expiry.kind == b.expiry.kind && a.expiry.at == b.expiry.at && a.want_old == b.want_old;
}

rc::Gen<Value> values(int depth) {
  return rc::gen::exec([depth] {
    switch (*rc::gen::inRange(0, depth > 0 ? 4 : 3)) {
      case 0:
        return Value::Nil();
      case 1:
        return Value::Integer(*rc::gen::arbitrary<int64_t>());
      case 2:
        return Value::Bytes(*bytes());
      default:
        return Value::List(*rc::gen::container<std::vector<Value>>(values(depth - 1)));
    }
  });
}

RC_GTEST_PROP(RpcSession, EveryOperationArrivesAsTheClientWroteIt, ()) {
  Client client;
  const Operation op = *operations();
  const uint64_t id = *rc::gen::arbitrary<uint64_t>();
  client.send(id, op, {}, "sessions");
  RC_ASSERT(client.answers.empty());
  RC_ASSERT(client.backend.submitted.size() == 1u);
  const Request& request = client.backend.submitted[0].request;
  RC_ASSERT(equal(request.operation, op));
  RC_ASSERT(request.keyspace == 1);
  RC_ASSERT(!request.level.has_value());
  RC_ASSERT(request.deadline == Instant{10'000'000});
}

RC_GTEST_PROP(RpcSession, EveryValueArrivesAsTheNodeGaveIt, ()) {
  Client client;
  const Value value = *values(3);
  const uint64_t id = *rc::gen::arbitrary<uint64_t>();
  client.backend.answer = [&](const Request&) { return Reply{{}, value}; };
  client.send(id, get("k"));
  RC_ASSERT(client.answers.size() == 1u);
  RC_ASSERT(client.answers[0].id == id);
  RC_ASSERT(client.answers[0].code == Code::kOk);
  Result<Value> parsed = parse_value(client.answers[0].value);
  RC_ASSERT(parsed.ok());
  RC_ASSERT(*parsed == value);
}

RC_GTEST_PROP(RpcSession, EveryTruncationIsAnErrorAndNeverAnOperation, ()) {
  std::string payload;
  encode_request(*rc::gen::arbitrary<uint64_t>(), "carts", *operations(), {.level = "quorum", .timeout_ms = 10},
                 payload);
  for (size_t n = 0; n < payload.size(); ++n) {
    Client client;
    client.session->receive(std::string_view(payload).substr(0, n));
    RC_ASSERT(client.backend.submitted.empty());
    RC_ASSERT(client.answers.size() + client.session->want_close() == 1u);
    if (!client.answers.empty()) RC_ASSERT(client.answers[0].code == Code::kInvalidArgument);
  }
}

TEST(RpcSession, AnswersComeAsTheyAreReadyAndCarryTheirIds) {
  Client client;
  for (uint64_t id : {10, 20, 30}) client.send(id, get("k" + std::to_string(id)));
  ASSERT_EQ(client.backend.submitted.size(), 3u);
  EXPECT_EQ(client.session->in_flight(), 3u);
  client.backend.submitted[2].done({{}, Value::Bytes("c")});
  client.backend.submitted[0].done({{}, Value::Nil()});
  client.send(40, get("again"));
  client.backend.submitted[3].done({{}, Value::Integer(4)});
  client.backend.submitted[1].done({{Code::kUnavailable, "1 of 2 replicas"}, {}});
  ASSERT_EQ(client.answers.size(), 4u);
  EXPECT_EQ(client.answers[0].id, 30u);
  EXPECT_EQ(client.answers[1].id, 10u);
  EXPECT_EQ(client.answers[2].id, 40u);
  EXPECT_EQ(client.answers[3].id, 20u);
  EXPECT_EQ(client.answers[3].code, Code::kUnavailable);
  EXPECT_EQ(client.answers[3].message, "1 of 2 replicas");
  EXPECT_EQ(client.session->in_flight(), 0u);
}

TEST(RpcSession, AnswersToASessionThatIsGoneAreDroppedEvenWhenItsLinkIsReused) {
  Client client;
  client.backend.hold = true;
  client.send(1, get("k"));
  std::string status;
  client::encode_named_request(2, "status", {}, status);
  client.session->receive(status);
  client.session.reset();
  RpcSession next(client.backend, [&](std::string_view payload) { client.record(payload); });
  client.backend.submitted[0].done({{}, Value::Nil()});
  client.backend.held_metrics[0](client.backend.current);
  EXPECT_TRUE(client.answers.empty());
}

TEST(RpcSession, LevelAndTimeoutOfARequestAreTaken) {
  Client client;
  client.send(1, get("k"), {.level = "each_quorum", .timeout_ms = 250});
  const Request& request = client.backend.submitted[0].request;
  EXPECT_EQ(request.level, (Level{Level::Kind::kEachQuorum, 0}));
  EXPECT_EQ(request.deadline, Instant{5'250'000});
}

TEST(RpcSession, OptionsMayBeNamedInWords) {
  Client client;
  client.session->receive(with_options(Verb::kSet,
                                       [](MsgWriter& out) {
                                         out.map(3);
                                         out.str("expiry");
                                         out.uint(1'700'000'001'000);
                                         out.str("want_old");
                                         out.boolean(true);
                                         out.str("level");
                                         out.str("two");
                                       },
                                       {"v"}));
  ASSERT_EQ(client.backend.submitted.size(), 1u);
  const Request& request = client.backend.submitted[0].request;
  EXPECT_EQ(request.operation.expiry.kind, Expiry::Kind::kAt);
  EXPECT_EQ(request.operation.expiry.at.ms, 1'700'000'001'000);
  EXPECT_TRUE(request.operation.want_old);
  EXPECT_EQ(request.level, (Level{Level::Kind::kCount, 2}));
}

TEST(RpcSession, ASetWithoutAnExpiryClearsTheOldOneAndNilKeepsIt) {
  Client client;
  client.session->receive(with_options(Verb::kSet, [](MsgWriter& out) { out.nil(); }, {"v"}));
  client.session->receive(with_options(Verb::kSet,
                                       [](MsgWriter& out) {
                                         out.map(1);
                                         out.uint(3);
                                         out.nil();
                                       },
                                       {"v"}));
  ASSERT_EQ(client.backend.submitted.size(), 2u);
  EXPECT_EQ(client.backend.submitted[0].request.operation.expiry.kind, Expiry::Kind::kNone);
  EXPECT_EQ(client.backend.submitted[1].request.operation.expiry.kind, Expiry::Kind::kKeep);
}

TEST(RpcSession, WrongRequestsAreRefusedWithTheReason) {
  Client client;
  auto expect = [&](const Answer& answer, Code code, const char* message) {
    EXPECT_EQ(answer.code, code) << message << " / " << answer.message;
    EXPECT_THAT(answer.message, HasSubstr(message));
  };
  auto op = [](Verb verb, std::vector<std::string> args = {}, int64_t number = 0) {
    Operation o;
    o.verb = verb;
    o.key = is_arc_wide(verb) ? "" : "k";
    o.args = std::move(args);
    o.number = number;
    return o;
  };
  auto option = [&](Verb verb, const std::function<void(MsgWriter&)>& pair, std::vector<std::string> args = {}) {
    return client.ask_raw(with_options(
        verb, [&](MsgWriter& out) { out.map(1), pair(out); }, args));
  };
  expect(client.ask(get("k"), {}, "wish\nlists"), Code::kNotFound, "no keyspace is called 'wish?lists'");
  expect(client.ask(get(std::string(limits::kKeyBytes + 1, 'k'))), Code::kTooLarge, "a key of 16385 bytes");
  expect(client.ask(op(Verb::kGet, {"x"})), Code::kInvalidArgument, "get: 1 arguments, it takes none");
  expect(client.ask(op(Verb::kSet)), Code::kInvalidArgument, "set: 0 arguments, it takes 1");
  expect(client.ask(op(Verb::kMapSet, {"f", "v", "g"})), Code::kInvalidArgument, "pairs of field and value");
  expect(client.ask(op(Verb::kMapGet)), Code::kInvalidArgument, "it takes 1 to 65536");
  expect(client.ask(op(Verb::kSetAdd, {std::string(limits::kNameBytes + 1, 'e')})), Code::kTooLarge, "argument 1");
  expect(client.ask(op(Verb::kSet, {std::string(limits::kValueBytes + 1, 'v')})), Code::kTooLarge, "a value of");
  expect(client.ask(op(Verb::kFlagSet, {"xx"}, 1)), Code::kInvalidArgument, "\"ew\"");
  expect(client.ask(op(Verb::kFlagSet, {"dw"}, 2)), Code::kInvalidArgument, "0 or 1");
  expect(client.ask(op(Verb::kCountKeys, {}, 4)), Code::kInvalidArgument, "there are 4 arcs");
  expect(client.ask(op(Verb::kScanKeys, {"", ""}, int64_t{1} << 52)), Code::kInvalidArgument, "cursor");
  expect(client.ask(get("k"), {.level = "most"}), Code::kInvalidArgument, "'most' is not a level");
  expect(client.ask(get("k"), {.timeout_ms = 60'001}), Code::kInvalidArgument, "timeout_ms is outside 1 to 60000");
  expect(client.ask(get("k"), {.timeout_ms = 0}), Code::kInvalidArgument, "timeout_ms is outside 1 to 60000");
  expect(option(Verb::kGet, [](MsgWriter& o) { o.uint(1), o.uint(3); }), Code::kInvalidArgument,
         "get: it does not take the option number");
  expect(option(Verb::kGet, [](MsgWriter& o) { o.uint(11), o.uint(3); }), Code::kUnsupported, "the number 11");
  expect(option(Verb::kGet, [](MsgWriter& o) { o.str("lvl"), o.uint(3); }), Code::kUnsupported, "the name 'lvl'");
  expect(option(Verb::kIncrement, [](MsgWriter& o) { o.uint(1), o.uint(UINT64_MAX); }), Code::kInvalidArgument,
         "beyond 64 bits");
  expect(option(Verb::kSet, [](MsgWriter& o) { o.uint(4), o.uint(1); }, {"v"}), Code::kInvalidArgument,
         "not a boolean");
  expect(option(Verb::kExpire, [](MsgWriter& o) { o.uint(3), o.nil(); }), Code::kInvalidArgument, "needs an expiry");
  expect(option(Verb::kExpire, [](MsgWriter& o) { o.uint(3), o.sint(-2); }), Code::kInvalidArgument, "no time since");
  expect(option(Verb::kExpire, [](MsgWriter& o) { o.uint(3), o.sint(INT64_MAX); }), Code::kInvalidArgument, "longest");
  expect(option(Verb::kMapScan, [](MsgWriter& o) { o.uint(2), o.uint(0); }, {""}), Code::kInvalidArgument, "the count");
  expect(option(Verb::kMapScan, [](MsgWriter& o) { o.uint(2), o.uint(UINT64_MAX); }, {""}), Code::kInvalidArgument,
         "the count");
  const auto twice = [](MsgWriter& o) { o.map(2), o.uint(5), o.str("one"), o.str("level"), o.str("two"); };
  expect(client.ask_raw(with_options(Verb::kGet, twice)), Code::kInvalidArgument, "given twice");
  expect(client.ask_raw(with_options(Verb::kGet, [](MsgWriter& o) { o.nil(), o.nil(); })), Code::kInvalidArgument,
         "bytes behind");
  expect(client.ask_raw(with_options(static_cast<Verb>(99), [](MsgWriter& o) { o.nil(); })), Code::kUnsupported,
         "no verb has the number 99");
  expect(client.ask_raw("\x91\x05"), Code::kInvalidArgument, "1 elements");
  expect(client.ask_raw("\x92\x05\xa4stat"), Code::kUnsupported, "no request is called 'stat'");
  EXPECT_TRUE(client.backend.submitted.empty());
  EXPECT_FALSE(client.session->want_close());
}

TEST(RpcSession, AConnectionWhoseIdsCannotBeReadIsClosedAfterWhatItOwes) {
  Client client;
  client.send(1, get("k"));
  client.session->receive("*1\r\n$4\r\nPING\r\n");
  EXPECT_FALSE(client.session->want_close());
  EXPECT_NE(client.session->close_reason(), "");
  client.send(2, get("ignored"));
  ASSERT_EQ(client.backend.submitted.size(), 1u);
  client.backend.submitted[0].done({{}, Value::Nil()});
  EXPECT_EQ(client.answers.size(), 1u);
  EXPECT_TRUE(client.session->want_close());
}

TEST(RpcSession, RequestsBeyondTheLimitAreOverloadedAndTheSessionAsksForAPause) {
  Client client;
  for (size_t i = 0; i < limits::kConnectionInFlight; ++i) {
    EXPECT_FALSE(client.session->paused());
    client.send(i, get("k"));
  }
  EXPECT_TRUE(client.session->paused());
  EXPECT_EQ(client.ask(get("k")).code, Code::kOverloaded);
  client.backend.submitted[0].done({{}, Value::Nil()});
  EXPECT_FALSE(client.session->paused());
  client.send(9, get("k"));
  EXPECT_EQ(client.backend.submitted.size(), limits::kConnectionInFlight + 1);
}

TEST(RpcSession, LargeRequestsWithoutAnAnswerPauseToo) {
  Client client;
  Operation op = get("k");
  op.verb = Verb::kSet;
  op.args.emplace_back(limits::kValueBytes, 'v');
  for (uint64_t id = 0; id < 4; ++id) client.send(id, op);
  EXPECT_TRUE(client.session->paused());
  client.backend.submitted[2].done({{}, Value::Nil()});
  EXPECT_FALSE(client.session->paused());
}

TEST(RpcSession, AReplyThatNoFrameHoldsIsAnError) {
  Client client;
  client.backend.answer = [](const Request&) { return Reply{{}, Value::Bytes(std::string(limits::kFrameBytes, 'x'))}; };
  const Answer answer = client.ask(get("k"));
  EXPECT_EQ(answer.code, Code::kTooLarge);
  EXPECT_LT(answer.message.size(), 200u);
}

TEST(RpcSession, PingStatusAndTopologyAnswerByName) {
  Client client;
  auto named = [&](const char* name) {
    std::string payload;
    client::encode_named_request(5, name, {}, payload);
    return client.ask_raw(payload);
  };
  EXPECT_EQ(named("ping").value, "\xc0");
  EXPECT_THAT(named("status").value, HasSubstr(std::string("\xa4name\xa4") + "eu-1"));
  const std::string topology = named("topology").value;
  MsgReader in(topology);
  const uint32_t members = in.map();
  bool owners = false;
  for (uint32_t i = 0; i < members; ++i) {
    if (in.bytes() != "keyspaces") {
      in.skip();
      continue;
    }
    ASSERT_EQ(in.array(), 2u);
    for (uint32_t n = in.map(); n > 0; --n) {
      if (in.bytes() != "owners") {
        in.skip();
        continue;
      }
      owners = true;
      ASSERT_EQ(in.array(), 4u);
      ASSERT_EQ(in.array(), 3u);
      EXPECT_EQ(in.uint(), 0u);
      EXPECT_EQ(in.uint(), 1u);
      EXPECT_EQ(in.uint(), 2u);
      for (int arc = 1; arc < 4; ++arc) in.skip();
    }
    in.skip();
  }
  EXPECT_TRUE(owners);
  EXPECT_TRUE(in.done());
}

// Claims that the bytes do not bear out must fail before memory is taken for them; under the sanitizers and with the
// limits of the test machine an allocation of 4 GiB would show.
TEST(RpcSession, LengthsThatAreOnlyClaimedAllocateNothing) {
  const std::string head(
      "\x96\x07\xa5"
      "carts\x01\xc4\x01k",
      12);
  for (const std::string& rest :
       {std::string("\xdd\xff\xff\xff\xff"), std::string("\x90\xdf\xff\xff\xff\xff"),
        std::string("\x91\xc6\xff\xff\xff\xff"), std::string("\x90\x81\xdb\xff\xff\xff\xff")}) {
    Client client;
    EXPECT_EQ(client.ask_raw(head + rest).code, Code::kInvalidArgument);
  }
  Client client;
  EXPECT_EQ(client.ask_raw(head + std::string("\xdd\x00\x02\x00\x00", 5) + std::string(1 << 17, '\xa0')).code,
            Code::kTooLarge);
}

TEST(RpcSession, RandomAndDamagedBytesNeverCrash) {
  std::string good;
  Operation op = get("key");
  op.verb = Verb::kMapSet;
  op.args = {"field", "value"};
  encode_request(77, "carts", op, {.level = "one", .timeout_ms = 100}, good);
  for (uint64_t seed = 1; seed <= 20'000; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    std::string payload = good;
    if (seed % 4 == 0) payload.resize(rng.below(60));
    if (seed % 4 == 0)
      for (char& c : payload) c = static_cast<char>(rng.next());
    else
      for (uint64_t i = 0; i <= seed % 3; ++i) payload[rng.below(payload.size())] = static_cast<char>(rng.next());
    Client client;
    client.session->receive(payload);
    ASSERT_EQ(client.answers.size() + client.backend.submitted.size() + client.session->want_close(), 1u);
    (void)parse_reply(payload);
    (void)parse_value(payload);
  }
}

TEST(RpcCodec, EveryTruncationOfAReplyIsAnError) {
  Client client;
  std::string reply;
  RpcSession session(client.backend, [&](std::string_view payload) { reply = payload; });
  client.backend.answer = [](const Request&) {
    return Reply{{}, Value::List({Value::Integer(300), Value::List({Value::Bytes("a"), Value::Nil()})})};
  };
  std::string payload;
  encode_request(1000, "carts", get("k"), {}, payload);
  session.receive(payload);
  for (size_t n = 0; n < reply.size(); ++n) EXPECT_FALSE(parse_reply(std::string_view(reply).substr(0, n)).ok()) << n;
  EXPECT_FALSE(parse_reply(reply + "\xc0").ok());
  const std::string deep(100'000, '\x91');
  EXPECT_FALSE(parse_value(deep).ok());
}

TEST(RpcCodec, ACodeOfALaterVersionIsTakenForAnUnknownOutcome) {
  const std::string payload(
      "\x94\x01\x63\xa3"
      "new\xc0",
      8);
  Result<client::RpcReply> reply = parse_reply(payload);
  ASSERT_TRUE(reply.ok());
  EXPECT_EQ(reply->code, Code::kUnknownOutcome);
  EXPECT_EQ(reply->message, "new");
}

}  // namespace
}  // namespace cartwheel::node
