// A client of the RPC door in one process: the client's codec, the door's session, and a backend that records what
// reaches it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "client/cpp/rpc_codec.h"
#include "node/fronts/rpc/session.h"
#include "tests/node/doors_testing.h"

namespace cartwheel::node::testing {

struct Answer {
  uint64_t id = 0;
  Code code = Code::kOk;
  std::string message, value;
};

struct Client {
  FakeBackend backend;
  std::vector<Answer> answers;
  std::unique_ptr<RpcSession> session =
      std::make_unique<RpcSession>(backend, [this](std::string_view payload) { record(payload); });

  void record(std::string_view payload) {
    Result<client::RpcReply> reply = client::parse_reply(payload);
    ASSERT_TRUE(reply.ok()) << reply.status().to_string();
    answers.push_back({reply->id, reply->code, std::string(reply->message), std::string(reply->value)});
  }
  void send(uint64_t id, const Operation& op, const client::RpcOptions& options = {}, const char* keyspace = "carts") {
    std::string payload;
    client::encode_request(id, keyspace, op, options, payload);
    session->receive(payload);
  }
  // Sends and returns the one answer, or fails.
  Answer ask(const Operation& op, const client::RpcOptions& options = {}, const char* keyspace = "carts") {
    answers.clear();
    send(1, op, options, keyspace);
    EXPECT_EQ(answers.size(), 1u);
    return answers.empty() ? Answer{} : answers[0];
  }
  Answer ask_raw(std::string_view payload) {
    answers.clear();
    session->receive(payload);
    EXPECT_EQ(answers.size(), 1u);
    return answers.empty() ? Answer{} : answers[0];
  }
};

inline Operation get(std::string key) {
  Operation op;
  op.key = std::move(key);
  return op;
}

}  // namespace cartwheel::node::testing
