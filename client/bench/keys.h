// Which key an operation touches: uniform, zipf (rank r drawn with probability ~ r^-theta, ranks spread over the key
// space so that hot keys are not neighbours), or sequential. Keys are numbers in [0, n).
#pragma once

#include <cstdint>
#include <string_view>

#include "base/rng.h"
#include "base/status.h"

namespace cartwheel::bench {

struct Distribution {
  enum class Kind : uint8_t { kUniform, kZipf, kSequential };
  Kind kind = Kind::kUniform;
  double theta = 0.99;  // zipf only
};

// "uniform", "sequential", "zipf" (theta 0.99) or "zipf:THETA" with 0 < THETA <= 10.
Result<Distribution> parse_distribution(std::string_view text);

// Draws ranks 1..n of a Zipf distribution by rejection-inversion (W. Hörmann, G. Derflinger, 1996): any theta > 0,
// constant time to set up, about one draw per sample.
class Zipf {
 public:
  Zipf(uint64_t n, double theta);
  uint64_t next(Rng& rng) const;

 private:
  double integral(double x) const;
  double inverse_integral(double y) const;
  double density(double x) const;

  double n_;
  double theta_;
  double upper_;     // integral at 1.5, less the mass of rank 1
  double lower_;     // integral at n + 0.5
  double shortcut_;  // a distance within which a candidate is accepted without computing anything
};

class KeyChooser {
 public:
  // Sequential keys begin at `lane` and step by `lanes`, so that lanes together visit every key. REQUIRES: n > 0.
  KeyChooser(const Distribution& distribution, uint64_t n, uint64_t lane, uint64_t lanes);
  uint64_t next(Rng& rng);

 private:
  Distribution::Kind kind_;
  uint64_t n_;
  Zipf zipf_;
  uint64_t cursor_;
  uint64_t step_;
};

}  // namespace cartwheel::bench
