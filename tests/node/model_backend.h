// A model of the cluster for tests of doors: one map, every operation of node/core/operation.h carried out at once and
// alone, in the plainest way. What a door makes of the answers can then be held against other implementations.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>

#include "base/rng.h"
#include "node/core/operation.h"
#include "node/fronts/resp/backend.h"

namespace cartwheel::node {

class ModelStore {
 public:
  explicit ModelStore(uint32_t partitions) : partitions_(partitions) {}

  // Carries `request` out at `now`. Expired keys are gone.
  Reply apply(const Request& request, WallTime now);

 private:
  using Hash = std::map<std::string, std::string>;
  using Set = std::set<std::string>;
  struct Object {
    std::variant<std::string, Hash, Set> data;
    std::optional<WallTime> expiry;
  };
  using Keys = std::map<std::string, Object>;

  Reply keys_operation(const Operation& op, Keys& keys);
  Reply string_operation(const Operation& op, Keys& keys);
  Reply hash_operation(const Operation& op, Keys& keys);
  Reply set_operation(const Operation& op, Keys& keys);

  uint32_t partitions_;
  WallTime now_;
  std::map<uint16_t, Keys> keyspaces_;
};

// The model behind a RESP session. Time is what the test says it is. Answers come within submit(), or when the test
// lets them: hold() keeps them until release().
class ModelBackend : public resp::Backend {
 public:
  // Keyspaces with select 0 and 1, of 16 partitions.
  ModelBackend();

  void submit(Request request, ReplyCallback done) override;
  const ClusterConfig& cluster() const override { return cluster_; }
  Now now() const override { return now_; }
  resp::ServerInfo info() const override;

  void set_now(Now now) { now_ = now; }
  void hold(bool on) { held_ = on; }
  size_t waiting() const { return waiting_.size(); }
  // Answers the waiting operation number `i`, the oldest being 0. It takes effect at submission, as the contract has
  // it.
  void release(size_t i);
  void release_all(Rng& rng);
  // The next operations fail with this instead of being carried out, as many as `count`.
  void fail_next(Status status, size_t count = 1);
  uint64_t submitted() const { return submitted_; }

 private:
  struct Waiting {
    Reply reply;
    ReplyCallback done;
  };

  ClusterConfig cluster_;
  ModelStore store_;
  Now now_{{0}, {1'700'000'000'000}};
  bool held_ = false;
  std::deque<Waiting> waiting_;
  Status failure_;
  size_t failures_ = 0;
  uint64_t submitted_ = 0;
};

}  // namespace cartwheel::node
