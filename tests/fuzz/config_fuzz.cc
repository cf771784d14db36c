// Configurations come from peers and disks: whatever decodes encodes to the same bytes, and can be looked at.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "node/core/cluster_codec.h"
#include "node/core/ring_plan.h"

using namespace cartwheel;
using namespace cartwheel::node;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  auto config = decode_config(input);
  if (!config.ok()) return 0;
  CHECK(encode_config(*config) == input);
  CHECK(moving_arcs(*config) <= size);
  if (!check(*config, /*from_file=*/false).status.ok()) return 0;
  (void)choose_voters(*config);
  // Nobody has told anything: whatever step is taken leaves a configuration that decodes.
  if (config->partitions <= 64 && advance(*config, {})) CHECK(decode_config(encode_config(*config)).ok());
  return 0;
}
