#include "node/runtime/status_command.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "client/cpp/rpc_codec.h"
#include "node/runtime/cluster_file.h"
#include "node/runtime/frame.h"

namespace cartwheel::node {

namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

// A blocking connection of which every step ends by one deadline.
class Call {
 public:
  explicit Call(Clock::time_point deadline) : deadline_(deadline) {}
  ~Call() {
    if (fd_ >= 0) ::close(fd_);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  Status connect(const Address& address) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (const int error = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found)) {
      return Status::Io(gai_strerror(error));
    }
    fd_ = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const bool pending = fd_ >= 0 && ::connect(fd_, found->ai_addr, found->ai_addrlen) != 0;
    const int error = pending ? errno : 0;
    freeaddrinfo(found);
    if (fd_ < 0 || (pending && error != EINPROGRESS)) return Status::Io(std::strerror(errno));
    RETURN_IF_ERROR(wait(POLLOUT));
    int result = 0;
    socklen_t length = sizeof result;
    getsockopt(fd_, SOL_SOCKET, SO_ERROR, &result, &length);
    return result == 0 ? Status() : Status::Io(std::strerror(result));
  }

  Status send(std::string_view bytes) {
    while (!bytes.empty()) {
      RETURN_IF_ERROR(wait(POLLOUT));
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN && errno != EINTR) return Status::Io(std::strerror(errno));
      if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return {};
  }

  // Waits for a frame of `kind`; others are skipped.
  Result<std::string> receive(FrameKind kind) {
    while (true) {
      Frame frame;
      FrameDecoder::Outcome outcome = FrameDecoder::Outcome::kNeedMore;
      while ((outcome = decoder_.next(frame)) == FrameDecoder::Outcome::kFrame) {
        if (frame.kind == kind) return std::string(frame.payload);
      }
      if (outcome == FrameDecoder::Outcome::kError)
        return Status::Corruption("not a Cartwheel node: " + decoder_.error());
      decoder_.park();
      RETURN_IF_ERROR(wait(POLLIN));
      const ssize_t size = recv(fd_, buffer_, sizeof buffer_, 0);
      if (size == 0) return Status::Io("closed the connection");
      if (size < 0 && errno != EAGAIN && errno != EINTR) return Status::Io(std::strerror(errno));
      if (size > 0) decoder_.feed({buffer_, static_cast<size_t>(size)});
    }
  }

 private:
  Status wait(short events) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
    pollfd descriptor{fd_, events, 0};
    if (left <= 0 || poll(&descriptor, 1, static_cast<int>(left)) == 0) return Status::Io("no answer in time");
    return {};
  }

  const Clock::time_point deadline_;
  int fd_ = -1;
  FrameDecoder decoder_{8 << 20};
  char buffer_[16 * 1024];
};

Result<std::string> ask(const std::string& cluster, const Address& address, Clock::time_point deadline) {
  Call call(deadline);
  RETURN_IF_ERROR(call.connect(address));
  Hello hello;
  hello.cluster = cluster;
  std::string request;
  client::encode_named_request(1, "status", request);
  std::string bytes;
  append_frame(bytes, FrameKind::kHello, 0, encode(hello));
  append_frame(bytes, FrameKind::kRequest, 0, request);
  RETURN_IF_ERROR(call.send(bytes));
  auto greeting = call.receive(FrameKind::kHello);
  if (!greeting.ok()) return greeting.status();
  auto answered = decode_hello(*greeting);
  if (!answered.ok()) return answered.status();
  if (answered->cluster != cluster) return Status::Io("belongs to cluster '" + answered->cluster + "'");
  auto reply = call.receive(FrameKind::kReply);
  if (!reply.ok()) return reply.status();
  const auto parsed = client::parse_reply(*reply);
  if (!parsed.ok()) return parsed.status();
  if (parsed->code != Code::kOk) return Status::Io(code_name(parsed->code) + (": " + std::string(parsed->message)));
  return std::string(parsed->value);
}

// Members that are missing or of another type count as the default: the node may be of another version.
const Json& member(const Json& object, const char* name) {
  static const Json none;
  if (!object.is_object()) return none;
  const auto it = object.find(name);
  return it == object.end() ? none : *it;
}
int64_t number(const Json& object, const char* name) {
  const Json& value = member(object, name);
  return value.is_number_integer() ? value.get<int64_t>() : 0;
}
std::string word(const Json& object, const char* name) {
  const Json& value = member(object, name);
  return value.is_string() ? value.get<std::string>() : "?";
}

