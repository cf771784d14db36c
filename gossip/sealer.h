// Sealer: the port through which packets leave and come. The machine sees plain bytes only; whoever drives it seals
// what it sends and hands in what opens. node/runtime/packet_sealer.h is the implementation.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "gossip/limits.h"

namespace cartwheel::gossip {

class Sealer {
 public:
  virtual ~Sealer() = default;
  // Encrypts and authenticates `plain`; at most limits::kSealBytes longer than it.
  virtual std::string seal(std::string_view plain) = 0;
  // The plain bytes of a packet that somebody with one of our keys sealed for our cluster; kCorruption otherwise. A
  // packet that does not open must be dropped without an answer.
  virtual Result<std::string> open(std::string_view sealed) = 0;
};

}  // namespace cartwheel::gossip
