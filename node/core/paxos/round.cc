#include "node/core/paxos/round.h"

#include <algorithm>

#include "base/limits.h"
#include "base/planted.h"

namespace cartwheel::node::paxos {

Round::Round(std::string key, const Options& options, Quorum quorum, Proposal proposal, uint64_t seed)
    : key_(std::move(key)),
      options_(options),
      quorum_(std::move(quorum)),
      proposal_(std::move(proposal)),
      rng_(seed),
      newest_generation_(quorum_.generation) {
  CHECK(quorum_.check().ok());
}

void Round::begin(std::optional<Held> held, BallotSource& ballots, Instant now) {
  CHECK(phase_ == Phase::kIdle);
  held_ = std::move(held);
  if (!proposal_.change) return ask(MessageType::kQuery, ballots, now);
  if (!held_) return ask(MessageType::kPrepare, ballots, now);
  // The promises are here already. What the change function sees may be old news; its decision then finds no quorum.
  ++attempts_;
  request_.ballot = held_->next;
  highest_ = held_->accepted;
  value_ = std::move(held_->value);
  uniform_ = false;
  held_.reset();
  decide(ballots, now);
}

// Starts a query, or an attempt under a new ballot.
void Round::ask(MessageType type, BallotSource& ballots, Instant now) {
  auto ballot = ballots.next();
  if (!ballot.ok()) return give_up(ballot.status());
  if (type == MessageType::kPrepare) {
    held_.reset();  // the acceptors keep one promise
    if (++attempts_ > limits::kPaxosAttempts)
      return give_up(Status::Unavailable("too many others change this register"));
  }
  phase_ = type == MessageType::kQuery ? Phase::kQuery : Phase::kPrepare;
  request_ = {type, key_, quorum_.generation, *ballot, {}, {}};
  highest_ = {};
  value_.reset();
  uniform_ = true;
  told_ = 0;
  tally_ = {};
  conflict_ = false;
  send_to_silent(now);
}

void Round::on_reply(NodeIndex from, const Reply& reply, BallotSource& ballots, Instant now) {
  if (phase_ == Phase::kDone || phase_ == Phase::kIdle || reply.key != key_) return;
  newest_generation_ = std::max(newest_generation_, reply.generation);
  if (reply.request != request_.type || reply.ballot != request_.ballot) return;
  switch (reply.verdict) {
    case Reply::Verdict::kOldGeneration:
    case Reply::Verdict::kLost:
      return;  // as if silent: asked again after a while, when the reason may be gone
    case Reply::Verdict::kConflict:
      ballots.observe(reply.promised);
      if (phase_ == Phase::kBackOff || !tally_.add(quorum_, from, Tally::Answer::kNo)) return;
      conflict_ = true;
      if (!tally_.possible(quorum_)) back_off(now);
      return;
    case Reply::Verdict::kYes:
      // An accept may still find its quorum while the round waits to try again.
      if (request_.type == MessageType::kAccept) return on_accepted(from);
      if (phase_ != Phase::kBackOff) on_told(from, reply, ballots, now);
  }
}

void Round::on_told(NodeIndex from, const Reply& reply, BallotSource& ballots, Instant now) {
  // Never from a sound acceptor: it accepts under this ballot when it is asked to, and nobody has asked yet.
  if (request_.type == MessageType::kPrepare && reply.accepted >= request_.ballot) return;
  if (!tally_.add(quorum_, from, Tally::Answer::kYes)) return;
  ballots.observe(reply.accepted);
  bool first = told_++ == 0;
  if (!first && reply.accepted == highest_ && reply.value != value_) {
    return give_up({Code::kCorruption, "two values under ballot " + to_string(highest_)});
  }
  if (!first && reply.accepted != highest_) uniform_ = false;
  if (first || reply.accepted > highest_ || planted(Bug::kPaxosIgnoresAccepted)) {
    highest_ = reply.accepted;
    value_ = reply.value;
  }
  bool reached = tally_.reached(quorum_);
  if (request_.type == MessageType::kPrepare) {
    if (reached) decide(ballots, now);
  } else if ((reached && uniform_) || planted(Bug::kPaxosReadFromMinority)) {
    finish({Outcome::Kind::kChosen, {}, std::move(value_), highest_});
  } else if (reached) {
    ask(MessageType::kPrepare, ballots, now);
  }
}

// A quorum has promised request_.ballot; highest_ and value_ are what must be built on.
void Round::decide(BallotSource& ballots, Instant now) {
  if (changed_under(highest_)) {
    pending_ = {Outcome::Kind::kChosen, {}, value_, request_.ballot};
    return propose(value_, ballots, now);
  }
  // Made by another after our change was sent out: on top of it, or not.
  bool may_contain = !changed_.empty() && highest_ > changed_.front();
  if (may_contain && !proposal_.repeatable && !planted(Bug::kPaxosRepeatsBlindly)) {
    return give_up({Code::kUnknownOutcome, "another change came between, on top of this one or instead of it"});
  }
  Decision decision =
      proposal_.change ? proposal_.change({value_, request_.ballot, quorum_.generation}) : Decision::keep();
  if (decision.value && decision.value->size() > limits::kPaxosValueBytes) {
    decision = Decision::refuse({Code::kTooLarge, "the new value is too large for a register"});
  }
  if (decision.kind == Decision::Kind::kSet) {
    changed_.push_back(request_.ballot);
    pending_ = {Outcome::Kind::kChosen, {}, decision.value, request_.ballot};
    return propose(std::move(decision.value), ballots, now);
  }
  bool refused = decision.kind == Decision::Kind::kRefuse;
  pending_ = {refused ? Outcome::Kind::kRefused : Outcome::Kind::kChosen, std::move(decision.status), value_, highest_};
  bool agreed = uniform_ || planted(Bug::kPaxosReadFromMinority);
  bool buried = changed_.empty() || planted(Bug::kPaxosRefusalAfterAccept);
  if (agreed && buried) return finish(std::move(pending_));
  pending_.ballot = request_.ballot;
  propose(value_, ballots, now);
}

void Round::propose(Value value, BallotSource& ballots, Instant now) {
  Ballot next;
  if (options_.piggyback) {
    if (auto ballot = ballots.next(); ballot.ok()) next = *ballot;
  }
  phase_ = Phase::kAccept;
  request_ = {MessageType::kAccept, key_, quorum_.generation, request_.ballot, std::move(value), next};
  tally_ = {};
  conflict_ = false;
  send_to_silent(now);
}

void Round::on_accepted(NodeIndex from) {
  if (!tally_.add(quorum_, from, Tally::Answer::kYes) || !tally_.reached(quorum_)) return;
  if (!request_.next.zero()) held_ = Held{request_.next, request_.ballot, std::move(request_.value)};
  finish(std::move(pending_));
}

void Round::on_quorum(Quorum quorum, BallotSource& ballots, Instant now) {
  CHECK(quorum.check().ok());
  if (phase_ == Phase::kDone || quorum.generation <= quorum_.generation) return;
  quorum_ = std::move(quorum);
  newest_generation_ = std::max(newest_generation_, quorum_.generation);
  held_.reset();
  if (phase_ == Phase::kIdle) return;
  ask(phase_ == Phase::kQuery ? MessageType::kQuery : MessageType::kPrepare, ballots, now);
}

void Round::tick(BallotSource& ballots, Instant now) {
  if (phase_ == Phase::kDone || phase_ == Phase::kIdle) return;
  if (now >= proposal_.deadline) return give_up(Status::Unavailable("no quorum of acceptors answered in time"));
  if (now < wake_) return;
  if (phase_ == Phase::kBackOff) return ask(MessageType::kPrepare, ballots, now);
  // One that promised another ballot will not change its mind, and the rest has had its time.
  conflict_ ? back_off(now) : send_to_silent(now);
}

std::optional<Instant> Round::next_deadline() const {
  if (phase_ == Phase::kDone || phase_ == Phase::kIdle) return {};
  return std::min(wake_, proposal_.deadline);
}

void Round::send_to_silent(Instant now) {
  Send send{{}, request_};
  for (NodeIndex node : quorum_.members()) {
    if (!tally_.answered(node)) send.to.push_back(node);
  }
  sends_.push_back(std::move(send));
  wake_ = now + options_.resend;
}

void Round::back_off(Instant now) {
  phase_ = Phase::kBackOff;
  int64_t longest = options_.backoff_min.us << std::min<uint32_t>(attempts_ - 1, 20);
  longest = std::min(longest, options_.backoff_max.us);
  wake_ = now + Duration{longest / 2 + static_cast<int64_t>(rng_.below(static_cast<uint64_t>(longest / 2 + 1)))};
}

void Round::give_up(Status why) {
  finish({changed_.empty() ? Outcome::Kind::kNotApplied : Outcome::Kind::kUnknown, std::move(why), {}, {}});
}

void Round::finish(Outcome outcome) {
  phase_ = Phase::kDone;
  outcome_ = std::move(outcome);
}

bool Round::changed_under(const Ballot& ballot) const {
  return std::binary_search(changed_.begin(), changed_.end(), ballot);
}

}  // namespace cartwheel::node::paxos
