// Every queue, message and object has a limit with a name and a reason. Beyond it the answer is a typed error, never
// growth. Limits are enforced where a request enters (a door); replication and repair carry whatever exists.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cartwheel::limits {

inline constexpr size_t kKeyBytes = 16 * 1024;                      // keys are in every row and message
inline constexpr size_t kNameBytes = 16 * 1024;                     // a field or an element is part of a row key
inline constexpr size_t kValueBytes = 8 * 1024 * 1024;              // one value is one message and one row
inline constexpr size_t kPathDepth = 32;                            // nesting of maps
inline constexpr size_t kRequestArguments = 64 * 1024;              // of one RESP command or RPC operation
inline constexpr size_t kRequestBytes = 32 * 1024 * 1024;           // one request, before it is parsed
inline constexpr size_t kRespInlineBytes = 64 * 1024;               // as Redis
inline constexpr size_t kFrameBytes = 64 * 1024 * 1024;             // one RPC frame
inline constexpr size_t kConnectionOutputBytes = 64 * 1024 * 1024;  // replies a client does not read: it is closed
inline constexpr size_t kConnectionInFlight = 4096;  // requests of one connection: it is not read further
inline constexpr size_t kPeerOutputBytes =
    64 * 1024 * 1024;  // frames to a peer that does not read: dropped, repaired later
inline constexpr size_t kConnections = 10'000;
inline constexpr size_t kPendingOperations = 64 * 1024;       // of one stripe; beyond it requests are `overloaded`
inline constexpr size_t kForwardsRemembered = 4096;           // per peer, to coordinate a doubled message once
inline constexpr size_t kAwaitedAnswers = 4096;               // of a peer, that are followed to learn how slow it is
inline constexpr size_t kDotLogEntries = 1 << 20;             // of one stripe; older ones raise the floor
inline constexpr size_t kDotLogBytes = 256 * 1024 * 1024;     // likewise
inline constexpr size_t kRecordsKept = 512;                   // records that stay although all replicas have their dots
inline constexpr size_t kRecordBytesKept = 16 * 1024 * 1024;  // likewise: less writing of partition rows
inline constexpr uint64_t kReadRepairBytesPerSecond = 4 * 1024 * 1024;  // of one stripe, for who a read found behind
inline constexpr size_t kLaggards = 256;                                // of one stripe, that are found behind at once
inline constexpr size_t kNudgedDots = 16;                               // that one of them is told of
inline constexpr uint64_t kTreeBytesPerSecond = 16 * 1024 * 1024;       // of one stripe's tree exchanges
inline constexpr size_t kVerifiedKeys = 10'000;                         // of one bucket, that an operator is shown
inline constexpr size_t kFallbackBytes = 64 * 1024 * 1024;  // deltas that one stripe keeps for owners that are away
inline constexpr int64_t kFallbackMs = 3 * 3'600'000;       // how long it keeps them
inline constexpr int64_t kFoldDelayMs = 600'000;            // how long all replicas agree before a life is folded
inline constexpr int64_t kFoldAgeMs = 3'600'000;            // how old its epoch must be
inline constexpr size_t kRepairs = 16;                      // partitions of one stripe that are repaired at once
inline constexpr uint64_t kAlarmKeys = 1000;                // that a full exchange may remove without being asked
inline constexpr size_t kLoads = 8;                         // snapshots that one stripe takes at once
inline constexpr size_t kClockActors = 64 * 1024;           // a partition clock that claims more does not decode
inline constexpr size_t kPackedLeaves = 64;                 // above: a row per leaf
inline constexpr size_t kPackedBytes = 2048;  // above, and more than kPackedMinLeaves leaves: a row per leaf
inline constexpr size_t kPackedMinLeaves = 4;
inline constexpr size_t kCacheBytes = 256 * 1024 * 1024;     // decoded objects of one stripe
inline constexpr size_t kCatchUpChunkBytes = 512 * 1024;     // of one catch-up message
inline constexpr size_t kPaxosValueBytes = 4 * 1024 * 1024;  // of one register: each promise and accept carries it
inline constexpr size_t kPaxosProposals = 1024;              // that wait at one register; beyond it `overloaded`
inline constexpr size_t kPaxosAttempts = 64;                 // of one proposal, before it gives up
inline constexpr size_t kExplainedLeaves = 100;              // of one answer to `explain`
inline constexpr size_t kExplainedWrites = 64;               // entries and chains of one leaf in it, each
inline constexpr size_t kExplainedBytes = 256;               // of one value in it
inline constexpr size_t kExplainedAnswer = 1024 * 1024;      // of the answer, after which no further leaf is begun
inline constexpr int64_t kClockSkewMs = 60'000;              // a remote time further ahead than this is refused
inline constexpr int64_t kExpiryGraceMs = 2 * kClockSkewMs;  // expired objects are hidden at once, removed after this
inline constexpr int64_t kTtlMs = 10ll * 366 * 86'400'000;   // the longest time to live: ten years

}  // namespace cartwheel::limits
