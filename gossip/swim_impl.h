// The inside of Swim, shared by its files: swim.cc (events and timers), swim_members.cc
// (the configuration), swim_news.cc (what is said of members), swim_probe.cc
// (probing within the region), swim_regions.cc (gateways, beats), swim_exchange.cc (push-pull).
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/rng.h"
#include "gossip/broadcast_queue.h"
#include "gossip/gateways.h"
#include "gossip/local_health.h"
#include "gossip/message.h"
#include "gossip/probe_order.h"
#include "gossip/replay_window.h"
#include "gossip/suspicion.h"
#include "gossip/swim.h"

namespace cartwheel::gossip {

inline constexpr Instant kNever{INT64_MAX};

struct Swim::Impl {
  // What is known of one member.
  struct Record {
    MemberId id = kNoMember;
    uint16_t region = 0;  // index in regions_
    State state = State::kUnknown;
    uint64_t identity = 0;
    Incarnation incarnation = 0;
    uint64_t facts_version = 0;
    std::string facts;
    uint64_t gateway_score = 0;
    Instant accused{INT64_MIN / 2};        // when it was last told what is said of it, outside of acks
    std::unique_ptr<ReplayWindow> window;  // made when its first packet comes
  };
  struct Region {
    std::string name;
    uint32_t tag = 0;
    uint64_t beat = 0;      // round trips there that this region knows of
    Instant heard;          // when `beat` last grew
    bool reachable = true;  // until region_timeout says otherwise
    // Of this node as a gateway:
    uint64_t ping_sequence = 0;
    Instant ping_deadline{INT64_MIN};
    uint64_t pings = 0;
    BroadcastQueue queue;  // news about our region's members that waits to go there
  };
  // This node's current probe of one member.
  struct Probe {
    MemberId target = kNoMember;
    uint64_t sequence = 0;
    Instant indirect_at = kNever;  // when others are asked; kNever once they are
    Instant end = kNever;          // when it has failed
    int nacks_expected = 0;
    std::set<MemberId> nacks;  // who sent one
  };
  // A ping made for somebody else.
  struct Relay {
    MemberId origin = kNoMember, target = kNoMember;
    uint64_t origin_sequence = 0;
    Instant nack_at = kNever;  // kNever once the nack was sent
    Instant end = kNever;
  };

  Impl(Options options, Member self, Incarnation incarnation, uint64_t seed);

  // --- swim_members.cc
  Status set_members(std::vector<Member> members, uint64_t epoch, Instant now);
  Status check_members(const std::vector<Member>& members) const;
  void remove(const Record& record);
  void begin(Instant now);
  Status fall_silent();

  // --- swim.cc
  std::string on_packet(std::string_view plain, Instant now);
  std::string refuse(const Packet& packet, size_t length);
  void handle(const Packet& packet, Record& sender, Instant now);
  void see_epoch(uint64_t epoch, MemberId member);
  void on_tick(Instant now);
  Instant next_deadline() const;
  // Notices that this node did not run, and then lets everything that waits for others wait longer.
  void advance(Instant now);
  void gossip(Instant now);
  void spread_facts(Instant now);
  Packet packet(PacketKind kind, MemberId to);
  // Appends what `to` is accused of and then news, as much as fits, and sends it.
  void send(Packet packet);
  Duration facts_interval() const;
  // Three quarters to five quarters of `d`, so that nodes do not march in step.
  Duration jittered(Duration d) {
    return {d.us * 3 / 4 + static_cast<int64_t>(rng.below(static_cast<uint64_t>(d.us / 2 + 1)))};
  }

  Record* find(MemberId member);
  const Record* find(MemberId member) const;
  bool is_self(const Record& record) const { return record.id == self.id; }
  bool is_local(const Record& record) const { return record.region == own_region; }
  // Up to `count` different members of the own region that are worth talking to, without `except`.
  std::vector<MemberId> pick_peers(size_t count, MemberId except);
  size_t local_size() const { return local_present; }  // members of the own region that are not dead or gone, with self
  int transmits() const;

