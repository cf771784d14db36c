// OneMachine: a Swim of member 0 of region eu, with members 1 and 2, and packets made by hand.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "gossip/message.h"
#include "gossip/swim.h"

namespace cartwheel::gossip {

struct OneMachine {
  explicit OneMachine(Options options = {}) : swim(options, {0, 100, "eu"}, first_incarnation(1), 42) {
    CHECK(swim.set_members({{0, 100, "eu"}, {1, 101, "eu"}, {2, 102, "eu"}}, 5, now).ok());
    take();
  }

  // A packet from member `id` in its first life.
  Packet from(MemberId id, PacketKind kind) {
    Packet packet;
    packet.kind = kind;
    packet.sender = id;
    packet.to = 0;
    packet.identity = 100 + id;
    packet.incarnation = first_incarnation(1);
    packet.number = ++number;
    packet.config_epoch = 5;
    return packet;
  }
  Packet again(Packet packet) {
    packet.number = ++number;
    return packet;
  }
  void packet(const Packet& packet) { swim.on_packet(encode(packet), now); }
  // Member 1 tells it.
  void news(Update update) {
    Packet packet = from(1, PacketKind::kGossip);
    packet.updates.push_back(std::move(update));
    this->packet(packet);
  }

  Output take() {
    Output output = swim.take_output();
    return output;
  }
  // What was sent of one kind since the last look.
  std::vector<Packet> sent(PacketKind kind) {
    std::vector<Packet> found;
    for (const Output::Message& message : take().packets) {
      auto decoded = decode_packet(message.bytes);
      CHECK(decoded.ok());
      if (decoded->kind == kind) found.push_back(std::move(decoded.value()));
    }
    return found;
  }
  // Lets time pass, with every tick at its deadline.
  void run(Duration duration) {
    for (Instant end = now + duration;;) {
      auto deadline = swim.next_deadline();
      if (!deadline || *deadline > end) {
        now = end;
        return;
      }
      now = std::max(now, *deadline);
      swim.on_tick(now);
    }
  }

  Instant now{1'000'000};
  uint64_t number = 0;
  Swim swim;
};

}  // namespace cartwheel::gossip
