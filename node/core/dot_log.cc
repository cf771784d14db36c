#include "node/core/dot_log.h"

#include <algorithm>

namespace cartwheel::node {

namespace {
template <typename Entries>
auto find_seq(Entries& entries, uint64_t seq) {
  return std::lower_bound(entries.begin(), entries.end(), seq, [](const auto& e, uint64_t s) { return e.seq < s; });
}
}  // namespace

void DotIndex::add(const crdt::Dot& dot, uint64_t record) {
  auto& entries = rows_[dot.actor];
  if (entries.empty() || entries.back().seq < dot.seq) {
    entries.push_back({dot.seq, record});
    ++size_;
    return;
  }
  auto at = find_seq(entries, dot.seq);
  if (at != entries.end() && at->seq == dot.seq) return;
  entries.insert(at, {dot.seq, record});
  ++size_;
}

void DotIndex::remove(const crdt::Dot& dot) {
  auto row = rows_.find(dot.actor);
  if (row == rows_.end()) return;
  // Records leave in the order in which they came, so it is the first one mostly.
  auto at = row->second.front().seq == dot.seq ? row->second.begin() : find_seq(row->second, dot.seq);
  if (at == row->second.end() || at->seq != dot.seq) return;
  row->second.erase(at);
  --size_;
  if (row->second.empty()) rows_.erase(row);
}

std::optional<uint64_t> DotIndex::find(const crdt::Dot& dot) const {
  auto row = rows_.find(dot.actor);
  if (row == rows_.end()) return {};
  auto at = find_seq(row->second, dot.seq);
  if (at == row->second.end() || at->seq != dot.seq) return {};
  return at->record;
}

void DotIndex::for_each(const std::function<void(const crdt::Dot&, uint64_t)>& visit) const {
  for (const auto& [actor, entries] : rows_) {
    for (const Entry& entry : entries) visit({actor, entry.seq}, entry.record);
  }
}

std::string TurnRecord::encode() const {
  std::string bytes;
  size_t size = 16;
  for (const Part& part : parts) {
    for (const std::string& delta : part.deltas) size += delta.size() + 24;
  }
  bytes.reserve(size);
  Encoder out(bytes);
  out.u8(1);
  for (const Part& part : parts) {
    out.u16(part.partition.keyspace);
    out.u16(static_cast<uint16_t>(part.partition.arc));
    out.varint(part.keys);
    out.varint(part.deltas.size());
    for (const std::string& delta : part.deltas) out.bytes(delta);
  }
  return bytes;
}

Result<TurnRecord> TurnRecord::decode(std::string_view bytes) {
  Decoder in(bytes);
  TurnRecord record;
  if (in.u8() != 1) in.fail();
  while (in.ok() && !in.rest().empty()) {
    Part part;
    part.partition.keyspace = in.u16();
    part.partition.arc = in.u16();
    part.keys = in.varint();
    for (size_t n = in.count(1); n > 0 && in.ok(); --n) part.deltas.emplace_back(in.bytes());
    record.parts.push_back(std::move(part));
  }
  if (!in.ok()) return Status::Corruption("a turn record does not decode");
  return record;
}

}  // namespace cartwheel::node
