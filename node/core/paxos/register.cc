#include "node/core/paxos/register.h"

#include <algorithm>

#include "base/limits.h"

namespace cartwheel::node::paxos {

Register::Register(std::string key, const Options& options, Quorum quorum, BallotSource& ballots, uint64_t seed)
    : key_(std::move(key)),
      options_(options),
      quorum_(std::move(quorum)),
      ballots_(ballots),
      rng_(seed),
      newest_generation_(quorum_.generation) {
  CHECK(quorum_.check().ok());
}

Result<uint64_t> Register::propose(Proposal proposal, Instant now) {
  if (waiting_.size() >= limits::kPaxosProposals) {
    return Status(Code::kOverloaded, "too many proposals wait for this register");
  }
  waiting_.push_back({++last_ticket_, std::move(proposal)});
  pump(now);
  return last_ticket_;
}

void Register::on_reply(NodeIndex from, const Reply& reply, Instant now) {
  if (!round_) return;
  round_->on_reply(from, reply, ballots_, now);
  pump(now);
}

void Register::set_quorum(const Quorum& quorum, Instant now) {
  CHECK(quorum.check().ok());
  if (quorum.generation <= quorum_.generation) return;
  quorum_ = quorum;
  newest_generation_ = std::max(newest_generation_, quorum.generation);
  held_.reset();  // promised by a quorum of the past
  if (round_) round_->on_quorum(quorum, ballots_, now);
  pump(now);
}

void Register::tick(Instant now) {
  std::erase_if(waiting_, [&](const Waiting& w) {
    if (now < w.proposal.deadline) return false;
    output_.done.push_back({w.ticket,
                            {Outcome::Kind::kNotApplied,
                             {Code::kOverloaded, "the deadline passed while others changed this register"},
                             {},
                             {}}});
    return true;
  });
  if (round_) round_->tick(ballots_, now);
  pump(now);
}

std::optional<Instant> Register::next_deadline() const {
  std::optional<Instant> first;
  if (round_) first = round_->next_deadline();
  for (const Waiting& w : waiting_) first = first ? std::min(*first, w.proposal.deadline) : w.proposal.deadline;
  return first;
}

// Takes what the round has to say, and starts the next one when it is done.
void Register::pump(Instant now) {
  while (true) {
    if (round_) {
      for (Send& send : round_->take_sends()) output_.sends.push_back(std::move(send));
      newest_generation_ = std::max(newest_generation_, round_->newest_generation());
      if (!round_->outcome()) return;
      output_.done.push_back({round_ticket_, *round_->outcome()});
      held_ = round_->held();
      round_.reset();
    }
    if (waiting_.empty()) return;
    round_ticket_ = waiting_.front().ticket;
    round_.emplace(key_, options_, quorum_, std::move(waiting_.front().proposal), rng_.next());
    waiting_.pop_front();
    round_->begin(std::exchange(held_, {}), ballots_, now);
  }
}

}  // namespace cartwheel::node::paxos