std::string duration_text(int64_t seconds) {
  if (seconds < 120) return std::to_string(seconds) + "s";
  if (seconds < 7200) return std::to_string(seconds / 60) + "m";
  if (seconds < 48 * 3600) return std::to_string(seconds / 3600) + "h";
  return std::to_string(seconds / 86400) + "d";
}

// "0" when the node has everything that its peers said to have.
std::string lag_text(const Json& node) {
  int64_t dots = 0, seconds = 0;
  for (const Json& peer : member(node, "peers")) {
    dots += number(peer, "lag_dots");
    if (number(peer, "lag_dots") > 0) seconds = std::max(seconds, number(peer, "lag_seconds"));
  }
  if (dots == 0) return "0";
  return std::to_string(dots) + (dots == 1 ? " write, " : " writes, ") + duration_text(seconds);
}

std::string peers_text(const Json& node) {
  size_t all = 0, reachable = 0;
  for (const Json& peer : member(node, "peers")) {
    ++all;
    if (member(peer, "reachable") == true) ++reachable;
  }
  return std::to_string(reachable) + "/" + std::to_string(all);
}

std::string table_text(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) line += row[i] + std::string(widths[i] - row[i].size() + 2, ' ');
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace

StatusReport report_status(const std::string& cluster, const std::vector<NodeAnswer>& answers, bool json) {
  Json nodes = Json::array();
  std::vector<std::vector<std::string>> rows = {
      {"NODE", "REGION", "ZONE", "STATE", "KEYS", "LAG", "PEERS", "UPTIME", "ADDRESS"}};
  size_t reached = 0, ready = 0;
  for (const NodeAnswer& answer : answers) {
    Json node = answer.status.ok() ? Json::from_msgpack(answer.document, true, false) : Json();
    std::string error = answer.status.message();
    if (answer.status.ok() && !node.is_object()) error = "an answer that does not decode";
    if (!error.empty()) {
      rows.push_back(
          {answer.name, answer.region, answer.zone, "unreachable", "-", "-", "-", "-", answer.address + "  " + error});
      nodes.push_back({{"name", answer.name},
                       {"region", answer.region},
                       {"zone", answer.zone},
                       {"state", "unreachable"},
                       {"rpc", answer.address},
                       {"error", error}});
      continue;
    }
    ++reached;
    const std::string state = word(node, "state");
    if (state == "ready") ++ready;
    rows.push_back({answer.name, answer.region, answer.zone, state, std::to_string(number(node, "keys")),
                    lag_text(node), peers_text(node), duration_text(number(node, "uptime_seconds")), answer.address});
    node["rpc"] = answer.address;
    nodes.push_back(std::move(node));
  }
  StatusReport report;
  const bool healthy = ready == answers.size();
  report.exit_code = healthy ? kExitOk : reached == 0 ? kExitUnreachable : kExitUnhealthy;
  if (json) {
    const Json document = {{"cluster", cluster}, {"healthy", healthy}, {"nodes", nodes}};
    report.text = document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
  } else {
    report.text = table_text(rows) + "cluster " + cluster + ": " + std::to_string(ready) + " of " +
                  std::to_string(answers.size()) + " nodes ready" + (healthy ? "" : ", not healthy") + "\n";
  }
  return report;
}

int run_status(const StatusOptions& options) {
  const auto config = load_cluster_file(options.cluster_file);
  if (!config.ok()) {
    std::fprintf(stderr, "cartwheel: %s\n", config.status().message().c_str());
    return kExitUsage;
  }
  std::vector<NodeAnswer> answers;
  std::string names;
  for (const NodeInfo& node : config->nodes) {
    names += (names.empty() ? "" : ", ") + node.name;
    if (!options.node.empty() && node.name != options.node) continue;
    answers.push_back({node.name, node.region, node.zone, node.rpc.to_string(), {}, {}});
  }
  if (answers.empty()) {
    std::fprintf(stderr, "cartwheel: node '%s' is not in %s, there are: %s\n", options.node.c_str(),
                 options.cluster_file.c_str(), names.c_str());
    return kExitUsage;
  }
  const auto deadline = Clock::now() + std::chrono::milliseconds(options.timeout_ms);
  std::vector<std::thread> threads;
  for (NodeAnswer& answer : answers) {
    threads.emplace_back([&answer, &config, deadline] {
      auto document = ask(config->name, config->nodes[config->node(answer.name)].rpc, deadline);
      answer.status = document.status();
      if (document.ok()) answer.document = std::move(document).value();
    });
  }
  for (std::thread& thread : threads) thread.join();
  const StatusReport report = report_status(config->name, answers, options.json);
  std::fputs(report.text.c_str(), stdout);
  return report.exit_code;
}

}  // namespace cartwheel::node
