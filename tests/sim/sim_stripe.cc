#include "tests/sim/sim_stripe.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/planted.h"

namespace cartwheel::sim {

namespace {
constexpr const char* kEvents[] = {"quarantined", "unreadable", "rebuilt",     "released", "salvaged",
                                   "waits",       "alarm",      "alarm lifted"};  // by node::Output::Event::Kind
}  // namespace

SimStripe::SimStripe(EventQueue& queue, const SimClock& clock, History& history, Trace& trace,
                     std::shared_ptr<const node::ClusterConfig> config, node::StripeOptions options, DiskTimes disk,
                     uint64_t seed, Send send, Newer newer)
    : queue_(queue),
      clock_(clock),
      history_(history),
      trace_(trace),
      config_(std::move(config)),
      options_(std::move(options)),
      disk_(disk),
      rng_(seed),
      send_(std::move(send)),
      newer_(std::move(newer)) {}

void SimStripe::in_this_life(int64_t delay_us, std::function<void()> action) {
  queue_.after(delay_us, [this, life = life_, action = std::move(action)] {
    if (life == life_) action();
  });
}

int64_t SimStripe::disk_time(int64_t up_to_us) {
  if (rng_.chance(disk_.stall)) {
    int64_t stall = static_cast<int64_t>(rng_.below(1'000'000));
    stalled_until_ = std::max(stalled_until_, queue_.now() + stall);
    return stall;
  }
  return 1 + static_cast<int64_t>(rng_.below(static_cast<uint64_t>(up_to_us)));
}

void SimStripe::start(const std::string& boot_id) {
  CHECK(!alive());
  ++life_;
  options_.seed = rng_.next();
  options_.boot_id = boot_id;
  started_ = stopping_ = ending_ = turn_scheduled_ = writing_ = unwritten_ = false;
  tick_at_ = -1;
  inbox_.clear();
  releases_.clear();
  turn_events_.clear();
  engine_->restart();
  stripe_ = std::make_unique<node::Stripe>(config_, options_, *engine_);
  stripe_->set_observer(this);
  Status status = stripe_->start(clock_.at(queue_.now()));
  if (!status.ok()) {
    history_.violate("node " + std::to_string(options_.self) + " does not start: " + status.to_string());
    stripe_.reset();
    return;
  }
  end_turn(false);
  if (!writing_) started_ = true;
}

std::optional<std::string> SimStripe::over_hedge_budget() const {
  if (!stripe_) return {};
  const node::StripeStats& stats = stripe_->stats();
  uint64_t extra = stats.hedges + stats.probes;
  if (100 * extra <= options_.hedge_percent * stats.shared_reads + uint64_t{100} * options_.hedge_burst) return {};
  return "stripe " + std::to_string(options_.stripe) + " of node " + std::to_string(options_.self) + " sent " +
         std::to_string(extra) + " requests more than necessary for " + std::to_string(stats.shared_reads) +
         " reads, with a burst of " + std::to_string(options_.hedge_burst);
}

void SimStripe::end_life() {
  if (auto wrong = over_hedge_budget()) history_.violate(*wrong);
  // What a turn changed that is not written yet dies with the process: what is left is what the next one would read.
  const node::Stripe* left = stripe_.get();
  std::unique_ptr<node::Stripe> next;
  if (unwritten_) {
    next = std::make_unique<node::Stripe>(config_, options_, *engine_);
    if (next->start(clock_.at(queue_.now())).ok()) left = next.get();
  }
  for (Partition partition : partitions_) {
    last_clocks_[partition] = left->clock(partition.keyspace, partition.arc);
    last_fallbacks_[partition] = left->fallback_clock(partition.keyspace, partition.arc);
  }
  ++life_;
  stripe_.reset();
  started_ = stopping_ = ending_ = turn_scheduled_ = writing_ = unwritten_ = false;
  at_next_write_ = {};
  inbox_.clear();
  releases_.clear();
  turn_events_.clear();
}

void SimStripe::kill() {
  if (alive()) end_life();
}

void SimStripe::lose_power() {
  CHECK(!alive());
  engine_->crash(rng_);
}

void SimStripe::pause(bool paused) {
  paused_ = paused;
  stalled_until_ = std::max(stalled_until_, queue_.now());
  if (!paused) schedule_turn();
}

void SimStripe::set_config(std::shared_ptr<const node::ClusterConfig> config) {
  config_ = std::move(config);
  post([config = config_](node::Stripe& stripe, Now now) { stripe.on_config(config, now); });
}

void SimStripe::post(Event event) {
  if (!alive()) return;
  inbox_.push_back(std::move(event));
  schedule_turn();
}

void SimStripe::schedule_turn() {
  if (!running() || paused_ || writing_ || turn_scheduled_ || (inbox_.empty() && !stopping_)) return;
  turn_scheduled_ = true;
  // A node that drains looks now and then whether it is done.
  int64_t delay = inbox_.empty() ? 2'000 : static_cast<int64_t>(rng_.below(40));
  in_this_life(delay, [this] {
    turn_scheduled_ = false;
    if (!paused_ && !writing_) run_turn();
  });
}

void SimStripe::run_turn() {
  if (queue_.now() != last_turn_us_) turns_in_a_row_ = 0;
  last_turn_us_ = queue_.now();
  CHECK(++turns_in_a_row_ < 10'000);  // the machine's deadline does not move
  Now now = clock_.at(queue_.now());
  for (size_t n = 1 + rng_.below(64); n > 0 && !inbox_.empty(); --n) {
    Event event = std::move(inbox_.front());
    inbox_.pop_front();
    event(*stripe_, now);
  }
  bool is_last = stopping_ && stripe_->drain(now);
  if (is_last) stripe_->stop(now);
  end_turn(is_last);
  schedule_turn();
}

void SimStripe::on_coordinated(uint16_t keyspace, uint32_t arc, const crdt::Delta& delta, bool logged) {
  std::vector<size_t> events = history_.coordinated({keyspace, arc}, delta, options_.self, queue_.now(), logged);
  turn_events_.insert(turn_events_.end(), events.begin(), events.end());
}

void SimStripe::on_folded(uint16_t keyspace, uint32_t arc, const crdt::Clock& clock, const crdt::Actor& actor,
                          uint64_t hash) {
  history_.folded({keyspace, arc}, clock, actor, hash);
}

void SimStripe::end_turn(bool is_last) {
  node::Output output = stripe_->take_output();
  if (output.newer_config) newer_(output.newer_config->from, output.newer_config->epoch);
  for (const node::Output::Event& event : output.events) {
    trace_.note(queue_.now(), "node " + std::to_string(options_.self) + ": " +
                                  kEvents[static_cast<size_t>(event.kind)] + ", keyspace " +
                                  std::to_string(event.partition.keyspace) + " arc " +
                                  std::to_string(event.partition.arc) + " " + event.why);
  }
  auto release = std::make_shared<Release>();
  release->messages = std::move(output.messages);
  release->answers = std::move(output.answers);
  if (planted(Bug::kSendBeforeLocalWrite)) {
    for (auto& message : std::exchange(release->messages, {})) send_(message.to, std::move(message.bytes));
  }
  if (planted(Bug::kAckBeforeLocalWrite)) {
    for (auto& answer : std::exchange(release->answers, {})) answer.callback(std::move(answer.reply));
  }
  releases_.push_back(release);
  if (output.batch.empty() && output.loads.empty() && !output.sync && !is_last) {
    // A key without other replicas, written and removed in one turn: no row tells of it, and there is nothing to keep.
    for (size_t index : std::exchange(turn_events_, {})) {
      auto& event = history_.events()[index];
      CHECK(!event.logged);
      event.written = true;
    }
    release->ready = true;
    release_ready();
    schedule_tick();
    return;
  }
  writing_ = unwritten_ = true;
  int64_t write_time = disk_time(disk_.write_us);
  if (at_next_write_ && !turn_events_.empty()) {
    in_this_life(static_cast<int64_t>(rng_.below(static_cast<uint64_t>(write_time))),
                 std::exchange(at_next_write_, {}));
  }
  in_this_life(write_time, [this, release, rest = std::make_shared<node::Output>(std::move(output)), is_last] {
    CHECK(node::write_to(*engine_, *rest).ok());
    unwritten_ = false;
    bool sync = rest->sync;
    for (size_t event : std::exchange(turn_events_, {})) history_.events()[event].written = true;
    // A life begins and ends with a turn that nothing may overtake; other turns go on while a sync runs.
    if (sync && started_ && !is_last) writing_ = false;
    if (!sync) {
      written(release, false, is_last);
    } else {
      in_this_life(disk_time(disk_.sync_us), [this, release, is_last] { written(release, true, is_last); });
      if (!writing_) {
        schedule_tick();
        schedule_turn();
      }
    }
  });
}

void SimStripe::written(std::shared_ptr<Release> release, bool sync, bool is_last) {
  if (sync) CHECK(engine_->sync().ok());
  release->ready = true;
  release_ready();
  if (!alive()) return;
  ending_ = ending_ || is_last;
  if (ending_) {  // answers of earlier turns may still wait for their sync
    if (releases_.empty()) end_life();
    return;
  }
  if (sync && started_) return;  // its turn ended when the batch was written
  writing_ = false;
  started_ = true;
  schedule_tick();
  schedule_turn();
}

void SimStripe::release_ready() {
  while (!releases_.empty() && releases_.front()->ready) {
    auto release = releases_.front();
    releases_.pop_front();
    let_go(*release);
  }
}

void SimStripe::let_go(Release& release) {
  for (auto& message : release.messages) send_(message.to, std::move(message.bytes));
  for (auto& answer : release.answers) answer.callback(std::move(answer.reply));
}

void SimStripe::schedule_tick() {
  auto deadline = stripe_->next_deadline();
  if (!deadline) return;
  int64_t due = std::max(clock_.true_time_of(*deadline), queue_.now() + 1);
  if (tick_at_ > queue_.now() && tick_at_ <= due) return;  // that one comes first and asks again
  due += static_cast<int64_t>(rng_.below(1000));
  tick_at_ = due;
  in_this_life(due - queue_.now(), [this, due] {
    if (tick_at_ != due) return;
    tick_at_ = -1;
    post([](node::Stripe& stripe, Now now) { stripe.on_tick(now); });
  });
}

crdt::Clock SimStripe::clock(Partition partition) const {
  if (stripe_) return history_.unfolded(partition, stripe_->clock(partition.keyspace, partition.arc));
  auto it = last_clocks_.find(partition);
  return it == last_clocks_.end() ? crdt::Clock() : history_.unfolded(partition, it->second);
}

const crdt::Clock& SimStripe::fallback_clock(Partition partition) const {
  static const crdt::Clock kNone;
  if (stripe_) return stripe_->fallback_clock(partition.keyspace, partition.arc);
  auto it = last_fallbacks_.find(partition);
  return it == last_fallbacks_.end() ? kNone : it->second;
}

crdt::Clock SimStripe::known(Partition partition) const {
  crdt::Clock dots = clock(partition);
  dots.merge(fallback_clock(partition));
  return dots;
}

}  // namespace cartwheel::sim
