// Clocks come from peers: two sets are read, one behind the other; each has one encoding, and the operations on them
// keep what sets promise.
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "crdt/clock.h"

using namespace cartwheel;
using namespace cartwheel::crdt;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  Decoder in(input);
  DotSet a = DotSet::decode(in), b = DotSet::decode(in);
  if (!in.ok()) return 0;
  std::string bytes;
  Encoder out(bytes);
  a.encode(out);
  b.encode(out);
  CHECK(bytes == input.substr(0, size - in.rest().size()));

  DotSet both = a, other_way = b, only_a = a.minus(b), again = only_a;
  both.merge(b);
  other_way.merge(a);
  again.merge(b);
  CHECK(both == other_way);
  CHECK(again.hash() == both.hash() && again.covers(both) && both.covers(again));
  CHECK(both.covers(a) && both.covers(b));
  CHECK(a.covers(b) == b.minus(a).empty());
  CHECK(!a.without_folds().has_folds());
  if (!a.covers(b) || !b.covers(a)) CHECK(a != b);
  if (a.has_folds() || b.has_folds()) return 0;
  CHECK(!only_a.intersects(b));
  CHECK(a.intersects(b) == (only_a != a));
  return 0;
}
