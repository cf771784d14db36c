// SimNetwork: the links between the nodes. Each directed link has a delay (short within a region, long between two),
// and may lose, double and reorder messages, be cut one way, or be clogged: messages wait until the clog is over.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "base/rng.h"
#include "node/core/cluster.h"
#include "tests/sim/event_queue.h"

namespace cartwheel::sim {

struct NetworkQuality {
  double loss = 0;  // of one message
  double duplicate = 0;
  double reorder = 0;           // chance that a message may overtake and be overtaken
  int64_t reorder_us = 50'000;  // by how much at most
};

class SimNetwork {
 public:
  using Deliver = std::function<void(node::NodeIndex from, node::NodeIndex to, uint32_t stripe, std::string bytes,
                                     uint64_t connection)>;

  // `region_of` gives each node's region. `wide_us` is the one-way delay between two regions.
  SimNetwork(EventQueue& queue, Rng rng, std::vector<size_t> region_of, int64_t wide_us, Deliver deliver);

  // One more node, of `region`, with links to all others.
  void add_node(size_t region) { region_of_.push_back(region); }

  // `connection` is handed to the receiver, for it to tell whether it is still the one that was meant.
  void send(node::NodeIndex from, node::NodeIndex to, uint32_t stripe, std::string bytes, uint64_t connection);

  void set_quality(const NetworkQuality& quality) { quality_ = quality; }
  // Cuts are counted: a link works when each cut has been mended.
  void cut(node::NodeIndex from, node::NodeIndex to) { ++link(from, to).cuts; }
  void mend(node::NodeIndex from, node::NodeIndex to);
  bool is_cut(node::NodeIndex from, node::NodeIndex to) const;
  // Messages sent until then arrive after then.
  void clog(node::NodeIndex from, node::NodeIndex to, int64_t until_us);
  // Every link whole, and no more loss, duplicates or reordering. What is on its way stays on its way.
  void heal();

  uint64_t sent() const { return sent_; }
  uint64_t lost() const { return lost_; }

 private:
  struct Link {
    int cuts = 0;
    int64_t clogged_until = 0;
    std::map<uint32_t, int64_t> last_arrival;  // per stripe: a link keeps the order unless it reorders
  };
  Link& link(node::NodeIndex from, node::NodeIndex to) { return links_[{from, to}]; }
  void carry(node::NodeIndex from, node::NodeIndex to, uint32_t stripe, std::string bytes, uint64_t connection);

  EventQueue& queue_;
  Rng rng_;
  std::vector<size_t> region_of_;
  int64_t wide_us_;
  Deliver deliver_;
  NetworkQuality quality_;
  std::map<std::pair<node::NodeIndex, node::NodeIndex>, Link> links_;  // that were ever used
  uint64_t sent_ = 0, lost_ = 0;
};

}  // namespace cartwheel::sim
