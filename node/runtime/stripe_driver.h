// StripeDriver: carries out what a Stripe says at the end of a turn, in its order: the batch into the engine, a sync if
// one is asked for, then messages and answers. Turns behind one that waits for a sync wait too, so that nobody is told
// of a state that a crash could still take back before those who asked for its durability are.
//
// A write that fails ends the process: the engine is then not what the stripe believes it to be.
// Thread: the shard's.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "node/core/stripe.h"
#include "node/runtime/event_log.h"
#include "node/runtime/syncer.h"

namespace cartwheel::node {

class StripeDriver {
 public:
  struct Counters {
    uint64_t batches = 0, batch_bytes = 0;
    LatencyHistogram write_latency;
  };
  using Send = std::function<void(uint32_t stripe, Output::Message message)>;
  using NewerConfig = std::function<void(Output::Newer)>;

  // `send` is called for each message that is due.
  StripeDriver(std::shared_ptr<const ClusterConfig> config, StripeOptions options,
               std::unique_ptr<storage::Engine> engine, Send send);

  // Recovers, and writes and syncs what begins this life.
  Status start(Now now);
  // REQUIRES: the syncer syncs this engine as number `slot`.
  void use(Syncer* syncer, size_t slot) { syncer_ = syncer, slot_ = slot; }
  // `tell` is called when a peer has shown that it knows a newer configuration.
  void on_newer_config(NewerConfig tell) { newer_config_ = std::move(tell); }

  // Writes what the events since the last call came to; then sends and answers, or parks until the sync is done.
  void end_turn();
  // Sends and answers what waited for syncs that are done.
  void release_synced();
  bool has_parked() const { return !parked_.empty(); }
  // The clean end: written and synced before it returns. Answers that are still parked are given.
  Status stop(Now now);

  Stripe& stripe() { return stripe_; }
  storage::Engine& engine() { return *engine_; }
  uint32_t number() const { return number_; }
  const Counters& counters() const { return counters_; }

 private:
  struct Parked {
    uint64_t ticket;
    Output output;
  };
  void write(Output& output);
  void deliver(Output& output);

  uint32_t number_;
  std::unique_ptr<storage::Engine> engine_;
  Stripe stripe_;
  Send send_;
  NewerConfig newer_config_;
  Syncer* syncer_ = nullptr;
  size_t slot_ = 0;
  uint64_t ticket_ = 0;  // of the last sync asked for
  std::deque<Parked> parked_;
  Counters counters_;
  EventLog event_log_;
};

}  // namespace cartwheel::node
