#include "node/runtime/stripe_directory.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "node/core/rows.h"
#include "node/runtime/data_dir.h"
#include "node/runtime/log.h"
#include "node/runtime/stripe_mending.h"
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

constexpr char kMark[] = "DAMAGED";

Result<std::unique_ptr<storage::Engine>> open_and_look(const std::string& path, bool compacts, const OpenEngine& open) {
  auto engine = open(path, compacts);
  if (!engine.ok()) return engine.status();
  std::string bytes;
  auto found = engine.value()->get(identity_row(), &bytes);
  if (!found.ok()) return Status::Corruption(found.status().message());
  if (*found) {
    if (auto identity = Identity::decode(bytes); !identity.ok()) return identity.status();
  }
  return engine;
}

Status rename_durably(const StripeDirectory& directory, const std::string& from, const std::string& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) {
    return Status::Io(from + " cannot be renamed to " + to + ": " + std::strerror(errno));
  }
  return storage::sync_directory(directory.data_dir);
}

// Where the directory is kept that is not used any more.
Result<std::string> set_aside(const StripeDirectory& directory) {
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch());
  const std::string aside = directory.path() + ".broken-" + std::to_string(ms.count());
  RETURN_IF_ERROR(rename_durably(directory, directory.path(), aside));
  return aside;
}

// Puts a complete copy in the place of what it is a copy of.
Status finish_mending(const StripeDirectory& directory) {
  const std::string mended = directory.path() + ".mended";
  std::error_code error;
  if (!std::filesystem::exists(mended, error)) return {};
  if (std::filesystem::exists(directory.path(), error)) {
    if (auto aside = set_aside(directory); !aside.ok()) return aside.status();
  }
  return rename_durably(directory, mended, directory.path());
}

std::string mark_of(const StripeDirectory& directory) {
  std::ifstream file(directory.path() + "/" + kMark);
  std::string reason;
  std::getline(file, reason);
  return file || !reason.empty() ? reason : "";
}

// Copies what can be read. kCorruption if nothing can.
Status mend(const StripeDirectory& directory, const ClusterConfig& config, NodeIndex self, const OpenEngine& open,
            const std::string& reason) {
  const std::string mending = directory.path() + ".mending";
  std::error_code error;
  std::filesystem::remove_all(mending, error);
  Mending what;
  {
    auto from = open(directory.path(), /*compacts=*/false);
    if (!from.ok()) return from.status();
    auto to = open(mending, /*compacts=*/true);
    if (!to.ok()) return to.status();
    auto mended = mend_stripe(**from, **to, config, self, directory.stripe);
    if (!mended.ok()) return Status::Io("the copy of " + directory.path() + ": " + mended.status().message());
    what = *mended;
  }
  RETURN_IF_ERROR(rename_durably(directory, mending, directory.path() + ".mended"));
  RETURN_IF_ERROR(finish_mending(directory));
  logs::error("a stripe had a damaged table: what can be read was copied, the rest is rebuilt from other replicas",
              {{"stripe", std::to_string(directory.stripe)},
               {"rows", std::to_string(what.rows)},
               {"quarantined", std::to_string(what.quarantined)},
               {"reason", reason}});
  return {};
}

}  // namespace

Status mark_damaged(const StripeDirectory& directory, const std::string& reason) {
  return replace_file(directory.path(), kMark, reason + "\n");
}

Result<std::unique_ptr<storage::Engine>> open_stripe_directory(const StripeDirectory& directory,
                                                               const ClusterConfig& config, NodeIndex self,
                                                               const OpenEngine& open) {
  RETURN_IF_ERROR(finish_mending(directory));
  const std::string path = directory.path();
  const std::string alone = only_copy(config, self, directory.stripe);
  bool compacts = true;
  if (const std::string damage = mark_of(directory); !damage.empty()) {
    if (alone.empty() || directory.force) {
      const Status mended = mend(directory, config, self, open, damage);
      if (!mended.ok() && mended.code() != Code::kCorruption) return mended;
    } else {
      compacts = false;
      logs::error(
          "a table of a stripe is damaged, and this node has the only copy of partitions in it: it is served "
          "without compaction. Copy what is needed, or give up what cannot be read with --set-aside-broken-data",
          {{"stripe", std::to_string(directory.stripe)}, {"keyspace", alone}, {"reason", damage}});
    }
  }
  auto engine = open_and_look(path, compacts, open);
  if (engine.ok() || engine.status().code() != Code::kCorruption) return engine;
  const std::string reason = engine.status().message();
  if (!alone.empty() && !directory.force) {
    return Status::Corruption(path + " is broken (" + reason +
                              "), and this node has the only copy of partitions of "
                              "keyspace '" +
                              alone +
                              "' in it. Restore the directory from a backup, or give up what is "
                              "only there with --set-aside-broken-data, which renames it and starts empty");
  }
  auto aside = set_aside(directory);
  if (!aside.ok()) return Status::Io(path + " is broken (" + reason + "): " + aside.status().message());
  logs::error("a stripe's data is broken: set aside, and rebuilt from the other replicas",
              {{"stripe", std::to_string(directory.stripe)}, {"kept", *aside}, {"reason", reason}});
  return open(path, true);
}

}  // namespace cartwheel::node
