#include "client/bench/workload.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace cartwheel::bench {
namespace {

constexpr size_t kPoolBytes = 64 * 1024;  // fits the second-level cache; larger than any compressor's window pays for
constexpr size_t kStampBytes = 16;
constexpr uint64_t kSetFillBatch = 100;

uint64_t mix64(uint64_t x) {
  return Rng(x).next();
}

struct Name {
  OpKind kind;
  const char* name;
};
constexpr std::array<Name, kOpKinds> kNames = {{{OpKind::kGet, "get"},
                                                {OpKind::kSet, "set"},
                                                {OpKind::kSetExpiring, "setex"},
                                                {OpKind::kSetWait, "set-wait"},
                                                {OpKind::kDel, "del"},
                                                {OpKind::kIncr, "incr"},
                                                {OpKind::kCartRead, "hgetall"},
                                                {OpKind::kCartLine, "hset"},
                                                {OpKind::kCartRemove, "hdel"},
                                                {OpKind::kCartIncrement, "hincrby"},
                                                {OpKind::kSetAdd, "sadd"},
                                                {OpKind::kSetRemove, "srem"},
                                                {OpKind::kFillCart, "fill-cart"},
                                                {OpKind::kFillSet, "fill-set"}}};

bool op_of_name(std::string_view name, OpKind& out) {
  for (const Name& n : kNames) {
    if (name != n.name || n.kind >= OpKind::kFillCart) continue;
    out = n.kind;
    return true;
  }
  return false;
}

}  // namespace

const char* op_name(OpKind kind) {
  return kNames[static_cast<size_t>(kind)].name;
}

Result<Mix> parse_mix(std::string_view text) {
  Mix mix{.name = std::string(text), .entries = {}};
  if (text == "cart") {
    mix.entries = {
        {OpKind::kCartRead, 70}, {OpKind::kCartLine, 20}, {OpKind::kCartRemove, 5}, {OpKind::kCartIncrement, 5}};
    return mix;
  }
  if (text == "session") {
    mix.entries = {{OpKind::kGet, 60}, {OpKind::kSetExpiring, 35}, {OpKind::kDel, 5}};
    return mix;
  }
  if (text == "sadd") {
    mix.entries = {{OpKind::kSetAdd, 50}, {OpKind::kSetRemove, 50}};
    return mix;
  }
  while (true) {
    const size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const size_t equals = part.find('=');
    OpKind kind = OpKind::kGet;
    if (!op_of_name(part.substr(0, equals), kind)) {
      return Status::InvalidArgument("unknown operation '" + std::string(part.substr(0, equals)) + "' in the mix");
    }
    double weight = 1;
    if (equals != std::string_view::npos) {
      const std::string number(part.substr(equals + 1));
      char* end = nullptr;
      weight = std::strtod(number.c_str(), &end);
      if (number.empty() || *end != '\0' || !(weight > 0) || weight > 1e9) {
        return Status::InvalidArgument("the weight of '" + std::string(part) + "' is not a positive number");
      }
    }
    mix.entries.push_back({kind, weight});
    if (comma == std::string_view::npos) return mix;
    text.remove_prefix(comma + 1);
  }
}

Values::Values() : pool_(kPoolBytes, ' ') {
  constexpr std::string_view kAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
  Rng rng(0x76616c756573);
  for (char& c : pool_) c = kAlphabet[rng.below(kAlphabet.size())];
}

template <typename Take>
void Values::pieces(uint64_t key, uint64_t size, Take take) const {
  // The stamp tells keys apart whose places in the pool coincide.
  const uint64_t mixed = mix64(key);
  char stamp[kStampBytes];
  for (size_t i = 0; i < kStampBytes; ++i) stamp[i] = static_cast<char>('a' + ((mixed >> (i * 4)) & 15));
  const uint64_t stamped = std::min<uint64_t>(size, kStampBytes);
  if (!take(std::string_view(stamp, static_cast<size_t>(stamped)))) return;
  uint64_t left = size - stamped;
  uint64_t at = (mixed >> 20) % kPoolBytes;
  while (left > 0) {
    const uint64_t n = std::min<uint64_t>(left, kPoolBytes - at);
    if (!take(std::string_view(pool_).substr(static_cast<size_t>(at), static_cast<size_t>(n)))) return;
    left -= n;
    at = 0;
  }
}

