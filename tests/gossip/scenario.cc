#include "tests/gossip/scenario.h"

#include <cstdlib>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <vector>

#include "tests/gossip/sim/checkers.h"
#include "tests/gossip/sim/world.h"

namespace cartwheel::gossip::sim {

namespace {

class Scenario {
 public:
  std::optional<std::string> run(const std::string& path) {
    std::ifstream file(path);
    if (!file) return "cannot read " + path;
    std::string line;
    for (int number = 1; std::getline(file, line); ++number) {
      line = line.substr(0, line.find('#'));
      std::istringstream words(line);
      std::vector<std::string> statement;
      for (std::string word; words >> word;) statement.push_back(word);
      if (statement.empty()) continue;
      step(statement);
      if (error_.empty() && world_ && !world_->broken().empty()) error_ = world_->broken();
      if (!error_.empty())
        return path + ":" + std::to_string(number) + ": " + line + "\n  at " +
               std::to_string(world_ ? world_->now() / 1000 : 0) + " ms: " + error_;
      ++statements_;
    }
    if (checks_ == 0) return path + " checks nothing";
    return {};
  }

 private:
  using Words = std::vector<std::string>;

  World& world() {
    if (!world_) {
      world_ = std::make_unique<World>(options_);
      world_->set_verbose(std::getenv("CARTWHEEL_VERBOSE") != nullptr);
      world_->set_watcher([this](MemberId observer, const Event& event) { watch(observer, event); });
      world_->set_packet_watcher([this](MemberId, const Output::Message& message) {
        if (recording_) recorded_.push_back(message);
      });
    }
    return *world_;
  }

  void fail(const std::string& why) {
    if (error_.empty()) error_ = why;
  }

  std::set<MemberId> nodes(const std::string& text) {
    std::set<MemberId> ids;
    size_t count = world().nodes().size();
    if (text == "all") {
      for (MemberId id = 0; id < count; ++id) ids.insert(id);
      return ids;
    }
    std::istringstream parts(text);
    for (std::string part; std::getline(parts, part, ',');) {
      char* end = nullptr;
      unsigned long first = std::strtoul(part.c_str(), &end, 10), last = first;
      if (*end == '-') last = std::strtoul(end + 1, &end, 10);
      if (*end != 0 || end == part.c_str() || last >= count || first > last) fail("'" + text + "' names no nodes");
      for (unsigned long id = first; id <= last && error_.empty(); ++id) ids.insert(static_cast<MemberId>(id));
    }
    return ids;
  }

  int64_t time(const std::string& text) {
    char* end = nullptr;
    double seconds = std::strtod(text.c_str(), &end);
    if (*end != 0 || seconds <= 0) fail("'" + text + "' is no time");
    return static_cast<int64_t>(seconds * kSecond);
  }

  void watch(MemberId observer, const Event& event) {
    if (event.kind != Event::Kind::kState) return;
    if (forbidden_.count({event.member, state_name(event.state)}) > 0)
      fail("node " + std::to_string(observer) + " says that node " + std::to_string(event.member) + " is " +
           state_name(event.state));
  }

  // What is not so, or nothing.
  Failure see(const std::string& seers, const std::string& seen, const std::string& state) {
    static const std::set<std::string> kStates = {"alive",   "suspect",   "dead",       "left",
                                                  "unknown", "reachable", "unreachable"};
    if (kStates.count(state) == 0) fail("'" + state + "' is no state");
    for (MemberId seer : nodes(seers)) {
      const World::Node& node = world().nodes()[seer];
      if (!node.swim) continue;
      for (MemberId id : nodes(seen)) {
        if (id == seer) continue;
        bool reach = state == "reachable" || state == "unreachable";
        std::string found =
            reach ? (node.swim->reachable(id) ? "reachable" : "unreachable") : state_name(node.swim->state(id));
        if (found != state) return "node " + std::to_string(seer) + " sees node " + std::to_string(id) + " as " + found;
      }
    }
    return {};
  }

