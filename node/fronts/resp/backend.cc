#include "node/fronts/resp/backend.h"

#include "node/fronts/resp/session.h"

namespace cartwheel::resp {

SessionHandle* SessionHandles::acquire(RespSession* session) {
  SessionHandle* handle = nullptr;
  if (free_.empty()) {
    handle = &handles_.emplace_back();
  } else {
    handle = free_.back();
    free_.pop_back();
  }
  handle->session = session;
  return handle;
}

void SessionHandles::release(SessionHandle* handle) {
  handle->session = nullptr;
  ++handle->generation;  // answers that are still under way no longer match
  free_.push_back(handle);
}

std::vector<RespSession*> SessionHandles::sessions() const {
  std::vector<RespSession*> result;
  for (const SessionHandle& handle : handles_) {
    if (handle.session != nullptr) result.push_back(handle.session);
  }
  return result;
}

std::string Backend::client_list() const {
  std::string lines;
  for (const RespSession* session : handles_.sessions()) lines += session->describe() + "\n";
  return lines;
}

}  // namespace cartwheel::resp