  // --- swim_news.cc
  // Takes a piece of news.
  void apply(const Update& update, Instant now);
  void apply_facts(Record& record, const Update& update, Instant now);
  void change(Record& record, State state, Incarnation incarnation, Instant now);
  // `accuser` kNoMember: a push-pull's hearsay, which is checked here and not passed on.
  void suspect(Record& record, Incarnation incarnation, MemberId accuser, Instant now);
  void refute(const Update& update, Instant now);
  // Queues `update`, which is about `record`, for the own region and, by a gateway, for the others.
  void broadcast(const Update& update, const Record& record, Instant now);
  // What `sender`'s own packet proves of it.
  void observe(Record& sender, Incarnation incarnation, bool answered, Instant now);
  // Tells `record` what is said of it, so that it can refute; at most once per probe interval.
  void accuse(Record& record, Instant now);
  void expire_suspicions(Instant now);
  Update update_of(const Record& record, MemberId from) const;

  // --- swim_probe.cc
  void start_probe(Instant now);
  void ask_others(Instant now);
  void end_probe(Instant now);
  void on_ping_request(const Packet& packet, Instant now);
  void on_ack(const Packet& packet, const Record& sender, Instant now);
  void on_nack(const Packet& packet);
  void run_relays(Instant now);
  void reconnect(Instant now);

  // --- swim_regions.cc
  // Of the members of `region` that are known to be alive; none if nothing is known.
  const std::vector<MemberId>& gateways_of(uint16_t region) const;
  bool is_gateway() const;
  void merge_beats(const std::vector<Beat>& beats, Instant now);
  std::vector<Beat> beats() const;
  void count_beat(Region& region, uint64_t count, Instant now);
  void wan_probe(Instant now);
  void wan_gossip(Instant now);
  bool on_wan_ack(const Packet& packet, const Record& sender, Instant now);
  void check_regions(Instant now);
  MemberId pick_of_region(uint16_t region, bool any);

  // --- swim_exchange.cc
  void start_exchange(Instant now);
  void far_exchange(Instant now);
  void begin_exchange(MemberId partner);
  void on_stream(MemberId from, std::string_view bytes, Instant now);
  StreamMessage stream_message(StreamKind kind) const;
  void send_stream(MemberId to, const StreamMessage& message);
  MemberStatus status_of(const Record& record) const;
  std::vector<MemberStatus> states_in(uint64_t mask) const;
  void hash_all(uint64_t salt, uint64_t& root, std::array<uint32_t, kBuckets>& hashes) const;
  // Takes the states that `from` told.
  void merge(const std::vector<MemberStatus>& states, MemberId from, Instant now);

  const Options options;
  Member self;
  Incarnation incarnation;
  Rng rng;
  Stats stats;
  Output output;

  bool member = false;  // whether the configuration has us
  bool leaving = false;
  uint64_t epoch = 0, newest_epoch = 0;  // ours; the newest that was reported
  uint64_t removed_epoch = 0;            // the newest configuration that is said not to have us
  std::vector<Record> records;           // by id
  std::vector<Region> regions;           // by name
  uint16_t own_region = 0;
  size_t local_present = 0;  // kept by change(): kUnknown, kAlive and kSuspect members of the own region
  std::set<uint64_t> removed;
  std::deque<uint64_t> removed_order;
  std::string own_facts;
  uint64_t own_facts_version = 0;
  bool facts_waiting = false;

  uint64_t packet_number = 0, sequence;
  LocalHealth health;
  ProbeOrder order;
  Probe probe;
  std::map<uint64_t, Relay> relays;          // by the sequence of our ping
  std::map<MemberId, Suspicion> suspicions;  // of members of the own region
  BroadcastQueue queue;
  mutable std::vector<std::vector<MemberId>> gateways;  // by region; empty when it must be picked anew
  mutable bool gateways_stale = true;

  Instant next_probe = kNever, next_gossip = kNever, next_exchange = kNever, next_reconnect = kNever;
  Instant next_wan_probe = kNever, next_wan_gossip = kNever, next_far_exchange = kNever, next_facts = kNever,
          last_facts{INT64_MIN / 2};
  Instant last_event;
  bool joined = false;  // a push-pull has been completed since the start, or since we counted as dead
  uint64_t exchange_tries = 0, far_exchanges = 0;
};

}  // namespace cartwheel::gossip