  void step(const Words& w) {
    const std::string& verb = w[0];
    if (verb == "seed" && w.size() == 2) return void(options_.seed = std::strtoull(w[1].c_str(), nullptr, 10));
    if (verb == "plain") return void(options_.swim.lifeguard = false);
    if (verb == "loss" && w.size() == 2) {
      options_.loss = std::strtod(w[1].c_str(), nullptr) / 100;
      return world().set_loss(options_.loss);
    }
    if (verb == "nodes" && w.size() == 3) return world().add(std::strtoul(w[1].c_str(), nullptr, 10), w[2]);
    if (verb == "run" && w.size() == 2) return world().run(time(w[1]));
    if (verb == "heal") return world().heal();
    if (verb == "record") return void(recording_ = true);
    if (verb == "allow") return forbidden_.clear();
    if (verb == "converged") return converged();
    if (verb == "facts" && w.size() == 3) {
      for (MemberId id : nodes(w[1]))
        if (!world().nodes()[id].swim->set_facts(w[2], {world().now()}).ok()) fail("the facts were refused");
      return;
    }
    if (verb == "remove" && w.size() == 4 && w[2] == "told")
      return world().remove(*nodes(w[1]).begin(), *nodes(w[3]).begin());
    if (verb == "replay" && w.size() == 2) return replay(nodes(w[1]));
    if (verb == "forbid" && w.size() == 3) {
      ++checks_;
      for (MemberId id : nodes(w[1])) forbidden_.insert({id, w[2]});
      return;
    }
    if (w.size() == 4 && w[1] == "see") {
      ++checks_;
      if (Failure failure = see(w[0], w[2], w[3])) fail(*failure);
      return;
    }
    if (verb == "within" && w.size() == 6 && w[3] == "see") return within(time(w[1]), w);
    if ((verb == "cut" && w.size() == 4 && w[2] == "to") || (verb == "apart" && w.size() == 3)) {
      for (MemberId a : nodes(w[1]))
        for (MemberId b : nodes(w.back())) world().cut(a, b, verb == "apart");
      return;
    }
    if (w.size() < 2) return fail("this is no statement");
    for (MemberId id : nodes(w[1])) {
      if (verb == "start")
        world().start(id);
      else if (verb == "crash")
        world().crash(id);
      else if (verb == "leave")
        world().leave(id);
      else if (verb == "stall" && w.size() == 3)
        world().stall(id, time(w[2]));
      else if (verb == "block" && w.size() == 3)
        world().block(id, time(w[2]));
      else if (verb == "late" && w.size() == 3)
        world().nodes()[id].late_us = time(w[2]);
      else
        return fail("this is no statement");
    }
  }

  void within(int64_t limit, const Words& w) {
    ++checks_;
    int64_t end = world().now() + limit;
    while (error_.empty()) {
      Failure failure = see(w[2], w[4], w[5]);
      if (!failure) return;
      if (world().now() >= end) return fail(*failure);
      world().run(kSecond / 50);
    }
  }

  void replay(const std::set<MemberId>& to) {
    recording_ = false;
    for (const Output::Message& message : recorded_)
      if (to.count(message.to) > 0 && world().nodes()[message.to].swim) world().inject(message.to, message.bytes);
  }

  void converged() {
    ++checks_;
    for (auto check : {check_live_seen, check_gone_seen, check_gateways, check_quiet, check_facts})
      if (Failure failure = check(world())) return fail(*failure);
  }

  WorldOptions options_;
  std::unique_ptr<World> world_;
  std::string error_;
  int checks_ = 0, statements_ = 0;
  bool recording_ = false;
  std::vector<Output::Message> recorded_;
  std::set<std::pair<MemberId, std::string>> forbidden_;
};

}  // namespace

std::optional<std::string> run_scenario(const std::string& path) {
  return Scenario().run(path);
}

}  // namespace cartwheel::gossip::sim