void Values::append(uint64_t key, uint32_t size, std::string& out) const {
  pieces(key, size, [&](std::string_view bytes) {
    out.append(bytes);
    return true;
  });
}

bool Values::matches(uint64_t key, std::string_view text) const {
  bool same = true;
  pieces(key, text.size(), [&](std::string_view bytes) {
    same = text.substr(0, bytes.size()) == bytes;
    text.remove_prefix(bytes.size());
    return same;
  });
  return same;
}

CartSizes::CartSizes() {
  constexpr double kMedian = 3;
  constexpr double kP99 = 40;
  constexpr double kNormalP99 = 2.3263;
  const double sigma = std::log(kP99 / kMedian) / kNormalP99;
  Rng rng(0x6361727473);
  for (int i = 0; i < 4096; ++i) {
    const double radius = std::sqrt(-2 * std::log(1 - rng.uniform()));
    const double normal = radius * std::cos(2 * M_PI * rng.uniform());
    draws_.push_back(static_cast<uint32_t>(std::clamp(std::round(kMedian * std::exp(sigma * normal)), 1.0, 1000.0)));
  }
}

uint32_t CartSizes::lines_of(uint64_t key) const {
  return draws_[mix64(key) % draws_.size()];
}

Workload::Workload(const Mix& mix, const Shape& shape, uint64_t seed, uint64_t lane, uint64_t lanes)
    : mix_(mix),
      shape_(shape),
      rng_(mix64(seed) ^ mix64(lane + 1)),
      keys_(shape.distribution, shape.keys, lane, lanes),
      lanes_(lanes),
      fill_key_(lane) {
  for (const Mix::Entry& e : mix_.entries) total_weight_ += e.weight;
}

OpKind Workload::pick() {
  if (mix_.entries.size() == 1) return mix_.entries[0].kind;
  double at = rng_.uniform() * total_weight_;
  for (const Mix::Entry& e : mix_.entries) {
    at -= e.weight;
    if (at < 0) return e.kind;
  }
  return mix_.entries.back().kind;
}

Operation Workload::next() {
  Operation op{.kind = pick(), .key = keys_.next(rng_), .detail = 0, .size = shape_.value_size};
  switch (op.kind) {
    case OpKind::kSetExpiring:
      op.size = kSessionMinBytes + static_cast<uint32_t>(rng_.below(kSessionMaxBytes - kSessionMinBytes + 1));
      break;
    case OpKind::kCartLine:
    case OpKind::kCartRemove:
    case OpKind::kCartIncrement:
      op.detail = rng_.below(carts_.lines_of(op.key));
      break;
    case OpKind::kSetAdd:
    case OpKind::kSetRemove:
      // Twice as many candidates as members: with adds and removes in balance the set keeps its size.
      op.detail = rng_.below(2 * shape_.set_size);
      break;
    default:
      break;
  }
  return op;
}

bool Workload::next_prefill(Operation& out) {
  if (fill_key_ >= shape_.keys) return false;
  const OpKind first = mix_.entries[0].kind;
  out = Operation{.kind = OpKind::kSet, .key = fill_key_, .detail = 0, .size = shape_.value_size};
  if (first == OpKind::kSetAdd || first == OpKind::kSetRemove) {
    out.kind = OpKind::kFillSet;
    out.detail = fill_member_;
    out.size = static_cast<uint32_t>(std::min<uint64_t>(kSetFillBatch, shape_.set_size - fill_member_));
    fill_member_ += out.size;
    if (fill_member_ < shape_.set_size) return true;
    fill_member_ = 0;
  } else if (first >= OpKind::kCartRead && first <= OpKind::kCartIncrement) {
    out.kind = OpKind::kFillCart;
    out.detail = carts_.lines_of(fill_key_);
  } else if (mix_.name == "session") {
    out.kind = OpKind::kSetExpiring;
    out.size = kSessionMinBytes + static_cast<uint32_t>(rng_.below(kSessionMaxBytes - kSessionMinBytes + 1));
  } else if (first == OpKind::kIncr) {
    out.kind = OpKind::kIncr;
  }
  fill_key_ += lanes_;
  return true;
}

}  // namespace cartwheel::bench
