// Messages of the tree exchange, and of the full exchange by trees, come from peers: whatever decodes comes back the
// same after it was encoded.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "node/core/message.h"
#include "node/core/tree_message.h"

using namespace cartwheel;
using namespace cartwheel::node;

template <typename Message>
void check_round_trip(std::string_view input) {
  auto message = Message::decode(input);
  if (!message.ok()) return;
  const std::string bytes = message->encode();
  auto back = Message::decode(bytes);
  CHECK(back.ok());
  CHECK(back->encode() == bytes);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  check_round_trip<TreeMessage>(input);
  check_round_trip<TreeReplyMessage>(input);
  check_round_trip<ExchangeMessage>(input);
  check_round_trip<ExchangeReplyMessage>(input);
  return 0;
}
