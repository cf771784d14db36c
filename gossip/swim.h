// Swim: who is alive, told by gossip (SWIM, DSN 2002, with Lifeguard, 2017), as a machine without I/O. It does not
// decide who is a member: that comes from the configuration register, by set_members(). docs/membership.md explains it.
//
// Within a region every node probes the others and news spreads among all. Between regions only a few gateways of each
// talk: they pass on what happens to the members of their own region, and their round trips tell whether the other
// region can be reached. So a member's state is what its own region says of it, and whether a region can be reached is
// a fact of the observer's region.
//
// The driver, each turn: hand in what happened (set_members, on_packet, on_stream, on_tick) with the turn's `now`;
// take_output() and send it; sleep until something comes or next_deadline(). Packets that wait in the socket should be
// handed in before the tick of the same turn.
//
// Transport: packets are datagrams, sealed by the driver (gossip/sealer.h), to the address that the configuration has
// for `to`; they may be lost, doubled, late. Streams are messages over an authenticated reliable connection to `to`; a
// message that cannot be sent may be dropped.
//
// Threads: none; every call from one thread. No clock, random device, file or socket is used.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "gossip/options.h"
#include "gossip/types.h"

namespace cartwheel::gossip {

struct Event {
  enum class Kind : uint8_t {
    kState,    // `member` now is `state`, at `incarnation`; kAlive again at a later boot: it was restarted
    kFacts,    // the facts of `member` changed
    kRegion,   // `region` can be reached, or not any more
    kConfig,   // `member` has the configuration of `epoch`, newer than ours: fetch it
    kRemoved,  // `member`, at configuration `epoch`, says that we are not a member: ask the register, and stop
  };
  Kind kind = Kind::kState;
  MemberId member = kNoMember;
  State state = State::kUnknown;
  Incarnation incarnation = 0;
  uint64_t epoch = 0;
  std::string region = {};
  bool reachable = false;
};

struct Output {
  struct Message {
    MemberId to = kNoMember;
    std::string bytes;
  };
  std::vector<Message> packets;  // plain, to be sealed
  std::vector<Message> streams;
  std::vector<Event> events;
  bool empty() const { return packets.empty() && streams.empty() && events.empty(); }
};

struct Stats {
  uint64_t packets_in = 0, packets_out = 0, streams_in = 0, streams_out = 0;
  uint64_t malformed = 0, other_version = 0;  // input that does not decode, or is of a version we do not speak
  uint64_t misdelivered = 0;                  // packets for somebody else: an address changed hands
  uint64_t strangers = 0;                     // packets of identities that are no members
  uint64_t replayed = 0, implausible = 0;     // packets seen before; claims too far above what is known
  uint64_t probes = 0, probes_failed = 0, indirect_probes = 0, nacks = 0;
  uint64_t suspected = 0, declared_dead = 0, refuted = 0;  // by this node's own timers; accusations of this node
  uint64_t stalls = 0;                                     // deadlines that came up much too late
  uint64_t exchanges = 0, exchanges_differing = 0;         // push-pulls completed that this node began
  uint64_t broadcasts_dropped = 0;
};

class Swim {
 public:
  // `seed` is of this life's randomness. REQUIRES: `incarnation` is first_incarnation() of a durable count of starts,
  // at least 1 and higher than in every earlier life of this identity. Nothing happens before set_members().
  Swim(Options options, Member self, Incarnation incarnation, uint64_t seed);
  ~Swim();
  Swim(const Swim&) = delete;
  Swim& operator=(const Swim&) = delete;

  // The members of configuration `epoch`, this node among them or not (then it has been removed, and falls silent). Who
  // is new is kUnknown; whose identity is not there any more is removed and refused for ever. kInvalidArgument, and
  // nothing changes: too many members or regions, an id or identity twice, a removed identity or a changed one under
  // the same id. An epoch below the last one is ignored.
  Status set_members(std::vector<Member> members, uint64_t epoch, Instant now);

  // --- events
  // `plain` is a packet that the sealer opened. The result, empty but for strangers, is a packet for the address that
  // it came from; it is never longer than `plain`.
  std::string on_packet(std::string_view plain, Instant now);
  // `bytes` is a stream message from `from`, whom the connection has authenticated.
  void on_stream(MemberId from, std::string_view bytes, Instant now);
  // next_deadline() is due. Calling it early does nothing.
  void on_tick(Instant now);
  std::optional<Instant> next_deadline() const;

  // Replaces this node's facts: load, stage; at most limits::kFactsBytes. They are spread at once if the budget of
  // Options::facts_bytes_per_second allows, else later; only the last of several changes is.
  Status set_facts(std::string facts, Instant now);
  // This node is about to stop: tells so, and does not refute any more. Go on driving it until leave_done().
  void leave(Instant now);
  bool leave_done() const;

  Output take_output();

  // --- looking in
  State state(MemberId member) const;  // what its region says of it; kUnknown for no member
  // kAlive or kSuspect, in a region that can be reached.
  bool reachable(MemberId member) const;
  bool region_reachable(std::string_view region) const;
  Incarnation incarnation(MemberId member) const;
  const std::string& facts(MemberId member) const;  // empty if unknown
  std::vector<MemberId> gateways(std::string_view region) const;
  int health_score() const;   // 0: healthy; see LocalHealth
  size_t queued() const;      // news waiting to be spread, all queues
  size_t suspicions() const;  // running
  size_t relays() const;      // pings for others that wait
  Stats stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cartwheel::gossip
