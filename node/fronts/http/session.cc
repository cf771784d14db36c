#include "node/fronts/http/session.h"

#include <llhttp/llhttp.h>

#include <optional>

#include "node/fronts/documents.h"
#include "node/fronts/http/metrics_text.h"
#include "node/fronts/http/readiness.h"

namespace cartwheel::node {

namespace {

constexpr const char* kText = "text/plain; charset=utf-8";
constexpr const char* kJson = "application/json";

// The path of a request target and what stands behind its question mark.
struct Target {
  std::string_view path, query;
};

Target parse_target(std::string_view target) {
  // The absolute form that a client sends to a proxy ("GET http://host/livez"): a server must take it too.
  if (size_t scheme = target.find("://"); !target.starts_with('/') && scheme != std::string_view::npos) {
    const size_t slash = target.find('/', scheme + 3);
    target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
  }
  target = target.substr(0, target.find('#'));
  const size_t mark = target.find('?');
  if (mark == std::string_view::npos) return {target, {}};
  return {target.substr(0, mark), target.substr(mark + 1)};
}

bool wants_verbose(std::string_view query) {
  while (!query.empty()) {
    const std::string_view part = query.substr(0, query.find('&'));
    if (part == "verbose" || part == "verbose=1" || part == "verbose=true") return true;
    query.remove_prefix(std::min(query.size(), part.size() + 1));
  }
  return false;
}

}  // namespace

struct HttpSession::Response {
  int status = 200;
  const char* reason = "OK";
  const char* type = kText;
  std::string body;
  const char* extra_header = "";  // whole lines
};

// llhttp and what it told about the request being read.
struct HttpSession::Parser {
  llhttp_t http{};
  llhttp_settings_t settings{};
  std::string target;
  size_t header_bytes = 0;
  size_t body_bytes = 0;
  bool complete = false;
  bool keep_alive = false;
  bool is_head = false, is_get = false;
  std::optional<Response> refusal;  // why parsing was broken off

  Parser() {
    llhttp_settings_init(&settings);
    settings.on_message_begin = [](llhttp_t* p) { return self(p).on_begin(); };
    settings.on_url = [](llhttp_t* p, const char* at, size_t n) { return self(p).on_url({at, n}); };
    settings.on_header_field = [](llhttp_t* p, const char*, size_t n) { return self(p).on_header(n); };
    settings.on_header_value = [](llhttp_t* p, const char*, size_t n) { return self(p).on_header(n); };
    // Each header line costs something beside its bytes, or a million empty ones would be free.
    settings.on_header_field_complete = [](llhttp_t* p) { return self(p).on_header(4); };
    settings.on_headers_complete = [](llhttp_t* p) { return self(p).on_headers_complete(); };
    settings.on_body = [](llhttp_t* p, const char*, size_t n) { return self(p).on_body(n); };
    settings.on_chunk_extension_name = [](llhttp_t* p, const char*, size_t n) { return self(p).on_body(n); };
    settings.on_chunk_extension_value = [](llhttp_t* p, const char*, size_t n) { return self(p).on_body(n); };
    settings.on_message_complete = [](llhttp_t* p) { return self(p).on_complete(); };
    llhttp_init(&http, HTTP_REQUEST, &settings);
    http.data = this;
  }

  static Parser& self(llhttp_t* p) { return *static_cast<Parser*>(p->data); }

