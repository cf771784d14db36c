// Gossip packets, after decryption: whatever decodes encodes to the same bytes, and a machine takes it without harm.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "gossip/message.h"
#include "gossip/swim.h"

using namespace cartwheel;
using namespace cartwheel::gossip;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  auto packet = decode_packet(input);
  if (packet.ok()) CHECK(encode(*packet) == input);

  // A small configuration whose identities the corpus knows: 100 + id.
  Swim swim({}, {0, 100, "eu"}, first_incarnation(1), 1);
  CHECK(swim.set_members({{0, 100, "eu"}, {1, 101, "eu"}, {2, 102, "eu"}, {3, 103, "us"}}, 1, {}).ok());
  CHECK(swim.on_packet(input, {1000}).size() <= size);
  swim.on_stream(1, input, {2000});
  for (int64_t second = 1; second < 12; ++second) swim.on_tick({second * 1'000'000});
  for (const Output::Message& message : swim.take_output().packets) {
    auto sent = decode_packet(message.bytes);
    CHECK(sent.ok() && encode(*sent) == message.bytes);
  }
  CHECK(swim.queued() <= 8);
  CHECK(swim.state(0) == State::kAlive);
  return 0;
}
