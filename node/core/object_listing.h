// ObjectListing: the objects of a partition as the engine has them, in the order of their keys' hashes, with their
// digests. Nothing is decoded into objects and nothing goes through the cache, because who compares replicas looks at
// many rows once. What does not decode is refused as ObjectStore does it, who must be told (note_unreadable()).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "crdt/encoded.h"
#include "node/core/rows.h"
#include "storage/engine.h"

namespace cartwheel::node {

// An object's header row, looked at without decoding it.
struct EncodedHeader {
  bool exploded = false;
  uint64_t elsewhere = 0;   // of an exploded object: what the row says is the digest of the leaves in other rows
  uint64_t inside = 0;      // XOR of the digests of the visible leaves in this row
  uint64_t resets = 0;      // XOR of what Leaf::resets_hash() says of the leaves in this row
  std::string_view object;  // the leaves in this row, as EncodedObject reads them
  uint64_t digest() const { return elsewhere ^ inside; }

  // Refuses what ObjectStore::decode_header() refuses.
  static Result<EncodedHeader> read(std::string_view value);
};

// A row of an object, of either kind.
struct EncodedRow {
  EncodedHeader header;    // unless row.is_leaf
  crdt::EncodedLeaf leaf;  // if it is
  static Result<EncodedRow> read(const ObjectRow& row, std::string_view value);
};

// REQUIRES: whatever a turn has changed is in the engine before a listing begins.
class ObjectListing {
 public:
  ObjectListing(const storage::Engine& engine, PartitionId partition)
      : engine_(engine), partition_(partition), end_(prefix_end(object_prefix(partition))) {}

  // Goes to the first object whose key hashes to `hash` or above. Cheap if that is close ahead.
  Status seek(uint64_t hash);
  Status next();  // REQUIRES: valid()
  bool valid() const { return valid_; }
  // REQUIRES: valid(). Views are good until the next call of seek() or next().
  uint64_t hash() const { return row_.hash; }
  std::string_view key() const { return row_.key; }
  Result<EncodedHeader> header() const { return EncodedHeader::read(rows_->value()); }

 private:
  Status begin(const std::string& row);
  Status settle();

  const storage::Engine& engine_;
  const PartitionId partition_;
  const std::string end_;
  std::unique_ptr<storage::Iterator> rows_;
  bool valid_ = false;
  ObjectRow row_{};
};

}  // namespace cartwheel::node
