#include "node/core/paxos/ballot.h"

#include <algorithm>

#include "base/planted.h"

namespace cartwheel::node::paxos {

std::string to_string(const Ballot& ballot) {
  if (ballot.zero()) return "none";
  return std::to_string(ballot.counter) + "." + std::to_string(ballot.proposer) + "." + std::to_string(ballot.epoch);
}

void encode(Encoder& out, const Ballot& ballot) {
  out.varint(ballot.counter);
  if (ballot.zero()) return;
  out.u16(ballot.proposer);
  out.u64(ballot.epoch);
}

Ballot decode_ballot(Decoder& in) {
  Ballot ballot;
  ballot.counter = in.varint();
  if (ballot.counter > kMaxCounter) in.fail();
  if (!in.ok() || ballot.zero()) return {};
  ballot.proposer = in.u16();
  ballot.epoch = in.u64();
  return ballot;
}

void write(MsgWriter& out, const Ballot& ballot) {
  out.uint(ballot.counter);
  out.uint(ballot.proposer);
  out.uint(ballot.epoch);
}

Ballot read_ballot(MsgReader& in) {
  uint64_t counter = in.uint(), proposer = in.uint(), epoch = in.uint();
  if (counter > kMaxCounter || proposer > 0xffff || (counter == 0 && (proposer | epoch) != 0)) in.fail();
  if (!in.ok()) return {};
  return {counter, static_cast<NodeIndex>(proposer), epoch};
}

Result<Ballot> BallotSource::next() {
  if (counter_ == kMaxCounter) return Status::Unavailable("the ballots of this node are used up");
  return Ballot{++counter_, proposer_, planted(Bug::kPaxosBallotReuse) ? 0 : epoch_};
}

void BallotSource::observe(const Ballot& other) {
  counter_ = std::max(counter_, other.counter);
}

}  // namespace cartwheel::node::paxos
