#include "tests/node/paxos/list.h"

#include <algorithm>

#include "base/check.h"

namespace cartwheel::node::paxos::model {

namespace {
std::vector<NodeIndex> members(Mask mask) {
  std::vector<NodeIndex> out;
  for (NodeIndex node = 0; node < kNodes; ++node) {
    if (has(mask, node)) out.push_back(node);
  }
  return out;
}
}  // namespace

Quorum Configuration::quorum() const {
  Quorum quorum{generation, {members(current)}};
  if (next) quorum.sets.push_back(members(next));
  return quorum;
}

bool List::contains(uint32_t id) const {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

std::string List::encode() const {
  std::string bytes;
  Encoder out(bytes);
  out.varint(configuration.generation);
  out.u8(configuration.current);
  out.u8(configuration.next);
  for (uint8_t life : configuration.lives) out.u8(life);
  out.u8(configuration.fresh);
  for (uint32_t id : ids) out.u32(id);
  return bytes;
}

List List::of(const Value& value, const Configuration& first) {
  if (!value) return {first, {}};
  Decoder in(*value);
  List list;
  list.configuration.generation = in.varint();
  list.configuration.current = in.u8();
  list.configuration.next = in.u8();
  for (uint8_t& life : list.configuration.lives) life = in.u8();
  list.configuration.fresh = in.u8();
  list.ids.reserve(in.rest().size() / 4);
  while (!in.rest().empty()) list.ids.push_back(in.u32());
  CHECK(in.done());
  return list;
}

bool prefix(const std::vector<uint32_t>& a, const std::vector<uint32_t>& b) {
  return a.size() <= b.size() && std::equal(a.begin(), a.end(), b.begin());
}

std::string to_string(const std::vector<uint32_t>& ids) {
  std::string text = "[";
  for (uint32_t id : ids) text += (text.size() > 1 ? " " : "") + std::to_string(id);
  return text + "]";
}

}  // namespace cartwheel::node::paxos::model
