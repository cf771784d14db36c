// What the load consists of: operations drawn from a mix, keys drawn from a distribution, values that follow from the
// key. Everything is a function of the seed, so that two servers get the same load.
//
// Threads: Mix, Values and CartSizes are immutable and shared; a Workload belongs to one loop.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/rng.h"
#include "base/status.h"
#include "client/bench/keys.h"

namespace cartwheel::bench {

enum class OpKind : uint8_t {
  kGet,
  kSet,
  kSetExpiring,  // a session: SET with a time to live
  kSetWait,      // SET and then WAIT 1 on the same connection, one operation
  kDel,
  kIncr,
  kCartRead,       // the whole hash of a cart
  kCartLine,       // write one line of a cart
  kCartRemove,     // delete one line of a cart
  kCartIncrement,  // change the quantity of a line
  kSetAdd,
  kSetRemove,
  kFillCart,  // prefill: `detail` lines of a cart in one request
  kFillSet,   // prefill: `size` members from `detail` on
};
inline constexpr size_t kOpKinds = static_cast<size_t>(OpKind::kFillSet) + 1;

constexpr bool reads_only(OpKind kind) {
  return kind == OpKind::kGet || kind == OpKind::kCartRead;
}

// The name of `kind` in mixes and reports.
const char* op_name(OpKind kind);

struct Operation {
  OpKind kind = OpKind::kGet;
  uint64_t key = 0;
  uint64_t detail = 0;  // line of a cart (kFillCart: how many), member of a set (kFillSet: the first)
  uint32_t size = 0;    // bytes of the value; kFillSet: members
};

struct Mix {
  struct Entry {
    OpKind kind;
    double weight;
  };
  std::string name;
  std::vector<Entry> entries;  // at least one, weights positive
};

// `get`, `set`, `set-wait`, `incr`, `cart`, `session`, `sadd`, or a list such as "get=0.6,set=0.35,del=0.05" with
// positive weights of any sum. InvalidArgument names the part that is wrong.
Result<Mix> parse_mix(std::string_view text);

inline constexpr uint32_t kSessionTtlSeconds = 1800;
inline constexpr uint32_t kSessionMinBytes = 300;
inline constexpr uint32_t kSessionMaxBytes = 4000;

// The value of a key: printable bytes that do not compress, of which any length can be rebuilt from the key alone.
class Values {
 public:
  Values();
  void append(uint64_t key, uint32_t size, std::string& out) const;
  // Whether `text` is a value of `key` of its own length.
  bool matches(uint64_t key, std::string_view text) const;

 private:
  // Calls take(bytes) with the pieces that the value consists of, until it returns false.
  template <typename Take>
  void pieces(uint64_t key, uint64_t size, Take take) const;
  std::string pool_;
};

// How many lines a cart has: log-normal with median 3 and 99th percentile 40, at least 1, fixed by the cart's key.
class CartSizes {
 public:
  CartSizes();
  uint32_t lines_of(uint64_t key) const;

 private:
  std::vector<uint32_t> draws_;
};

class Workload {
 public:
  struct Shape {
    uint64_t keys = 100'000;
    Distribution distribution;
    uint32_t value_size = 1024;
    uint64_t set_size = 1000;
  };
  // `lane` of `lanes`: which of the loops this is; lanes draw independently and share the prefill and sequences.
  Workload(const Mix& mix, const Shape& shape, uint64_t seed, uint64_t lane, uint64_t lanes);

  Operation next();

  // The next operation that creates the objects which the mix works on; false when this lane's part is done.
  bool next_prefill(Operation& out);

 private:
  OpKind pick();

  Mix mix_;
  Shape shape_;
  CartSizes carts_;
  Rng rng_;
  KeyChooser keys_;
  uint64_t lanes_;
  uint64_t fill_key_;
  uint64_t fill_member_ = 0;
  double total_weight_ = 0;
};

}  // namespace cartwheel::bench
