// Leaves come from disks and from exchanges: whatever decodes encodes to the same bytes, can be read as every type, and
// joins.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "crdt/encoded.h"
#include "crdt/types.h"

using namespace cartwheel;
using namespace cartwheel::crdt;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  Decoder in(input);
  Leaf leaf = Leaf::decode(in);
  Decoder encoded_in(input);
  const EncodedLeaf encoded = EncodedLeaf::read(encoded_in);
  CHECK(encoded_in.ok() == in.ok() && encoded.visible == leaf.visible());
  if (!in.ok()) return 0;
  CHECK(encoded.digest("p") == leaf.digest("p") && encoded.resets_hash() == leaf.resets_hash());
  std::string bytes;
  Encoder out(bytes);
  leaf.encode(out);
  CHECK(bytes == input.substr(0, size - in.rest().size()));

  CHECK((winner(leaf) == nullptr) == leaf.entries.empty());
  CHECK(string_value(leaf).has_value() == leaf.visible());
  number_value(leaf);
  flag_value(Tag::kFlagEnableWins, leaf);
  flag_value(Tag::kFlagDisableWins, leaf);
  expiry_ms(&leaf);

  Clock seen, nothing;
  seen.add({1, 1}, {1, 4});
  DotSet voids;
  Leaf empty, same = leaf;
  empty.join({nothing, voids}, leaf, {seen, voids});
  CHECK(empty.entries == leaf.entries);
  same.join({seen, voids}, leaf, {seen, voids});
  CHECK(same.entries == leaf.entries);
  same.apply(remove(leaf), false);
  CHECK(same.entries.empty());
  return 0;
}
