// Session tokens: what a client has written and read, in at most 256 characters that it can take to any region. Whoever
// gets a request with one does not answer a read from a state that lacks any of it: the client reads its own writes,
// and what it reads never goes back.
//
// A partition's clock tells what a state contains, so a token is a list of entries (partition, actor, seq): all writes
// of the actor up to that number. Of a reply it takes what the coordinator's clock had and not every replica is known
// to have (SessionSeen): deletes have dots, too, so "nothing there" is remembered like any value. When the entries do
// not fit, the oldest are folded into one time, `through`, which holds for all partitions.
//
// Why a time will do, whatever the clocks of the nodes show: an entry's time is one millisecond later than the
// coordinator's own wall clock when it answered. That clock never goes back, and each announcement of the coordinator
// carries it (AnnounceMessage::as_of); so an announcement of this time or a later one was made after the answer, and
// its clock has all that the answer showed. A replica that covers such an announcement of *every* other replica covers
// the coordinator's among them (the times of the others are asked for in vain, which costs a wait and nothing else),
// and the coordinator itself has it anyway. A coordinator that owns the arc no more has handed over what it had.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "crdt/dot.h"

namespace cartwheel::node {

inline constexpr size_t kTokenBytes = 256;  // of its text, at most
inline constexpr size_t kSessionDots = 64;  // of one request or reply, at most; a token has room for fewer

// All writes of `actor` in some partition up to number `seq`.
struct SessionDot {
  crdt::Actor actor;
  uint64_t seq = 0;
  friend bool operator==(const SessionDot&, const SessionDot&) = default;
};

// What to do where a demand is not met.
enum class SessionPolicy : uint8_t {
  kWait = 0,     // until the replica has what is missing
  kForward = 1,  // pass the request on to a replica that is known to have it, in any region; else wait
  kStale = 2,    // answer, and say so
};

// What a request asks of the clock of its partition before the request is carried out. It holds for verbs that read a
// key or act on what is there (observes()), not for those that walk over a whole arc.
struct SessionDemand {
  SessionPolicy policy = SessionPolicy::kWait;
  Duration patience{};     // of kWait and kForward, from when a coordinator gets it; zero: until the request's deadline
  int64_t through_ms = 0;  // 0: nothing is asked of it
  std::vector<SessionDot> dots;
};

// What a reply has shown, of one partition: dots that not all replicas are known to have.
struct SessionSeen {
  uint16_t keyspace = 0;
  uint32_t arc = 0;
  std::vector<SessionDot> dots;
  bool folded = false;   // the dots are too many to be named: only the time tells
  int64_t as_of_ms = 0;  // see above
  bool stale = false;    // the demand was not met, and the policy was kStale
};

class SessionToken {
 public:
  struct Entry {
    uint16_t keyspace = 0;
    uint32_t arc = 0;
    SessionDot dot;
    int64_t as_of_ms = 0;
    friend bool operator==(const Entry&, const Entry&) = default;
  };

  // The text of a token of this cluster. kBadToken, saying what is wrong: too long, damaged, of a later format, of
  // another cluster.
  static Result<SessionToken> parse(std::string_view text, std::string_view cluster);
  // At most kTokenBytes characters of A-Z a-z 0-9 - and _. parse() gives back an equal token.
  std::string text(std::string_view cluster) const;

  // From now on the token demands what was seen, too. Demands never become less: what does not fit is folded.
  void add(const SessionSeen& seen);
  // What it demands of a partition; policy and patience are the caller's.
  SessionDemand demand(uint16_t keyspace, uint32_t arc) const;

  int64_t through_ms() const { return through_ms_; }
  const std::vector<Entry>& entries() const { return entries_; }  // the latest last
  friend bool operator==(const SessionToken&, const SessionToken&) = default;

 private:
  std::string encode(std::string_view cluster) const;
  void fold_oldest();

  int64_t through_ms_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace cartwheel::node
