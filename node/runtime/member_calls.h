// One question to several members of the cluster at once, for commands that combine what each of them knows.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace cartwheel::node {

struct MemberAnswer {
  std::string name, region, address;  // of the member; address: HOST:PORT of its RPC door
  Status status;
  std::string document;  // MessagePack, when status is ok
};

// The answer of `at` (HOST:PORT) to "describe". kInvalidArgument when `at` is no address, kIo when it cannot be
// reached.
Result<std::string> describe_cluster(const std::string& at);

// The members that `describe` names, of those in `only` if that is not empty, without their answers.
std::vector<MemberAnswer> members_of(std::string_view describe, const std::vector<std::string>& only = {});

// Makes the admin request `request` (MessagePack) to each member, several at a time, and fills in what they say. Those
// that do not answer within some seconds get kIo.
void ask_members(std::vector<MemberAnswer>& members, const std::string& request);

}  // namespace cartwheel::node
