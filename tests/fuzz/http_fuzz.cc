// The HTTP door under arbitrary bytes: whole and byte by byte they give the same answers.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "node/fronts/http/session.h"
#include "tests/node/doors_testing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace cartwheel::node;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  testing::FakeBackend backend;
  HttpSession whole(backend), pieces(backend);
  whole.receive(bytes);
  for (char c : bytes) pieces.receive({&c, 1});
  CHECK(whole.take_output() == pieces.take_output());
  CHECK(whole.want_close() == pieces.want_close());
  return 0;
}
