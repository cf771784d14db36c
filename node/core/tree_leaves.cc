// The bottom of a tree exchange: the leaves of the keys with one hash, compared by digests, slice by slice of a large
// object, and joined where they differ.

#include <algorithm>
#include <unordered_set>

#include "base/hash.h"
#include "base/planted.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

namespace {
constexpr size_t kSliceLeaves = 2048;  // what a slice's digests, or rows, may be
}  // namespace

// Calls `visit` for the visible leaves here of the keys with `slice.hash`, within the slice.
Status Stripe::Impl::walk_slice(const Partition& p, const TreeSlice& slice, const LeafVisitor& visit) {
  std::vector<std::string> keys;
  RETURN_IF_ERROR(store_.for_each_key(p.id, slice.hash, [&](uint64_t hash, std::string_view key) {
    if (hash == slice.hash) keys.emplace_back(key);
    return hash == slice.hash;
  }));
  for (const std::string& key : keys) {
    auto object = store_.open_once(p.id, slice.hash, key);
    if (!object.ok()) return object.status();
    bool more = true;
    for (const auto& [path, leaf] : (*object)->packed().rows()) {
      const uint64_t step = step_hash(path);
      if (step >= slice.from && step <= slice.to && leaf.visible()) more = more && visit(key, step, path, leaf);
    }
    if (!more || !(*object)->is_exploded()) continue;
    RETURN_IF_ERROR(
        store_.for_each_from(**object, slice.from, [&](uint64_t step, std::string_view path, const crdt::Leaf& leaf) {
          return step <= slice.to && (!leaf.visible() || visit(key, step, path, leaf));
        }));
  }
  return Status::Ok();
}

// Fills in what is here: the slice's end, if it would be too large, and its digests or their XOR.
Status Stripe::Impl::fill_slice(const Partition& p, TreeSlice& slice) {
  slice.digests.clear();
  slice.combined = 0;
  size_t seen = 0;
  uint64_t last = slice.from;
  RETURN_IF_ERROR(
      walk_slice(p, slice, [&](const std::string&, uint64_t step, std::string_view path, const crdt::Leaf& leaf) {
        if (seen >= kSliceLeaves && step > last) {
          slice.to = std::min(slice.to, last);
          return false;
        }
        ++seen;
        last = std::max(last, step);
        const uint64_t digest = leaf.digest(path);
        slice.combined ^= digest;
        slice.digests.push_back(digest);
        return true;
      }));
  // A slice among others is first compared by the XOR alone.
  const bool alone = slice.from == 0 && slice.to == UINT64_MAX;
  slice.listed = slice.listed || alone;
  if (!slice.listed) slice.digests.clear();
  return Status::Ok();
}

// What the asker lacks of the slice goes to `rows`, what this replica lacks to `wanted`. False: they differ, and the
// asker must list them.
Result<bool> Stripe::Impl::compare_slice(const Partition& p, const TreeSlice& theirs, TreeRows& rows,
                                         std::vector<uint64_t>& wanted) {
  std::unordered_set<uint64_t> missing(theirs.digests.begin(), theirs.digests.end());
  uint64_t combined = 0;
  Status walked =
      walk_slice(p, theirs, [&](const std::string& key, uint64_t, std::string_view path, const crdt::Leaf& leaf) {
        const uint64_t digest = leaf.digest(path);
        combined ^= digest;
        if (theirs.listed && missing.erase(digest) == 0) rows.add(key, path, leaf);
        return true;
      });
  if (!walked.ok()) return walked;
  if (!theirs.listed) return combined == theirs.combined;
  std::vector<uint64_t> sorted(missing.begin(), missing.end());
  std::sort(sorted.begin(), sorted.end());
  wanted.insert(wanted.end(), sorted.begin(), sorted.end());
  return true;
}

// The rows of the leaves here in `slice` whose digests are in `wanted`.
Status Stripe::Impl::pick_rows(const Partition& p, const TreeSlice& slice, const std::unordered_set<uint64_t>& wanted,
                               TreeRows& rows) {
  return walk_slice(p, slice, [&](const std::string& key, uint64_t, std::string_view path, const crdt::Leaf& leaf) {
    if (wanted.contains(leaf.digest(path))) rows.add(key, path, leaf);
    return true;
  });
}

// Both replicas have seen the same dots, so one of them lost or spoiled what it had: what either shows is kept.
// REQUIRES: the clock here is that of the sender.
void Stripe::Impl::join_tree_rows(Partition& p, const std::vector<TreeRow>& rows) {
  std::string_view last_key;       // of the last leaf that changed something
  StoredObject* object = nullptr;  // of the last row
  for (const TreeRow& row : rows) {
    Decoder in(row.leaf);
    crdt::Leaf theirs = crdt::Leaf::decode(in);
    const uint64_t hash = hash64(row.key);
    auto seen = [&](const crdt::Leaf& leaf) {
      return std::all_of(leaf.entries.begin(), leaf.entries.end(),
                         [&](const crdt::Entry& e) { return p.causal.clock.contains(e.dot); }) &&
             std::all_of(leaf.chains.begin(), leaf.chains.end(), [&](const crdt::ActorChain& c) {
               return p.causal.clock.contains({c.actor, c.chain.seq});
             });
    };
    if (!in.done() || !crdt::valid_leaf_path(row.path) || row.key.size() > limits::kKeyBytes ||
        arc_of_hash(hash, config_->partitions) != p.id.arc || (!planted(Bug::kTreeIgnoresClock) && !seen(theirs))) {
      ++stats_.rejected_messages;
      continue;
    }
    if (object == nullptr || object->key() != row.key) {
      auto opened = store_.open_once(p.id, hash, row.key);
      if (!opened.ok()) return;  // the next exchange tries again
      object = *opened;
    }
    auto mine = store_.leaf(*object, row.path);
    if (!mine.ok()) return;
    if (*mine == nullptr) {
      theirs.resets.clear();  // as unite() does it
    } else {
      crdt::Leaf joined = **mine;
      joined.unite(theirs);
      theirs = std::move(joined);
    }
    if (*mine == nullptr ? theirs.empty() : theirs == **mine) continue;
    turn_dirty_ = true;
    if (!store_.update(*object, row.path, std::move(theirs)).ok()) return;
    ++stats_.tree_leaves_repaired;
    if (row.key != last_key) ++stats_.tree_keys_repaired;
    last_key = row.key;
  }
}

}  // namespace cartwheel::node
