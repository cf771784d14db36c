// The options of `cartwheel bench`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/bench/workload.h"

namespace cartwheel::bench {

struct Target {
  std::string host;
  std::string port;
};

struct Options {
  std::vector<Target> targets;  // at least one
  std::string protocol = "resp";
  uint32_t database = 0;  // resp
  std::string keyspace;   // rpc
  unsigned clients = 50;
  unsigned pipeline = 1;
  unsigned threads = 1;
  std::optional<uint64_t> requests;  // measured operations; otherwise by duration
  double duration_s = 10;
  double warmup_s = 1;
  std::optional<double> rate;  // operations per second in all: an open loop; otherwise closed
  bool poisson = true;
  Mix mix;
  Workload::Shape shape;
  uint64_t seed = 1;
  bool prefill = false;
  bool verify = false;
  bool keep_going = false;
  std::vector<int> pids;
  std::string json_path;
};

// Exactly one of the two is meaningful: without options the program ends with exit_code (help was printed, or what is
// wrong was).
struct ParsedOptions {
  std::optional<Options> options;
  int exit_code = 0;
};
ParsedOptions parse_options(int argc, char** argv);

}  // namespace cartwheel::bench
