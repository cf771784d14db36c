// Control messages come from peers: whatever decodes comes back the same after it was encoded.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "node/core/membership/control_message.h"

using namespace cartwheel;
using namespace cartwheel::node;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  auto message = ControlMessage::decode(input);
  if (!message.ok()) return 0;
  const std::string bytes = message->encode();
  auto back = ControlMessage::decode(bytes);
  CHECK(back.ok());
  CHECK(back->encode() == bytes);
  return 0;
}
