#include "tests/sim/ring_histories.h"

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "node/core/ring_plan.h"
#include "tests/sim/sim_world.h"

namespace cartwheel::sim {

using node::NodeIndex;
using node::Stage;

namespace {

constexpr Duration kPatience = Duration::seconds(30);

// Six nodes in one region; the arcs of one of them move away.
class Mover {
 public:
  Mover(uint32_t copies, NodeIndex leaver, node::Keyspace::Durability durability = node::Keyspace::Durability::kOs,
        uint64_t seed = 5)
      : world(make_config({{"eu", 6}}, 8, 1, {{{copies}, "local_quorum", durability}}), options(seed)),
        leaver_(leaver) {
    world.start_all();
    world.run_for(Duration::seconds(1));
  }
  static WorldOptions options(uint64_t seed) {
    WorldOptions options;
    options.seed = seed;
    options.background_sync_us = 0;
    return options;
  }

  // One element into the set of each arc, at the first node that takes it.
  void write_everywhere() {
    for (uint32_t arc = 0; arc < 8; ++arc) {
      for (NodeIndex n = 0; n < 6 && !add(n, arc); ++n) {
      }
    }
  }
  bool add(NodeIndex n, uint32_t arc) {
    node::Operation operation;
    operation.verb = node::Verb::kSetAdd;
    operation.key = key_of(arc);
    operation.args = {"e" + std::to_string(++elements_)};
    if (world.call(n, 0, operation).outcome != Outcome::kOk) return false;
    acknowledged_.emplace_back(arc, operation.args[0]);
    return true;
  }
  // What was acknowledged and is not in a read at node `n`.
  Verdict missing(NodeIndex n, uint32_t arc) {
    node::Operation all;
    all.verb = node::Verb::kSetAll;
    all.key = key_of(arc);
    const OpRecord& read = world.call(n, 0, all);
    if (read.outcome != Outcome::kOk) return {};
    for (const auto& [of_arc, element] : acknowledged_) {
      bool seen = std::any_of(read.reply.value.list.begin(), read.reply.value.list.end(),
                              [&element = element](const node::Value& value) { return value.bytes == element; });
      if (of_arc == arc && !seen) return element + " was acknowledged and is missing in " + to_string(read);
    }
    return {};
  }
  Verdict missing_anywhere() {
    for (NodeIndex n = 0; n < world.config().nodes.size(); ++n) {
      for (uint32_t arc = 0; arc < 8 && world.is_up(n); ++arc) {
        if (Verdict wrong = missing(n, arc)) return wrong;
      }
    }
    return {};
  }

  void leave(bool dead = false) {
    std::string name = world.config().nodes[leaver_].name;
    CHECK(world.change_ring([&](node::ClusterConfig& c) { return node::leave(c, name, dead); }).ok());
  }
  bool until(const std::function<bool()>& done) { return world.run_until(done, kPatience); }
  // Looks for an arc that the leaver gives away and that is in `stage` by the register.
  bool find_move(Stage stage) {
    for (const auto& [at, move] : world.config().assignments[0].moves) {
      const auto& owners = world.config().assignments[0].owners[at];
      const auto& old = stage >= Stage::kReadNew ? move.others : owners;
      const auto& now = stage >= Stage::kReadNew ? owners : move.others;
      if (move.stage != stage || std::find(old.begin(), old.end(), leaver_) == old.end()) continue;
      moving = at;
      for (NodeIndex n : now) {
        if (std::find(old.begin(), old.end(), n) == old.end()) heir = n;
      }
      return true;
    }
    return false;
  }
  bool knows(NodeIndex n, Stage stage) {
    const node::Move* move = world.stripe(n, 0).stripe().config().assignments[0].move(moving);
    return move != nullptr && move->stage == stage;
  }
  // Whether node `n` knows that it is one of the owners.
  bool is_read(NodeIndex n) {
    const auto& owners = world.stripe(n, 0).stripe().config().assignments[0].owners[moving];
    return std::find(owners.begin(), owners.end(), n) != owners.end();
  }
  bool has_done(NodeIndex n) {
    for (const auto& step : world.stripe(n, 0).stripe().ring_progress().steps) {
      if (step.partition == node::PartitionId{0, moving} && step.done) return true;
    }
    return false;
  }

