// Objects come from disks and from exchanges: whatever decodes encodes to the same bytes and finds its own rows.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "crdt/encoded.h"
#include "crdt/object.h"

using namespace cartwheel;
using namespace cartwheel::crdt;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  Decoder in(input);
  Object object = Object::decode(in);
  Decoder encoded_in(input);
  EncodedObject encoded(encoded_in);
  uint64_t digest = 0;
  while (encoded.next()) digest ^= encoded.leaf().visible ? encoded.digest() : 0;
  CHECK(encoded_in.ok() == in.ok());
  if (!in.ok()) return 0;
  CHECK(digest == object.digest());
  std::string bytes;
  Encoder out(bytes);
  object.encode(out);
  CHECK(bytes == input.substr(0, size - in.rest().size()));

  for (const Object::Row& row : object.rows()) {
    CHECK(valid_leaf_path(row.first));
    CHECK(object.find(row.first) == &row.second);
    auto [first, last] = object.range(row.first);
    CHECK(first < last && object.rows()[first].first == row.first);
  }
  auto [first, last] = object.range("");
  CHECK(first == 0 && last == object.rows().size());
  return 0;
}
