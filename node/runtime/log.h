// The log of the process: one line per event on standard error, for people (logfmt) or machines (JSON).
//
//   2026-03-01T10:00:00.123Z info  node=eu-1 msg="peer connected" peer=eu-2
//   {"time":"2026-03-01T10:00:00.123Z","level":"info","node":"eu-1","msg":"peer connected","peer":"eu-2"}
//
// Values come from peers and clients: they are escaped, so that no value can forge a line. Events that repeat are
// logged by their owners on change only; nothing on the path of a request logs.
//
// Threads: write() from any; start() once, before the others start. Without start() nothing is written (tests).
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/status.h"

namespace cartwheel::logs {

enum class Level { kDebug, kInfo, kWarning, kError };
enum class Format { kText, kJson };

struct Field {
  std::string_view key;
  std::string value;
};

// kInvalidArgument naming the accepted words.
Result<Level> parse_level(std::string_view word);
Result<Format> parse_format(std::string_view word);

void start(Level level, Format format, const std::string& node);
void write(Level level, std::string_view message, std::initializer_list<Field> fields = {});
// Writes an error and ends the process at once, without running destructors: what is on disk is what a crash leaves,
// which every start can deal with. For failures behind which the node must not answer anybody.
[[noreturn]] void fatal(std::string_view message, std::initializer_list<Field> fields = {});

// The part of a line behind time and level, for tests.
std::string render(Format format, const std::string& node, std::string_view message,
                   std::initializer_list<Field> fields);

inline void debug(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::kDebug, m, f);
}
inline void info(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::kInfo, m, f);
}
inline void warning(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::kWarning, m, f);
}
inline void error(std::string_view m, std::initializer_list<Field> f = {}) {
  write(Level::kError, m, f);
}

}  // namespace cartwheel::logs
