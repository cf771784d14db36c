// Two nodes in one process, each with two shards and four stripes, on loopback ports that the kernel chooses. What is
// tested is the machinery between the cores: threads, hand-overs, framing, stopping. Nothing sleeps: clients block on
// their sockets, and what needs time (the nodes finding each other) is asked again until it is so.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <thread>

#include "node/runtime/acceptor.h"
#include "node/runtime/frame.h"
#include "node/runtime/node.h"
#include "node/runtime/rpc_call.h"

#ifdef __SANITIZE_THREAD__
// Debian's RocksDB is not instrumented: ThreadSanitizer sees the memory that its calls to libc touch, but not the
// guards of its static tables, nor libuv's close() by system call before a descriptor's number is used again. Locks are
// still followed, so that races of this project's code around an engine are found.
extern "C" const char* __tsan_default_suppressions() {  // NOLINT: the sanitizer's name
  return "called_from_lib:librocksdb.so\n";
}
#endif

namespace cartwheel::node {
namespace {

// A blocking client. Every wait is bounded, so that a lost reply fails the test instead of hanging it.
class Client {
 public:
  explicit Client(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { ::close(fd_); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool connected() const { return connected_; }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }
  // Reads until `size` bytes are there, or the other side closes, or nothing comes for long.
  std::string receive(size_t size) {
    while (input_.size() < size && more()) {
    }
    return take(std::min(size, input_.size()));
  }
  // Reads up to and with the line break.
  std::string line() {
    size_t end = 0;
    while ((end = input_.find("\r\n")) == std::string::npos && more()) {
    }
    return end == std::string::npos ? take(input_.size()) : take(end + 2);
  }
  std::string all() {
    while (more()) {
    }
    return take(input_.size());
  }
  std::string call(std::string_view command) {
    send(command);
    return line();
  }

 private:
  bool more() {
    pollfd descriptor{fd_, POLLIN, 0};
    if (poll(&descriptor, 1, 20'000) <= 0) return false;
    char buffer[16 * 1024];
    const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
    if (n <= 0) return false;
    input_.append(buffer, static_cast<size_t>(n));
    return true;
  }
  std::string take(size_t n) {
    std::string result = input_.substr(0, n);
    input_.erase(0, n);
    return result;
  }

  int fd_;
  bool connected_ = false;
  std::string input_;
};

class LoopHarness : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = ::testing::TempDir() + "cartwheel_loop_" + std::to_string(getpid()) + "_" +
                 ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(directory_);
    config_.name = "loop";
    config_.partitions = 16;
    config_.stripes = 4;
    for (int i = 0; i < 2; ++i) {
      NodeInfo info;
      info.name = "n" + std::to_string(i);
      info.region = "eu";
      for (size_t door = 0; door < 3; ++door) {
        auto fd = bind_to({"127.0.0.1", 0});
        ASSERT_TRUE(fd.ok()) << fd.status().to_string();
        sockets_[i][door] = *fd;
        (door == 0 ? info.resp : door == 1 ? info.rpc : info.http) = {"127.0.0.1", port_of(*fd)};
      }
      config_.nodes.push_back(info);
    }
    Keyspace keyspace;
    keyspace.name = "carts";
    keyspace.replicas = {{"eu", 2}};
    keyspace.read = *Level::parse("one");
    keyspace.write = *Level::parse("all");  // a write that is answered has crossed between the nodes
    config_.keyspaces.push_back(keyspace);
    keyspace.name = "orders";
    keyspace.select = 1;
    keyspace.durability = Keyspace::Durability::kAlways;
    config_.keyspaces.push_back(keyspace);
    const Status status = finish(config_);
    ASSERT_TRUE(status.ok()) << status.to_string();
  }
  void TearDown() override {
    for (auto& node : nodes_) node.reset();
    for (auto& sockets : sockets_) {
      for (int fd : sockets) {
        if (fd >= 0) ::close(fd);
      }
    }
    std::filesystem::remove_all(directory_);
  }

  Status start(size_t i) {
    NodeOptions options;
    options.data_dir = directory_ + "/" + config_.nodes[i].name;
    auto enrollment = enroll_from_file(config_, config_.nodes[i].name, options.data_dir);
    if (!enrollment.ok()) return enrollment.status();
    options.enrollment = std::move(enrollment).value();
    options.shards = 2;
    options.cache_bytes = 8 << 20;
    options.sockets = std::exchange(sockets_[i], {-1, -1, -1});
    auto node = Node::start(std::move(options));
    if (!node.ok()) return node.status();
    nodes_[i] = std::move(node).value();
    return {};
  }
  uint16_t port(size_t i, Door door) const { return nodes_[i]->port(door); }

  // Until each node has its connections to the other, so that no write has to wait for its deadline.
  void await_cluster() {
    for (size_t i = 0; i < 2; ++i) {
      std::string status;
      for (int tries = 0; tries < 5000; ++tries) {
        Client http(port(i, Door::kHttp));
        http.send("GET /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        status = http.all();
        if (status.find("\"connected\": true") != std::string::npos) break;
      }
      ASSERT_NE(status.find("\"connected\": true"), std::string::npos) << status;
    }
  }

  ClusterConfig config_;
  std::string directory_;
  std::array<std::array<int, 3>, 2> sockets_{{{-1, -1, -1}, {-1, -1, -1}}};
  std::array<std::unique_ptr<Node>, 2> nodes_;
};

TEST_F(LoopHarness, WritesAtOneNodeAreReadAtTheOther) {
  ASSERT_EQ(start(0).to_string(), "ok");
  ASSERT_EQ(start(1).to_string(), "ok");
  await_cluster();
  // Two clients at each node, so that each shard has one; all stripes are hit from either.
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      Client client(port(t % 2, Door::kResp));
      std::string pipeline, expected;
      for (int i = 0; i < 100; ++i) {
        const std::string key = "k" + std::to_string(t) + ":" + std::to_string(i);
        // One key, in order, whatever shard it is on.
        pipeline += "SET " + key + " a\r\nSET " + key + " b" + std::to_string(i) + "\r\nGET " + key + "\r\n";
        const std::string value = "b" + std::to_string(i);
        expected += "+OK\r\n+OK\r\n$" + std::to_string(value.size()) + "\r\n" + value + "\r\n";
      }
      client.send(pipeline);
      EXPECT_EQ(client.receive(expected.size()), expected);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < 4; ++t) {
    Client other(port((t + 1) % 2, Door::kResp));
    for (int i = 0; i < 100; ++i) {
      other.send("GET k" + std::to_string(t) + ":" + std::to_string(i) + "\r\n");
      const std::string value = "b" + std::to_string(i);
      EXPECT_EQ(other.line(), "$" + std::to_string(value.size()) + "\r\n");
      EXPECT_EQ(other.line(), value + "\r\n");
    }
  }
}

TEST_F(LoopHarness, FsyncedAnswersKeepTheirOrder) {
  ASSERT_EQ(start(0).to_string(), "ok");
  ASSERT_EQ(start(1).to_string(), "ok");
  await_cluster();
  Client client(port(0, Door::kResp));
  ASSERT_EQ(client.call("SELECT 1\r\n"), "+OK\r\n");
  std::string pipeline, expected;
  for (int i = 1; i <= 50; ++i) {
    pipeline += "INCR counter\r\n";
    expected += ":" + std::to_string(i) + "\r\n";
  }
  client.send(pipeline);
  EXPECT_EQ(client.receive(expected.size()), expected);
}

TEST_F(LoopHarness, AnAnsweredWriteSurvivesAStopAndANewStart) {
  ASSERT_EQ(start(0).to_string(), "ok");
  ASSERT_EQ(start(1).to_string(), "ok");
  await_cluster();
  {
    Client client(port(0, Door::kResp));
    ASSERT_EQ(client.call("SET kept value\r\n"), "+OK\r\n");
  }
  ASSERT_EQ(nodes_[1]->stop().to_string(), "ok");
  nodes_[1].reset();
  // Ports are free again at once, data is not locked any more.
  ASSERT_EQ(start(1).to_string(), "ok");
  Client client(port(1, Door::kResp));
  EXPECT_EQ(client.call("GET kept\r\n"), "$5\r\n");
  EXPECT_EQ(client.line(), "value\r\n");
}

TEST_F(LoopHarness, StoppingAnswersWhatIsInFlight) {
  ASSERT_EQ(start(0).to_string(), "ok");
  ASSERT_EQ(start(1).to_string(), "ok");
  await_cluster();
  Client client(port(0, Door::kResp));
  std::string pipeline;
  for (int i = 0; i < 200; ++i) pipeline += "SET key" + std::to_string(i) + " x\r\n";
  client.send(pipeline);
  ASSERT_EQ(client.line(), "+OK\r\n");  // so the pipeline has been read
  EXPECT_EQ(nodes_[0]->stop().to_string(), "ok");
  nodes_[0].reset();
  // Every reply that there is is whole, and none says that something was applied that was not: OK or an error.
  const std::string replies = client.all();
  EXPECT_TRUE(replies.empty() || replies.substr(replies.size() - 2) == "\r\n") << replies;
  EXPECT_FALSE(Client(config_.nodes[0].resp.port).connected());
}

TEST_F(LoopHarness, HttpAndRpcClientsSeeTheNode) {
  ASSERT_EQ(start(0).to_string(), "ok");
  Client http(port(0, Door::kHttp));
  http.send("GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(http.all().substr(0, 15), "HTTP/1.1 200 OK");
  Client metrics(port(0, Door::kHttp));
  metrics.send("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_NE(metrics.all().find("cartwheel_"), std::string::npos);

  Client rpc(port(0, Door::kRpc));
  std::string bytes;
  Hello hello;
  append_frame(bytes, FrameKind::kHello, 0, encode(hello));
  append_frame(bytes, FrameKind::kRequest, 0, "\x92\x07\xa4ping");
  for (char c : bytes) rpc.send({&c, 1});
  FrameDecoder decoder;
  Frame frame;
  std::vector<FrameKind> kinds;
  while (kinds.size() < 2) {
    const std::string piece = rpc.receive(1);
    ASSERT_FALSE(piece.empty());
    decoder.feed(piece);
    while (decoder.next(frame) == FrameDecoder::Outcome::kFrame) kinds.push_back(frame.kind);
    decoder.park();
  }
  EXPECT_EQ(kinds, (std::vector<FrameKind>{FrameKind::kHello, FrameKind::kReply}));
}

TEST_F(LoopHarness, EveryStripeTellsOfItsKeysAndOfWhatIsMissing) {
  ASSERT_EQ(start(0).to_string(), "ok");
  ASSERT_EQ(start(1).to_string(), "ok");
  await_cluster();
  const auto ask = [this](std::string request) {
    return call_node({"127.0.0.1", port(0, Door::kRpc)}, "loop", "admin", request,
                     std::chrono::steady_clock::now() + std::chrono::seconds(20));
  };
  // {"op": "explain", "keyspace": "carts", "key": …}: keys of all stripes, whichever shard took the connection.
  const auto explain = [&](const std::string& keyspace, const std::string& key) {
    std::string request =
        "\x83\xa2op\xa7"
        "explain\xa8keyspace";
    request += static_cast<char>(0xa0 | keyspace.size());
    request += keyspace + "\xa3key";
    request += static_cast<char>(0xa0 | key.size());
    return ask(request + key);
  };
  Client client(port(1, Door::kResp));
  for (int i = 0; i < 16; ++i) {
    const std::string key = "k" + std::to_string(i);
    ASSERT_EQ(client.call("SET " + key + " value" + std::to_string(i) + "\r\n"), "+OK\r\n");
    const auto answer = explain("carts", key);
    ASSERT_TRUE(answer.ok()) << answer.status().to_string();
    EXPECT_NE(answer->find("value" + std::to_string(i)), std::string::npos) << *answer;
  }
  EXPECT_EQ(explain("none", "k").status().code(), Code::kNotFound);
  EXPECT_EQ(explain("carts", "").status().code(), Code::kTooLarge);
  EXPECT_EQ(ask("\x81\xa2op\xa7"
                "explain")
                .status()
                .code(),
            Code::kInvalidArgument);
  // Both nodes have all of it, and know so once each has announced its clocks.
  std::string said;
  for (int tries = 0; tries < 5000 && said.find("\xa7missing\x90") == std::string::npos; ++tries) {
    const auto lag = ask("\x81\xa2op\xa3lag");
    ASSERT_TRUE(lag.ok()) << lag.status().to_string();
    said = *lag;
  }
  EXPECT_NE(said.find("\xa7missing\x90"), std::string::npos) << said;
  EXPECT_EQ(said.substr(0, 9), "\x84\xa4node\xa2n0");
}

TEST_F(LoopHarness, StrangersAreRefused) {
  ASSERT_EQ(start(0).to_string(), "ok");
  const auto refused = [this](const std::string& bytes) {
    Client client(port(0, Door::kRpc));
    client.send(bytes);
    const std::string reply = client.all();  // returns because the node closes
    FrameDecoder decoder;
    decoder.feed(reply);
    Frame frame;
    return decoder.next(frame) == FrameDecoder::Outcome::kFrame ? std::string("hello") : std::string("closed");
  };
  const auto hello = [](uint64_t version, const char* cluster, const char* node) {
    Hello h;
    h.version = version;
    h.cluster = cluster;
    h.node = node;
    h.process = 1;
    std::string bytes;
    append_frame(bytes, FrameKind::kHello, 0, encode(h));
    return bytes;
  };
  EXPECT_EQ(refused(hello(1, "other", "n1")), "hello");  // that side is to see our name, too
  EXPECT_EQ(refused(hello(1, "loop", "n7")), "hello");   // with the reason
  EXPECT_EQ(refused(hello(1, "loop", "n0")), "closed");
  EXPECT_EQ(refused(hello(2, "loop", "n1")), "closed");
  EXPECT_EQ(refused("GET / HTTP/1.1\r\n\r\n"), "closed");
  std::string message;
  append_frame(message, FrameKind::kStripeMessage, 0, "x");
  EXPECT_EQ(refused(message), "closed");
  // A node may send anything to stripes: what does not decode or does not exist is dropped, and the node lives on.
  Client peer(port(0, Door::kRpc));
  peer.send(hello(1, "loop", "n1"));
  EXPECT_FALSE(peer.receive(kFrameHeaderBytes).empty());
  std::string bytes;
  for (int stripe = 0; stripe < 256; ++stripe) {
    append_frame(bytes, FrameKind::kStripeMessage, static_cast<uint8_t>(stripe), "\xc1garbage");
  }
  peer.send(bytes);
  append_frame(bytes, FrameKind::kRequest, 0, "a client's frame ends it");
  peer.send(bytes);
  peer.all();  // returns because the node closes
  EXPECT_EQ(Client(port(0, Door::kResp)).call("PING\r\n"), "+PONG\r\n");
  // So does one that gets a batch that unfolds to more than a batch may have.
  Client bomber(port(0, Door::kRpc));
  bomber.send(hello(1, "loop", "n1"));
  EXPECT_FALSE(bomber.receive(kFrameHeaderBytes).empty());
  std::string bomb;
  append_frame(bomb, FrameKind::kBatch, 0, "\xff\xff\xff\x7f bomb");
  bomber.send(bomb);
  bomber.all();  // returns because the node closes
  Client metrics(port(0, Door::kHttp));
  metrics.send("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_NE(metrics.all().find("\ncartwheel_region_rejected_batches_total 1\n"), std::string::npos);
}

TEST_F(LoopHarness, AnOpenDataDirectoryIsNamed) {
  ASSERT_EQ(start(0).to_string(), "ok");
  for (auto& socket : sockets_[0]) {
    auto fd = bind_to({"127.0.0.1", 0});
    ASSERT_TRUE(fd.ok());
    socket = *fd;
  }
  std::unique_ptr<Node> first = std::move(nodes_[0]);
  const Status again = start(0);
  EXPECT_FALSE(again.ok());
  EXPECT_NE(again.message().find("stripe-"), std::string::npos) << again.to_string();
  nodes_[0] = std::move(first);
  EXPECT_EQ(Client(port(0, Door::kResp)).call("PING\r\n"), "+PONG\r\n");
}

TEST_F(LoopHarness, AnotherNodesDataIsRefused) {
  ASSERT_EQ(start(0).to_string(), "ok");
  nodes_[0].reset();
  std::filesystem::rename(directory_ + "/n0", directory_ + "/n1");
  const Status status = start(1);
  EXPECT_NE(status.message().find("belongs to node 'n0'"), std::string::npos) << status.to_string();
}

}  // namespace
}  // namespace cartwheel::node
