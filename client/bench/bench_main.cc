#include "client/bench/bench_main.h"

#include <csignal>
#include <fstream>
#include <iostream>

#include "client/bench/report.h"

namespace cartwheel {

int bench_main(int argc, char** argv) {
  const bench::ParsedOptions parsed = bench::parse_options(argc, argv);
  if (!parsed.options) return parsed.exit_code;
  const bench::Options& options = *parsed.options;
  std::signal(SIGPIPE, SIG_IGN);  // a connection that the server closes is counted, not fatal

  const Result<bench::Outcome> outcome = bench::run(options);
  if (!outcome.ok()) {
    std::cerr << "cartwheel bench: " << outcome.status().message() << "\n";
    return 1;
  }
  std::cout << bench::text_report(options, *outcome);
  if (!options.json_path.empty()) {
    std::ofstream file(options.json_path, std::ios::trunc);
    file << bench::json_report(options, *outcome);
    if (!file.flush()) {
      std::cerr << "cartwheel bench: cannot write " << options.json_path << "\n";
      return 1;
    }
  }
  return outcome->stopped_early || outcome->stats.wrong_values > 0 ? 1 : 0;
}

}  // namespace cartwheel
