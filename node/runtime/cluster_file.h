// The cluster file: TOML that every node reads, the same on all of them. What it may say:
//
//   cluster = "shop"             # name
//   partitions = 1024            # optional; arcs of each ring, a power of two
//   stripes = 1                  # optional; storage instances of each node
//   [[node]]                     # one or more
//   name = "eu-1"
//   region = "eu"
//   zone = "a"                   # optional, ""
//   capacity = 1.0               # optional
//   rpc = "127.0.0.1:7101"       # an IPv6 host stands in brackets
//   resp = "127.0.0.1:6401"      # optional: the door stays closed
//   http = "127.0.0.1:8101"      # optional
//   [[keyspace]]                 # one or more
//   name = "carts"
//   select = 0                   # optional, 0
//   kind = "eventual"            # optional
//   replicas = { eu = 3, us = 3 }
//   read = "local_quorum"        # optional; also a number of replicas
//   write = "local_quorum"       # optional
//   default_ttl = "30m"          # optional, none; a number is seconds, a text has the unit ms, s, m, h or d
//   durability = "os"            # optional; "always": an acknowledged write is fsynced
//   fallbacks = false            # optional; true: another node keeps writes for an owner that cannot be reached
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "node/core/cluster.h"

namespace cartwheel::node {

// A finished configuration. Errors are one line, "<source_name>:<line>:<column>: <what is wrong>": kUnsupported for a
// feature of another version, else kInvalidArgument. Any bytes may come in.
Result<ClusterConfig> parse_cluster(std::string_view text, const std::string& source_name);

// The same of a file; kIo when it cannot be read or is not a regular file.
Result<ClusterConfig> load_cluster_file(const std::string& path);

}  // namespace cartwheel::node
