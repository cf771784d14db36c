#include "tests/node/paxos/world.h"

#include <algorithm>

#include "base/hash.h"

namespace cartwheel::node::paxos::model {

namespace {

constexpr int64_t kMs = 1000;
constexpr int64_t kTroubleUs = 800 * kMs;
constexpr int64_t kHealUs = 3000 * kMs;      // for the operator to put the acceptors in order, and stragglers to arrive
constexpr int64_t kLivenessUs = 2000 * kMs;  // for a change of each node, then
constexpr char kGossip = 'G';                // no MessagePack array starts so
const std::string kKey = "configuration";

Options options_of(const Faults& faults) {
  Options options;
  options.resend = Duration::millis(20);
  options.backoff_min = Duration::millis(4);
  options.backoff_max = Duration::millis(100);
  options.piggyback = faults.piggyback;
  return options;
}

}  // namespace

RunResult run_seed(uint64_t seed, Careless careless) {
  return World(seed, careless).run();
}

World::World(uint64_t seed, Careless careless)
    : careless_(careless), rng_(seed * 0x9e3779b97f4a7c15ull + 1), nodes_(kNodes) {
  faults_.loss = rng_.chance(0.3) ? 0 : 0.3 * rng_.uniform();
  faults_.duplicate = rng_.chance(0.5) ? 0 : 0.2 * rng_.uniform();
  faults_.delay_us = 200 + static_cast<int64_t>(rng_.below(6000));
  faults_.straggler_us = rng_.chance(0.5) ? 0 : 200 * kMs;
  faults_.sync_us = 100 + static_cast<int64_t>(rng_.below(8000));
  if (rng_.chance(0.3)) faults_.sync_us = 40 * kMs;
  faults_.crashes = rng_.chance(0.7);
  faults_.restless = faults_.crashes && rng_.chance(0.4);
  faults_.wipes = rng_.chance(0.5);
  faults_.cuts = rng_.chance(0.5);
  faults_.reconfigure = rng_.chance(0.6);
  faults_.piggyback = rng_.chance(0.4);
  size_t acceptors = rng_.chance(0.6) ? 3 : 1 + rng_.below(5);
  while (size_of(first_.current) < acceptors) first_.current |= static_cast<Mask>(1 << rng_.below(kNodes));
  masks_.push_back(first_.current);
  cut_.assign(kNodes, std::vector<bool>(kNodes, false));
  size_t clients = 1 + rng_.below(4);
  for (size_t i = 0; i < clients; ++i) clients_.push_back(static_cast<NodeIndex>(rng_.below(kNodes)));
}

RunResult World::run() {
  for (NodeIndex n = 0; n < kNodes; ++n) {
    nodes_[n].configuration = first_;
    if (has(first_.current, n)) nodes_[n].row = Acceptor::fresh().encode();
    start(n);
    queue_.at(static_cast<int64_t>(rng_.below(25 * kMs)), [this, n] { gossip(n); });
  }
  auto sometime = [&] { return static_cast<int64_t>(rng_.below(kTroubleUs)); };
  for (size_t i = 8 + rng_.below(24); i > 0; --i) {
    queue_.at(sometime(), [this] { client(clients_[rng_.below(clients_.size())]); });
  }
  for (size_t i = rng_.below(faults_.restless ? 60 : 8); i > 0; --i) queue_.at(sometime(), [this] { misfortune(); });
  if (faults_.reconfigure || faults_.wipes) {
    for (size_t i = 1 + rng_.below(10); i > 0; --i) {
      queue_.at(sometime(), [this] { change_sets(static_cast<NodeIndex>(rng_.below(kNodes))); });
    }
  }
  queue_.run_until(kTroubleUs);
  heal();
  run_until(kTroubleUs + kHealUs, [&] { return in_order(); });
  std::vector<uint32_t> last;
  for (NodeIndex n = 0; n < kNodes; ++n) {
    Proposal proposal;
    uint32_t id = static_cast<uint32_t>(history_.size()) + 1;
    proposal.change = [this, id](const Seen& seen) {
      if (List::of(seen.value, first_).contains(id)) return Decision::keep();
      return Decision::set(appended(seen, id));
    };
    proposal.repeatable = true;
    proposal.deadline = now() + Duration{kLivenessUs};
    last.push_back(submit(n, "append after healing", std::move(proposal)));
  }
  auto done = [&] {
    return std::all_of(nodes_.begin(), nodes_.end(), [](const Node& n) { return n.tickets.empty(); });
  };
  run_until(queue_.now() + kLivenessUs, done);
  bool all = std::all_of(last.begin(), last.end(), [&](uint32_t id) { return history_.chosen(id); });
  if (!all) failure_ = "not every node gets a change through after everything healed:" + describe();
  uint32_t read = submit(0, "read", {{}, false, now() + Duration{kLivenessUs}});
  run_until(queue_.now() + kLivenessUs, done);
  if (!history_.chosen(read) && all) failure_ = "no read after everything healed:" + describe();
  // Disagreement first: it explains the rest.
  if (auto wrong = history_.check(longest_)) {
    failure_ = wrong;
    result_.safe = false;
  }

  result_.failure = failure_;
  result_.events = queue_.executed();
  result_.chosen = history_.count(Outcome::Kind::kChosen);
  result_.refused = history_.count(Outcome::Kind::kRefused);
  result_.not_applied = history_.count(Outcome::Kind::kNotApplied);
  result_.unknown = history_.count(Outcome::Kind::kUnknown);
  return result_;
}

void World::run_until(int64_t end, const std::function<bool()>& done) {
  while (queue_.now() < end && !done()) queue_.run_until(std::min(end, queue_.now() + 5 * kMs));
}

// Whether the operator has nothing left to do, and nobody waits for anything.
bool World::in_order() const {
  uint64_t newest = 0;
  for (const Node& node : nodes_) newest = std::max(newest, node.configuration.generation);
  for (NodeIndex n = 0; n < kNodes; ++n) {
    const Node& node = nodes_[n];
    if (!node.tickets.empty() || node.configuration.generation < newest || node.configuration.next) return false;
    if (node.configuration.member(n) && lost(n)) return false;
  }
  return true;
}

// The state of all nodes, for a failure's message.
std::string World::describe() const {
  std::string text;
  for (NodeIndex n = 0; n < kNodes; ++n) {
    const Node& node = nodes_[n];
    const Configuration& c = node.configuration;
    auto mask = [](Mask m) {
      std::string bits;
      for (NodeIndex i = 0; i < kNodes; ++i) bits += has(m, i) ? static_cast<char>('0' + i) : '-';
      return bits;
    };
    text += "\n  node " + std::to_string(n) + (node.up ? " up" : " down") + (lost(n) ? " lost" : "") + " life " +
            std::to_string(node.life) + " knows generation " + std::to_string(c.generation) + " " + mask(c.current) +
            (c.next ? " and " + mask(c.next) : "") + " fresh " + mask(c.fresh) + " lives";
    for (uint8_t life : c.lives) text += " " + std::to_string(life);
    text += ", acceptor generation " + std::to_string(node.acceptor.generation()) + " promised " +
            paxos::to_string(node.acceptor.promised()) + " accepted " + paxos::to_string(node.acceptor.accepted()) +
            (node.catch_up ? " catching up" : "");
  }
  return text;
}

// ---- nodes

void World::start(NodeIndex n) {
  Node& node = nodes_[n];
  node.up = true;
  ++node.boot;
  node.acceptor = Acceptor::lost();
  if (node.row) node.acceptor = Acceptor::decode(*node.row).value();
  node.written = node.scheduled = 0;
  node.ballots = std::make_unique<BallotSource>(n, node.boot);
  node.proposals =
      std::make_unique<Register>(kKey, options_of(faults_), node.configuration.quorum(), *node.ballots, rng_.next());
  admit(n);
  drain(n);
}

void World::crash(NodeIndex n, bool wipe) {
  Node& node = nodes_[n];
  if (!node.up) return;
  ++result_.crashes;
  node.up = false;
  // Some of what was not fsynced is on the disk all the same.
  for (size_t kept = rng_.below(node.writing.size() + 1); kept > 0; --kept) {
    node.row = std::move(node.writing.front().row);
    node.writing.pop_front();
  }
  node.writing.clear();
  node.held.clear();
  node.proposals.reset();
  node.ballots.reset();
  node.catch_up.reset();
  node.alarm.reset();
  node.tickets.clear();
  if (!wipe) return;
  ++result_.wipes;
  ++node.life;
  node.row.reset();
  node.configuration = first_;
}

// Whether the acceptor does not vote, or would not if its node died now.
bool World::lost(NodeIndex n) const {
  const Node& node = nodes_[n];
  bool on_disk = node.row && !Acceptor::decode(*node.row).value().is_lost();
  if (!node.up) return !on_disk;
  return node.acceptor.is_lost() || (node.acceptor.version() > 0 && !on_disk);
}

// Whether every set could still reach agreement and bring the lost ones back: not for safety, but for the end of the
// run.
bool World::may_lose_disk(NodeIndex n) const {
  return std::all_of(masks_.begin(), masks_.end(), [&](Mask mask) {
    size_t gone = 0;
    for (NodeIndex other = 0; other < kNodes; ++other) gone += has(mask, other) && (other == n || lost(other));
    return !has(mask, n) || gone + majority(size_of(mask)) <= size_of(mask);
  });
}

// Starts to vote, or to catch up, if the configuration names this life of the disk.
void World::admit(NodeIndex n) {
  Node& node = nodes_[n];
  const Configuration& c = node.configuration;
  if (!node.acceptor.is_lost() || !c.member(n) || c.lives[n] != node.life) return;
  if (has(c.fresh, n)) {
    node.acceptor = Acceptor::fresh(c.generation);
    return;
  }
  node.catch_up.emplace(kKey, n, c.quorum(), node.ballots->next().value(), options_of(faults_).resend);
  node.catch_up->begin(now());
}

void World::learn(NodeIndex n, const Configuration& configuration) {
  Node& node = nodes_[n];
  if (configuration.generation <= node.configuration.generation) return;
  node.configuration = configuration;
  result_.generations = std::max<size_t>(result_.generations, configuration.generation);
  node.proposals->set_quorum(configuration.quorum(), now());
  node.catch_up.reset();
  admit(n);
}

// ---- network

void World::send(NodeIndex from, NodeIndex to, std::string bytes) {
  result_.trace = hash64(bytes, result_.trace + static_cast<uint64_t>(queue_.now() * kNodes + to));
  if (cut_[from][to]) return;
  int copies = healed_ || !rng_.chance(faults_.duplicate) ? 1 : 2;
  for (int copy = 0; copy < copies; ++copy) {
    if (from != to && !healed_ && rng_.chance(faults_.loss)) continue;
    int64_t delay = 50 + static_cast<int64_t>(rng_.below(static_cast<uint64_t>(faults_.delay_us)));
    if (!healed_ && faults_.straggler_us && rng_.chance(0.1)) {
      delay += static_cast<int64_t>(rng_.below(static_cast<uint64_t>(faults_.straggler_us)));
    }
    queue_.after(delay, [this, from, to, bytes] { deliver(from, to, bytes); });
  }
}

void World::deliver(NodeIndex from, NodeIndex to, const std::string& bytes) {
  Node& node = nodes_[to];
  if (!node.up) return;
  if (bytes[0] == kGossip) {
    uint64_t theirs = node.configuration.generation;
    Configuration told = List::of(bytes.substr(1), first_).configuration;
    learn(to, told);
    if (told.generation < theirs) send(to, from, kGossip + List{node.configuration, {}}.encode());
  } else if (message_type(bytes) == MessageType::kReply) {
    Reply reply = Reply::decode(bytes).value();
    node.proposals->on_reply(from, reply, now());
    if (node.catch_up) node.catch_up->on_reply(from, reply);
  } else {
    Request request = Request::decode(bytes).value();
    if (request.generation > node.configuration.generation && careless_ != Careless::kFencesWithoutKnowing) {
      // The configuration first: an acceptor that fences off a generation must be able to tell of the next one.
      send(to, from, kGossip + List{node.configuration, {}}.encode());
    } else {
      Acceptor::Answer answer = node.acceptor.on_request(std::move(request));
      node.held.push_back({answer.after_version, from, answer.reply.encode()});
      persist(to);
    }
  }
  drain(to);
}

void World::gossip(NodeIndex n) {
  if (nodes_[n].up) {
    send(n, static_cast<NodeIndex>(rng_.below(kNodes)), kGossip + List{nodes_[n].configuration, {}}.encode());
  }
  queue_.after(30 * kMs, [this, n] { gossip(n); });
}

// ---- disk

// Starts to write a state that is new, and lets go of the replies that need not wait.
void World::persist(NodeIndex n) {
  Node& node = nodes_[n];
  if (node.acceptor.version() > node.scheduled) {
    node.scheduled = node.acceptor.version();
    node.writing.push_back({node.scheduled, node.acceptor.encode()});
    if (node.writing.size() == 1) write_first(n);
  }
  release(n);
}

void World::write_first(NodeIndex n) {
  queue_.after(static_cast<int64_t>(rng_.below(static_cast<uint64_t>(faults_.sync_us))),
               [this, n, boot = nodes_[n].boot] { synced(n, boot); });
}

void World::synced(NodeIndex n, uint64_t boot) {
  Node& node = nodes_[n];
  if (!node.up || node.boot != boot) return;
  node.written = node.writing.front().version;
  node.row = std::move(node.writing.front().row);
  node.writing.pop_front();
  if (!node.writing.empty()) write_first(n);
  release(n);
}

void World::release(NodeIndex n) {
  Node& node = nodes_[n];
  auto waits = [&](const Waiting& w) { return w.version > node.written; };
  auto ready = std::stable_partition(node.held.begin(), node.held.end(), waits);
  std::vector<Waiting> out(std::make_move_iterator(ready), std::make_move_iterator(node.held.end()));
  node.held.erase(ready, node.held.end());
  for (Waiting& w : out) send(n, w.to, std::move(w.bytes));
}

// ---- proposals

// Does what the machines of a node want done, and sets its alarm.
void World::drain(NodeIndex n) {
  Node& node = nodes_[n];
  if (node.catch_up && node.catch_up->done()) {
    const CatchUp& found = *node.catch_up;
    node.acceptor.install(found.generation(), found.accepted(), found.value());
    node.catch_up.reset();
    ++result_.readmitted;
    persist(n);
  }
  auto send_all = [&](const std::vector<Send>& sends) {
    for (const Send& s : sends) {
      std::string bytes = s.request.encode();
      for (NodeIndex to : s.to) send(n, to, bytes);
    }
  };
  if (node.catch_up) send_all(node.catch_up->take_sends());
  Register::Output output = node.proposals->take_output();
  send_all(output.sends);
  for (const Register::Done& done : output.done) {
    auto ticket =
        std::find_if(node.tickets.begin(), node.tickets.end(), [&](auto& t) { return t.first == done.ticket; });
    bool seen = done.outcome.kind == Outcome::Kind::kChosen || done.outcome.kind == Outcome::Kind::kRefused;
    List list = List::of(seen ? done.outcome.value : Value(), first_);
    history_.end(ticket->second, done.outcome, list.ids, queue_.now());
    node.tickets.erase(ticket);
    if (list.ids.size() > longest_.size()) longest_ = list.ids;
    if (seen) learn(n, list.configuration);
  }
  if (!output.done.empty()) return drain(n);  // a newer configuration may have made work
  if (node.proposals->newest_generation() > node.configuration.generation && rng_.chance(0.2)) {
    send(n, static_cast<NodeIndex>(rng_.below(kNodes)), kGossip + List{node.configuration, {}}.encode());
  }
  auto next = node.proposals->next_deadline();
  if (node.catch_up) {
    auto other = node.catch_up->next_deadline();
    if (other && (!next || *other < *next)) next = other;
  }
  if (!next || (node.alarm && *node.alarm <= *next)) return;
  node.alarm = next;
  queue_.at(next->us, [this, n, boot = node.boot] { ring(n, boot); });
}

void World::ring(NodeIndex n, uint64_t boot) {
  Node& node = nodes_[n];
  if (!node.up || node.boot != boot) return;
  node.alarm.reset();
  node.proposals->tick(now());
  if (node.catch_up) node.catch_up->tick(now());
  drain(n);
}

}  // namespace cartwheel::node::paxos::model
