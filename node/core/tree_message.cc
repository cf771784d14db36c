#include "node/core/tree_message.h"

#include "base/codec.h"
#include "base/msgpack.h"
#include "node/core/message_codec.h"

namespace cartwheel::node {

namespace {

std::string packed(const std::vector<uint64_t>& numbers) {
  std::string bytes;
  Encoder out(bytes);
  for (uint64_t n : numbers) out.u64(n);
  return bytes;
}

std::vector<uint64_t> read_numbers(MsgReader& r) {
  const std::string_view bytes = r.bytes();
  if (bytes.size() % 8 != 0) r.fail();
  std::vector<uint64_t> numbers;
  Decoder in(bytes);
  while (r.ok() && !in.done()) numbers.push_back(in.u64());
  return numbers;
}

TreeStep read_step(MsgReader& r) {
  const uint64_t step = r.uint();
  if (step > static_cast<uint64_t>(TreeStep::kPush)) r.fail();
  return static_cast<TreeStep>(step);
}

void write_rows(MsgWriter& w, const std::vector<TreeRow>& rows) {
  w.array(static_cast<uint32_t>(rows.size() * 3));
  for (const TreeRow& row : rows) {
    w.bin(row.key);
    w.bin(row.path);
    w.bin(row.leaf);
  }
}

std::vector<TreeRow> read_rows(MsgReader& r) {
  std::vector<TreeRow> rows;
  uint32_t n = r.array();
  if (n % 3 != 0) r.fail();
  for (n /= 3; n > 0 && r.ok(); --n) {
    const std::string_view key = r.bytes(), path = r.bytes();
    rows.push_back({key, path, r.bytes()});
  }
  return rows;
}

}  // namespace

std::string TreeMessage::encode() const {
  std::string out;
  MsgWriter w(out);
  w.array(10);
  w.uint(static_cast<uint64_t>(MessageType::kTree));
  w.uint(id);
  w.uint(partition.keyspace);
  w.uint(partition.arc);
  w.uint(static_cast<uint64_t>(step));
  w.uint(epoch);
  w.uint(clock);
  w.bin(packed(numbers));
  w.array(static_cast<uint32_t>(slices.size() * 5));
  for (const TreeSlice& slice : slices) {
    w.uint(slice.hash);
    w.uint(slice.from);
    w.uint(slice.to);
    w.uint(slice.combined);
    if (slice.listed)
      w.bin(packed(slice.digests));
    else
      w.nil();
  }
  write_rows(w, rows);
  return out;
}

Result<TreeMessage> TreeMessage::decode(std::string_view bytes) {
  MsgReader r(bytes);
  if (r.array() != 10 || r.uint() != static_cast<uint64_t>(MessageType::kTree)) r.fail();
  TreeMessage m;
  m.id = r.uint();
  m.partition = read_partition(r);
  m.step = read_step(r);
  m.epoch = r.uint();
  m.clock = r.uint();
  m.numbers = read_numbers(r);
  uint32_t n = r.array();
  if (n % 5 != 0) r.fail();
  for (n /= 5; n > 0 && r.ok(); --n) {
    TreeSlice slice;
    slice.hash = r.uint();
    slice.from = r.uint();
    slice.to = r.uint();
    slice.combined = r.uint();
    slice.listed = r.peek() != MsgReader::Type::kNil;
    if (slice.listed)
      slice.digests = read_numbers(r);
    else
      r.nil();
    m.slices.push_back(std::move(slice));
  }
  m.rows = read_rows(r);
  if (!r.done()) return Status::Corruption("a message does not decode");
  return m;
}

std::string TreeReplyMessage::encode() const {
  std::string out;
  MsgWriter w(out);
  w.array(11);
  w.uint(static_cast<uint64_t>(MessageType::kTreeReply));
  w.uint(id);
  w.uint(partition.keyspace);
  w.uint(partition.arc);
  w.uint(static_cast<uint64_t>(step));
  w.uint(static_cast<uint64_t>(outcome));
  w.uint(clock);
  w.bin(packed(numbers));
  w.bin(packed(wanted));
  write_rows(w, rows);
  w.uint(done);
  return out;
}

Result<TreeReplyMessage> TreeReplyMessage::decode(std::string_view bytes) {
  MsgReader r(bytes);
  if (r.array() != 11 || r.uint() != static_cast<uint64_t>(MessageType::kTreeReply)) r.fail();
  TreeReplyMessage m;
  m.id = r.uint();
  m.partition = read_partition(r);
  m.step = read_step(r);
  const uint64_t outcome = r.uint();
  if (outcome > 2) r.fail();
  m.outcome = static_cast<Outcome>(outcome);
  m.clock = r.uint();
  m.numbers = read_numbers(r);
  m.wanted = read_numbers(r);
  m.rows = read_rows(r);
  m.done = r.uint();
  if (!r.done()) return Status::Corruption("a message does not decode");
  return m;
}

}  // namespace cartwheel::node
