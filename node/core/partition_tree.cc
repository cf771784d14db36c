#include "node/core/partition_tree.h"

#include "base/codec.h"

namespace cartwheel::node {

namespace {

constexpr int kBucketBits = 10;
constexpr uint8_t kFormat = 2;
static_assert(PartitionTree::kBuckets == 1u << kBucketBits);

int arc_bits(uint32_t partitions) {
  return __builtin_ctz(partitions);
}

}  // namespace

uint32_t PartitionTree::bucket_of(uint64_t hash, uint32_t partitions) {
  return static_cast<uint32_t>(hash << arc_bits(partitions) >> (64 - kBucketBits));
}

uint64_t PartitionTree::first_hash(uint32_t bucket, uint32_t arc, uint32_t partitions) {
  const int bits = arc_bits(partitions);
  const uint64_t arc_part = bits == 0 ? 0 : uint64_t{arc} << (64 - bits);
  return arc_part | uint64_t{bucket} << (64 - kBucketBits - bits);
}

void PartitionTree::change(uint32_t bucket, uint64_t by, uint64_t resets_by) {
  if (resets_by != 0) {
    if (resets_.empty()) resets_.resize(kBuckets);
    resets_[bucket] ^= resets_by;
  }
  if (by == 0) return;
  if (buckets_.empty()) buckets_.resize(kBuckets);
  buckets_[bucket] ^= by;
  groups_[bucket / kFanOut] ^= by;
  root_ ^= by;
}

void PartitionTree::merge(const PartitionTree& other) {
  for (uint32_t b = 0; b < other.buckets_.size(); ++b) change(b, other.buckets_[b]);
  for (uint32_t b = 0; b < other.resets_.size(); ++b) change(b, 0, other.resets_[b]);
}

void PartitionTree::clear() {
  *this = PartitionTree();
}

PartitionTree::Buckets PartitionTree::remembering() const {
  Buckets found;
  for (uint32_t b = 0; b < resets_.size(); ++b) found[b] = resets_[b] != 0;
  return found;
}

PartitionTree::Buckets PartitionTree::differences(const PartitionTree& other) const {
  Buckets found;
  for (uint32_t b = 0; b < kBuckets; ++b) found[b] = bucket(b) != other.bucket(b);
  return found;
}

std::string PartitionTree::encode() const {
  std::string bytes;
  Encoder out(bytes);
  out.u8(kFormat);
  const bool remembers = remembering().any();
  if (!remembers && differences({}).none()) return bytes;
  for (uint32_t b = 0; b < kBuckets; ++b) out.u64(bucket(b));
  for (uint32_t b = 0; remembers && b < kBuckets; ++b) out.u64(resets_[b]);
  return bytes;
}

Result<PartitionTree> PartitionTree::decode(std::string_view bytes) {
  PartitionTree tree;
  Decoder in(bytes);
  if (in.u8() != kFormat) in.fail();
  const size_t halves = bytes.size() <= 1 ? 0 : bytes.size() <= 1 + 8 * kBuckets ? 1 : 2;
  for (uint32_t b = 0; halves > 0 && b < kBuckets; ++b) tree.change(b, in.u64());
  for (uint32_t b = 0; halves > 1 && b < kBuckets; ++b) tree.change(b, 0, in.u64());
  if (!in.done()) return Status::Corruption("a hash tree does not decode");
  return tree;
}

std::string PartitionTree::encode_shown() const {
  std::string bytes;
  Encoder out(bytes);
  for (uint32_t b = 0; b < buckets_.size(); ++b) {
    if (buckets_[b] == 0) continue;
    out.u16(static_cast<uint16_t>(b));
    out.u64(buckets_[b]);
  }
  return bytes;
}

Result<PartitionTree> PartitionTree::decode_shown(std::string_view bytes) {
  PartitionTree tree;
  Decoder in(bytes);
  uint32_t next = 0;
  for (size_t n = bytes.size() / 10; n > 0 && in.ok(); --n) {
    const uint32_t b = in.u16();
    const uint64_t hash = in.u64();
    if (b < next || b >= kBuckets || hash == 0) {
      in.fail();
      break;
    }
    tree.change(b, hash);
    next = b + 1;
  }
  if (!in.done()) return Status::Corruption("the buckets of a hash tree do not decode");
  return tree;
}

bool operator==(const PartitionTree& a, const PartitionTree& b) {
  if (a.root_ != b.root_) return false;
  for (uint32_t i = 0; i < PartitionTree::kBuckets; ++i) {
    const uint64_t resets_of_a = a.resets_.empty() ? 0 : a.resets_[i];
    const uint64_t resets_of_b = b.resets_.empty() ? 0 : b.resets_[i];
    if (a.bucket(i) != b.bucket(i) || resets_of_a != resets_of_b) return false;
  }
  return true;
}

}  // namespace cartwheel::node
