// A key as its replica stores it, leaf by leaf, without a copy: what `cartwheel explain` shows.
#include "crdt/types.h"
#include "node/core/stripe_impl.h"

namespace cartwheel::node {

Result<KeySummary> Stripe::look_at(uint16_t keyspace, const std::string& key, const std::optional<std::string>& field,
                                   const std::function<bool(std::string_view, const crdt::Leaf&)>& visit) {
  Partition* p = impl_->find({keyspace, arc_of(key, impl_->config_->partitions)});
  if (p == nullptr) return Status(Code::kNotFound, "not a replica of this key");
  if (p->loading) return Status(Code::kUnavailable, "waits for its first snapshot of the arc");
  if (p->quarantined) return Status(Code::kUnavailable, "the partition is quarantined: rows of it cannot be read");
  auto opened = impl_->store_.open(p->id, hash64(key), key);
  if (!opened.ok()) return opened.status();
  const StoredObject& object = **opened;
  KeySummary summary;
  summary.leaves = object.content() + (object.expiry() != nullptr && object.expiry()->visible());
  if (object.visible()) summary.root = object.root();
  summary.expires_at = object.expires_at();
  if (!field) {
    RETURN_IF_ERROR(impl_->store_.for_each(object, "", visit));
    return summary;
  }
  bool more = object.expiry() == nullptr || visit(crdt::path_step(crdt::Tag::kExpiry), *object.expiry());
  for (const crdt::Tag tag : {crdt::Tag::kElement, crdt::Tag::kField}) {
    if (!more) break;
    const std::string prefix = crdt::path_step(tag, *field);
    const auto below = [&](std::string_view path, const crdt::Leaf& leaf) {
      if (path.starts_with(prefix)) more = visit(path, leaf);
      return more;
    };
    if (object.is_exploded()) {  // only the rows of this step: there may be a million others
      const uint64_t wanted = step_hash(prefix);
      RETURN_IF_ERROR(impl_->store_.for_each_from(object, wanted,
                                                  [&](uint64_t hash, std::string_view path, const crdt::Leaf& leaf) {
                                                    return hash == wanted && below(path, leaf);
                                                  }));
    } else {
      RETURN_IF_ERROR(impl_->store_.for_each(object, prefix, below));
    }
  }
  return summary;
}

}  // namespace cartwheel::node
