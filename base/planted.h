// Deliberate defects. A build with CARTWHEEL_PLANTED_BUGS can switch one on by name; tests show that the laws or the
// simulator find each. In every other build planted() is false at compile time and the code behind it is gone.
#pragma once

namespace cartwheel {

enum class Bug {
  kNone,
  // The nine of the model of partition clocks:
  kUnionWithoutFloorCheck,
  kRangeForgotten,
  kReuseDot,
  kVoidForgotten,
  kVoidCountsAsSeen,
  kVoidNotInherited,
  kRemoveWithoutDot,
  kResetForgotten,
  kOneRound,
  // Of the code:
  kClockAheadOfData,        // the clock of a turn is persisted, its rows are not
  kDroppedDelta,            // a delta whose clock has a gap is dropped but counted as seen
  kBothSidesKeep,           // the join keeps an element that is on both sides whatever the clocks say
  kAckBeforeLocalWrite,     // replies leave before the turn's batch is written
  kSendBeforeLocalWrite,    // deltas leave before the turn's batch is written
  kAckCountsUnreachable,    // a level counts replicas that were only sent to
  kExpiryByLocalDelete,     // an expired object is removed without proof that nobody touched it
  kLwwByArrival,            // equal times: the last to arrive wins
  kRelayDropsDelta,         // a relay applies but does not pass on
  kCatchUpClaimsTooMuch,    // catch-up unites clocks after the first chunk
  kQuorumReadsLocal,        // a quorum read does not ask anybody
  kDeadKnownLate,           // what an exchange's source knew to be dead is known only at the end of the joining
  kPendingRangeNotApplied,  // a pending range removal is not applied to what comes late
  kTreesKeepDead,           // an exchange by trees keeps what came meanwhile and the source knew to be dead
  kTreesForgetResets,       // an exchange by trees does not bring the resets that equal buckets remember
  kTreeIgnoresClock,        // hash trees are compared and joined whatever the clocks say
  kFallbackForgets,         // a fallback drops what it keeps as soon as one owner has it
  kFallbackUntold,          // a reply does not tell that fallbacks counted
  kFoldUnasked,             // a life is folded without waiting for what the other owners say they have
  kFoldByOldNews,           // a life is folded by what the others said before they knew of its end
  kTokenIgnored,            // a read is answered whatever its session token demands
  kTokenForgetsReads,       // a session token remembers what was written, not what was read
  kHedgeNever,              // a read waits for the replicas that it has asked, however slow they are
  kHedgeWithoutBudget,      // hedges do not look at their budget
  kNudgeWithoutLook,        // whoever a read finds behind is told so at once, though the writes may be on their way
  kNudgeBelieved,           // a replica counts the dots that it is told of as applied
  kFarewellNotAwaited,      // a node that stops does not wait until the others know
  kLastAnswersNotAwaited,   // nor until they have got its last answers
  kFarewellNotKnown,        // nobody understands that a node says that it stops
  kReachableUnlinked,       // a node counts as reachable because of what it says, though nothing can be sent to it
  kRefusedIsFailed,         // what a node refuses that stops or sees no replicas is not passed on to another
  // Of quarantine:
  kQuarantineKeepsClock,  // a partition that is rebuilt keeps its clock, and what it lacks counts as removed
  kQuarantineTakesLess,   // it is rebuilt from a replica that lacks what was acknowledged here
  kUnreadableIsAbsent,    // a row that cannot be read counts as one that is not there
  kSalvageHolesRemove,    // where two spoiled copies are joined, what one of them lost counts as removed
  // Of the change of the ring:
  kWriteCountsOldOwnersOnly,  // while an arc moves, a write does not wait for the new owners
  kNoFence,                   // nobody refuses the messages of an epoch before the arc moved
  kAnnouncedUnfenced,         // an announcement counts as an ack, of whatever epoch it is
  kReadNewTooEarly,           // new owners are read before they have what the old ones acknowledged
  kDropUncovered,             // an old owner drops what it has when the arc has moved, without looking
  kMovedWithoutSync,          // a new owner says that it has what a power loss may still take
  kLoadForgetsTail,           // a snapshot counts as complete after its first part
  // Of gossip:
  kRefuteSameIncarnation,  // a refutation does not raise the incarnation
  kIncarnationForgotten,   // news without a transition does not raise the stored incarnation
  kSuspicionNeverExpires,  // a suspect stays one
  kAccusedNotTold,         // a member that counts as dead is not told so when it shows up
  kDeadNeverProbed,        // nobody looks whether a dead member is back
  kRemovedComesBack,       // the identity of a sender is not looked at
  kReplayTaken,            // the replay window takes everything
  kAnyIncarnation,         // an incarnation is believed however high it is
  kNewsNeverRetires,       // news is transmitted for ever
  kConfirmationsBySelf,    // an accuser that repeats itself counts as a confirmation
  kPushPullLearnsNothing,  // what a push-pull finds is not taken
  kOldGatewaysOnly,        // another region is sought at its gateways alone
  // Of consensus:
  kPaxosForgottenPromise,    // an acceptor does not keep its promise
  kPaxosReplyBeforeSync,     // an acceptor's reply does not wait for its state to be durable
  kPaxosIgnoresAccepted,     // a proposer builds on the last value that it is told, not on the highest ballot's
  kPaxosBallotReuse,         // a proposer's ballots do not tell its lives apart
  kPaxosMajorityOfUnion,     // a joint quorum is a majority of all members, not of each set
  kPaxosReadFromMinority,    // what changes nothing is answered without looking whether a quorum agrees
  kPaxosRefusalAfterAccept,  // a refusal does not bury the change of an earlier attempt of the same round
  kPaxosAmnesiacVotes,       // an acceptor that lost its disk votes as if it were new
  kPaxosRepeatsBlindly,      // a round repeats its change on another's value that may contain it
  kPaxosNoFence,             // an acceptor takes requests of an older generation than it has seen
  // Of membership:
  kMemberAnswersUnknown,      // a voter answers in a generation whose configuration it does not have
  kMemberVotesUnsynced,       // an answer does not wait for the vote to be durable
  kMemberDecidesFromAfar,     // a configuration is decided by other voters than those of the one before it
  kMemberWipedVotes,          // a voter that lost its disk votes as if it were new
  kMemberSettlesAlone,        // a node of a file cluster votes before all voters know the data directories of all
  kMemberAdoptsOlder,         // a configuration replaces a newer one
  kMemberSameBallots,         // the ballots of data directories in one position are not told apart
  kMemberStaleIdentity,       // what was heard of a data directory before another one took its place is still believed
  kMemberLeavesVoting,        // a node is removed while its vote is needed
  kMemberRemovedWithClients,  // a node that leaves is removed before it has sent its clients elsewhere
  // Of the disk:
  kLogGapIgnored,       // a segment of the log that lost its end does not hide those behind it
  kLogChecksumIgnored,  // a damaged record of the log is replayed
  kLogDroppedTooEarly,  // a segment of the log is removed before its rows are in a table
  kTablesAheadOfLog,    // a memtable becomes a table before its segment of the log is synced
};

#ifdef CARTWHEEL_PLANTED_BUGS
inline Bug g_planted_bug = Bug::kNone;  // set once before a test starts; never in product builds
inline bool planted(Bug bug) {
  return g_planted_bug == bug;
}
#else
constexpr bool planted(Bug) {
  return false;
}
#endif

}  // namespace cartwheel
