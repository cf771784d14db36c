#include "tests/sim/sim_world.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace cartwheel::sim {

using node::NodeIndex;

namespace {
std::string dots(const crdt::DotSet& set) {
  std::string text;
  for (const auto& row : set.rows()) {
    for (const auto& interval : row.intervals) {
      text += " " + to_string(crdt::Dot{row.actor, interval.first}) + ".." + std::to_string(interval.last);
    }
  }
  return text.empty() ? " nothing" : text;
}

constexpr int64_t kWatchUs = 200'000;
constexpr int64_t kDeadlineSlackUs = 150'000;
}  // namespace

SimWorld::SimWorld(node::ClusterConfig config, WorldOptions options)
    : config_(std::make_shared<const node::ClusterConfig>(std::move(config))),
      options_(std::move(options)),
      trace_(options_.verbose),
      rng_(options_.seed) {
  std::vector<size_t> region_of;
  for (const node::NodeInfo& info : config_->nodes) region_of.push_back(config_->region(info.region));
  network_ = std::make_unique<SimNetwork>(
      queue_, Rng(rng_.next()), region_of, options_.wide_us,
      [this](NodeIndex from, NodeIndex to, uint32_t number, std::string bytes, uint64_t life) {
        if (machines_[to].life != life) return;  // the connection died with the process
        trace_.mix(static_cast<uint64_t>(queue_.now()));
        trace_.mix(bytes);
        stripe(to, number).post([from, message = std::move(bytes)](node::Stripe& receiver, Now now) {
          receiver.on_message(from, message, now);
        });
      });
  while (machines_.size() < config_->nodes.size()) add_machine();
  note_counts();
}

void SimWorld::add_machine() {
  auto n = static_cast<NodeIndex>(machines_.size());
  machines_.emplace_back();
  recovery_targets_.emplace_back();
  auto within = [this](int64_t bound) {
    return bound == 0 ? 0 : static_cast<int64_t>(rng_.below(static_cast<uint64_t>(2 * bound + 1))) - bound;
  };
  Machine& machine = machines_.back();
  machine.config = config_;
  int64_t offset = static_cast<int64_t>(rng_.below(1'000'000'000'000));
  int64_t drift = within(options_.drift_ppm);
  machine.clock = std::make_unique<SimClock>(offset, drift, within(options_.skew_ms));
  if (leapt_ms_ > 0) machine.clock->leap(leapt_ms_);
  for (uint32_t number = 0; number < config_->stripes; ++number) {
    node::StripeOptions stripe_options = options_.stripe;
    stripe_options.self = n;
    stripe_options.stripe = number;
    machine.stripes.push_back(std::make_unique<SimStripe>(
        queue_, *machine.clock, history_, trace_, config_, stripe_options, options_.disk, rng_.next(),
        [this, n, number](NodeIndex to, std::string bytes) {
          if (!machines_[to].down && !broken_.contains({n, to}))
            network_->send(n, to, number, std::move(bytes), machines_[to].life);
        },
        [this, n](NodeIndex from, uint64_t) { fetch(n, from); }));
    std::vector<Partition> all;
    for (Partition partition : partitions()) {
      if (partition.arc % config_->stripes == number) all.push_back(partition);
    }
    machine.stripes.back()->set_partitions(std::move(all));
  }
  if (options_.background_sync_us > 0) background_sync(n);
}

SimWorld::~SimWorld() = default;

// --- time ------------------------------------------------------------------------------------------------------------

bool SimWorld::run_until(const std::function<bool()>& done, Duration limit) {
  int64_t end = queue_.now() + limit.us;
  while (!done()) {
    if (queue_.empty() || queue_.next_time() > end) {
      queue_.run_until(end);
      return done();
    }
    queue_.run_next();
  }
  return true;
}

void SimWorld::leap(int64_t ms) {
  note("leap of " + std::to_string(ms) + " ms");
  leapt_ms_ += ms;
  for (Machine& machine : machines_) machine.clock->leap(ms);
}

// --- nodes -----------------------------------------------------------------------------------------------------------

