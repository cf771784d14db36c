// The HTTP door as a client sees it: bytes in, bytes out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "base/rng.h"
#include "node/fronts/http/session.h"
#include "tests/node/doors_testing.h"

namespace cartwheel::node {
namespace {

using ::testing::EndsWith;
using testing::FakeBackend;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

struct Exchange {
  std::string output;
  bool closed;
};

Exchange talk(std::string_view bytes, size_t cut = SIZE_MAX) {
  FakeBackend backend;
  HttpSession session(backend);
  std::string output;
  for (size_t at = 0; at < bytes.size(); at += std::min(cut, bytes.size() - at)) {
    session.receive(bytes.substr(at, cut));
    output += session.take_output();
  }
  return {output, session.want_close()};
}

std::string get(std::string_view path, std::string_view method = "GET") {
  return std::string(method) + " " + std::string(path) + " HTTP/1.1\r\nHost: node\r\n\r\n";
}

size_t count(std::string_view text, std::string_view part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST(HttpSession, LivezIsOkEvenWhenTheBackendHangs) {
  FakeBackend backend;
  backend.hold = true;
  HttpSession session(backend);
  session.receive(get("/livez"));
  const std::string output = session.take_output();
  EXPECT_THAT(output, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(output, HasSubstr("Content-Length: 3\r\n"));
  EXPECT_THAT(output, EndsWith("\r\n\r\nok\n"));
  EXPECT_FALSE(session.want_close());
}

TEST(HttpSession, TheSameBytesGiveTheSameAnswersWhereverTheyAreCut) {
  const std::string bytes = get("/livez") + get("/readyz?verbose") + get("/nothing") + get("/v1/status", "HEAD") +
                            "POST /livez HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc" +
                            "POST /livez HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" +
                            get("/livez");
  const Exchange whole = talk(bytes);
  EXPECT_EQ(count(whole.output, "HTTP/1.1 "), 7u);
  EXPECT_FALSE(whole.closed);
  for (size_t cut = 1; cut < bytes.size(); ++cut) ASSERT_EQ(talk(bytes, cut).output, whole.output) << cut;
}

TEST(HttpSession, PipelinedRequestsAreAnsweredInOrderThoughTheBackendIsLate) {
  FakeBackend backend;
  backend.hold = true;
  HttpSession session(backend);
  int outputs = 0;
  session.set_on_output([&] { ++outputs; });
  session.receive(get("/readyz") + get("/livez") + get("/v1/status") + get("/livez"));
  EXPECT_EQ(session.take_output(), "");
  EXPECT_TRUE(session.paused());
  ASSERT_EQ(backend.held_metrics.size(), 1u);
  backend.held_metrics[0](backend.current);
  EXPECT_EQ(outputs, 1);
  const std::string first = session.take_output();
  EXPECT_EQ(count(first, "HTTP/1.1 200"), 2u);
  EXPECT_LT(first.find("ready\n"), first.find("ok\n"));
  ASSERT_EQ(backend.held_metrics.size(), 2u);
  backend.held_metrics[1](backend.current);
  EXPECT_EQ(count(session.take_output(), "HTTP/1.1 200"), 2u);
  EXPECT_FALSE(session.paused());
}

TEST(HttpSession, AnAnswerAfterTheSessionIsGoneIsDropped) {
  FakeBackend backend;
  backend.hold = true;
  auto session = std::make_unique<HttpSession>(backend);
  session->receive(get("/metrics"));
  session.reset();
  backend.held_metrics[0](backend.current);
}

TEST(HttpSession, ReadyzSaysWhyNot) {
  FakeBackend backend;
  backend.current.ready = false;
  HttpSession session(backend);
  session.receive(get("/readyz"));
  const std::string brief = session.take_output();
  EXPECT_THAT(brief, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(brief, HasSubstr("not ready: too few replicas"));
  EXPECT_THAT(brief, HasSubstr("unreachable: us-1"));

  session.receive(get("/readyz?verbose"));
  const std::string verbose = session.take_output();
  EXPECT_THAT(verbose, HasSubstr("[+]serving ok\n"));
  EXPECT_THAT(verbose, HasSubstr("[-]replicas failed: "));
  EXPECT_THAT(verbose, HasSubstr("[+]peer eu-2 ok\n"));
  EXPECT_THAT(verbose, HasSubstr("[!]peer us-1 warns: unreachable\n"));

  backend.current.draining = true;
  session.receive(get("/readyz?x=1&verbose=1"));
  const std::string draining = session.take_output();
  EXPECT_THAT(draining, StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(draining, HasSubstr("[-]serving failed: the node is draining\n"));
}

TEST(HttpSession, AnUnreachablePeerAloneDoesNotMakeANodeUnready) {
  EXPECT_THAT(talk(get("/readyz")).output, StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST(HttpSession, StatusIsJsonAboutTheNodeAndItsPeers) {
  const std::string output = talk(get("/v1/status")).output;
  EXPECT_THAT(output, HasSubstr("Content-Type: application/json\r\n"));
  for (const char* part : {"\"name\": \"eu-1\"", "\"region\": \"eu\"", "\"zone\": \"a\"", "\"epoch\": 7",
                           "\"state\": \"ready\"", "\"uptime_seconds\": 61", "\"keys\": 12", "\"reads\": 1000",
                           "\"name\": \"us-1\"", "\"reachable\": false", "\"lag_dots\": 44", "\"lag_seconds\": 9"}) {
    EXPECT_THAT(output, HasSubstr(part));
  }
}

TEST(HttpSession, HeadHasTheHeadersOfGetAndNoBody) {
  const std::string head = talk(get("/livez", "HEAD")).output;
  const std::string whole = talk(get("/livez")).output;
  EXPECT_EQ(head + "ok\n", whole);
}

TEST(HttpSession, TheAbsoluteFormOfATargetIsTaken) {
  EXPECT_THAT(talk(get("http://node:8101/livez")).output, EndsWith("ok\n"));
}

TEST(HttpSession, UnknownPathsAndMethodsKeepTheConnection) {
  const Exchange path = talk(get("/secret?x=\"") + get("/livez"));
  EXPECT_THAT(path.output, StartsWith("HTTP/1.1 404 Not Found\r\n"));
  EXPECT_THAT(path.output, EndsWith("ok\n"));
  const Exchange method = talk(get("/metrics", "DELETE") + get("/livez"));
  EXPECT_THAT(method.output, StartsWith("HTTP/1.1 405 Method Not Allowed\r\n"));
  EXPECT_THAT(method.output, HasSubstr("Allow: GET, HEAD\r\n"));
  EXPECT_THAT(method.output, EndsWith("ok\n"));
}

TEST(HttpSession, ACloseIsHonouredAndWhatFollowsIsIgnored) {
  const Exchange asked = talk("GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n" + get("/livez"));
  EXPECT_EQ(count(asked.output, "HTTP/1.1 "), 1u);
  EXPECT_THAT(asked.output, HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(asked.closed);
  EXPECT_TRUE(talk("GET /livez HTTP/1.0\r\n\r\n").closed);
  EXPECT_FALSE(talk("GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").closed);
}

TEST(HttpSession, AnOfferToUpgradeIsAnsweredInHttp) {
  const Exchange upgrade =
      talk("GET /livez HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + get("/livez"));
  EXPECT_EQ(count(upgrade.output, "HTTP/1.1 200"), 2u);
  const Exchange connect = talk("CONNECT db:5432 HTTP/1.1\r\nHost: db\r\n\r\nSELECT 1");
  EXPECT_THAT(connect.output, StartsWith("HTTP/1.1 404 "));
  EXPECT_TRUE(connect.closed);
  EXPECT_TRUE(talk("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").closed);
}

TEST(HttpSession, WhatIsNotHttpIsRefusedOnceAndClosed) {
  for (std::string_view bytes :
       {"*1\r\n$4\r\nPING\r\n", "GET\r\n\r\n", "GET /livez HTTP/9.9\r\n\r\n", "GET /livez HTTP/1.1\r\nA b: c\r\n\r\n",
        "\x16\x03\x01\x02", "GET /livez HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "GET /livez HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}) {
    const Exchange e = talk(bytes);
    EXPECT_THAT(e.output, StartsWith("HTTP/1.1 400 Bad Request\r\n")) << bytes;
    EXPECT_EQ(count(e.output, "HTTP/1.1 4"), 1u) << bytes;
    EXPECT_TRUE(e.closed) << bytes;
  }
}

TEST(HttpSession, HeadersBeyondTheLimitAre431) {
  const std::string name(kHttpHeaderBytes + 1, 'a');
  for (const std::string& bytes : {"GET /" + name, "GET / HTTP/1.1\r\n" + name, "GET / HTTP/1.1\r\nA: " + name}) {
    for (size_t cut : {SIZE_MAX, size_t{1000}}) {
      const Exchange e = talk(bytes, cut);
      EXPECT_THAT(e.output, StartsWith("HTTP/1.1 431 "));
      EXPECT_TRUE(e.closed);
    }
  }
  std::string many = "GET /livez HTTP/1.1\r\n";
  for (int i = 0; i < 4000; ++i) many += "a:\r\n";
  EXPECT_THAT(talk(many).output, StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(talk("GET /livez HTTP/1.1\r\nA: " + std::string(kHttpHeaderBytes - 50, 'a') + "\r\n\r\n").output,
              StartsWith("HTTP/1.1 200 "));
}

TEST(HttpSession, BodiesBeyondTheLimitAre413AndSmallerOnesAreDropped) {
  const Exchange claimed = talk("POST /livez HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n");
  EXPECT_THAT(claimed.output, StartsWith("HTTP/1.1 413 "));
  EXPECT_TRUE(claimed.closed);
  std::string chunked = "POST /livez HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 17; ++i) chunked += "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
  EXPECT_THAT(talk(chunked, 5000).output, StartsWith("HTTP/1.1 413 "));
  const Exchange small =
      talk("POST /livez HTTP/1.1\r\nContent-Length: 1000\r\n\r\n" + std::string(1000, 'x') + get("/livez"));
  EXPECT_THAT(small.output, StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(small.output, EndsWith("ok\n"));
}

TEST(HttpSession, AClientThatKeepsPipeliningWithoutAnAnswerIsGivenUp) {
  FakeBackend backend;
  backend.hold = true;
  HttpSession session(backend);
  session.receive(get("/metrics"));
  for (size_t sent = 0; sent <= kHttpPipelineBytes && !session.want_close(); sent += 1000) {
    session.receive(std::string(1000, 'x'));
  }
  EXPECT_TRUE(session.want_close());
  session.take_output();
  backend.held_metrics[0](backend.current);
  EXPECT_EQ(session.take_output(), "");
}

TEST(HttpSession, RandomAndDamagedBytesNeverCrash) {
  const std::string good =
      get("/readyz?verbose") + "POST /livez HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    std::string bytes = good;
    if (seed % 3 == 0) {
      for (char& c : bytes) c = static_cast<char>(rng.next());
    } else {
      for (int i = 0; i < 3; ++i) bytes[rng.next() % bytes.size()] = static_cast<char>(rng.next());
    }
    const Exchange e = talk(bytes, 1 + rng.next() % 40);
    EXPECT_LT(e.output.size(), 10'000u);
  }
}

}  // namespace
}  // namespace cartwheel::node
