// Push-pull messages: whatever decodes encodes to the same bytes, and a machine takes it from anybody without harm.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "gossip/message.h"
#include "gossip/swim.h"

using namespace cartwheel;
using namespace cartwheel::gossip;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  auto message = decode_stream(input);
  if (message.ok()) CHECK(encode(*message) == input);

  Swim swim({}, {0, 100, "eu"}, first_incarnation(1), 1);
  CHECK(swim.set_members({{0, 100, "eu"}, {1, 101, "eu"}, {2, 102, "eu"}, {3, 103, "us"}}, 1, {}).ok());
  for (MemberId from : {1u, 3u, 7u}) swim.on_stream(from, input, {1000});
  for (int64_t second = 1; second < 12; ++second) swim.on_tick({second * 1'000'000});
  Output output = swim.take_output();
  for (const Output::Message& sent : output.streams) CHECK(decode_stream(sent.bytes).ok());
  for (const Output::Message& sent : output.packets) CHECK(decode_packet(sent.bytes).ok());
  CHECK(swim.queued() <= 8);
  CHECK(swim.state(0) == State::kAlive);
  return 0;
}
