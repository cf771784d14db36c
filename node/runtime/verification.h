// The admin requests with which `cartwheel verify` and `cartwheel repair` look at a node's hash trees (docs/rpc.md,
// "admin"): "digests", "buckets", "bucket_keys" and "tree_repair". The shards answer them.
#pragma once

#include <string_view>

#include "node/runtime/admin.h"
#include "node/runtime/shard.h"

namespace cartwheel::node {

// If `request` is one of them, takes `done`, calls it once on the shard's thread, now or later, and returns true.
// REQUIRES: on the thread of `shard`, which is the one that the request came to.
bool answer_verification(Shard& shard, std::string_view request, AdminDone& done);

}  // namespace cartwheel::node
