// Session tokens at real stripes, and at RESP connections to the nodes of a cluster of them.
#include <gtest/gtest.h>

#include "node/core/message.h"
#include "node/fronts/resp/session.h"
#include "tests/node/resp_text.h"
#include "tests/node/stripe_cluster.h"

namespace cartwheel::node {
namespace {

// A client that goes from node to node with one token.
struct Client {
  StripeCluster& cluster;
  SessionToken token = {};
  SessionPolicy policy = SessionPolicy::kWait;
  Duration patience{};
  bool stale = false;

  std::optional<Reply> reply = {};

  void begin(NodeIndex n, Operation operation) {
    Request request;
    auto demand = std::make_shared<SessionDemand>(token.demand(0, arc_of_operation(cluster.config(), operation)));
    demand->policy = policy;
    demand->patience = patience;
    request.session = std::move(demand);
    request.operation = std::move(operation);
    reply.reset();
    cluster[n].on_request(
        std::move(request), [this](Reply r) { reply = std::move(r); }, cluster.now());
    cluster.settle(n);
    cluster.deliver();
  }
  Reply call(NodeIndex n, Operation operation) {
    begin(n, std::move(operation));
    for (int i = 0; !reply && i < 500; ++i) cluster.run(Duration::millis(10));
    CHECK(reply.has_value());
    if (reply->seen != nullptr) {
      token.add(*reply->seen);
      stale = reply->seen->stale;
    }
    return *reply;
  }
};

struct TwoRegions : testing::Test {
  // Nodes 0 and 1 in one region, 2 and 3 in the other.
  StripeCluster cluster{{2, 2}, "local_quorum"};
  Client client{cluster};

