// A real redis-server for tests to hold Cartwheel against: started on a unix socket in a folder of its own, stopped at
// the end. It has no persistence and sees nothing of the machine's configuration.
#pragma once

#include <sys/types.h>

#include <string>

namespace cartwheel::test {

class RealRedis {
 public:
  RealRedis();  // running() tells whether it came up
  ~RealRedis();
  RealRedis(const RealRedis&) = delete;
  RealRedis& operator=(const RealRedis&) = delete;

  bool running() const { return running_; }
  const std::string& socket_path() const { return socket_path_; }

 private:
  std::string folder_, socket_path_;
  pid_t process_ = -1;
  bool running_ = false;
};

class RedisConnection {
 public:
  explicit RedisConnection(const RealRedis& redis);
  ~RedisConnection();
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;

  // Sends `bytes` and reads `replies` replies; fewer if the server closes.
  std::string ask(const std::string& bytes, size_t replies = 1);
  // Sends `bytes`, says that no more will come, and reads until the server closes.
  std::string ask_and_end(const std::string& bytes);

 private:
  int socket_ = -1;
};

}  // namespace cartwheel::test