  SimWorld world;
  uint32_t moving = 0;             // an arc that the leaver owned
  NodeIndex heir = node::kNoNode;  // who gets the arc from the leaver

 private:
  std::string key_of(uint32_t of_arc) {
    for (int i = 0;; ++i) {
      std::string key = "set:" + std::to_string(i);
      if (world.partition_of(0, key).arc == of_arc) return key;
    }
  }

  NodeIndex leaver_;
  int elements_ = 0;
  std::vector<std::pair<uint32_t, std::string>> acknowledged_;
};

}  // namespace

Verdict write_beside_a_cut_new_owner() {
  Mover m(1, 0);
  m.write_everywhere();
  m.leave();
  if (!m.until([&] { return m.find_move(Stage::kWriteBoth); })) return "no arc came as far as write_both";
  if (!m.until(
          [&] { return m.knows(0, Stage::kWriteBoth) && m.knows(m.heir, Stage::kWriteBoth) && m.has_done(m.heir); }))
    return "the new owner did not get ready";
  m.world.cut(0, m.heir);
  m.add(0, m.moving);
  if (!m.until([&] { return m.is_read(m.heir); })) return "the new owner is not read";
  return m.missing(m.heir, m.moving);
}

Verdict write_behind_the_snapshot() {
  Mover m(1, 0);
  m.write_everywhere();
  m.leave();
  auto loaded = [&] { return m.find_move(Stage::kLoad) && m.knows(m.heir, Stage::kLoad) && m.has_done(m.heir); };
  if (!m.until(loaded)) return "no arc was loaded";
  m.world.cut(m.heir, 0);
  if (!m.add(0, m.moving)) return "the old owner refused a write";
  m.world.run_for(Duration::seconds(5));
  if (m.is_read(m.heir)) return m.missing(m.heir, m.moving);
  m.world.mend(m.heir, 0);
  if (!m.until([&] { return m.is_read(m.heir); })) return "the new owner is not read";
  return m.missing(m.heir, m.moving);
}

Verdict write_by_a_coordinator_of_the_past() {
  constexpr NodeIndex kPast = 5;
  Mover m(3, kPast);
  m.write_everywhere();
  m.leave();
  if (!m.until([&] { return m.find_move(Stage::kWriteBoth) && !m.knows(kPast, Stage::kWriteBoth); }))
    return "no arc came as far as write_both";
  for (NodeIndex n = 0; n < kPast; ++n) m.world.cut(n, kPast);
  std::vector<NodeIndex> staying = m.world.owners({0, m.moving});
  std::erase(staying, kPast);
  m.world.run_for(Duration::millis(800));  // all others know, and have told each other what they have
  NodeIndex witness = staying[0], other = staying[1];
  m.world.cut(witness, other);
  m.world.cut(witness, m.heir);
  m.world.mend(witness, kPast);
  if (!m.add(kPast, m.moving)) return {};  // refused, as it should be
  m.world.kill(kPast);
  m.leave(true);
  if (!m.until([&] { return m.is_read(m.heir); })) return "the new owners are not read";
  return m.missing(m.heir, m.moving);
}

Verdict heir_that_dies_before_the_handover() {
  Mover m(1, 0);
  m.write_everywhere();
  m.leave();
  if (!m.until([&] { return m.find_move(Stage::kWriteBoth); })) return "no arc came as far as write_both";
  if (!m.until(
          [&] { return m.knows(0, Stage::kWriteBoth) && m.knows(m.heir, Stage::kWriteBoth) && m.has_done(m.heir); }))
    return "the new owner did not get ready";
  m.world.cut(0, m.heir);
  if (m.add(0, m.moving)) return "a write was acknowledged without the new owner";
  if (!m.until([&] { return m.knows(0, Stage::kDrain); })) return "the arc does not drain";
  m.world.run_for(Duration::millis(500));
  m.world.kill(m.heir);
  node::NodeInfo next = m.world.config().nodes[m.heir];
  next.name = "eu-7";
  next.identity = 77;
  for (node::Address* address : {&next.rpc, &next.resp, &next.http}) address->port += 1000;
  // What is lost with the heir are the other arcs that it owned: they are not looked at.
  if (!m.world.join(next, m.world.config().nodes[m.heir].name).ok()) return "the replacement was refused";
  if (!m.until([&] { return !m.world.ring_unrest(); })) return m.world.ring_unrest();
  return m.missing(m.world.owners({0, m.moving})[0], m.moving);
}

namespace {

Verdict power_loss_behind_a_move(uint64_t seed) {
  Mover m(1, 0, node::Keyspace::Durability::kAlways, seed);
  m.write_everywhere();
  m.leave();
  if (!m.until([&] { return !m.world.ring_unrest(); })) return m.world.ring_unrest();
  for (NodeIndex n = 1; n < 6; ++n) {
    m.world.lose_power(n);
    m.world.start(n);
  }
  m.world.run_for(Duration::seconds(3));
  return m.missing_anywhere();
}

}  // namespace

// How much of what is not synced a loss of power takes is drawn from the seed, and may be nothing.
Verdict power_loss_behind_a_move() {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    if (Verdict wrong = power_loss_behind_a_move(seed)) return wrong;
  }
  return {};
}

