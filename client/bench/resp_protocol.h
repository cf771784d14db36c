// The Redis protocol as the load tool speaks it: requests as arrays of strings, replies counted by RespReader.
#pragma once

#include "client/bench/protocol.h"

namespace cartwheel::bench {

class RespProtocol final : public Protocol {
 public:
  // `database` != 0 is selected on every new connection.
  explicit RespProtocol(uint32_t database) : database_(database) {}

  unsigned greet(std::string& out) const override;
  unsigned encode(const Operation& operation, uint64_t sequence, std::string& out) const override;
  std::unique_ptr<ReplyReader> new_reader(bool capture_strings) const override;

 private:
  const uint32_t database_;
  const Values values_;
};

}  // namespace cartwheel::bench
