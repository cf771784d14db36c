// What `cartwheel status`, `members`, `ring`, `keyspaces` and `wait` are told: the cluster as one node sees it.
#pragma once

#include <string>

#include "node/runtime/admin.h"

namespace cartwheel::node {

// One MessagePack map; its members are listed in docs/rpc.md, "describe". What nodes say of themselves is from their
// latest reports.
std::string cluster_document(AdminHost& host);

}  // namespace cartwheel::node