void SimWorld::start(NodeIndex n) {
  Machine& machine = machines_[n];
  CHECK(machine.down);
  note("start " + name(n));
  machine.down = machine.stopping = false;
  ++machine.life;
  std::string boot = "boot-" + std::to_string(machine.boot);
  for (auto& each : machine.stripes) each->start(boot);
  connect(n);
  assess_loss(n);
}

void SimWorld::start_all() {
  for (NodeIndex n = 0; n < machines_.size(); ++n) {
    if (machines_[n].down && !removed(n)) start(n);
  }
}

// The process is gone: clients that waited for it see their connections break.
void SimWorld::bury(NodeIndex n) {
  Machine& machine = machines_[n];
  machine.down = true;
  machine.stopping = false;
  ++machine.life;
  for (auto& each : machine.stripes) {
    each->kill();
    each->pause(false);
  }
  for (NodeIndex other = 0; other < machines_.size(); ++other) {
    if (other != n && !machines_[other].down && rng_.chance(0.5)) break_link(other, n);
  }
  for (uint64_t id : std::exchange(machine.waiting, {})) {
    if (history_.op(id).outcome != Outcome::kPending) continue;
    history_.abandon(id, queue_.now(), wall());
    if (Done done = std::exchange(done_[id - 1], {})) done(history_.op(id));
  }
}

void SimWorld::kill(NodeIndex n) {
  if (machines_[n].down) return;
  note("kill " + name(n));
  bury(n);
}

void SimWorld::stop(NodeIndex n, std::function<void()> stopped) {
  Machine& machine = machines_[n];
  if (machine.down || machine.stopping) return;
  note("stop " + name(n));
  machine.stopping = true;
  for (auto& each : machine.stripes) each->stop();
  finish_stop(n, std::move(stopped));
}

void SimWorld::finish_stop(NodeIndex n, std::function<void()> stopped) {
  queue_.after(5'000, [this, n, life = machines_[n].life, stopped = std::move(stopped)] {
    Machine& machine = machines_[n];
    if (machine.life != life) return;
    if (std::any_of(machine.stripes.begin(), machine.stripes.end(), [](const auto& each) { return each->alive(); })) {
      finish_stop(n, stopped);
      return;
    }
    note("stopped " + name(n));
    bury(n);
    if (stopped) stopped();
  });
}

void SimWorld::lose_power(NodeIndex n) {
  begin_loss(n, false);
  note("power loss of " + name(n));
  if (!machines_[n].down) bury(n);
  ++machines_[n].boot;
  for (auto& each : machines_[n].stripes) each->lose_power();
}

void SimWorld::wipe(NodeIndex n) {
  begin_loss(n, true);
  note("wipe of " + name(n));
  if (!machines_[n].down) bury(n);
  ++machines_[n].boot;
  for (auto& each : machines_[n].stripes) each->wipe();
}

void SimWorld::pause(NodeIndex n, bool paused) {
  if (machines_[n].down) return;
  note((paused ? "pause " : "resume ") + name(n));
  for (auto& each : machines_[n].stripes) each->pause(paused);
}

void SimWorld::stop_shortly(NodeIndex n, int64_t us) {
  if (machines_[n].down || machines_[n].stripes[0]->paused()) return;
  short_stops_.push_back({n, queue_.now(), queue_.now() + us});
  pause(n, true);
  queue_.after(us, [this, n, life = machines_[n].life] {
    if (machines_[n].life == life) pause(n, false);
  });
}

void SimWorld::at_next_write(NodeIndex n, std::function<void()> happen) {
  auto& stripes = machines_[n].stripes;
  stripes[rng_.below(stripes.size())]->at_next_write(std::move(happen));
}

void SimWorld::step_clock(NodeIndex n, int64_t skew_ms) {
  CHECK(std::abs(skew_ms) <= options_.skew_ms);
  note("clock of " + name(n) + " is off by " + std::to_string(skew_ms) + " ms");
  machines_[n].clock->set_skew(skew_ms);
}

