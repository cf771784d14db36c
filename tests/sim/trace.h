// Trace: a running hash of everything that happened, to prove that a seed replays exactly, and on request its lines.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "base/hash.h"

namespace cartwheel::sim {

class Trace {
 public:
  explicit Trace(bool verbose) : verbose_(verbose) {}

  bool verbose() const { return verbose_; }
  uint64_t hash() const { return hash_; }

  void mix(std::string_view bytes) { hash_ = hash64(bytes, hash_); }
  void mix(uint64_t number) { mix(std::string_view(reinterpret_cast<const char*>(&number), sizeof number)); }

  // Notes `line` at `now_us`; it is printed when the trace is verbose.
  void note(int64_t now_us, const std::string& line) {
    mix(static_cast<uint64_t>(now_us));
    mix(line);
    if (verbose_) std::fprintf(stderr, "%10.6f %s\n", static_cast<double>(now_us) / 1e6, line.c_str());
  }

 private:
  bool verbose_;
  uint64_t hash_ = 0;
};

}  // namespace cartwheel::sim
