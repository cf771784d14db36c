// Workload: clients that use a cluster as shops do, carts and sessions, and some that only want to cause trouble. Each
// client does one operation at a time at a node of its choice, waits for the answer, thinks, and goes on. What they
// write is unique wherever a checker wants to find it again (tests/sim/history.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/rng.h"
#include "tests/sim/sim_world.h"

namespace cartwheel::sim {

struct WorkloadOptions {
  uint32_t clients = 4;
  int64_t think_us = 100'000;     // mean pause between two operations of a client
  double primary_level = 0;       // of the levels that a request names, how many count owners alone
  double other_level = 0.2;       // chance that an operation asks for a level of its own
  double other_region = 0.1;      // chance that a client goes to a node of another region
  int64_t timeout_min_ms = 30;    // requests take no longer than some random time above this
  size_t big_bytes = 0;           // some values are as long as this
  int64_t ttl_ms = 20'000;        // sessions live about as long as this
  double tokens = 0;              // chance that a client carries a session token, which goes to any region
  std::vector<uint32_t> weights;  // of the families, see Family; empty: all alike
};

class Workload {
 public:
  Workload(SimWorld& world, WorkloadOptions options, uint64_t seed);

  void start();
  // No client starts another operation.
  void stop() { active_ = false; }
  // One operation per client at its keyspace's own levels, as a healthy cluster must serve it. Returns their ids.
  std::vector<uint64_t> probe();

 private:
  enum Family : uint32_t { kSet, kCounter, kSession, kCart, kString, kFlag, kArcWide, kFamilies };

  struct Client {
    size_t region = 0;
    std::map<std::string, int64_t> sessions;  // of its own, with their latest expiry
    uint64_t session = 0;                     // of its token; 0: it has none
    std::string token;                        // empty: nothing written or read yet
    int refused = 0;                          // operations in a row that the token could not have answered
    std::string last_set;                     // that it touched: what a token is about is best read elsewhere
    uint16_t last_keyspace = 0;
  };
  struct Choice {
    node::Operation operation;
    bool own_level = true;  // whether it may ask for a level of its own
  };

  void next(size_t client);
  void issue(size_t client);
  ClientSession session_of(const Client& client, uint16_t keyspace, const node::Operation& op);
  void learn(Client& client, const OpRecord& done);
  node::NodeIndex pick_node(const Client& client);
  std::optional<node::Level> pick_level();
  uint16_t pick_keyspace() { return static_cast<uint16_t>(rng_.below(world_.config().keyspaces.size())); }
  std::string hot_or_cold(const std::string& family);
  std::string value();
  std::string unique(char kind) { return kind + std::to_string(++serial_); }
  node::Expiry expiry_in(int64_t ms);
  std::string known_element(const std::string& key);

  node::Operation set_operation();
  node::Operation counter_operation();
  node::Operation session_operation(Client& client, size_t number);
  node::Operation cart_operation();
  node::Operation string_operation();
  node::Operation flag_operation();
  node::Operation arc_wide_operation();

  SimWorld& world_;
  WorkloadOptions options_;
  Rng rng_;
  Rng session_rng_;  // apart, so that runs without sessions do not depend on it
  uint64_t last_session_ = 0;
  bool active_ = false;
  uint64_t serial_ = 0;
  std::vector<Client> clients_;
  std::map<std::string, std::vector<std::string>> elements_;  // of each set and cart, as far as anybody added them
};

}  // namespace cartwheel::sim