void SimWorld::background_sync(NodeIndex n) {
  queue_.after(static_cast<int64_t>(rng_.below(static_cast<uint64_t>(2 * options_.background_sync_us))), [this, n] {
    for (auto& each : machines_[n].stripes) {
      if (each->alive()) CHECK(each->engine().sync().ok());
    }
    background_sync(n);
  });
}

// --- losses ----------------------------------------------------------------------------------------------------------

bool SimWorld::may_lose(NodeIndex n, bool wiped) const {
  if (any_spoiled()) return false;
  bool all_synced = std::all_of(config_->keyspaces.begin(), config_->keyspaces.end(), [](const node::Keyspace& k) {
    return k.durability == node::Keyspace::Durability::kAlways;
  });
  bool any_wipe = ever_spoiled() || std::any_of(history_.losses().begin(), history_.losses().end(),
                                                [](const Loss& l) { return l.wiped; });
  bool any_power =
      std::any_of(history_.losses().begin(), history_.losses().end(), [](const Loss& l) { return !l.wiped; });
  // Where every acknowledgement is an fsync, any number of machines may lose power. What repair brought is not synced,
  // so such a run has no wiped disks.
  if (all_synced && !wiped && !any_wipe) return true;
  if (all_synced && wiped && any_power) return false;
  if (removed(n)) return false;
  for (const Loss& loss : history_.losses()) {
    if (loss.recovered_us < 0 && removed(loss.node)) return false;
  }
  for (NodeIndex other = 0; other < machines_.size(); ++other) {
    if (removed(other)) continue;
    if (machines_[other].loss) return false;
    if (other != n && machines_[other].down && config_->nodes[other].region == config_->nodes[n].region) return false;
  }
  return true;
}

void SimWorld::begin_loss(NodeIndex n, bool wiped) {
  Machine& machine = machines_[n];
  Loss loss;
  loss.node = n;
  loss.wiped = wiped;
  loss.promised_nothing = wiped || std::any_of(config_->keyspaces.begin(), config_->keyspaces.end(), [](const auto& k) {
                            return k.durability != node::Keyspace::Durability::kAlways;
                          });
  loss.at_us = queue_.now();
  for (Partition partition : partitions()) {
    if (takes_part(n, partition) || !std::as_const(*this).stripe_of(n, partition).clock(partition).empty()) {
      loss.held.insert(partition);
    }
  }
  machine.loss = history_.losses().size();
  history_.losses().push_back(loss);
  if (!machine.before_loss.empty()) return;  // a second loss before the first was looked at
  for (auto& each : machine.stripes) {
    for (Partition partition : each->partitions()) {
      machine.before_loss.emplace_back(partition, each->known(partition));
      machine.owed.emplace_back(partition, each->fallback_clock(partition));
    }
  }
}

// The node is back: what of its past has nobody any more, and what must it get from the others?
void SimWorld::assess_loss(NodeIndex n) {
  Machine& machine = machines_[n];
  if (machine.before_loss.empty()) return;
  auto& target = recovery_targets_[n];
  target.clear();
  for (const auto& [partition, before] : std::exchange(machine.before_loss, {})) {
    crdt::Clock others;
    for (NodeIndex other = 0; other < machines_.size(); ++other) {
      // A copy that drains may go at any moment, by what its owner said before the loss.
      if (other == n || removed(other)) continue;
      const SimStripe& stripe = std::as_const(*this).stripe_of(other, partition);
      if (takes_part(other, partition) && !drains(other, partition))
        others.merge(stripe.clock(partition));
      else
        others.merge(stripe.fallback_clock(partition));
    }
    // Alone, a replica need not write its clock with every turn: what it had is what it wrote.
    crdt::Clock had = before;
    auto events = history_.events_of_partitions().find(partition);
    if (events != history_.events_of_partitions().end()) {
      for (size_t index : events->second) {
        const Event& event = history_.events()[index];
        if (event.written && !event.logged && event.node == n) had.add(event.change.dot);
      }
    }
    crdt::Clock lost = had.minus(others);
    if (!removed(n)) lost.subtract(stripe_of(n, partition).known(partition));
    for (const auto& row : lost.rows()) {
      for (const auto& interval : row.intervals) {
        for (uint64_t seq = interval.first; seq <= interval.last; ++seq) {
          Event* event = history_.find(partition, {row.actor, seq});
          if (event != nullptr && event->gone < 0) event->gone = static_cast<int>(*machine.loss);
        }
      }
    }
    target.emplace_back(partition, std::move(others));
    for (auto& [of, kept] : machine.owed) {
      if (of == partition) kept.subtract(lost);
    }
  }
  watch_recovery(n);
}

