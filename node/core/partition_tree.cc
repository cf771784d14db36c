#include "node/core/partition_tree.h"

#include "base/codec.h"

namespace cartwheel::node {

namespace {

constexpr int kBucketBits = 10;
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

void PartitionTree::change(uint32_t bucket, uint64_t by) {
  if (by == 0) return;
  if (buckets_.empty()) buckets_.resize(kBuckets);
  buckets_[bucket] ^= by;
  groups_[bucket / kFanOut] ^= by;
  root_ ^= by;
}

void PartitionTree::merge(const PartitionTree& other) {
  for (uint32_t b = 0; b < other.buckets_.size(); ++b) change(b, other.buckets_[b]);
}

void PartitionTree::clear() {
  *this = PartitionTree();
}

std::string PartitionTree::encode() const {
  std::string bytes;
  Encoder out(bytes);
  bool any = false;
  for (uint64_t hash : buckets_) any |= hash != 0;
  for (size_t b = 0; any && b < buckets_.size(); ++b) out.u64(buckets_[b]);
  return bytes;
}

Result<PartitionTree> PartitionTree::decode(std::string_view bytes) {
  PartitionTree tree;
  if (bytes.empty()) return tree;
  Decoder in(bytes);
  for (uint32_t b = 0; b < kBuckets; ++b) tree.change(b, in.u64());
  if (!in.done()) return Status::Corruption("a hash tree does not decode");
  return tree;
}

bool operator==(const PartitionTree& a, const PartitionTree& b) {
  if (a.root_ != b.root_) return false;
  for (uint32_t i = 0; i < PartitionTree::kBuckets; ++i) {
    if (a.bucket(i) != b.bucket(i)) return false;
  }
  return true;
}

}  // namespace cartwheel::node
