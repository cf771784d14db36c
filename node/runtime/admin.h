// Admin: the answers to what operators and joining nodes ask of a node: changes of the configuration, and what the
// cluster looks like. Without threads or I/O; whoever has the Membership drives it. docs/rpc.md, "admin", has the
// requests.
#pragma once

#include <functional>
#include <list>
#include <string>
#include <string_view>

#include "node/core/membership/membership.h"

namespace cartwheel::node {

// `document` is one MessagePack value, empty on an error. Called once.
using AdminDone = std::function<void(const Status&, std::string document)>;

// What this node sees of another one, or of itself.
struct MemberView {
  bool connected = false;
  std::string gossip;        // its state by gossip, "" when gossip knows nothing of it
  bool alive = false;        // by either
  bool unreachable = false;  // it was alive when its region could still be reached
};

class AdminHost {
 public:
  virtual ~AdminHost() = default;
  virtual Membership& membership() = 0;
  virtual Instant now() const = 0;
  virtual NodeIndex self() const = 0;
  virtual MemberView view_of(NodeIndex n) const = 0;
};

class Admin {
 public:
  explicit Admin(AdminHost& host) : host_(host) {}  // which outlives this

  void on_request(std::string_view request, AdminDone done);
  // Gives the answers that have waited for reports, as far as those have come or waited long enough.
  void tick();
  bool waits() const { return !describing_.empty(); }

 private:
  struct Describing {
    Instant since;
    AdminDone done;
  };
  AdminHost& host_;
  std::list<Describing> describing_;
};

}  // namespace cartwheel::node
