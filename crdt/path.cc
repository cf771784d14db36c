#include "crdt/path.h"

#include "base/limits.h"

namespace cartwheel::crdt {

std::optional<Step> take_step(std::string_view& path) {
  Decoder in(path);
  uint8_t tag = in.u8();
  if (!in.ok() || tag < static_cast<uint8_t>(Tag::kExpiry) || tag > static_cast<uint8_t>(Tag::kField)) return {};
  Step step{static_cast<Tag>(tag), {}};
  if (has_name(step.tag)) step.name = in.bytes();
  if (!in.ok() || step.name.size() > limits::kNameBytes) return {};
  path = in.rest();
  return step;
}

namespace {
bool valid(std::string_view path, bool must_be_leaf) {
  bool at_leaf = false;
  for (size_t depth = 0; !path.empty(); ++depth) {
    if (at_leaf || depth > limits::kPathDepth) return false;
    if (!must_be_leaf && path.size() == 1 && has_name(static_cast<Tag>(path[0])))
      return true;  // all elements, all fields
    auto step = take_step(path);
    if (!step || (step->tag == Tag::kExpiry && depth > 0)) return false;
    at_leaf = step->tag != Tag::kField;
  }
  return at_leaf || !must_be_leaf;
}
}  // namespace

bool valid_leaf_path(std::string_view path) {
  return valid(path, true);
}
bool valid_prefix(std::string_view prefix) {
  return valid(prefix, false);
}

}  // namespace cartwheel::crdt
