// HttpSession: one HTTP/1.1 connection without the socket. Bytes go in by receive(), responses come out by
// take_output(), in the order of the requests. Parsed by llhttp in its strict form.
//
//   GET /livez       200 as long as the process turns its loop; asks nobody
//   GET /readyz      200 or 503; with ?verbose one line per check
//   GET /metrics     Prometheus text format 0.0.4
//   GET /v1/status   what this node knows about itself and its peers, JSON
//
// HEAD wherever GET is. Everything else: 404 (no such path), 405 (another method), 413 and 431 (limits below), 400 (not
// HTTP), each with a short body that says what is wrong; after the last three the connection closes, because where the
// next request begins is no longer certain or no longer wanted.
//
// What the runtime does: give it what it reads; write take_output() after receive() and when on_output says so; not
// read while paused(); close when want_close() and the output is written. One request is answered at a time: what a
// client pipelines behind it waits unparsed, at most kHttpPipelineBytes of it. A session may be destroyed at any time
// except from within its own callbacks; answers that come later find nobody. One thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "node/runtime/metrics.h"

namespace cartwheel::node {

inline constexpr size_t kHttpHeaderBytes = 16 * 1024;     // request target, header names and values of a request
inline constexpr size_t kHttpBodyBytes = 1024 * 1024;     // no path wants a body: it is read and dropped up to here
inline constexpr size_t kHttpPipelineBytes = 256 * 1024;  // beyond it the connection is given up

// What a session needs from the node. Calls back on the session's thread, from within the call or later, once.
class HttpBackend {
 public:
  virtual ~HttpBackend() = default;
  virtual void metrics(MetricsCallback done) = 0;
};

class HttpSession {
 public:
  // REQUIRES: the backend outlives the session.
  explicit HttpSession(HttpBackend& backend);
  ~HttpSession();
  HttpSession(const HttpSession&) = delete;
  HttpSession& operator=(const HttpSession&) = delete;

  // Called when there is output to take outside of receive().
  void set_on_output(std::function<void()> on_output) { on_output_ = std::move(on_output); }

  // Takes bytes from the peer. Bytes after want_close() are ignored.
  void receive(std::string_view bytes);
  // The responses that are due, and forgets them.
  std::string take_output() { return std::exchange(output_, {}); }
  bool has_output() const { return !output_.empty(); }
  // The last response is in the output (or was taken).
  bool want_close() const { return closing_; }
  bool paused() const { return waiting_ && !input_.empty(); }

 private:
  struct Parser;
  struct Response;

  void process();
  void route();
  void ask(std::function<Response(const Metrics&)> render);
  void respond(const Response& response);
  void refuse(const Response& response);

  HttpBackend& backend_;
  std::unique_ptr<Parser> parser_;
  std::shared_ptr<HttpSession*> self_;  // what a late answer finds: null once the session is gone
  std::string input_;                   // not parsed yet: it came while a request waits for its answer
  std::string output_;
  bool waiting_ = false;     // a request waits for the backend
  bool processing_ = false;  // an answer given from within the call continues in the loop that made the call
  bool closing_ = false;
  std::function<void()> on_output_;
};

}  // namespace cartwheel::node