  void cut_regions(bool is_cut = true) {
    for (NodeIndex a = 0; a < 2; ++a) {
      for (NodeIndex b = 2; b < 4; ++b) cluster.cut(a, b, is_cut);
    }
  }
};

TEST_F(TwoRegions, AReadWaitsForTheWriteAndNoLonger) {
  cut_regions();
  ASSERT_TRUE(client.call(0, op(Verb::kSet, "k", {"mine"})).status.ok());
  Instant begun = cluster.now().instant;
  client.begin(2, op(Verb::kGet, "k"));
  cluster.run(Duration::millis(200));
  EXPECT_FALSE(client.reply.has_value());
  // Without the token the same node answers, without the write.
  EXPECT_EQ(cluster.call(2, op(Verb::kGet, "k")).value, Value::Nil());
  cut_regions(false);
  while (!client.reply) cluster.run(Duration::millis(10));
  EXPECT_EQ(client.reply->value.bytes, "mine");
  EXPECT_LT((cluster.now().instant - begun).us, Duration::millis(1900).us);
  EXPECT_TRUE(cluster.converged());
}

TEST_F(TwoRegions, PatienceEndsInATypedErrorAndARemovalAppliesNothing) {
  cut_regions();
  client.call(0, op(Verb::kSetAdd, "s", {"a"}));
  client.patience = Duration::millis(300);
  for (Operation late : {op(Verb::kSetAll, "s"), op(Verb::kSetRemove, "s", {"a"})}) {
    Instant begun = cluster.now().instant;
    Reply reply = client.call(2, late);
    EXPECT_EQ(reply.status.code(), Code::kUnavailable);
    EXPECT_NE(reply.status.message().find("session token"), std::string::npos) << reply.status.message();
    EXPECT_GE((cluster.now().instant - begun).us, Duration::millis(290).us);
    EXPECT_LE((cluster.now().instant - begun).us, Duration::millis(400).us);
  }
  // Writes that do not look do not wait.
  EXPECT_TRUE(client.call(2, op(Verb::kSetAdd, "s", {"b"})).status.ok());
  cut_regions(false);
  cluster.run(Duration::seconds(3));
  EXPECT_EQ(client.call(3, op(Verb::kSetSize, "s")).value.integer, 2);
}

TEST_F(TwoRegions, WhatWasReadAsDeletedStaysDeleted) {
  client.call(0, op(Verb::kSet, "k", {"old"}));
  cluster.run(Duration::seconds(2));
  cut_regions();
  EXPECT_EQ(cluster.call(0, op(Verb::kDelete, "k")).value.integer, 1);  // by somebody else
  EXPECT_EQ(client.call(1, op(Verb::kGet, "k")).value, Value::Nil());
  client.patience = Duration::millis(100);
  EXPECT_EQ(client.call(2, op(Verb::kGet, "k")).status.code(), Code::kUnavailable);
  client.policy = SessionPolicy::kStale;
  EXPECT_EQ(client.call(2, op(Verb::kGet, "k")).value.bytes, "old");
  EXPECT_TRUE(client.stale);
  cut_regions(false);
  cluster.run(Duration::seconds(3));
  EXPECT_EQ(client.call(2, op(Verb::kGet, "k")).value, Value::Nil());
  EXPECT_FALSE(client.stale);
}

TEST_F(TwoRegions, ForwardAnswersFromAReplicaThatHasIt) {
  for (NodeIndex n = 0; n < 4; ++n) {
    if (n != 1) cluster.cut(n, 1);
  }
  Request request;
  request.operation = op(Verb::kSet, "k", {"mine"});
  request.level = *Level::parse("one");
  request.session = std::make_shared<SessionDemand>();
  std::optional<Reply> written;
  cluster[0].on_request(
      request, [&](Reply r) { written = std::move(r); }, cluster.now());
  cluster.settle(0);
  cluster.deliver();
  ASSERT_TRUE(written && written->status.ok() && written->seen);
  client.token.add(*written->seen);
  cluster.run(Duration::millis(700));
  // Node 1 hears that node 0 has the write, and a moment passes until it asks for it.
  cluster.cut(0, 1, false);
  client.policy = SessionPolicy::kForward;
  uint64_t before = cluster[1].stats().forwards;
  while (cluster[1].clock(0, arc_of("k", 8)).empty() && cluster[1].lag(cluster.now())[0].dots == 0) {
    cluster.run(Duration::millis(10));
  }
  EXPECT_TRUE(cluster[1].clock(0, arc_of("k", 8)).empty());
  EXPECT_EQ(client.call(1, op(Verb::kGet, "k")).value.bytes, "mine");
  EXPECT_EQ(cluster[1].stats().forwards, before + 1);
}

TEST_F(TwoRegions, ATokenThatIsOnlyATimeWaitsForTheAnnouncementsOfThatTime) {
  client.call(0, op(Verb::kSet, "k", {"mine"}));
  SessionSeen all = *client.reply->seen;
  all.dots.clear();
  all.folded = true;
  client.token = SessionToken();
  client.token.add(all);
  ASSERT_TRUE(client.token.entries().empty());
  cut_regions();
  client.patience = Duration::millis(700);
  // Node 1 hears the later announcements of node 0 only: what node 2 and 3 wrote until then it cannot know.
  EXPECT_EQ(client.call(1, op(Verb::kGet, "k")).status.code(), Code::kUnavailable);
  cut_regions(false);
  client.patience = {};
  EXPECT_EQ(client.call(2, op(Verb::kGet, "k")).value.bytes, "mine");
  EXPECT_EQ(client.call(1, op(Verb::kGet, "another partition")).value, Value::Nil());
}

TEST_F(TwoRegions, WhatEverybodyHasNeedsNoPlaceInTheToken) {
  client.call(0, op(Verb::kSet, "k", {"mine"}));
  cluster.run(Duration::seconds(3));
  Client other{cluster};
  EXPECT_EQ(other.call(3, op(Verb::kGet, "k")).value.bytes, "mine");
  EXPECT_TRUE(other.token.entries().empty());
  EXPECT_EQ(other.token.through_ms(), 0);
}

TEST_F(TwoRegions, WhoAsksWithoutATokenIsToldNothing) {
  Reply reply = cluster.call(0, op(Verb::kSet, "k", {"v"}));
  EXPECT_EQ(reply.seen, nullptr);
}

TEST(StripeSession, TheDemandTravelsWithAForwardedRequest) {
  ForwardMessage forward;
  forward.id = 7;
  forward.request.operation = op(Verb::kGet, "k");
  std::string plain = forward.encode({});
  auto demand = std::make_shared<SessionDemand>();
  demand->policy = SessionPolicy::kForward;
  demand->patience = Duration::millis(250);
  demand->through_ms = 1'700'000'000'000;
  demand->dots = {{{1, 2}, 3}, {{4, 5}, 6}};
  forward.request.session = demand;
  auto back = ForwardMessage::decode(forward.encode({}), {});
  ASSERT_TRUE(back.ok() && back->request.session);
  EXPECT_EQ(back->request.session->policy, demand->policy);
  EXPECT_EQ(back->request.session->patience, demand->patience);
  EXPECT_EQ(back->request.session->through_ms, demand->through_ms);
  EXPECT_EQ(back->request.session->dots, demand->dots);
  EXPECT_EQ(ForwardMessage::decode(plain, {})->request.session, nullptr);
  auto refused = std::make_shared<SessionDemand>(*demand);
  refused->dots.assign(kSessionDots + 1, {{1, 2}, 3});
  forward.request.session = refused;
  EXPECT_FALSE(ForwardMessage::decode(forward.encode({}), {}).ok());
  refused = std::make_shared<SessionDemand>(*demand);
  refused->dots = {{{1, 2}, 0}};
  forward.request.session = refused;
  EXPECT_FALSE(ForwardMessage::decode(forward.encode({}), {}).ok());

  ForwardReplyMessage reply;
  auto seen = std::make_shared<SessionSeen>();
  seen->dots = demand->dots;
  seen->stale = true;
  seen->as_of_ms = 77;
  reply.reply.seen = seen;
  auto reply_back = ForwardReplyMessage::decode(reply.encode());
  ASSERT_TRUE(reply_back.ok() && reply_back->reply.seen);
  EXPECT_EQ(reply_back->reply.seen->dots, seen->dots);
  EXPECT_TRUE(reply_back->reply.seen->stale);
  EXPECT_FALSE(reply_back->reply.seen->folded);
  EXPECT_EQ(reply_back->reply.seen->as_of_ms, 77);
}

// --- RESP ------------------------------------------------------------------------------------------------------------

// The RESP door of one node of the cluster.
class Door : public resp::Backend {
 public:
  Door(StripeCluster& nodes, NodeIndex n) : nodes_(nodes), n_(n) {}
  void submit(Request request, ReplyCallback done) override {
    nodes_[n_].on_request(std::move(request), std::move(done), nodes_.now());
  }
  const ClusterConfig& cluster() const override { return nodes_.config(); }
  Now now() const override { return nodes_.now(); }
  resp::ServerInfo info() const override { return {}; }

