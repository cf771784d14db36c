// Histories of a moving arc, of fallbacks and of folds, in which one thing happens at the one moment at which it could
// do harm, which random runs rarely meet. Each says what was lost, or nothing: the scenarios run them with the product
// as it is, the planted tests with the defect that they are about.
#pragma once

#include "tests/sim/checkers.h"

namespace cartwheel::sim {

// A write is acknowledged while the link to the new owner is cut, which has done its part of the stage already.
Verdict write_beside_a_cut_new_owner();
// A write is acknowledged by the old owner alone, behind the snapshot and before the stage that asks for both.
Verdict write_behind_the_snapshot();
// A coordinator that does not know that its arc moves writes, and is gone for good before it learns that.
Verdict write_by_a_coordinator_of_the_past();
// A new owner is gone for good before an old one has handed over all that it has.
Verdict heir_that_dies_before_the_handover();
// A write is acknowledged by one owner and one fallback while the other owners are down, and the owner loses its disk.
Verdict last_copy_with_a_fallback();
// A node that has lost its disk comes back to a replica that knows the others only by what they said before.
Verdict life_that_ended_unseen();
// A new owner loses power after the old one has dropped the arc.
Verdict power_loss_behind_a_move();

}  // namespace cartwheel::sim
