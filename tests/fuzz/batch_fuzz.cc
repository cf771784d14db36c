// Batches come from other regions: whatever their bytes are, a reader takes bounded memory and says what is wrong. The
// input is a stream of frames, of which those of kind kBatch go to one reader, as on a connection.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/limits.h"
#include "node/runtime/batch_codec.h"

using namespace cartwheel;
using namespace cartwheel::node;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FrameDecoder decoder(limits::kFrameBytes);
  BatchReader reader;
  decoder.feed({reinterpret_cast<const char*>(data), size});
  Frame frame;
  while (decoder.next(frame) == FrameDecoder::Outcome::kFrame) {
    if (frame.kind != FrameKind::kBatch) continue;
    const Status status = reader.read(frame.payload, [](const Frame& message) {
      CHECK(message.kind == FrameKind::kStripeMessage && message.payload.size() <= limits::kFrameBytes);
    });
    if (!status.ok()) break;
  }
  return 0;
}
