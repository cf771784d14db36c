#include "client/bench/resp_protocol.h"

#include <gtest/gtest.h>

namespace cartwheel::bench {
namespace {

std::string encoded(const Operation& op, unsigned replies = 1) {
  const RespProtocol protocol(0);
  std::string out;
  EXPECT_EQ(protocol.encode(op, 0, out), replies);
  return out;
}

TEST(RespProtocol, EncodesRequestsAsArraysOfStrings) {
  EXPECT_EQ(encoded({.kind = OpKind::kGet, .key = 42}), "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000042\r\n");
  EXPECT_EQ(encoded({.kind = OpKind::kSetAdd, .key = 1, .detail = 7}),
            "*3\r\n$4\r\nSADD\r\n$16\r\nset:000000000001\r\n$16\r\nitem000000000007\r\n");
  EXPECT_EQ(encoded({.kind = OpKind::kFillSet, .key = 1, .detail = 5, .size = 2}),
            "*4\r\n$4\r\nSADD\r\n$16\r\nset:000000000001\r\n$16\r\nitem000000000005\r\n$16\r\nitem000000000006\r\n");
  EXPECT_EQ(encoded({.kind = OpKind::kCartIncrement, .key = 1, .detail = 2}),
            "*4\r\n$7\r\nHINCRBY\r\n$17\r\ncart:000000000001\r\n$16\r\nqty:000000000002\r\n$1\r\n1\r\n");
}

TEST(RespProtocol, SetCarriesTheValueOfTheKey) {
  std::string value;
  Values().append(9, 100, value);
  EXPECT_EQ(encoded({.kind = OpKind::kSet, .key = 9, .size = 100}),
            "*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000009\r\n$100\r\n" + value + "\r\n");
}

TEST(RespProtocol, SetWaitIsTwoRequestsAndWaitsForBothReplies) {
  const std::string both = encoded({.kind = OpKind::kSetWait, .key = 9, .size = 10}, 2);
  EXPECT_EQ(both.find(encoded({.kind = OpKind::kSet, .key = 9, .size = 10})), 0u);
  EXPECT_NE(both.find("$4\r\nWAIT\r\n$1\r\n1\r\n"), std::string::npos);
}

TEST(RespProtocol, SelectsADatabaseOtherThanTheFirst) {
  std::string out;
  EXPECT_EQ(RespProtocol(0).greet(out), 0u);
  EXPECT_EQ(out, "");
  EXPECT_EQ(RespProtocol(12).greet(out), 1u);
  EXPECT_EQ(out, "*2\r\n$6\r\nSELECT\r\n$2\r\n12\r\n");
}

}  // namespace
}  // namespace cartwheel::bench
