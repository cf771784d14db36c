#include "node/runtime/stripe_directory.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>

#include "node/core/rows.h"
#include "node/runtime/log.h"
#include "storage/batch_log.h"

namespace cartwheel::node {

namespace {

// The first keyspace of which this node has a partition that nobody else has.
std::string only_copy(const ClusterConfig& config, NodeIndex self, uint32_t stripe) {
  for (size_t k = 0; k < config.keyspaces.size(); ++k) {
    if (config.keyspaces[k].dropped) continue;
    for (uint32_t arc = stripe; arc < config.partitions; arc += config.stripes) {
      const auto& owners = config.assignments[k].owners[arc];
      const bool owned = std::find(owners.begin(), owners.end(), self) != owners.end();
      const bool elsewhere = std::any_of(owners.begin(), owners.end(),
                                         [&](NodeIndex n) { return n != self && !config.nodes[n].removed(); });
      if (owned && !elsewhere) return config.keyspaces[k].name;
    }
  }
  return "";
}

Result<std::unique_ptr<storage::Engine>> open_and_look(const std::string& path, const OpenEngine& open) {
  auto engine = open(path);
  if (!engine.ok()) return engine.status();
  std::string bytes;
  auto found = engine.value()->get(identity_row(), &bytes);
  if (!found.ok()) return Status::Corruption(found.status().message());
  if (*found) {
    if (auto identity = Identity::decode(bytes); !identity.ok()) return identity.status();
  }
  return engine;
}

}  // namespace

Result<std::unique_ptr<storage::Engine>> open_stripe_directory(const StripeDirectory& directory,
                                                               const ClusterConfig& config, NodeIndex self,
                                                               const OpenEngine& open) {
  const std::string path = directory.path();
  auto engine = open_and_look(path, open);
  if (engine.ok() || engine.status().code() != Code::kCorruption) return engine;
  const std::string reason = engine.status().message();
  const std::string alone = only_copy(config, self, directory.stripe);
  if (!alone.empty() && !directory.force) {
    return Status::Corruption(path + " is broken (" + reason +
                              "), and this node has the only copy of partitions of "
                              "keyspace '" +
                              alone +
                              "' in it. Restore the directory from a backup, or give up what is "
                              "only there with --set-aside-broken-data, which renames it and starts empty");
  }
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch());
  const std::string aside = path + ".broken-" + std::to_string(ms.count());
  if (std::rename(path.c_str(), aside.c_str()) != 0) {
    return Status::Io(path + " is broken (" + reason + ") and cannot be renamed: " + std::strerror(errno));
  }
  RETURN_IF_ERROR(storage::sync_directory(directory.data_dir));
  logs::error("a stripe's data is broken: set aside, and rebuilt from the other replicas",
              {{"stripe", std::to_string(directory.stripe)}, {"kept", aside}, {"reason", reason}});
  return open(path);
}

}  // namespace cartwheel::node
