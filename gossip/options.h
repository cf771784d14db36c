// The knobs of gossip. The defaults suit regions with round trips below 100 ms inside and below 2 s between them; each
// knob says what turning it costs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/time.h"
#include "gossip/limits.h"

namespace cartwheel::gossip {

struct Options {
  // --- probing within the region
  // One member is probed per interval. Shorter: faster detection, more packets, in proportion.
  Duration probe_interval = Duration::seconds(1);
  // How long a direct ping may take before others are asked to ping too. Should be above the region's 99th percentile
  // round trip, and well below probe_interval: the indirect probes have what is left of it.
  Duration probe_timeout = Duration::millis(500);
  // How many others are asked. More: fewer false suspicions under loss, more packets when somebody really is gone.
  int indirect_probes = 3;

  // --- suspicion
  // min = mult * max(1, log10(n)) * probe_interval, max = max_mult * min. A suspicion starts at max and shrinks to min
  // with confirmations by others: remaining_suspicion() of suspicion.h.
  int suspicion_mult = 4;
  int suspicion_max_mult = 6;
  int confirmations = 3;  // by others, that bring it to min

  // --- spreading news within the region
  // While there is news, every interval it goes to `fanout` members, each piece retransmit_mult * ceil(log10(n + 1))
  // times in all, pings and acks included.
  Duration gossip_interval = Duration::millis(200);
  int gossip_fanout = 3;
  int retransmit_mult = 4;
  // Between two comparisons with a member picked at random; what packets lost is found here. Also how long a
  // healed cluster may need to agree.
  Duration push_pull_interval = Duration::seconds(30);
  // Between two pings of a dead member, divided by the share of members that are dead: a split that healed is found.
  Duration reconnect_interval = Duration::seconds(10);
  // What facts may cost a node, in bytes a second received: a member's changes are held back to keep the sum below.
  int facts_bytes_per_second = 256;
  Duration facts_interval = Duration::seconds(2);  // and never more often than this

  // --- between regions
  int gateways = 3;  // members of each region that talk to other regions
  Duration wan_probe_interval = Duration::seconds(5);
  Duration wan_probe_timeout = Duration::seconds(3);
  Duration wan_gossip_interval = Duration::millis(500);
  int wan_transmits = 2;  // of each piece of news by each gateway to each other region
  // Without proof of a round trip for so long, a region counts as unreachable.
  Duration region_timeout = Duration::seconds(30);

  // --- Lifeguard
  // Off: plain SWIM, for comparison. No local health, no nacks, no confirmations (suspicions last min), no telling of
  // suspects when they are pinged, no allowance for own stalls.
  bool lifeguard = true;
  int health_max = 8;  // intervals and time-outs of a node that notices its own slowness grow up to so many times
  // A deadline that comes up later than this means that this node did not run: what waits for others' answers waits
  // longer, and the node trusts itself less.
  Duration stall = Duration::millis(250);

  // Of one plain packet.
  size_t packet_bytes = limits::kPacketBytes - limits::kSealBytes;
};

}  // namespace cartwheel::gossip
