// The encoding of a configuration: the value of the configuration register, what nodes send each other, and what a node
// keeps of it on disk. One configuration has one encoding. docs/formats.md quotes the grammar.
//
//   config     = format:u8=1 name:bytes epoch:varint partitions:varint stripes:varint
//                count:varint { node } count:varint { region:bytes } count:varint { keyspace assignment }
//                voters:indexes next-voters:indexes count:varint { change }
//   node       = name:bytes region:bytes zone:bytes capacity:varint (thousandths) rpc resp http identity:u64
//   lives:varint state:u8 rpc …      = host:bytes port:u16 keyspace   = name:bytes select:varint kind:bytes replicas
//   read:bytes write:bytes default-ttl:varint durability:u8
//                dropped:u8
//   replicas   = count:varint { region:bytes copies:varint }
//   assignment = { owners:indexes, one per arc } count:varint { arc:varint stage:u8 since:varint others:indexes }
//                count:varint { arc:varint fence:varint }
//   change     = id:varint kind:u8 node:u16 other:u16 keyspace:u16 replicas arcs:varint planned:u8
//   indexes    = count:varint { node:varint }
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "node/core/cluster.h"

namespace cartwheel::node {

std::string encode_config(const ClusterConfig& config);

// kCorruption unless `bytes` is what encode_config() made of a configuration that holds together: every position is
// that of a node, a keyspace or an arc that there is, every region has a name in `regions`.
Result<ClusterConfig> decode_config(std::string_view bytes);

}  // namespace cartwheel::node
