// The frames of the RPC port and the hello under arbitrary bytes: cut anywhere, the same frames come out.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "node/runtime/frame.h"

namespace {

using cartwheel::node::Frame;
using cartwheel::node::FrameDecoder;

std::vector<std::string> frames(std::string_view bytes, size_t cut) {
  FrameDecoder decoder;
  std::vector<std::string> out;
  for (size_t at = 0; at < bytes.size(); at += cut) {
    decoder.feed(bytes.substr(at, cut));
    Frame frame;
    FrameDecoder::Outcome outcome;
    while ((outcome = decoder.next(frame)) == FrameDecoder::Outcome::kFrame) {
      out.emplace_back(frame.payload);
      (void)cartwheel::node::decode_hello(frame.payload);
    }
    decoder.park();
    CHECK(decoder.buffered() <= bytes.size());
    if (outcome == FrameDecoder::Outcome::kError) return out;
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.empty()) return 0;
  const std::vector<std::string> whole = frames(bytes, bytes.size());
  CHECK(frames(bytes, 1) == whole);
  CHECK(frames(bytes, 7) == whole);
  return 0;
}
