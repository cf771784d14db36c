// The checkers: what must hold of a run, whatever happened in it. Each is one file, looks at the whole history and at
// the replicas, and says in words what is wrong, or nothing. That no dot is used twice and that requests are answered
// once and in time is checked while the run goes on (History, SimWorld).
#pragma once

#include <optional>
#include <string>

#include "tests/sim/sim_world.h"

namespace cartwheel::sim {

using Verdict = std::optional<std::string>;  // what is wrong, or nothing

// All replicas show exactly what the surviving events say: a put shows unless a surviving event superseded it, an
// increment counts unless a surviving event took it off; every dot in a clock was coordinated, and written before
// anybody else had it. An oracle that shares no code with the rows. REQUIRES: converged.
Verdict check_oracle(SimWorld& world);

// Every change of an acknowledged operation is in the clocks of all replicas, and nothing of a refused one is anywhere,
// not even in a read. An increment was coordinated once at most. REQUIRES: converged.
Verdict check_acknowledged(SimWorld& world);

// Every change that a coordinator has written is in the clocks of all replicas, acknowledged or not, where no node that
// had the partition ever lost anything. REQUIRES: converged.
Verdict check_kept(const SimWorld& world);

// What a removal observed does not come back. REQUIRES: converged.
Verdict check_removed(SimWorld& world);

// A read sees what was acknowledged before it began, and not what was removed before, when its level and theirs
// overlap.
Verdict check_levels(const SimWorld& world);

// A session whose last acknowledged expiry has not come is still there, and was in every read whose level overlaps; one
// that expired was not read any more. REQUIRES: converged.
Verdict check_sessions(SimWorld& world);

// What a client's session token promises: it reads its own writes, and its reads never go back, at whatever node of
// whatever region.
Verdict check_tokens(const SimWorld& world);

// Objects that expired longer ago than the grace are gone from every replica's rows.
Verdict check_purged(SimWorld& world);

// Every request has been answered and nothing waits inside.
Verdict check_answered(const SimWorld& world);

// Every message that came was one that its receiver knows: the simulator damages none.
Verdict check_understood(const SimWorld& world);

// Without a fault nobody repairs anything and nothing is refused but for what it asks.
Verdict check_healthy(const SimWorld& world);

// While nothing is wrong but that one node at a time stands still, no read at two of three copies of its region fails
// or waits for long, if the node that it was sent to ran; and nobody is told to be behind. For runs with such stops and
// no other fault.
Verdict check_stalls(const SimWorld& world);

// In the clocks of all owners there is one row per node for all lives that have ended, and one for the present life.
// REQUIRES: everything has been well for longer than StripeOptions::fold_delay, at a time by which all epochs in clocks
// are old enough.
Verdict check_folded(const SimWorld& world);
// The wall time of the latest epoch in any clock: lives may begin ahead of the time.
int64_t latest_epoch_ms(const SimWorld& world);

// Trees found nothing to repair, and no rows that are not what they should be. For runs in which no disk spoils rows.
Verdict check_trees(const SimWorld& world);
// Has all nodes compare their trees now; and who is not through with that, or has found a difference.
void compare_trees(SimWorld& world);
Verdict trees_compared(SimWorld& world);

// --- for the checkers ------------------------------------------------------------------------------------------------

// No level that counts owners alone was met by fallbacks. (That nothing is left with a fallback in the end is part of
// SimWorld::difference; that what fallbacks took is at all owners, of check_acknowledged and check_kept.)
Verdict check_fallbacks(const SimWorld& world);

// Whether two operations may be held to what their levels share: fallbacks counted for neither.
bool by_owners(const OpRecord& write, const OpRecord& read);

// Whether a write by a coordinator in `write_region` and a later read by one in `read_region` share a replica at least.
bool overlap(const SimWorld& world, uint16_t keyspace, const node::Level& write, size_t write_region,
             const node::Level& read, size_t read_region);

// The same where region i has replicas[i] copies.
bool overlap(const std::vector<uint32_t>& replicas, const node::Level& write, size_t write_region,
             const node::Level& read, size_t read_region);

// Whether a loss that the durability allows may have taken from a replica what was acknowledged by an operation invoked
// at `written_us`, and not given it back when a read of [read_us, read_ended_us] asked it.
bool excused_by_loss(const SimWorld& world, int64_t written_us, int64_t read_us, int64_t read_ended_us);

// Whether `event` is gone by a loss that the durability allows, of an operation whose level asked for one replica only.
bool excused_as_gone(const SimWorld& world, const Event& event, const node::Level& level);
bool excused_as_gone(const SimWorld& world, const OpRecord& op);  // any of its events

// Whether the effect of a removal may be gone by such a loss.
bool removal_is_gone(const SimWorld& world, const OpRecord& removal);

// Whether the level of a read means the same wherever it is coordinated, or it is coordinated in the region of the node
// that was asked. A session may ask to be forwarded to anywhere.
bool stays_in_region(const SimWorld& world, const OpRecord& read);

// The region of the node, by its index in config.regions.
size_t region_of(const SimWorld& world, node::NodeIndex n);

}  // namespace cartwheel::sim