bool SimWorld::recovered(NodeIndex n) const {
  if (machines_[n].down) return false;
  for (const auto& [partition, clock] : recovery_targets_[n]) {
    const auto& owners = machines_[n].config->assignments[partition.keyspace].owners[partition.arc];
    if (std::find(owners.begin(), owners.end(), n) == owners.end()) continue;  // not any more, and it knows that
    const SimStripe& holder = stripe_of(n, partition);
    if (!holder.running() || !holder.clock(partition).covers(clock)) return false;
  }
  // A copy with a fallback that lost it is not made good until an owner has it instead.
  for (const auto& [partition, kept] : machines_[n].owed) {
    for (NodeIndex owner : owners(partition)) {
      if (!kept.empty() && !removed(owner) && !stripe_of(owner, partition).clock(partition).covers(kept)) return false;
    }
  }
  return true;
}

void SimWorld::watch_recovery(NodeIndex n) {
  if (!machines_[n].loss) return;
  if (recovered(n)) {
    for (Loss& loss : history_.losses()) {
      if (loss.node == n && loss.recovered_us < 0) loss.recovered_us = queue_.now();
    }
    machines_[n].loss.reset();
    machines_[n].owed.clear();
    note("recovered " + name(n));
    return;
  }
  queue_.after(kWatchUs, [this, n, life = machines_[n].life] {
    if (machines_[n].life == life) watch_recovery(n);
  });
}

// --- an end to all faults --------------------------------------------------------------------------------------------

void SimWorld::heal() {
  note("heal");
  network_->heal();
  for (const auto& [from, to] : std::set(broken_)) mend_link(from, to);
  for (NodeIndex n = 0; n < machines_.size(); ++n) {
    Machine& machine = machines_[n];
    machine.clock->set_skew(0);
    if (removed(n)) {
      kill(n);
      continue;
    }
    for (auto& each : machine.stripes) {
      each->set_disk({});
      each->pause(false);
    }
    if (machine.stopping) kill(n);
    if (machine.down) start(n);
  }
}

// --- operations ------------------------------------------------------------------------------------------------------

uint64_t SimWorld::submit(NodeIndex n, uint16_t keyspace, node::Operation operation, std::optional<node::Level> level,
                          Duration timeout, Done done, ClientSession session) {
  const node::Keyspace& space = config_->keyspaces[keyspace];
  Machine& machine = machines_[n];
  Now now = machine.clock->at(queue_.now());
  node::Request request;
  request.keyspace = keyspace;
  request.operation = operation;
  request.level = level;
  request.deadline = now.instant + timeout;
  request.session = session.demand;
  node::Level effective = level.value_or(node::is_write(operation.verb) ? space.write : space.read);
  Partition partition{keyspace, node::arc_of_operation(*config_, operation)};
  uint64_t id = history_
                    .invoke(keyspace, std::move(operation), effective, n, partition, queue_.now(), wall(),
                            session.number, session.demand ? session.demand->policy : node::SessionPolicy::kWait)
                    .id;
  done_.push_back(std::move(done));
  SimStripe& target = stripe(n, node::stripe_of(*config_, request));
  if (machine.down || !target.alive()) {
    history_.answer(id, {Status::Unavailable("connection refused"), {}}, queue_.now(), wall());
    // Not at once: a client that tries again at once would do so for ever.
    queue_.after(1000, [this, id] {
      if (Done callback = std::exchange(done_[id - 1], {})) callback(history_.op(id));
    });
    return id;
  }
  machine.waiting.push_back(id);
  int64_t deadline_us = machine.clock->true_time_of(request.deadline);
  check_deadline(id, n, machine.life, deadline_us, 0);
  target.post([this, id, request = std::move(request)](node::Stripe& coordinator, Now turn) {
    coordinator.on_request(
        request,
        [this, id](node::Reply reply) {
          history_.answer(id, reply, queue_.now(), wall());
          note(to_string(history_.op(id)));
          if (Done callback = std::exchange(done_[id - 1], {})) callback(history_.op(id));
        },
        turn);
  });
  return id;
}

