#include "gossip/broadcast_queue.h"

#include <utility>
#include <vector>

#include "base/planted.h"

namespace cartwheel::gossip {

namespace {
// Below this no update fits: kind, member, incarnation.
constexpr size_t kSmallestUpdate = 4;
}  // namespace

void BroadcastQueue::push(const Update& update) {
  Name name{update.member, update.kind == Update::Kind::kFacts};
  erase(name);
  if (order_.size() >= limits::kBroadcasts) {
    index_.erase(order_.rbegin()->second.name);
    order_.erase(std::prev(order_.end()));
    ++dropped_;
  }
  Item item{name, {}};
  Encoder out(item.bytes);
  encode(update, out);
  Key key{0, --next_age_};
  order_.emplace(key, std::move(item));
  index_.emplace(name, key);
}

void BroadcastQueue::erase(const Name& name) {
  auto it = index_.find(name);
  if (it == index_.end()) return;
  order_.erase(it->second);
  index_.erase(it);
}

void BroadcastQueue::forget(MemberId member) {
  erase({member, false});
  erase({member, true});
}

void BroadcastQueue::fill(std::string& out, size_t budget, int transmits, MemberId skip) {
  std::vector<decltype(order_)::node_type> sent;
  for (auto it = order_.begin(); it != order_.end() && out.size() + kSmallestUpdate <= budget;) {
    auto current = it++;
    if (current->second.name.member == skip || out.size() + current->second.bytes.size() > budget) continue;
    out.append(current->second.bytes);
    sent.push_back(order_.extract(current));
  }
  for (auto& node : sent) {
    auto place = index_.find(node.mapped().name);
    if (node.key().transmits + 1 >= transmits && !planted(Bug::kNewsNeverRetires)) {
      index_.erase(place);
      continue;
    }
    ++node.key().transmits;
    place->second = node.key();
    order_.insert(std::move(node));
  }
}

void BroadcastQueue::clear() {
  order_.clear();
  index_.clear();
}

}  // namespace cartwheel::gossip