Verdict life_that_ended_unseen() {
  WorldOptions options = Mover::options(5);
  options.stripe.fold_delay = Duration::seconds(1);
  options.stripe.fold_age = Duration::millis(100);
  SimWorld world(make_config({{"eu", 3}}, 1, 1, {{{3}, "quorum"}}), options);
  constexpr NodeIndex kCutOff = 0, kWitness = 1, kWriter = 2;
  auto set = [](node::Verb verb, std::vector<std::string> args) {
    node::Operation operation;
    operation.verb = verb;
    operation.key = "set";
    operation.args = std::move(args);
    return operation;
  };
  world.start_all();
  world.run_for(Duration::seconds(1));
  if (world.call(kWriter, 0, set(node::Verb::kSetAdd, {"e0"})).outcome != Outcome::kOk) return "e0 was refused";
  world.run_for(Duration::seconds(2));
  world.cut(kCutOff, kWitness);
  world.cut(kCutOff, kWriter);
  if (world.call(kWriter, 0, set(node::Verb::kSetAdd, {"e1"})).outcome != Outcome::kOk) return "e1 was refused";
  world.cut(kWriter, kWitness);
  world.kill(kWriter);
  world.wipe(kWriter);
  world.start(kWriter);
  world.mend(kCutOff, kWriter);
  world.run_for(Duration::seconds(10));
  world.mend(kCutOff, kWitness);
  world.mend(kWriter, kWitness);
  world.run_for(Duration::seconds(10));
  for (NodeIndex n : {kCutOff, kWitness, kWriter}) {
    const OpRecord& read = world.call(n, 0, set(node::Verb::kSetAll, {}));
    const auto& list = read.reply.value.list;
    if (std::none_of(list.begin(), list.end(), [](const node::Value& value) { return value.bytes == "e1"; }))
      return "e1 was acknowledged and is missing in " + to_string(read);
  }
  return world.history().folds() > 0 ? Verdict() : "nothing was folded";
}

Verdict last_copy_with_a_fallback() {
  SimWorld world(make_config({{"eu", 5}}, 4, 1, {{{3}, "quorum", node::Keyspace::Durability::kOs, true}}),
                 Mover::options(5));
  world.start_all();
  world.run_for(Duration::seconds(2));
  node::Operation add;
  add.verb = node::Verb::kSetAdd;
  add.key = "set:0";
  add.args = {"e1"};
  const std::vector<NodeIndex> owners = world.owners(world.partition_of(0, add.key));
  world.kill(owners[1]);
  world.kill(owners[2]);
  world.run_for(Duration::seconds(4));
  if (world.call(owners[0], 0, add).outcome != Outcome::kOk) return "the write was not acknowledged";
  world.run_for(Duration::seconds(3));
  world.kill(owners[0]);
  world.wipe(owners[0]);
  for (NodeIndex n : owners) world.start(n);
  world.run_for(Duration::seconds(10));
  node::Operation all;
  all.verb = node::Verb::kSetAll;
  all.key = add.key;
  const OpRecord& read = world.call(owners[1], 0, all);
  for (const node::Value& value : read.reply.value.list) {
    if (value.bytes == "e1") return {};
  }
  return "e1 was acknowledged and is missing in " + to_string(read);
}

}  // namespace cartwheel::sim