const OpRecord& SimWorld::call(NodeIndex n, uint16_t keyspace, node::Operation operation,
                               std::optional<node::Level> level, Duration timeout) {
  uint64_t id = submit(n, keyspace, std::move(operation), level, timeout);
  run_until([&] { return history_.op(id).outcome != Outcome::kPending; }, Duration{timeout.us + 5'000'000});
  return history_.op(id);
}

// Every request is answered by its deadline, as far as the process could do anything at all.
void SimWorld::check_deadline(uint64_t op, NodeIndex n, uint64_t life, int64_t deadline_us, int tries) {
  queue_.at(deadline_us + kDeadlineSlackUs, [this, op, n, life, deadline_us, tries] {
    Machine& machine = machines_[n];
    if (history_.op(op).outcome != Outcome::kPending || machine.life != life) return;
    bool hindered = std::any_of(machine.stripes.begin(), machine.stripes.end(),
                                [&](const auto& each) { return !each->unhindered_since(deadline_us); });
    // What reaches a stripe after its last turn is answered by the end of the connection, when all stripes are done.
    if ((hindered || machine.stopping) && tries < 100) {
      check_deadline(op, n, life, queue_.now(), tries + 1);
      return;
    }
    history_.violate("no answer by its deadline: " + to_string(history_.op(op)));
  });
}

// --- looking in ------------------------------------------------------------------------------------------------------

Partition SimWorld::partition_of(uint16_t keyspace, const std::string& key) const {
  return {keyspace, node::arc_of(key, config_->partitions)};
}

std::vector<Partition> SimWorld::partitions() const {
  std::vector<Partition> all;
  for (uint16_t keyspace = 0; keyspace < config_->keyspaces.size(); ++keyspace) {
    for (uint32_t arc = 0; arc < config_->partitions; ++arc) all.push_back({keyspace, arc});
  }
  return all;
}

bool SimWorld::owns(NodeIndex n, Partition partition) const {
  const auto& list = owners(partition);
  return std::find(list.begin(), list.end(), n) != list.end();
}

bool SimWorld::takes_part(NodeIndex n, Partition partition) const {
  const node::Move* move = config_->assignments[partition.keyspace].move(partition.arc);
  return owns(n, partition) ||
         (move != nullptr && std::find(move->others.begin(), move->others.end(), n) != move->others.end());
}

bool SimWorld::drains(NodeIndex n, Partition partition) const {
  const node::Move* move = config_->assignments[partition.keyspace].move(partition.arc);
  return move != nullptr && move->stage == node::Stage::kDrain && !owns(n, partition);
}

std::vector<uint32_t> SimWorld::replicas(uint16_t keyspace) const {
  std::vector<uint32_t> counts;
  for (const std::string& region : config_->regions) {
    auto it = config_->keyspaces[keyspace].replicas.find(region);
    counts.push_back(it == config_->keyspaces[keyspace].replicas.end() ? 0 : it->second);
  }
  return counts;
}

std::optional<std::string> SimWorld::over_hedge_budget() const {
  for (const Machine& machine : machines_) {
    for (const auto& each : machine.stripes) {
      if (auto wrong = each->over_hedge_budget()) return wrong;
    }
  }
  return {};
}

uint64_t SimWorld::total(uint64_t node::StripeStats::*counter) const {
  uint64_t sum = 0;
  for (const Machine& machine : machines_) {
    for (const auto& each : machine.stripes) {
      if (const node::StripeStats* stats = each->stats()) sum += stats->*counter;
    }
  }
  return sum;
}

