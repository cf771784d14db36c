// The MessagePack RPC (docs/rpc.md) as the load tool speaks it. Replies come in any order; their id is the sequence
// number of the operation.
#pragma once

#include "client/bench/protocol.h"

namespace cartwheel::bench {

class RpcProtocol final : public Protocol {
 public:
  explicit RpcProtocol(std::string keyspace) : keyspace_(std::move(keyspace)) {}

  // The hello; the server's hello is the reply to it.
  unsigned greet(std::string& out) const override;
  // REQUIRES: not kSetWait, which is RESP's.
  unsigned encode(const Operation& operation, uint64_t sequence, std::string& out) const override;
  std::unique_ptr<ReplyReader> new_reader(bool capture_strings) const override;

 private:
  const std::string keyspace_;
  const Values values_;
};

}  // namespace cartwheel::bench
