#include "node/core/object_listing.h"

#include "node/core/object_store.h"

namespace cartwheel::node {

namespace {
constexpr int kStepsAhead = 2;  // rows that are passed over rather than looked for anew
}  // namespace

Result<EncodedHeader> EncodedHeader::read(std::string_view value) {
  EncodedHeader header;
  Decoder in(value);
  header.exploded = ObjectStore::decode_layout(in, &header.elsewhere);
  header.object = in.rest();
  crdt::EncodedObject rows(in);
  while (rows.next()) {
    if (rows.leaf().visible) header.inside ^= rows.digest();
    header.resets ^= rows.leaf().resets_hash();
  }
  if (!in.done()) return Status::Corruption("a stored object does not decode");
  return header;
}

Result<EncodedRow> EncodedRow::read(const ObjectRow& row, std::string_view value) {
  EncodedRow read;
  if (!row.is_leaf) {
    auto header = EncodedHeader::read(value);
    if (!header.ok()) return header.status();
    read.header = *header;
    return read;
  }
  Decoder in(value);
  read.leaf = crdt::EncodedLeaf::read(in);
  if (!in.done()) return Status::Corruption("a leaf does not decode");
  return read;
}

Status ObjectListing::seek(uint64_t hash) {
  if (valid_ && row_.hash <= hash) {
    for (int step = 0; step < kStepsAhead && valid_ && row_.hash < hash; ++step) RETURN_IF_ERROR(next());
    if (!valid_ || row_.hash >= hash) return Status::Ok();
  }
  return begin(object_position(partition_, hash));
}

Status ObjectListing::next() {
  rows_->next();
  return settle();
}

Status ObjectListing::begin(const std::string& row) {
  rows_ = engine_.scan(row, end_);
  return settle();
}

// Goes on from where the walk stands to the next header row.
Status ObjectListing::settle() {
  for (;;) {
    valid_ = false;
    if (!rows_->valid()) return rows_->status();
    auto row = parse_object_row(rows_->key());
    if (!row.ok()) return row.status();
    row_ = *row;
    valid_ = !row_.is_leaf;
    if (valid_) return Status::Ok();
    // Over the leaves of a large object.
    rows_ = engine_.scan(object_base(partition_, row_.hash, row_.key) + '\2', end_);
  }
}

}  // namespace cartwheel::node
