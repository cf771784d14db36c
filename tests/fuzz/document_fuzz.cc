// Documents: whatever decodes encodes to the same bytes, and exchanges in both directions with another one do no harm.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "crdt/document.h"

using namespace cartwheel;
using namespace cartwheel::crdt;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  auto decoded = Document::decode(input);
  if (!decoded.ok()) return 0;
  CHECK(decoded->encode() == input);

  Document other({2, 1});
  std::string text = path_step(Tag::kString);
  other.increment("k", text, 5);
  other.add("k", path_step(Tag::kElement, "x"));
  other.clear("k", "");
  Document copy = *decoded;
  other.catch_up_from(copy);
  other.merge(copy);
  copy.merge(other);
  copy.truncate(copy.causal().clock);
  CHECK(copy.floor().covers(decoded->floor()));
  CHECK(copy.causal().clock.covers(decoded->causal().clock));
  return 0;
}
