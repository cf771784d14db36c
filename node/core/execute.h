// What operations mean: the reading and changing of one object by one verb, on the coordinator. Redis' semantics where
// eventual consistency allows them; docs/resp.md says where not.
#pragma once

#include "crdt/delta.h"
#include "crdt/hlc.h"
#include "node/core/operation.h"
#include "node/core/partition.h"

namespace cartwheel::node {

// Collects the changes of one operation: each gets the coordinator's next dot and takes effect at once.
class Mutation {
 public:
  // `time` is used for all puts; it must be later than the times of everything that the object shows.
  // Without `keep_values` the values of puts are missing in the delta: for who does not pass it on.
  Mutation(ObjectStore& store, Partition& partition, StoredObject& object, crdt::Actor actor, crdt::Hlc time,
           bool keep_values)
      : store_(store), partition_(partition), object_(object), actor_(actor), keep_values_(keep_values) {
    delta_.key = object.key();
    delta_.time = time;
  }

  StoredObject& object() { return object_; }
  crdt::Hlc time() const { return delta_.time; }
  Result<const crdt::Leaf*> leaf(std::string_view path) { return store_.leaf(object_, path); }
  // Adds `amount` to the count at `path`; assigns `result` when the actor's chain cannot take it.
  Status increment(std::string_view path, int64_t amount, int64_t result);
  Status change(std::string_view path, crdt::Change change);
  // Removes what is visible at `path`; nothing if nothing is.
  Status remove(std::string_view path);
  // Removes all that is here under `prefix`: the leaves one by one when they are few, as a range otherwise.
  Status clear(std::string_view prefix);
  // Removes the expiry of an object that shows nothing else any more.
  Status tidy();

  crdt::Delta take() { return std::move(delta_); }
  ObjectStore& store() { return store_; }

 private:
  ObjectStore& store_;
  Partition& partition_;
  StoredObject& object_;
  crdt::Actor actor_;
  bool keep_values_;
  crdt::Delta delta_;
};

// Whether the object shows at `wall`: it has content and has not expired.
bool exists(const StoredObject& object, WallTime wall);

// REQUIRES: !is_write(operation.verb) && !is_arc_wide(operation.verb).
Result<Value> execute_read(ObjectStore& store, const StoredObject& object, const Operation& operation, WallTime wall);

// The scans of a whole arc. `partitions` is the number of arcs of the ring.
Result<Value> execute_scan(ObjectStore& store, const Partition& partition, const Operation& operation, WallTime wall,
                           uint32_t partitions);

// REQUIRES: is_write(operation.verb). Takes what it needs out of `operation`. On failure the changes made so far stand
// (they are complete by themselves). `default_ttl_ms` is given to objects that come into being without an expiry, 0:
// none.
Result<Value> execute_write(Mutation& mutation, Operation& operation, WallTime wall, int64_t default_ttl_ms);

}  // namespace cartwheel::node
