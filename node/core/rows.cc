#include "node/core/rows.h"

#include "base/hash.h"
#include "crdt/path.h"

namespace cartwheel::node {

namespace {

constexpr uint8_t kFormat = 1;
constexpr uint8_t kPartitionFormat = 2;

std::string partition_key(char kind, PartitionId id) {
  std::string key(1, kind);
  Encoder out(key);
  out.u16(id.keyspace);
  out.u16(static_cast<uint16_t>(id.arc));
  return key;
}

Status corrupt(const char* what) {
  return Status::Corruption(std::string("a row of the store does not decode: ") + what);
}

}  // namespace

PartitionId decode_partition_id(Decoder& in) {
  PartitionId id;
  id.keyspace = in.u16();
  id.arc = in.u16();
  return id;
}

std::string identity_row() {
  return "midentity";
}
std::string partition_row(PartitionId id) {
  return partition_key('p', id);
}

std::string tree_row(PartitionId id) {
  return partition_key('h', id);
}

std::string record_row(uint64_t number) {
  std::string key = "r";
  Encoder(key).u64(number);
  return key;
}

std::string fallback_row(PartitionId id, uint64_t number) {
  std::string key = partition_key('f', id);
  Encoder(key).u64(number);
  return key;
}

std::string quarantine_row(PartitionId id) {
  return partition_key('q', id);
}

std::string stage_prefix(PartitionId id) {
  return partition_key('x', id);
}

std::string stage_row(PartitionId id, uint64_t step) {
  std::string key = stage_prefix(id);
  Encoder(key).u64(step);
  return key;
}

std::string object_prefix(PartitionId id) {
  return partition_key('o', id);
}

std::string object_position(PartitionId id, uint64_t hash) {
  std::string key = object_prefix(id);
  Encoder(key).u64(hash);
  return key;
}

std::string object_base(PartitionId id, uint64_t hash, std::string_view key) {
  std::string base;
  base.reserve(key.size() + 32);  // also for what header_row() and leaf_position() add
  base += object_position(id, hash);
  Encoder(base).bytes(key);
  return base;
}

std::string header_row(std::string base) {
  base.push_back('\0');
  return base;
}

std::string leaf_position(std::string_view base, uint64_t hash) {
  std::string row(base);
  row.push_back('\1');
  Encoder(row).u64(hash);
  return row;
}

std::string leaf_row(std::string_view base, std::string_view path) {
  std::string row = leaf_position(base, step_hash(path));
  row.append(path);
  return row;
}

std::string prefix_end(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && end.back() == '\xff') end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

uint64_t step_hash(std::string_view path) {
  std::string_view rest = path;
  crdt::take_step(rest);
  return hash64(path.substr(0, path.size() - rest.size()));
}

Result<ObjectRow> parse_object_row(std::string_view row) {
  Decoder in(row);
  if (in.u8() != 'o') return corrupt("key kind");
  in.u32();
  ObjectRow out{in.u64(), in.bytes(), false, {}};
  uint8_t kind = in.u8();
  if (kind == 1) {
    out.is_leaf = true;
    in.u64();
    out.path = in.rest();
    if (!crdt::valid_leaf_path(out.path)) return corrupt("leaf path");
    return in.ok() ? Result<ObjectRow>(out) : corrupt("leaf key");
  }
  if (!in.done() || kind != 0) return corrupt("object key");
  return out;
}

std::string Identity::encode() const {
  std::string bytes;
  Encoder out(bytes);
  out.u8(kFormat);
  out.bytes(cluster);
  out.bytes(node);
  out.u64(epoch);
  out.u8(clean ? 1 : 0);
  out.bytes(boot_id);
  out.u64(next_record);
  return bytes;
}

Result<Identity> Identity::decode(std::string_view bytes) {
  Decoder in(bytes);
  Identity id;
  if (in.u8() != kFormat) return corrupt("identity format");
  id.cluster = in.bytes();
  id.node = in.bytes();
  id.epoch = in.u64();
  id.clean = in.u8() == 1;
  id.boot_id = in.bytes();
  id.next_record = in.u64();
  if (!in.done()) return corrupt("identity");
  return id;
}

std::string PartitionRow::encode() const {
  std::string bytes;
  Encoder out(bytes);
  out.u8(kPartitionFormat);
  out.u64(record);
  out.varint(keys);
  out.u8(alone ? 1 : 0);
  causal.encode(out);
  return bytes;
}

Result<PartitionRow> PartitionRow::decode(std::string_view bytes) {
  Decoder in(bytes);
  PartitionRow row;
  if (in.u8() != kPartitionFormat) return corrupt("partition format");
  row.record = in.u64();
  row.keys = in.varint();
  uint8_t alone = in.u8();
  if (alone > 1) in.fail();
  row.alone = alone == 1;
  row.causal = crdt::Causal::decode(in);
  if (!in.done()) return corrupt("partition");
  return row;
}

}  // namespace cartwheel::node
