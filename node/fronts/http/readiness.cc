#include "node/fronts/http/readiness.h"

namespace cartwheel::node {

namespace {

std::string unreachable_peers(const Metrics& metrics) {
  std::string names;
  for (const PeerMetrics& peer : metrics.peers) {
    if (peer.reachable) continue;
    names += (names.empty() ? "" : ", ") + peer.name;
  }
  return names;
}

}  // namespace

bool Readiness::ready() const {
  for (const Check& check : checks) {
    if (check.decides && !check.ok) return false;
  }
  return true;
}

std::string Readiness::brief() const {
  std::string reasons;
  for (const Check& check : checks) {
    if (check.decides && !check.ok) reasons += (reasons.empty() ? "" : "; ") + check.detail;
  }
  return reasons.empty() ? "ready\n" : "not ready: " + reasons + "\n";
}

std::string Readiness::verbose() const {
  std::string text;
  for (const Check& check : checks) {
    text += (check.ok ? "[+]" : check.decides ? "[-]" : "[!]") + check.name;
    text += check.ok ? " ok" : check.decides ? " failed: " : " warns: ";
    text += check.ok ? "\n" : check.detail + "\n";
  }
  return text + brief();
}

Readiness readiness_of(const Metrics& metrics) {
  Readiness readiness;
  readiness.checks.push_back({"serving", !metrics.draining, "the node is draining", true});
  // Draining makes a node unready by itself; without the distinction a planned stop would read as lost replicas.
  const bool replicas = metrics.ready || metrics.draining;
  const std::string missing = unreachable_peers(metrics);
  readiness.checks.push_back(
      {"replicas", replicas,
       missing.empty()
           ? std::string("the node is still starting")
           : "too few replicas are reachable for the write level of every keyspace (unreachable: " + missing + ")",
       true});
  for (const PeerMetrics& peer : metrics.peers) {
    readiness.checks.push_back({"peer " + peer.name, peer.reachable, "unreachable", false});
  }
  return readiness;
}

}  // namespace cartwheel::node
