// Deltas come from peers: whatever decodes encodes to the same bytes, is applied without harm, and leaves a document
// that can be stored.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "crdt/document.h"

using namespace cartwheel;
using namespace cartwheel::crdt;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  Decoder in(input);
  Delta delta = Delta::decode(in);
  if (!in.ok()) return 0;
  std::string bytes;
  Encoder out(bytes);
  delta.encode(out);
  CHECK(bytes == input.substr(0, size - in.rest().size()));

  Document document({1, 1});
  std::string text = path_step(Tag::kString);
  document.assign("k", text, "7", Hlc{1});
  document.increment("k", text, 5);
  document.add("k", path_step(Tag::kElement, "x"));
  document.apply(delta);
  document.apply(delta);
  document.assign(delta.key, text, "after", Hlc{9});
  auto stored = Document::decode(document.encode());
  CHECK(stored.ok());
  CHECK(*stored == document);
  return 0;
}