std::optional<crdt::Clock> SimWorld::survivors(Partition partition) const {
  crdt::Clock dots = stripe_of(owners(partition)[0], partition).clock(partition);
  auto it = history_.events_of_partitions().find(partition);
  if (it == history_.events_of_partitions().end()) return dots;
  for (size_t index : it->second) {
    const Event& event = history_.events()[index];
    if (event.logged || !event.written || dots.contains(event.change.dot)) continue;
    bool in_doubt = std::any_of(history_.losses().begin(), history_.losses().end(), [&](const Loss& loss) {
      return loss.at_us >= event.at_us && loss.held.contains(partition);
    });
    if (in_doubt) return {};
    dots.add(event.change.dot);
  }
  return dots;
}

std::optional<std::string> SimWorld::difference() {
  auto where = [this](Partition partition, NodeIndex n) {
    return "keyspace " + std::to_string(partition.keyspace) + " arc " + std::to_string(partition.arc) + " at " +
           name(n);
  };
  if (auto unrest = ring_unrest()) return unrest;
  if (read_spoiled()) return "rows are still spoiled";
  for (Partition partition : partitions()) {
    if (config_->keyspaces[partition.keyspace].dropped) continue;
    const auto& list = owners(partition);
    for (NodeIndex n : list) {
      if (!stripe_of(n, partition).at_rest()) return where(partition, n) + " is not up, or not at rest";
      const crdt::Clock &mine = stripe_of(n, partition).clock(partition),
                        &first = stripe_of(list[0], partition).clock(partition);
      if (mine != first) {
        return where(partition, n) + " has another clock than " + name(list[0]) + ": lacks" + dots(first.minus(mine)) +
               ", is ahead by" + dots(mine.minus(first));
      }
    }
  }
  for (NodeIndex n = 0; n < machines_.size(); ++n) {
    for (Partition partition : partitions()) {
      if (!removed(n) && !stripe_of(n, partition).fallback_clock(partition).empty())
        return where(partition, n) + " still keeps deltas for the owners";
    }
  }
  WallTime beyond_skew{wall().ms + skew_ms()};
  for (Partition partition : partitions()) {
    if (config_->keyspaces[partition.keyspace].dropped) continue;
    std::optional<std::string> first;
    for (NodeIndex n : owners(partition)) {
      auto state = stripe_of(n, partition).stripe().canonical_state(partition.keyspace, partition.arc, beyond_skew);
      if (!state.ok()) return where(partition, n) + ": " + state.status().to_string();
      if (first && *first != *state) return where(partition, n) + " has the same clock but another state";
      first = *state;
    }
  }
  return {};
}

// --- configurations --------------------------------------------------------------------------------------------------

node::ClusterConfig make_config(const std::vector<std::pair<std::string, uint32_t>>& regions, uint32_t partitions,
                                uint32_t stripes, const std::vector<KeyspaceShape>& keyspaces) {
  node::ClusterConfig config;
  config.name = "sim";
  config.partitions = partitions;
  config.stripes = stripes;
  uint16_t port = 1;
  for (const auto& [region, nodes] : regions) {
    for (uint32_t i = 1; i <= nodes; ++i) {
      node::NodeInfo info;
      info.name = region + "-" + std::to_string(i);
      info.region = region;
      info.zone = i % 2 == 0 ? "b" : "a";
      for (node::Address* address : {&info.rpc, &info.resp, &info.http}) *address = {"127.0.0.1", port++};
      config.nodes.push_back(std::move(info));
    }
  }
  int select = 0;
  for (const KeyspaceShape& shape : keyspaces) {
    node::Keyspace keyspace;
    keyspace.name = "space-" + std::to_string(select);
    keyspace.select = select++;
    for (size_t r = 0; r < regions.size(); ++r) {
      if (shape.replicas[r] > 0) keyspace.replicas[regions[r].first] = shape.replicas[r];
    }
    keyspace.read = keyspace.write = node::Level::parse(shape.level).value();
    keyspace.durability = shape.durability;
    keyspace.fallbacks = shape.fallbacks;
    config.keyspaces.push_back(std::move(keyspace));
  }
  Status status = node::finish(config);
  CHECK(status.ok());
  return config;
}

}  // namespace cartwheel::sim
