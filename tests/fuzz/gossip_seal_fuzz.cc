// Datagrams from anybody: nothing opens that was not sealed, and a key file is read or refused.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "node/runtime/packet_sealer.h"

using namespace cartwheel;
using namespace cartwheel::node;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  auto ring = PacketSealer::create("fuzz", input);
  CHECK(!ring.ok() || (ring->keys() >= 1 && ring->keys() <= kGossipKeys));

  static const std::string kSecret = "6c0ffee06c0ffee06c0ffee06c0ffee06c0ffee06c0ffee06c0ffee06c0ffee0";
  static PacketSealer sealer = std::move(PacketSealer::create("fuzz", kSecret).value());
  CHECK(!sealer.open(input).ok());
  if (size > 0 && size <= 1000) {
    // The input as damage to a packet that does open.
    std::string sealed = sealer.seal(input);
    CHECK(sealer.open(sealed).ok());
    size_t at = data[0] % sealed.size();
    sealed[at] = static_cast<char>(sealed[at] ^ (data[size - 1] | 1));
    CHECK(!sealer.open(sealed).ok());
  }
  return 0;
}
