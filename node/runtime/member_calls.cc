#include "node/runtime/member_calls.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "node/runtime/rpc_call.h"
#include "node/runtime/setting_text.h"

namespace cartwheel::node {

namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kDescribeLimit{15};
constexpr std::chrono::seconds kMemberLimit{3};
constexpr size_t kCallsAtOnce = 16;

std::string text(const Json& object, const char* name) {
  if (!object.is_object()) return "";
  const auto it = object.find(name);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

}  // namespace

Result<std::string> describe_cluster(const std::string& at) {
  const auto address = parse_address(at);
  if (!address) return Status::InvalidArgument("--at '" + at + "' is not HOST:PORT");
  std::string request;
  Json::to_msgpack(Json{{"op", "describe"}}, request);
  auto answer = call_node(*address, "", "admin", request, Clock::now() + kDescribeLimit);
  if (!answer.ok() && answer.status().code() == Code::kIo) return Status::Io(at + ": " + answer.status().message());
  return answer;
}

std::vector<MemberAnswer> members_of(std::string_view describe, const std::vector<std::string>& only) {
  std::vector<MemberAnswer> members;
  const Json document = Json::from_msgpack(describe, true, false);
  if (!document.is_object() || !document.contains("members")) return members;
  for (const Json& each : document["members"]) {
    const std::string name = text(each, "name");
    if (!only.empty() && std::find(only.begin(), only.end(), name) == only.end()) continue;
    const std::string rpc = each.is_object() && each.contains("addresses") ? text(each["addresses"], "rpc") : "";
    members.push_back({name, text(each, "region"), rpc, {}, {}});
  }
  return members;
}

void ask_members(std::vector<MemberAnswer>& members, const std::string& request) {
  std::atomic<size_t> next{0};
  const auto work = [&] {
    for (size_t i = next++; i < members.size(); i = next++) {
      MemberAnswer& member = members[i];
      const auto address = parse_address(member.address);
      if (!address) {
        member.status = Status::Io("its address '" + member.address + "' is not HOST:PORT");
        continue;
      }
      auto answer = call_node(*address, "", "admin", request, Clock::now() + kMemberLimit);
      member.status = answer.status();
      if (answer.ok()) member.document = *std::move(answer);
    }
  };
  std::vector<std::thread> threads;
  for (size_t i = 0; i < std::min(kCallsAtOnce, members.size()); ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
}

}  // namespace cartwheel::node
