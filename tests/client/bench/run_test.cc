// Whole runs of the load tool against a small server in this process, whose every answer the test decides.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "base/check.h"
#include "base/msgpack.h"
#include "client/bench/runner.h"
#include "node/runtime/frame.h"

namespace cartwheel::bench {
namespace {

using Words = std::vector<std::string>;

// Takes one request off the front of `bytes`; nullopt while it is not complete.
std::optional<Words> take_request(std::string& bytes) {
  size_t at = 0;
  const auto number = [&](char type) -> std::optional<size_t> {
    const size_t end = bytes.find("\r\n", at);
    if (end == std::string::npos) return std::nullopt;
    CHECK(bytes[at] == type);
    const size_t n = std::stoul(bytes.substr(at + 1, end - at - 1));
    at = end + 2;
    return n;
  };
  const auto count = number('*');
  Words words;
  for (size_t i = 0; count && i < *count; ++i) {
    const auto size = number('$');
    if (!size || bytes.size() < at + *size + 2) return std::nullopt;
    words.push_back(bytes.substr(at, *size));
    at += *size + 2;
  }
  if (!count) return std::nullopt;
  bytes.erase(0, at);
  return words;
}

// Takes what it understands off the front of the bytes and returns what to send; nullopt closes the connection.
using Wire = std::function<std::optional<std::string>(std::string& bytes)>;

// Answers each request with what `answer` returns; an empty string closes the connection.
Wire resp(std::function<std::string(const Words&)> answer) {
  return [answer = std::move(answer)](std::string& bytes) -> std::optional<std::string> {
    std::string out;
    while (auto request = take_request(bytes)) {
      const std::string reply = answer(*request);
      if (reply.empty()) return std::nullopt;
      out += reply;
    }
    return out;
  };
}

class FakeServer {
 public:
  explicit FakeServer(std::function<std::string(const Words&)> answer) : FakeServer(resp(std::move(answer))) {}
  explicit FakeServer(Wire wire) : wire_(std::move(wire)) {
    listener_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0 && listen(listener_, 64) == 0);
    CHECK(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    CHECK(pipe(wake_) == 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeServer() {
    CHECK(write(wake_[1], "x", 1) == 1);
    thread_.join();
    for (const auto& [fd, bytes] : clients_) close(fd);
    for (const int fd : {listener_, wake_[0], wake_[1]}) close(fd);
  }
  std::string port() const { return std::to_string(port_); }

 private:
  void serve() {
    for (;;) {
      std::vector<pollfd> fds = {{wake_[0], POLLIN, 0}, {listener_, POLLIN, 0}};
      for (const auto& [fd, bytes] : clients_) fds.push_back({fd, POLLIN, 0});
      poll(fds.data(), fds.size(), -1);
      if (fds[0].revents != 0) return;
      if (fds[1].revents != 0) clients_[accept(listener_, nullptr, nullptr)];
      for (size_t i = 2; i < fds.size(); ++i) {
        if (fds[i].revents == 0 || handle(fds[i].fd)) continue;
        close(fds[i].fd);
        clients_.erase(fds[i].fd);
      }
    }
  }

  bool handle(int fd) {
    char buffer[65536];
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n <= 0) return false;
    std::string& bytes = clients_[fd];
    bytes.append(buffer, static_cast<size_t>(n));
    const auto out = wire_(bytes);
    return out && send(fd, out->data(), out->size(), MSG_NOSIGNAL) == static_cast<ssize_t>(out->size());
  }

  Wire wire_;
  int listener_ = -1;
  int port_ = 0;
  int wake_[2] = {-1, -1};
  std::map<int, std::string> clients_;
  std::thread thread_;
};

// A store that keeps what it is given, as far as the mixes need one.
class Store {
 public:
  std::string operator()(const Words& words) {
    const std::lock_guard lock(mutex_);
    if (words[0] == "SET") strings_[words[1]] = words[2];
    if (words[0] == "SET" || words[0] == "SELECT") return "+OK\r\n";
    if (words[0] != "GET") return ":1\r\n";
    const auto found = strings_.find(words[1]);
    if (found == strings_.end()) return "$-1\r\n";
    return "$" + std::to_string(found->second.size()) + "\r\n" + found->second + "\r\n";
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::string> strings_;
};

Options against(const std::vector<std::string>& ports, const char* mix, uint64_t requests) {
  Options options;
  for (const std::string& port : ports) options.targets.push_back({"127.0.0.1", port});
  options.mix = *parse_mix(mix);
  options.requests = requests;
  options.clients = 4;
  options.warmup_s = 0;
  options.shape.keys = 100;
  return options;
}

TEST(BenchRun, MeasuresExactlyTheRequestsAskedFor) {
  Store store;
  FakeServer server(std::ref(store));
  for (const unsigned threads : {1u, 3u}) {
    for (const unsigned pipeline : {1u, 7u}) {
      Options options = against({server.port()}, "get=0.5,set=0.5", 1001);
      options.threads = threads;
      options.pipeline = pipeline;
      options.verify = true;
      const auto outcome = run(options);
      ASSERT_TRUE(outcome.ok());
      EXPECT_EQ(outcome->stats.operations, 1001u);
      EXPECT_EQ(outcome->stats.latency.count(), 1001u);
      EXPECT_EQ(outcome->stats.reads.count(), outcome->stats.by_kind[static_cast<size_t>(OpKind::kGet)]);
      EXPECT_EQ(outcome->stats.writes.count(), outcome->stats.by_kind[static_cast<size_t>(OpKind::kSet)]);
      EXPECT_EQ(outcome->stats.errors.total(), 0u);
      EXPECT_EQ(outcome->stats.wrong_values, 0u);
    }
  }
}

TEST(BenchRun, PrefillLeavesNoMissesAndVerifiedValuesOfManyReads) {
  Store store;
  FakeServer server(std::ref(store));
  Options options = against({server.port()}, "get", 500);
  options.prefill = true;
  options.verify = true;
  options.database = 3;
  options.shape.value_size = 300'000;  // more than one read and one write of a socket
  options.shape.keys = 10;
  const auto outcome = run(options);
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->stats.operations, 500u);
  EXPECT_EQ(outcome->stats.misses, 0u);
  EXPECT_EQ(outcome->stats.wrong_values, 0u);
}

TEST(BenchRun, VerifyFindsTheValueOfAnotherKey) {
  std::string other;
  Values().append(5, 64, other);
  FakeServer server([&](const Words&) { return "$64\r\n" + other + "\r\n"; });
  Options options = against({server.port()}, "get", 200);
  options.verify = true;
  const auto outcome = run(options);
  ASSERT_TRUE(outcome.ok());
  EXPECT_GT(outcome->stats.wrong_values, 150u);
}

TEST(BenchRun, SetWaitCompletesWithTheSecondReplyAndCountsAnUnconfirmedWrite) {
  FakeServer server([](const Words& words) { return words[0] == "WAIT" ? ":0\r\n" : "+OK\r\n"; });
  const auto outcome = run(against({server.port()}, "set-wait", 100));
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->stats.operations, 100u);
  EXPECT_EQ(outcome->stats.errors.rows().at("wait").count, 100u);
}

TEST(BenchRun, CountsErrorsOfTheServerByTheirFirstWord) {
  FakeServer server([&](const Words& words) { return words[0] == "SET" ? "-OVERLOADED try later\r\n" : ":1\r\n"; });
  Options options = against({server.port()}, "set,del", 800);
  const auto outcome = run(options);
  ASSERT_TRUE(outcome.ok());
  EXPECT_EQ(outcome->stats.operations, 800u);
  EXPECT_EQ(outcome->stats.errors.rows().size(), 1u);
  EXPECT_EQ(outcome->stats.errors.rows().at("OVERLOADED").count,
            outcome->stats.by_kind[static_cast<size_t>(OpKind::kSet)]);
  EXPECT_EQ(outcome->stats.errors.rows().at("OVERLOADED").example, "OVERLOADED try later");
}

TEST(BenchRun, StopsWhenAConnectionIsLost) {
  std::atomic<int> n = 0;
  FakeServer server([&](const Words&) { return ++n == 50 ? "" : "+OK\r\n"; });
  const auto outcome = run(against({server.port()}, "set", 1'000'000));
  ASSERT_TRUE(outcome.ok());
  EXPECT_TRUE(outcome->stopped_early);
  EXPECT_GE(outcome->stats.errors.rows().at("connection").count, 1u);
}

TEST(BenchRun, KeepGoingMovesOnToATargetThatLives) {
  FakeServer bad([](const Words&) { return ""; });
  FakeServer good([](const Words&) { return "+OK\r\n"; });
  Options options = against({bad.port(), good.port()}, "set", 300);
  options.keep_going = true;
  const auto outcome = run(options);
  ASSERT_TRUE(outcome.ok());
  EXPECT_FALSE(outcome->stopped_early);
  EXPECT_GE(outcome->stats.errors.rows().at("connection").count, 2u);
  // The measured operations that were lost with their connection are not made up for.
  EXPECT_GE(outcome->stats.operations + outcome->stats.errors.total(), 300u);
}

TEST(BenchRun, ReportsBytesThatAreNoReplies) {
  FakeServer server([](const Words&) { return "HTTP/1.1 400 Bad Request\r\n"; });
  const auto outcome = run(against({server.port()}, "get", 10));
  ASSERT_TRUE(outcome.ok());
  EXPECT_TRUE(outcome->stopped_early);
  EXPECT_NE(outcome->stats.errors.rows().at("connection").example.find("do not parse"), std::string::npos);
}

TEST(BenchRun, OpenLoopSendsWhatTheScheduleHolds) {
  FakeServer server([](const Words&) { return "+OK\r\n"; });
  Options options = against({server.port()}, "set", 0);
  options.requests.reset();
  options.duration_s = 0.2;
  options.rate = 2000;
  options.poisson = false;
  options.pipeline = 1000;
  const auto outcome = run(options);
  ASSERT_TRUE(outcome.ok());
  EXPECT_NEAR(static_cast<double>(outcome->stats.due), 400, 1);
  EXPECT_EQ(outcome->stats.latency.count(), outcome->stats.due);
}

// Holds what a read brought and answers it in reverse: errors to every tenth id, values of key 5 to the others.
std::optional<std::string> reversed_rpc(std::string& bytes) {
  node::FrameDecoder frames(1 << 20);
  frames.feed(bytes);
  std::vector<std::string> replies;
  node::Frame frame;
  while (frames.next(frame) == node::FrameDecoder::Outcome::kFrame) {
    std::string out;
    if (frame.kind == node::FrameKind::kHello) {
      node::Hello hello;
      hello.cluster = "c";
      hello.node = "n";
      node::append_frame(out, node::FrameKind::kHello, 0, node::encode(hello));
      replies.push_back(out);
      continue;
    }
    MsgReader in(frame.payload);
    CHECK(in.array() == 6);
    const uint64_t id = in.uint();
    const bool fails = id % 10 == 0;
    std::string payload;
    MsgWriter writer(payload);
    writer.array(4);
    writer.uint(id);
    writer.uint(static_cast<uint64_t>(fails ? Code::kOverloaded : Code::kOk));
    if (fails) {
      writer.str("later");
      writer.nil();
    } else {
      std::string value;
      Values().append(5, 100, value);
      writer.nil();
      writer.bin(value);
    }
    node::append_frame(out, node::FrameKind::kReply, 0, payload);
    replies.push_back(out);
  }
  bytes = std::string(frames.rest());
  std::string out;
  for (size_t i = replies.size(); i-- > 0;) out += replies[i];
  return out;
}

TEST(BenchRun, RpcRepliesOutOfOrderReachTheirOperations) {
  FakeServer server{Wire(reversed_rpc)};
  Options options = against({server.port()}, "get", 1000);
  options.protocol = "rpc";
  options.keyspace = "carts";
  options.pipeline = 16;
  options.verify = true;
  options.shape.keys = 6;
  options.shape.distribution.kind = Distribution::Kind::kSequential;
  const auto outcome = run(options);
  ASSERT_TRUE(outcome.ok());
  EXPECT_FALSE(outcome->stopped_early);
  EXPECT_EQ(outcome->stats.operations, 1000u);
  const auto& errors = outcome->stats.errors.rows();
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors.begin()->first, "overloaded");
  EXPECT_EQ(errors.begin()->second.example, "overloaded later");
  EXPECT_GT(outcome->stats.wrong_values, 600u);  // five keys of six
}

TEST(BenchRun, RefusesATargetThatDoesNotResolveAndAProcessThatDoesNotExist) {
  EXPECT_FALSE(run(against({"no-port"}, "get", 1)).ok());
  FakeServer server([](const Words&) { return "+OK\r\n"; });
  Options options = against({server.port()}, "get", 1);
  options.pids = {1 << 30};
  EXPECT_EQ(run(options).status().code(), Code::kIo);
}

}  // namespace
}  // namespace cartwheel::bench
