#include "client/bench/keys.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <string>

namespace cartwheel::bench {
namespace {

// A bijection of [0, n) that scatters neighbours.
uint64_t scatter(uint64_t rank, uint64_t n) {
  constexpr uint64_t kStep = 2'654'435'761;  // prime
  if (n % kStep == 0) return rank;           // no bijection then
  return static_cast<uint64_t>(static_cast<unsigned __int128>(rank) * kStep % n);
}

}  // namespace

Result<Distribution> parse_distribution(std::string_view text) {
  Distribution out;
  if (text == "uniform") return out;
  if (text == "sequential") {
    out.kind = Distribution::Kind::kSequential;
    return out;
  }
  if (text == "zipf" || text.starts_with("zipf:")) {
    out.kind = Distribution::Kind::kZipf;
    if (text == "zipf") return out;
    const std::string number(text.substr(5));
    char* end = nullptr;
    out.theta = std::strtod(number.c_str(), &end);
    if (!number.empty() && *end == '\0' && out.theta > 0 && out.theta <= 10) return out;
    return Status::InvalidArgument("zipf:THETA needs 0 < THETA <= 10, not '" + number + "'");
  }
  return Status::InvalidArgument("unknown distribution '" + std::string(text) +
                                 "'; known: uniform, zipf[:THETA], sequential");
}

Zipf::Zipf(uint64_t n, double theta) : n_(static_cast<double>(n)), theta_(theta) {
  upper_ = integral(1.5) - 1;
  lower_ = integral(n_ + 0.5);
  shortcut_ = 2 - inverse_integral(integral(2.5) - density(2));
}

double Zipf::density(double x) const {
  return std::pow(x, -theta_);
}

double Zipf::integral(double x) const {
  const double log_x = std::log(x);
  const double t = log_x * (1 - theta_);
  // (x^(1-theta) - 1) / (1-theta), which tends to log x
  return std::abs(t) < 1e-8 ? log_x * (1 + t / 2) : std::expm1(t) / (1 - theta_);
}

double Zipf::inverse_integral(double y) const {
  const double t = std::max(y * (1 - theta_), -1.0);
  return std::abs(t) < 1e-8 ? std::exp(y * (1 - t / 2)) : std::exp(std::log1p(t) / (1 - theta_));
}

uint64_t Zipf::next(Rng& rng) const {
  for (;;) {
    const double u = lower_ + rng.uniform() * (upper_ - lower_);
    const double x = inverse_integral(u);
    const double k = std::clamp(std::floor(x + 0.5), 1.0, n_);
    if (k - x <= shortcut_ || u >= integral(k + 0.5) - density(k)) return static_cast<uint64_t>(k);
  }
}

KeyChooser::KeyChooser(const Distribution& distribution, uint64_t n, uint64_t lane, uint64_t lanes)
    : kind_(distribution.kind), n_(n), zipf_(n, distribution.theta), cursor_(lane % n), step_(lanes) {}

uint64_t KeyChooser::next(Rng& rng) {
  switch (kind_) {
    case Distribution::Kind::kUniform:
      return rng.below(n_);
    case Distribution::Kind::kZipf:
      return scatter(zipf_.next(rng) - 1, n_);
    case Distribution::Kind::kSequential:
      break;
  }
  const uint64_t key = cursor_;
  cursor_ = (cursor_ + step_) % n_;
  return key;
}

}  // namespace cartwheel::bench