 private:
  StripeCluster& nodes_;
  NodeIndex n_;
};

struct Connection {
  StripeCluster& nodes;
  NodeIndex n;
  Door door{nodes, n};
  resp::RespSession session{door, 1, "a:1", "b:2"};

  // The replies to `bytes`, once all of them have come.
  std::string ask_raw(const std::string& bytes) {
    session.receive(bytes);
    for (int i = 0; i < 600; ++i) {
      nodes.settle(n);
      nodes.deliver();
      if (session.idle()) break;
      nodes.run(Duration::millis(10));
    }
    return session.take_output();
  }
  std::string ask(std::string_view command) { return ask_raw(test::resp_command(command)); }
  std::string token() {
    std::string reply = ask("CARTWHEEL.TOKEN");
    size_t at = 0;
    return test::read_reply(reply, at)->text;
  }
};

struct RespSessions : TwoRegions {
  Connection eu{cluster, 0}, us{cluster, 2};
};

TEST_F(RespSessions, ATokenTakesASessionToAnotherRegion) {
  eu.token();  // from here on
  cut_regions();
  EXPECT_EQ(eu.ask("SET cart mine"), "+OK\r\n");
  std::string token = eu.token();
  EXPECT_LE(token.size(), kTokenBytes);
  EXPECT_EQ(us.ask("CARTWHEEL.TOKEN " + token + " WAIT 200"), "+OK\r\n");
  EXPECT_EQ(us.ask("GET cart").substr(0, 28), "-UNAVAILABLE session token: ");
  EXPECT_EQ(us.ask("GET of-another-partition"), "$-1\r\n");
  EXPECT_EQ(us.ask("CARTWHEEL.STALE"), ":0\r\n");
  EXPECT_EQ(us.ask("CARTWHEEL.TOKEN " + token + " STALE"), "+OK\r\n");
  EXPECT_EQ(us.ask("MGET cart cart"), "*2\r\n$-1\r\n$-1\r\n");
  EXPECT_EQ(us.ask("CARTWHEEL.STALE"), ":2\r\n");
  EXPECT_EQ(us.ask("CARTWHEEL.STALE"), ":0\r\n");
  cut_regions(false);
  EXPECT_EQ(us.ask("CARTWHEEL.TOKEN " + token), "+OK\r\n");
  EXPECT_EQ(us.ask("GET cart"), "$4\r\nmine\r\n");
}

TEST_F(RespSessions, APipelineSeesItsOwnWrites) {
  Connection connection{cluster, 1};
  connection.token();
  std::string pipeline, expected;
  for (int i = 0; i < 50; ++i) {
    std::string n = std::to_string(i);
    pipeline += test::resp_command("SET k" + n + " v" + n) + test::resp_command("GET k" + n);
    expected += "+OK\r\n$" + std::to_string(n.size() + 1) + "\r\nv" + n + "\r\n";
  }
  EXPECT_EQ(connection.ask_raw(pipeline), expected);
  // And the token that is asked for behind them has them all.
  cut_regions();
  connection.session.receive(test::resp_command("SET last 1") + test::resp_command("CARTWHEEL.TOKEN"));
  EXPECT_TRUE(connection.session.paused());
  std::string replies = connection.ask_raw("");
  size_t at = 0;
  EXPECT_EQ(test::read_reply(replies, at)->text, "OK");
  std::string token = test::read_reply(replies, at)->text;
  EXPECT_EQ(us.ask("CARTWHEEL.TOKEN " + token + " WAIT 100"), "+OK\r\n");
  EXPECT_EQ(us.ask("GET last").substr(0, 12), "-UNAVAILABLE");
}

TEST_F(RespSessions, AWrongTokenIsOneErrorAndChangesNothing) {
  std::string token = eu.token();
  eu.ask("SET cart mine");
  std::string before = eu.token();
  ASSERT_NE(before, token);
  for (const std::string& wrong : {SessionToken().text("another"), std::string("AAAA"), std::string(300, 'A'),
                                   std::string("what is this"), before.substr(1)}) {
    std::string reply = eu.ask_raw(test::resp_command({"CARTWHEEL.TOKEN", wrong}));
    EXPECT_EQ(reply.substr(0, 28), "-BADTOKEN the session token ") << reply;
    EXPECT_EQ(std::count(reply.begin(), reply.end(), '\n'), 1);
    EXPECT_EQ(eu.token(), before);
  }
  for (const char* tail : {" NOW", " WAIT", " WAIT 0", " WAIT x", " FORWARD 3", " STALE STALE"}) {
    EXPECT_EQ(eu.ask("CARTWHEEL.TOKEN " + token + tail).substr(0, 5), "-ERR ") << tail;
  }
  EXPECT_EQ(eu.token(), before);
  EXPECT_EQ(eu.ask("CARTWHEEL.TOKEN " + before + " FORWARD"), "+OK\r\n");
  EXPECT_EQ(eu.token(), before);
  EXPECT_EQ(eu.ask("RESET"), "+RESET\r\n");
  EXPECT_EQ(eu.session.tracked(), nullptr);
}

}  // namespace
}  // namespace cartwheel::node
