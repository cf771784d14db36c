#include "tests/node/real_redis.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "base/check.h"
#include "tests/node/resp_text.h"

namespace cartwheel::test {

RealRedis::RealRedis() {
  std::string pattern = (std::filesystem::temp_directory_path() / "cartwheel-redis-XXXXXX").string();
  CHECK(mkdtemp(pattern.data()) != nullptr);
  folder_ = pattern;
  socket_path_ = folder_ + "/socket";
  int output[2];
  CHECK(pipe(output) == 0);
  process_ = fork();
  CHECK(process_ >= 0);
  if (process_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that crashes leaves no server behind
    dup2(output[1], STDOUT_FILENO);
    close(output[0]);
    close(output[1]);
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", socket_path_.c_str(), "--save", "",
           "--appendonly", "no", "--dir", folder_.c_str(), "--daemonize", "no", static_cast<char*>(nullptr));
    _exit(127);
  }
  close(output[1]);
  // Its log says when it listens; a server that ends closes the pipe.
  FILE* log = fdopen(output[0], "r");
  char line[1024];
  while (!running_ && fgets(line, sizeof(line), log) != nullptr) {
    running_ = strstr(line, "ready to accept connections at") != nullptr;
  }
  // Left open: a server that cannot write its log would get a signal. It goes with this process.
}

RealRedis::~RealRedis() {
  kill(process_, SIGKILL);
  waitpid(process_, nullptr, 0);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

RedisConnection::RedisConnection(const RealRedis& redis) {
  socket_ = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  CHECK(redis.socket_path().size() < sizeof(address.sun_path));
  strcpy(address.sun_path, redis.socket_path().c_str());
  CHECK(connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
}

RedisConnection::~RedisConnection() {
  close(socket_);
}

namespace {

void send_all(int socket, const std::string& bytes) {
  for (size_t sent = 0; sent < bytes.size();) {
    ssize_t n = send(socket, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return;  // closed by the server: the replies tell
    sent += static_cast<size_t>(n);
  }
}

bool read_some(int socket, std::string& bytes) {
  char buffer[65536];
  ssize_t n = recv(socket, buffer, sizeof(buffer), 0);
  if (n > 0) bytes.append(buffer, static_cast<size_t>(n));
  return n > 0;
}

}  // namespace

std::string RedisConnection::ask(const std::string& bytes, size_t replies) {
  send_all(socket_, bytes);
  std::string answer;
  size_t at = 0;
  while (replies > 0) {
    if (read_reply(answer, at)) {
      --replies;
    } else if (!read_some(socket_, answer)) {
      break;
    }
  }
  return answer;
}

std::string RedisConnection::ask_and_end(const std::string& bytes) {
  send_all(socket_, bytes);
  shutdown(socket_, SHUT_WR);
  std::string answer;
  while (read_some(socket_, answer)) {
  }
  return answer;
}

}  // namespace cartwheel::test
