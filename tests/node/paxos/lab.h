// Lab: acceptors on a table, for tests that say themselves which message arrives where.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "node/core/paxos/acceptor.h"
#include "node/core/paxos/round.h"

namespace cartwheel::node::paxos {

inline const std::string kLabKey = "k";

struct Lab {
  std::map<NodeIndex, Acceptor> acceptors;
  size_t requests = 0, writes = 0;

  explicit Lab(std::vector<NodeIndex> nodes) {
    for (NodeIndex n : nodes) acceptors.emplace(n, Acceptor::fresh());
  }
  static Quorum of(std::vector<NodeIndex> set, uint64_t generation = 1) { return {generation, {std::move(set)}}; }

  Reply ask(NodeIndex n, const Request& request) {
    uint64_t before = acceptors.at(n).version();
    // Through the codecs, as between nodes.
    Reply reply = acceptors.at(n).on_request(Request::decode(request.encode()).value()).reply;
    ++requests;
    writes += acceptors.at(n).version() != before;
    return Reply::decode(reply.encode()).value();
  }

  // Delivers what the round sends to the nodes of `reached`, and the answers to it, until it sends nothing more.
  void run(Round& round, BallotSource& ballots, const std::vector<NodeIndex>& reached, Instant now = {}) {
    for (auto sends = round.take_sends(); !sends.empty(); sends = round.take_sends()) {
      for (const Send& send : sends) {
        for (NodeIndex to : send.to) {
          if (std::find(reached.begin(), reached.end(), to) == reached.end()) continue;
          round.on_reply(to, ask(to, send.request), ballots, now);
        }
      }
    }
  }

  // A round that reaches `reached` and nobody else, to its end or to where it waits.
  Round propose(Proposal proposal, const Quorum& quorum, BallotSource& ballots, const std::vector<NodeIndex>& reached) {
    Round round(kLabKey, Options(), quorum, std::move(proposal), 1);
    round.begin({}, ballots, {});
    run(round, ballots, reached);
    return round;
  }
};

inline constexpr Instant kLabDeadline{10'000'000};

inline Proposal read() {
  return {{}, false, kLabDeadline};
}
inline Proposal set(std::string value) {
  return {[value](const Seen&) { return Decision::set(value); }, false, kLabDeadline};
}
inline Proposal append(std::string text, bool repeatable = false) {
  return {[text, repeatable](const Seen& seen) {
            std::string old = seen.value.value_or("");
            if (repeatable && old.find(text) != std::string::npos) return Decision::keep();
            return Decision::set(old + text);
          },
          repeatable, kLabDeadline};
}
// Sets if the value is `expected`, and refuses otherwise.
inline Proposal compare_and_set(Value expected, std::string value) {
  return {[expected, value](const Seen& seen) {
            if (seen.value != expected) return Decision::refuse(Status::InvalidArgument("another value"));
            return Decision::set(value);
          },
          false, kLabDeadline};
}

}  // namespace cartwheel::node::paxos
