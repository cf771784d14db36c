#include <gtest/gtest.h>

#include <memory>

#include "base/limits.h"
#include "node/fronts/resp/session.h"
#include "tests/node/model_backend.h"
#include "tests/node/resp_text.h"

namespace cartwheel::resp {
namespace {

using node::ModelBackend;
using test::resp_command;

struct RespSessionTest : testing::Test {
  std::string ask(std::string_view command) {
    session->receive(resp_command(command));
    return session->take_output();
  }

  ModelBackend backend;
  std::unique_ptr<RespSession> session = std::make_unique<RespSession>(backend, 7, "10.0.0.1:5000", "10.0.0.2:6379");
};

TEST_F(RespSessionTest, RepliesComeInOrderThoughOperationsFinishInAny) {
  std::string pipeline;
  for (int i = 0; i < 40; ++i) {
    std::string n = std::to_string(i);
    pipeline += resp_command("SET k" + n + " v" + n) + resp_command("GET k" + n) + resp_command("PING p" + n) +
                resp_command("MGET k" + n + " none k" + n) + resp_command("NOPE") + resp_command("INCR count") +
                resp_command("SCAN 0 COUNT 3") + resp_command("DBSIZE");
    if (i == 20) pipeline += resp_command("HELLO 3");
    if (i == 30) pipeline += resp_command("RESET");
  }
  ModelBackend direct;
  RespSession reference(direct, 7, "10.0.0.1:5000", "10.0.0.2:6379");
  reference.receive(pipeline);
  std::string expected = reference.take_output();
  for (uint64_t seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Rng rng(seed);
    ModelBackend shuffled;
    RespSession under_test(shuffled, 7, "10.0.0.1:5000", "10.0.0.2:6379");
    for (size_t i = 0; i < pipeline.size();) {
      size_t length = 1 + rng.below(200);
      shuffled.hold(rng.chance(0.7));  // some answers come within submit(), some later
      under_test.receive(std::string_view(pipeline).substr(i, length));
      i += length;
      while (shuffled.waiting() > 0 && rng.chance(0.8)) shuffled.release(rng.below(shuffled.waiting()));
    }
    shuffled.release_all(rng);
    ASSERT_EQ(under_test.take_output(), expected);
  }
}

TEST_F(RespSessionTest, TellsWhenAnAnswerBringsOutputAndOnlyThen) {
  int calls = 0;
  session->set_on_output([&] { ++calls; });
  backend.hold(true);
  EXPECT_EQ(ask("GET a"), "");
  EXPECT_EQ(ask("GET b"), "");
  backend.release(1);
  EXPECT_EQ(calls, 0);
  EXPECT_FALSE(session->has_output());
  backend.release(0);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(session->take_output(), "$-1\r\n$-1\r\n");
  backend.hold(false);
  EXPECT_EQ(ask("PING"), "+PONG\r\n");
  EXPECT_EQ(calls, 1);
}

TEST_F(RespSessionTest, AnswersToASessionThatIsGoneAreDropped) {
  backend.hold(true);
  ask("GET a");
  ask("MGET a b c");
  session.reset();
  // The next session gets the same handle; the old one's answers must not reach it.
  session = std::make_unique<RespSession>(backend, 8, "10.0.0.1:5001", "10.0.0.2:6379");
  ask("SET a 1");
  Rng rng(1);
  while (backend.waiting() > 1) backend.release(0);
  EXPECT_EQ(session->take_output(), "");
  backend.release(0);
  EXPECT_EQ(session->take_output(), "+OK\r\n");
}

TEST_F(RespSessionTest, QuitAnswersWhatIsUnderWayThenCloses) {
  backend.hold(true);
  session->receive(resp_command("GET a") + resp_command("QUIT") + resp_command("SET a 1"));
  EXPECT_FALSE(session->want_close());
  EXPECT_EQ(backend.waiting(), 1u);
  backend.release(0);
  EXPECT_EQ(session->take_output(), "$-1\r\n+OK\r\n");
  EXPECT_TRUE(session->want_close());
}

TEST_F(RespSessionTest, ProtocolErrorClosesBehindTheRepliesThatAreDue) {
  backend.hold(true);
  session->receive(resp_command("GET a") + "*x\r\n" + resp_command("PING"));
  EXPECT_FALSE(session->want_close());
  backend.release(0);
  EXPECT_EQ(session->take_output(), "$-1\r\n-ERR Protocol error: invalid multibulk length\r\n");
  EXPECT_TRUE(session->want_close());
}

TEST_F(RespSessionTest, PausesAtTheLimitOfOperationsAndGoesOnByItself) {
  backend.hold(true);
  std::string pipeline;
  size_t commands = limits::kConnectionInFlight + 100;
  for (size_t i = 0; i < commands; ++i) pipeline += resp_command("INCR n");
  session->receive(pipeline);
  EXPECT_TRUE(session->paused());
  EXPECT_EQ(backend.waiting(), limits::kConnectionInFlight);
  Rng rng(1);
  backend.release_all(rng);
  EXPECT_FALSE(session->paused());
  std::string expected;
  for (size_t i = 1; i <= commands; ++i) expected += ":" + std::to_string(i) + "\r\n";
  EXPECT_EQ(session->take_output(), expected);
}

TEST_F(RespSessionTest, StopsExecutingWhileThePeerDoesNotRead) {
  session->receive(resp_command(std::vector<std::string>{"SET", "k", std::string(100'000, 'v')}));
  session->take_output();
  std::string pipeline;
  for (int i = 0; i < 200; ++i) pipeline += resp_command("GET k");
  session->receive(pipeline);
  EXPECT_TRUE(session->paused());
  size_t total = 0;
  while (session->has_output()) {
    std::string output = session->take_output();
    EXPECT_LT(output.size(), kOutputPauseBytes + 100'100);
    total += output.size();
    session->resume();
  }
  EXPECT_EQ(total, 200u * (9 + 100'000 + 2));
}

TEST_F(RespSessionTest, GivesUpWhenFinishedRepliesBehindASlowOneGrowTooLarge) {
  session->receive(resp_command(std::vector<std::string>{"SET", "k", std::string(limits::kValueBytes, 'v')}));
  session->take_output();
  backend.hold(true);
  std::string pipeline;
  for (int i = 0; i < 12; ++i) pipeline += resp_command("GET k");
  session->receive(pipeline);
  while (backend.waiting() > 1) backend.release(1);
  EXPECT_TRUE(session->want_close());
  EXPECT_FALSE(session->has_output());
  backend.release(0);
  EXPECT_FALSE(session->has_output());
}

TEST_F(RespSessionTest, ScanPassesEmptyArcsInOneCommand) {
  // A backend that walks one position at a time: each step returns nothing but a cursor until the end.
  struct OneArcAtATime : ModelBackend {
    void submit(node::Request request, node::ReplyCallback done) override {
      ++steps;
      int64_t next = request.operation.number + 1;
      bool last = next == 50;
      std::vector<node::Value> keys;
      if (next % 10 == 0) keys.push_back(node::Value::Bytes("k" + std::to_string(next)));
      done({Status::Ok(),
            node::Value::List({node::Value::Integer(last ? 0 : next), node::Value::List(std::move(keys))})});
    }
    int steps = 0;
  } walker;
  RespSession scanning(walker, 1, "a", "b");
  scanning.receive(resp_command("SCAN 0 COUNT 2"));
  EXPECT_EQ(scanning.take_output(), "*2\r\n$2\r\n20\r\n*2\r\n$3\r\nk10\r\n$3\r\nk20\r\n");
  EXPECT_EQ(walker.steps, 20);
  scanning.receive(resp_command("SCAN 20 COUNT 10"));
  EXPECT_EQ(scanning.take_output(), "*2\r\n$1\r\n0\r\n*3\r\n$3\r\nk30\r\n$3\r\nk40\r\n$3\r\nk50\r\n");
}

TEST_F(RespSessionTest, CursorsOutsideTheHashSpaceAreInvalid) {
  EXPECT_EQ(ask("SCAN 4503599627370495"), "*2\r\n$1\r\n0\r\n*0\r\n");
  for (const char* command : {"SCAN 4503599627370496", "SCAN 18446744073709551615", "SCAN -1", "HSCAN h -1"}) {
    EXPECT_EQ(ask(command), "-ERR invalid cursor\r\n") << command;
  }
}

TEST_F(RespSessionTest, ErrorsOfTheClusterHaveCodesThatClientsCanTellApart) {
  auto answer = [&](Code code, std::string message) {
    backend.fail_next(Status(code, std::move(message)));
    return ask("SET k v");
  };
  EXPECT_EQ(answer(Code::kUnavailable, "1 of 2 replicas"), "-UNAVAILABLE 1 of 2 replicas\r\n");
  EXPECT_EQ(answer(Code::kUnknownOutcome, "late"), "-UNKNOWN late\r\n");
  EXPECT_EQ(answer(Code::kOverloaded, "full"), "-OVERLOADED full\r\n");
  EXPECT_EQ(answer(Code::kShuttingDown, "draining"), "-LOADING draining\r\n");
  EXPECT_EQ(answer(Code::kUnsupported, "strong\r\nkeyspace"), "-ERR strong  keyspace\r\n");
  EXPECT_EQ(answer(Code::kIo, "disk"), "-ERR io: disk\r\n");
}

TEST_F(RespSessionTest, OneFailureFailsACommandOfSeveralKeys) {
  ask("SET b 2");
  backend.fail_next(Status::Unavailable("no quorum"));
  EXPECT_EQ(ask("MGET a b"), "-UNAVAILABLE no quorum\r\n");
  EXPECT_EQ(ask("MGET a b"), "*2\r\n$-1\r\n$1\r\n2\r\n");
}

TEST_F(RespSessionTest, RefusesConditionsThatAnEventualKeyspaceCannotKeep) {
  for (const char* command : {"SET k v NX", "SET k v EX 10 XX", "SETNX k v", "MSETNX k v", "HSETNX h f v",
                              "EXPIRE k 10 NX", "PEXPIREAT k 99999999999 GT"}) {
    std::string reply = ask(command);
    EXPECT_TRUE(reply.starts_with("-ERR ")) << reply;
    EXPECT_NE(reply.find("is refused: this keyspace is eventual"), std::string::npos) << reply;
  }
  EXPECT_EQ(ask("EXISTS k h"), ":0\r\n");
  EXPECT_NE(ask("SET k v NX").find("SET with the option NX"), std::string::npos);
}

TEST_F(RespSessionTest, LimitsAreErrorsAndTheConnectionGoesOn) {
  auto send = [&](std::vector<std::string> words) {
    session->receive(resp_command(words));
    return session->take_output();
  };
  EXPECT_TRUE(send({"GET", std::string(limits::kKeyBytes + 1, 'k')}).starts_with("-ERR a key of 16385 bytes"));
  EXPECT_TRUE(send({"SADD", "s", std::string(limits::kNameBytes + 1, 'e')}).starts_with("-ERR a field or element"));
  EXPECT_TRUE(send({"SET", "k", std::string(limits::kValueBytes + 1, 'v')}).starts_with("-ERR a value of"));
  EXPECT_TRUE(send({"SET", "k", "v", "PX", std::to_string(limits::kTtlMs + 1)})
                  .starts_with("-ERR invalid expire time in 'set' command: the longest"));
  EXPECT_EQ(send({"SET", std::string(limits::kKeyBytes, 'k'), "v", "PX", std::to_string(limits::kTtlMs)}), "+OK\r\n");
}

TEST_F(RespSessionTest, SelectChoosesAKeyspace) {
  EXPECT_EQ(ask("SET k zero"), "+OK\r\n");
  EXPECT_EQ(ask("SELECT 1"), "+OK\r\n");
  EXPECT_EQ(ask("GET k"), "$-1\r\n");
  EXPECT_EQ(ask("SELECT 2"), "-ERR DB index is out of range\r\n");
  EXPECT_EQ(ask("RESET"), "+RESET\r\n");
  EXPECT_EQ(ask("GET k"), "$4\r\nzero\r\n");
}

TEST_F(RespSessionTest, AStrayHttpRequestIsClosedWithoutExecutingItsBody) {
  session->receive("POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET k v\r\n");
  EXPECT_TRUE(session->want_close());
  EXPECT_EQ(session->take_output(), "");
  EXPECT_EQ(backend.submitted(), 0u);
}

TEST_F(RespSessionTest, InfoHasWhatClientsLookFor) {
  for (const char* line : {"\r\nloading:0\r\n", "redis_version:7.2.0\r\n", "\r\nrole:master\r\n", "cluster_enabled:0",
                           "\r\ncartwheel_version:0.0.0\r\n"}) {
    EXPECT_NE(ask("INFO").find(line), std::string::npos) << line;
  }
  EXPECT_EQ(ask("INFO cluster"), "$30\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n");
  ask("HELLO 3");
  EXPECT_TRUE(ask("INFO server").starts_with("="));
}

TEST_F(RespSessionTest, ClientListNamesTheConnectionsOfTheBackend) {
  RespSession other(backend, 9, "10.0.0.3:1", "10.0.0.2:6379");
  EXPECT_EQ(ask("CLIENT SETNAME me"), "+OK\r\n");
  EXPECT_EQ(ask("CLIENT SETINFO LIB-NAME ioredis"), "+OK\r\n");
  std::string list = ask("CLIENT LIST");
  EXPECT_NE(list.find("id=7 addr=10.0.0.1:5000 laddr=10.0.0.2:6379 name=me "), std::string::npos) << list;
  EXPECT_NE(list.find("lib-name=ioredis"), std::string::npos) << list;
  EXPECT_NE(list.find("id=9 "), std::string::npos) << list;
  EXPECT_EQ(ask("CLIENT LIST ID 9 11").find("id=7 "), std::string::npos);
  EXPECT_EQ(ask("CLIENT LIST TYPE pubsub"), "$0\r\n\r\n");
  EXPECT_EQ(ask("CLIENT MAINT_NOTIFICATIONS ON"),
            "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n");
}

TEST_F(RespSessionTest, ExpiryIsSentAsAPointInTime) {
  EXPECT_EQ(ask("SET k v EX 100"), "+OK\r\n");
  EXPECT_EQ(ask("PEXPIRETIME k"), ":1700000100000\r\n");
  backend.set_now({{0}, {1'700'000'000'600}});
  EXPECT_EQ(ask("TTL k"), ":99\r\n");
  EXPECT_EQ(ask("PTTL k"), ":99400\r\n");
  backend.set_now({{0}, {1'700'000'100'000}});
  EXPECT_EQ(ask("GET k"), "$-1\r\n");
}

}  // namespace
}  // namespace cartwheel::resp
