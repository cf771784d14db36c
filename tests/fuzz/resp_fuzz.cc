// What a RESP client sends, in whatever pieces. The first byte seeds the cuts. Looked for, besides crashes: replies
// that depend on where the input was cut or on the order in which operations finish, and memory beyond the input's
// measure.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/rng.h"
#include "node/fronts/resp/session.h"
#include "tests/node/model_backend.h"

namespace {

using cartwheel::Rng;
using cartwheel::node::ModelBackend;
using cartwheel::resp::RespSession;

struct Outcome {
  std::string output;
  bool closed = false;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome in_one_piece(std::string_view input) {
  ModelBackend backend;
  RespSession session(backend, 1, "peer", "local");
  Outcome outcome;
  session.receive(input);
  do {
    outcome.output += session.take_output();
    session.resume();
  } while (session.has_output());
  outcome.closed = session.want_close();
  return outcome;
}

Outcome in_pieces(std::string_view input, uint64_t seed) {
  ModelBackend backend;
  RespSession session(backend, 1, "peer", "local");
  Rng rng(seed);
  Outcome outcome;
  backend.hold(true);
  while (!input.empty()) {
    size_t length = std::min(input.size(), static_cast<size_t>(1 + rng.below(rng.chance(0.5) ? 4 : 4096)));
    std::string piece(input.substr(0, length));  // a copy, freed below: a view that is kept shows under the sanitizer
    input.remove_prefix(length);
    session.receive(piece);
    if (rng.chance(0.3) && backend.waiting() > 0) backend.release(rng.below(backend.waiting()));
    if (rng.chance(0.3)) outcome.output += session.take_output();
  }
  do {
    backend.release_all(rng);
    outcome.output += session.take_output();
    session.resume();
  } while (session.has_output() || backend.waiting() > 0);
  outcome.closed = session.want_close();
  return outcome;
}

// Commands whose reply tells of the connection's buffers, which do depend on the cuts.
bool tells_of_buffers(std::string_view output) {
  return output.find("qbuf=") != std::string_view::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 256 * 1024) return 0;
  std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  Outcome whole = in_one_piece(input);
  Outcome pieces = in_pieces(input, data[0]);
  if (!tells_of_buffers(whole.output)) CHECK(whole == pieces);
  return 0;
}