  int on_begin() {
    target.clear();
    header_bytes = body_bytes = 0;
    complete = false;
    return 0;
  }
  int break_off(Response response) {
    refusal = std::move(response);
    return -1;
  }
  int on_url(std::string_view part) {
    if (on_header(part.size()) != 0) return -1;
    target.append(part);
    return 0;
  }
  int on_header(size_t bytes) {
    header_bytes += bytes;
    if (header_bytes <= kHttpHeaderBytes) return 0;
    return break_off({431, "Request Header Fields Too Large", kText,
                      "the target and headers of a request may have " + std::to_string(kHttpHeaderBytes) + " bytes\n"});
  }
  int on_headers_complete() {
    const bool has_length = (http.flags & F_CONTENT_LENGTH) != 0;
    if (has_length && http.content_length > kHttpBodyBytes) return on_body(kHttpBodyBytes + 1);
    // No other protocol is spoken here, so an offer to change to one is answered in HTTP, as the RFC allows.
    if (http.method != HTTP_CONNECT) http.upgrade = 0;
    return 0;
  }
  int on_body(size_t bytes) {
    body_bytes += bytes;
    if (body_bytes <= kHttpBodyBytes) return 0;
    return break_off({413, "Content Too Large", kText,
                      "a body may have " + std::to_string(kHttpBodyBytes) + " bytes, and nothing here wants one\n"});
  }
  int on_complete() {
    complete = true;
    keep_alive = llhttp_should_keep_alive(&http) != 0 && http.method != HTTP_CONNECT;
    is_head = http.method == HTTP_HEAD;
    is_get = http.method == HTTP_GET;
    return HPE_PAUSED;  // until this one is answered
  }
};

HttpSession::HttpSession(HttpBackend& backend)
    : backend_(backend), parser_(std::make_unique<Parser>()), self_(std::make_shared<HttpSession*>(this)) {}

HttpSession::~HttpSession() {
  *self_ = nullptr;
}

void HttpSession::receive(std::string_view bytes) {
  if (closing_) return;
  if (waiting_ && input_.size() + bytes.size() > kHttpPipelineBytes) {
    input_.clear();
    return refuse({413, "Content Too Large", kText, "too many requests at once\n"});
  }
  input_.append(bytes);
  process();
}

void HttpSession::process() {
  if (processing_) return;
  processing_ = true;
  while (!waiting_ && !closing_ && !input_.empty()) {
    const llhttp_errno_t error = llhttp_execute(&parser_->http, input_.data(), input_.size());
    if (error == HPE_OK) {
      input_.clear();
      break;
    }
    if (error == HPE_PAUSED && parser_->complete) {
      input_.erase(0, static_cast<size_t>(llhttp_get_error_pos(&parser_->http) - input_.data()));
      llhttp_resume(&parser_->http);
      route();
      continue;
    }
    if (parser_->refusal) {
      refuse(*parser_->refusal);
    } else if (error == HPE_CLOSED_CONNECTION) {
      closing_ = true;  // bytes behind the request that asked for the close
    } else {
      const char* reason = llhttp_get_error_reason(&parser_->http);
      refuse({400, "Bad Request", kText, "not HTTP/1.1: " + std::string(reason != nullptr ? reason : "?") + "\n"});
    }
    input_.clear();
  }
  processing_ = false;
}

void HttpSession::route() {
  const Target target = parse_target(parser_->target);
  const bool known =
      target.path == "/livez" || target.path == "/readyz" || target.path == "/metrics" || target.path == "/v1/status";
  if (!known) {
    return respond({404, "Not Found", kJson,
                    "{\"error\":\"no such path\",\"paths\":[\"/livez\",\"/readyz\",\"/metrics\",\"/v1/status\"]}\n"});
  }
  if (!parser_->is_get && !parser_->is_head) {
    return respond({405, "Method Not Allowed", kJson, "{\"error\":\"only GET and HEAD are allowed here\"}\n",
                    "Allow: GET, HEAD\r\n"});
  }
  if (target.path == "/livez") return respond({200, "OK", kText, "ok\n"});
  if (target.path == "/readyz") {
    return ask([verbose = wants_verbose(target.query)](const Metrics& metrics) -> Response {
      const Readiness readiness = readiness_of(metrics);
      std::string body = verbose ? readiness.verbose() : readiness.brief();
      if (readiness.ready()) return {200, "OK", kText, std::move(body)};
      return {503, "Service Unavailable", kText, std::move(body)};
    });
  }
  if (target.path == "/metrics") {
    return ask([](const Metrics& metrics) -> Response {
      return {200, "OK", "text/plain; version=0.0.4; charset=utf-8", metrics_text(metrics)};
    });
  }
  ask([](const Metrics& metrics) -> Response { return {200, "OK", kJson, status_json(metrics)}; });
}

void HttpSession::ask(std::function<Response(const Metrics&)> render) {
  waiting_ = true;
  backend_.metrics([self = self_, render = std::move(render)](const Metrics& metrics) {
    HttpSession* session = *self;
    if (session == nullptr || !session->waiting_ || session->closing_) return;
    session->waiting_ = false;
    session->respond(render(metrics));
    if (session->processing_) return;
    session->process();
    if (session->on_output_) session->on_output_();
  });
}

void HttpSession::respond(const Response& response) {
  output_ += "HTTP/1.1 " + std::to_string(response.status) + " " + response.reason +
             "\r\nContent-Type: " + response.type + "\r\nContent-Length: " + std::to_string(response.body.size()) +
             "\r\nCache-Control: no-store\r\n" + response.extra_header +
             (parser_->keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n");
  if (!parser_->is_head) output_ += response.body;
  if (!parser_->keep_alive) closing_ = true;
}

// An answer to something that is not a whole request: whether it was a HEAD is not known, and nothing follows.
void HttpSession::refuse(const Response& response) {
  parser_->keep_alive = false;
  parser_->is_head = false;
  respond(response);
}

}  // namespace cartwheel::node
