#include "client/bench/process_cpu.h"

#include <unistd.h>

#include <charconv>
#include <fstream>
#include <sstream>
#include <string>

namespace cartwheel::bench {

Result<uint64_t> parse_stat_ticks(std::string_view stat) {
  constexpr int kUtimeField = 14;  // counted from 1, see proc(5)
  // Field 2 is the program's name in parentheses and may hold spaces and parentheses: fields are counted from its end.
  const size_t close = stat.rfind(')');
  if (close == std::string_view::npos) return Status::Corruption("no program name in the stat line");
  std::string_view rest = stat.substr(close + 1);
  uint64_t ticks = 0;
  for (int field = 3; field <= kUtimeField + 1; ++field) {
    const size_t begin = rest.find_first_not_of(' ');
    if (begin == std::string_view::npos) return Status::Corruption("the stat line ends early");
    rest.remove_prefix(begin);
    const std::string_view word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(word.size());
    if (field < kUtimeField) continue;
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size()) return Status::Corruption("a CPU time is no number");
    ticks += value;
  }
  return ticks;
}

Result<double> cpu_us_of(const std::vector<int>& pids) {
  const double us_per_tick = 1e6 / static_cast<double>(sysconf(_SC_CLK_TCK));
  double total = 0;
  for (const int pid : pids) {
    const std::string path = "/proc/" + std::to_string(pid) + "/stat";
    std::ifstream file(path);
    std::stringstream text;
    if (!file || !(text << file.rdbuf())) return Status::Io("cannot read " + path + ": is the process running?");
    const Result<uint64_t> ticks = parse_stat_ticks(text.str());
    if (!ticks.ok()) return ticks.status();
    total += static_cast<double>(*ticks) * us_per_tick;
  }
  return total;
}

}  // namespace cartwheel::bench
