#include "node/core/paxos/catch_up.h"

#include <algorithm>

namespace cartwheel::node::paxos {

namespace {
bool has(const std::vector<NodeIndex>& set, NodeIndex node) {
  return std::find(set.begin(), set.end(), node) != set.end();
}
}  // namespace

CatchUp::CatchUp(std::string key, NodeIndex self, Quorum quorum, Ballot question, Duration resend)
    : key_(std::move(key)), self_(self), quorum_(std::move(quorum)), question_(question), resend_(resend) {
  CHECK(quorum_.check().ok());
  // The sets of others do not matter: a vote of this acceptor counted in its own.
  std::erase_if(quorum_.sets, [&](const auto& set) { return !has(set, self_); });
  CHECK(!quorum_.sets.empty());
}

void CatchUp::begin(Instant now) {
  send_to_silent(now);
}

void CatchUp::on_reply(NodeIndex from, const Reply& reply) {
  if (done() || reply.key != key_ || reply.request != MessageType::kQuery || reply.ballot != question_) return;
  if (reply.verdict != Reply::Verdict::kYes || from == self_ || has(told_, from)) return;
  told_.push_back(from);
  if (reply.accepted <= highest_) return;
  highest_ = reply.accepted;
  value_ = reply.value;
}

bool CatchUp::done() const {
  return std::all_of(quorum_.sets.begin(), quorum_.sets.end(), [&](const auto& set) {
    auto told = std::count_if(set.begin(), set.end(), [&](NodeIndex node) { return has(told_, node); });
    return static_cast<size_t>(told) >= others_to_ask(set.size());
  });
}

void CatchUp::tick(Instant now) {
  if (!done() && now >= wake_) send_to_silent(now);
}

std::optional<Instant> CatchUp::next_deadline() const {
  if (done()) return {};
  return wake_;
}

void CatchUp::send_to_silent(Instant now) {
  Send send{{}, {MessageType::kQuery, key_, quorum_.generation, question_, {}, {}}};
  for (NodeIndex node : quorum_.members()) {
    if (node != self_ && !has(told_, node)) send.to.push_back(node);
  }
  sends_.push_back(std::move(send));
  wake_ = now + resend_;
}

}  // namespace cartwheel::node::paxos
