// Whose data a directory holds: the file IDENTITY in it says which node of which cluster, and how it is divided. A
// node's name is in every dot that it makes, so data under another name, or divided otherwise, must never be served.
#pragma once

#include <string>

#include "base/status.h"
#include "node/core/cluster.h"

namespace cartwheel::node {

// Ok when the directory does not exist, is not claimed yet, or is claimed by the same node. Else the message says what
// differs. Changes nothing.
Status check_data_dir(const std::string& directory, const ClusterConfig& config, NodeIndex self);

// Writes IDENTITY durably unless it is there. REQUIRES: check_data_dir() was ok and the engines in it are locked.
Status claim_data_dir(const std::string& directory, const ClusterConfig& config, NodeIndex self);

// Replaces the file `name` in `directory` by one with `content`, atomically and durably.
Status replace_file(const std::string& directory, const std::string& name, const std::string& content);

}  // namespace cartwheel::node
