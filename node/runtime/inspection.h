// The admin requests that the shards answer, because they are about data: "lag" and "explain" (docs/rpc.md, "admin").
#pragma once

#include <string_view>

#include "node/runtime/admin.h"
#include "node/runtime/shard.h"

namespace cartwheel::node {

// If `request` is one of them, takes `done`, calls it once on the shard's thread, now or later, and returns true.
// REQUIRES: on the thread of `shard`, which is the one that the request came to.
bool answer_inspection(Shard& shard, std::string_view request, AdminDone& done);

}  // namespace cartwheel::node
