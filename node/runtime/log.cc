#include "node/runtime/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

namespace cartwheel::logs {

namespace {

struct State {
  std::shared_ptr<spdlog::logger> logger;
  Format format = Format::kText;
  std::string node;
};
State& state() {
  static State instance;
  return instance;
}

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

// As a JSON string, which logfmt's readers understand too. Bytes that are not printable ASCII become \u00XX.
void append_quoted(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  out.push_back('"');
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (byte < 0x20 || byte >= 0x7f) {
      out.append("\\u00");
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    } else {
      out.push_back(c);
    }
  }
  out.push_back('"');
}

void append_value(std::string& out, std::string_view text) {
  bool plain = !text.empty();
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '"' || c == '=' || c == '\\') plain = false;
  }
  if (plain) {
    out.append(text);
  } else {
    append_quoted(out, text);
  }
}

}  // namespace

Result<Level> parse_level(std::string_view word) {
  if (word == "debug") return Level::kDebug;
  if (word == "info") return Level::kInfo;
  if (word == "warning") return Level::kWarning;
  if (word == "error") return Level::kError;
  return Status::InvalidArgument("log level '" + std::string(word) + "' is none of debug, info, warning, error");
}

Result<Format> parse_format(std::string_view word) {
  if (word == "text") return Format::kText;
  if (word == "json") return Format::kJson;
  return Status::InvalidArgument("log format '" + std::string(word) + "' is none of text, json");
}

void start(Level level, Format format, const std::string& node) {
  State& log = state();
  log.format = format;
  log.node = node;
  log.logger = std::make_shared<spdlog::logger>("cartwheel", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  log.logger->set_level(to_spdlog(level));
  log.logger->set_pattern(
      format == Format::kText ? "%Y-%m-%dT%H:%M:%S.%eZ %l %v" : R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})",
      spdlog::pattern_time_type::utc);
  log.logger->flush_on(spdlog::level::debug);
}

std::string render(Format format, const std::string& node, std::string_view message,
                   std::initializer_list<Field> fields) {
  std::string line;
  if (format == Format::kText) {
    line.append("node=");
    append_value(line, node);
    line.append(" msg=");
    append_quoted(line, message);
    for (const Field& field : fields) {
      line.append(" ").append(field.key).append("=");
      append_value(line, field.value);
    }
    return line;
  }
  line.append("\"node\":");
  append_quoted(line, node);
  line.append(",\"msg\":");
  append_quoted(line, message);
  for (const Field& field : fields) {
    line.push_back(',');
    append_quoted(line, field.key);
    line.push_back(':');
    append_quoted(line, field.value);
  }
  return line;
}

void write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  const State& log = state();
  if (!log.logger || !log.logger->should_log(to_spdlog(level))) return;
  log.logger->log(to_spdlog(level), spdlog::string_view_t(render(log.format, log.node, message, fields)));
}

void fatal(std::string_view message, std::initializer_list<Field> fields) {
  if (state().logger) {
    write(Level::kError, message, fields);
  } else {
    std::fprintf(stderr, "%s\n", render(Format::kText, state().node, message, fields).c_str());
  }
  std::_Exit(1);
}

}  // namespace cartwheel::logs
