#include "crdt/object.h"

#include <algorithm>
#include <utility>

namespace cartwheel::crdt {

namespace {
template <typename Rows>
auto find_row(Rows& rows, std::string_view path) {
  return std::lower_bound(rows.begin(), rows.end(), path,
                          [](const Object::Row& row, std::string_view p) { return row.first.compare(p) < 0; });
}
}  // namespace

const Leaf* Object::find(std::string_view path) const {
  auto row = find_row(rows_, path);
  return row != rows_.end() && row->first == path ? &row->second : nullptr;
}

Leaf& Object::at(std::string_view path) {
  auto row = find_row(rows_, path);
  if (row == rows_.end() || row->first != path) row = rows_.insert(row, {std::string(path), Leaf()});
  return row->second;
}

void Object::set(std::string_view path, Leaf leaf) {
  if (leaf.empty()) return erase(path);
  at(path) = std::move(leaf);
}

void Object::erase(std::string_view path) {
  auto row = find_row(rows_, path);
  if (row != rows_.end() && row->first == path) rows_.erase(row);
}

std::pair<size_t, size_t> Object::range(std::string_view prefix) const {
  auto first = find_row(rows_, prefix);
  auto last = first;
  while (last != rows_.end() && last->first.starts_with(prefix)) ++last;
  return {static_cast<size_t>(first - rows_.begin()), static_cast<size_t>(last - rows_.begin())};
}

uint64_t Object::digest() const {
  uint64_t digest = 0;
  for (const Row& row : rows_) {
    if (row.second.visible()) digest ^= row.second.digest(row.first);
  }
  return digest;
}

size_t Object::size_hint() const {
  size_t size = 8;
  for (const Row& row : rows_) size += row.first.size() + row.second.size_hint();
  return size;
}

void Object::encode(Encoder& out) const {
  out.varint(rows_.size());
  for (const Row& row : rows_) {
    out.bytes(row.first);
    row.second.encode(out);
  }
}

Object Object::decode(Decoder& in) {
  Object object;
  for (size_t n = in.count(5); n > 0 && in.ok(); --n) {
    std::string path(in.bytes());
    if (!valid_leaf_path(path) || (!object.rows_.empty() && !(object.rows_.back().first < path))) in.fail();
    Leaf leaf = Leaf::decode(in);
    object.rows_.emplace_back(std::move(path), std::move(leaf));
  }
  return in.ok() ? std::move(object) : Object();
}

}  // namespace cartwheel::crdt
